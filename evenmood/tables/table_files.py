"""Open input files, and write output files atomically; `-` is standard input or output."""

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
"""File name of standard input and output."""
FORMATS = {
    **{".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"},
    **{".parquet": "parquet", ".xlsx": "xlsx", ".txt": "txt"},
}
"""Format by file extension."""
STANDARD_OUTPUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
_PART = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.part", re.DOTALL)


@contextmanager
def open_input(name: str) -> Iterator[BinaryIO]:
    """Open a file, or standard input for `-`.

    Raises:
        UsageError: The file does not exist, or standard input is closed.
        DataError: The file cannot be read.
    """
    if name == STREAM:
        if sys.stdin is None:
            raise UsageError("standard input is closed; expected a file name")
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - only errors of opening are converted
    except FileNotFoundError:
        raise UsageError(f"{name}: no such file") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror})") from None
    with file:
        yield file


@contextmanager
def open_seekable(name: str) -> Iterator[BinaryIO]:
    """Like `open_input`, but reads a stream into memory, because Parquet and Excel have their index at the end."""
    with open_input(name) as file:
        yield file if name != STREAM and file.seekable() else BytesIO(file.read())


@contextmanager
def atomic_file(name: str, overwrite: bool) -> Iterator[BinaryIO]:
    """Yield a file to write to, which replaces the target at the end or is removed on an error.

    Standard output (`-`), pipes, devices and file descriptors (`/dev/stdout`, `/dev/fd/3`) are written directly.
    Temporary files of killed processes in the same folder are removed first.

    Raises:
        UsageError: The file exists and `overwrite` is false, or standard output is closed.
    """
    check_output(name, overwrite)
    if name == STREAM or name in STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if descriptor := _DESCRIPTOR.fullmatch(name):
        with os.fdopen(os.dup(int(descriptor[1])), "wb") as file:  # opening it by name would truncate a file
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
    """Raise `UsageError` if an output file exists and must not be replaced, or if its folder does not exist."""
    path = Path(name)
    if name == STREAM or name in STANDARD_OUTPUT:
        if sys.__stdout__ is None:
            raise UsageError("standard output is closed; expected a file name")
        return
    if path.is_dir():
        raise UsageError(f"{name} is a folder; expected a file name")
    replaces = path.is_file() or path.is_block_device()
    if replaces and not overwrite and not _DESCRIPTOR.fullmatch(name):
        raise UsageError(f"{name} exists; choose another name, or use --overwrite")
    if _DESCRIPTOR.fullmatch(name) and not path.exists():
        raise UsageError(f"{name}: no such file descriptor")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{name}: no such folder {path.parent}; create it first")


def remove_leftovers(path: Path) -> None:
    """Remove temporary files of processes that no longer run, of this file and of other tables in its folder."""
    for part in path.parent.glob(".*.part"):
        match = _PART.fullmatch(part.name)
        if not match or not part.is_file() or part.is_symlink():
            continue
        is_table = match["name"] == path.name or Path(match["name"]).suffix.lower() in FORMATS
        if is_table and not _runs(int(match["pid"])) and not _in_use(part):
            part.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    """Return whether a process exists; True if unknown."""
    if os.name != "posix":  # os.kill would end the process on Windows
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0


def _mark_in_use(file: BinaryIO) -> None:
    """Lock a temporary file for `_in_use`; on file systems without locks only the process id counts."""
    if fcntl:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _in_use(part: Path) -> bool:
    """Return whether any process, possibly on another machine, holds the lock of a temporary file."""
    if not fcntl:
        return False
    try:
        with part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
