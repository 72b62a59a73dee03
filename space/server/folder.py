"""The server's working folder: everything that it writes for a while, removed at its end, or by the next server."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from space.table import apart

PREFIX = "evenmood-demo-"
LOCK_FILE = ".lock"
"""Held as long as the server lives; the system lets go of it however the server ends."""
UNLOCKED_SECONDS = 86_400
"""Age from which a folder without a lock file is left over: another server may be about to lock it."""


@contextmanager
def working_folder() -> Iterator[Path]:
    """Give a folder that goes at the end of the block, with every temporary file of this process and its children."""
    remove_leftovers()
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    lock.acquire()
    temporary = folder / "tmp"
    temporary.mkdir()
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
    try:
        yield folder
    finally:
        apart.stop_all()
        tempfile.tempdir = before[0]
        os.environ.pop("TMPDIR")
        if before[1] is not None:
            os.environ["TMPDIR"] = before[1]
        for path in folder.iterdir():
            if path.name != LOCK_FILE:
                shutil.rmtree(path, ignore_errors=True)
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers() -> None:
    """Remove the working folders of servers that were killed, of the same user."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if folder.is_symlink() or not folder.is_dir() or not _ours(folder):
            continue
        if not (folder / LOCK_FILE).is_file():
            if time.time() - folder.stat().st_mtime > UNLOCKED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            with FileLock(folder / LOCK_FILE, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):
            continue  # in use


def _ours(folder: Path) -> bool:
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
