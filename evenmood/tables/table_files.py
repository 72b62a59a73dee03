"""Files of tables: opened for reading, and written whole or not at all; standard input and output are `-`."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from evenmood.errors import DataError, UsageError

try:
    import fcntl
except ModuleNotFoundError:  # Windows has no advisory locks
    fcntl = None  # type: ignore[assignment]

STREAM = "-"
"""The file name of standard input and output."""
FORMATS = {
    **{".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"},
    **{".parquet": "parquet", ".xlsx": "xlsx", ".txt": "txt"},
}
"""Format by a file name's ending."""
STANDARD_OUTPUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
_PART = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.part", re.DOTALL)


@contextmanager
def open_input(name: str) -> Iterator[BinaryIO]:
    """Open a file, or standard input for `-`.

    Raises:
        UsageError: There is no such file, or standard input is closed.
        DataError: It cannot be read.
    """
    if name == STREAM:
        if sys.stdin is None:
            raise UsageError("standard input is closed; name a file")
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - an error while reading is another one
    except FileNotFoundError:
        raise UsageError(f"{name}: no such file") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror})") from None
    with file:
        yield file


@contextmanager
def open_seekable(name: str) -> Iterator[BinaryIO]:
    """As `open_input`; what cannot be searched is read whole, as Parquet and Excel have their index at the end."""
    with open_input(name) as file:
        yield file if name != STREAM and file.seekable() else BytesIO(file.read())


@contextmanager
def whole_file(name: str, overwrite: bool) -> Iterator[BinaryIO]:
    """Give a file to write to; it appears whole at the end, or not at all. `-` is standard output.

    A pipe, a device or an open file descriptor (`/dev/stdout`, `/dev/fd/3`) is written to as it is. Leftovers of
    processes that were killed while they wrote into the same folder are removed first.

    Raises:
        UsageError: The file exists and `overwrite` is false, or standard output is closed.
    """
    check_output(name, overwrite)
    if name == STREAM or name in STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if opened := _DESCRIPTOR.fullmatch(name):
        with os.fdopen(os.dup(int(opened[1])), "wb") as file:  # opening it by its name would truncate a file
            yield file
        return
    if Path(name).exists() and not Path(name).is_file():  # a pipe or a device cannot be replaced
        with Path(name).open("wb") as file:
            yield file
        return
    path = Path(name).resolve()  # a link stays a link
    remove_leftovers(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            _mark_in_use(file)
            yield file
        if path.exists():
            shutil.copymode(path, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_output(name: str, overwrite: bool) -> None:
    """Raise `UsageError` for a file that exists and may not be replaced, or whose folder does not."""
    path = Path(name)
    if name == STREAM or name in STANDARD_OUTPUT:
        if sys.__stdout__ is None:
            raise UsageError("standard output is closed; name a file to write to")
        return
    if path.is_dir():
        raise UsageError(f"{name} is a folder; name a file")
    replaces = path.is_file() or path.is_block_device()
    if replaces and not overwrite and not _DESCRIPTOR.fullmatch(name):
        raise UsageError(f"{name} exists already; choose another name, or replace it with --overwrite")
    if _DESCRIPTOR.fullmatch(name) and not path.exists():
        raise UsageError(f"{name}: no such open file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{name}: there is no folder {path.parent}")


def remove_leftovers(path: Path) -> None:
    """Remove unfinished files of processes that no longer run: those of this file, and of other tables beside it."""
    for part in path.parent.glob(".*.part"):
        match = _PART.fullmatch(part.name)
        if not match or not part.is_file() or part.is_symlink():
            continue
        ours = match["name"] == path.name or Path(match["name"]).suffix.lower() in FORMATS
        if ours and not _runs(int(match["pid"])) and not _in_use(part):
            part.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    """Whether there is such a process; True where that cannot be found out."""
    if os.name != "posix":  # os.kill ends a process on Windows
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0


def _mark_in_use(file: BinaryIO) -> None:
    """Lock an unfinished file, for `_in_use`; file systems without locks go by the process id alone."""
    if fcntl:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _in_use(part: Path) -> bool:
    """Whether a process holds the lock of an unfinished file, perhaps in another container or on another machine."""
    if not fcntl:
        return False
    try:
        with part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
