"""Working folder of the server for temporary files, removed when the server ends, or by the next server."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from space.table import worker

PREFIX = "evenmood-demo-"
LOCK_FILE = ".lock"
"""Locked while the server runs; the operating system releases the lock, even after a crash."""
UNLOCKED_SECONDS = 86_400
"""Minimum age for a folder without a lock file to be removed: a new server may not have locked it yet."""


@contextmanager
def working_folder() -> Iterator[Path]:
    """Create a folder for all temporary files of this process and its children; it is removed afterwards."""
    remove_leftovers()
    previous = tempfile.tempdir, os.environ.get("TMPDIR")
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    lock.acquire()
    temporary = folder / "tmp"
    temporary.mkdir()
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
    try:
        yield folder
    finally:
        worker.stop_all()
        tempfile.tempdir = previous[0]
        os.environ.pop("TMPDIR")
        if previous[1] is not None:
            os.environ["TMPDIR"] = previous[1]
        for path in folder.iterdir():
            if path.name != LOCK_FILE:
                shutil.rmtree(path, ignore_errors=True)
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers() -> None:
    """Remove working folders that killed servers of the same user left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if folder.is_symlink() or not folder.is_dir() or not _is_own(folder):
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


def _is_own(folder: Path) -> bool:
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
