"""Uploads and results on the server's disk, kept for an hour, with size limits in total and per visitor."""

import ipaddress
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from anyio import to_thread

RETENTION_SECONDS = 3600
"""Time after which uploads and results are removed."""
MAX_TOTAL_BYTES = 2_000_000_000
"""Maximum size of all uploads and results; at most half of the disk space that is free at the start."""
MAX_VISITOR_BYTES = 300_000_000
"""Maximum size of one visitor's uploads and results; enough for the largest table and its results."""
CLEANUP_SECONDS = 60
"""Seconds between two cleanups."""


class Storage:
    """A folder whose oldest entries are removed when a size limit is exceeded.

    An entry is a direct child of the folder: the folder of an upload, or of a table's results. Entries in use are not
    removed.

    Args:
        folder: The folder; created if missing.
        max_total_bytes: Maximum size of all entries, in bytes.
        max_visitor_bytes: Maximum size of one visitor's entries, in bytes.
    """

    def __init__(
        self, folder: Path, max_total_bytes: int = MAX_TOTAL_BYTES, max_visitor_bytes: int = MAX_VISITOR_BYTES
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.max_total_bytes = min(max_total_bytes, shutil.disk_usage(folder).free // 2)
        self.max_visitor_bytes = max_visitor_bytes
        self._visitors: dict[str, str] = {}
        self._entries_in_use: list[str] = []
        self._lock = threading.Lock()

    def new_folder(self, visitor: str) -> Path:
        """Create an empty folder for a visitor's results."""
        path = Path(tempfile.mkdtemp(prefix="table-", dir=self.folder))
        self.set_owner(path, visitor)
        return path

    def set_owner(self, path: Path, visitor: str) -> None:
        """Record the visitor to whom an entry belongs; paths outside the folder are ignored."""
        if entry := self._entry(path):
            self._visitors[entry] = visitor

    @contextmanager
    def in_use(self, *paths: Path | None) -> Iterator[None]:
        """Protect the entries of these paths within the block; afterwards they count as the newest."""
        entries = [entry for path in paths if path and (entry := self._entry(path))]
        with self._lock:
            self._entries_in_use += entries
        try:
            yield
        finally:
            with self._lock:
                for entry in entries:
                    self._entries_in_use.remove(entry)
                    with suppress(FileNotFoundError):
                        os.utime(self.folder / entry)

    def clean(self) -> None:
        """Remove expired entries, then the oldest entries while a visitor or the total exceeds its limit."""
        with self._lock:
            entries = sorted(self._entries())
            self._visitors = {name: owner for name, owner in self._visitors.items() if (self.folder / name).exists()}
            total_size, size_of_visitor = 0, dict.fromkeys(self._visitors.values(), 0)
            for _, name, size in entries:
                total_size += size
                if name in self._visitors:
                    size_of_visitor[self._visitors[name]] += size
            for modified, name, size in entries:
                visitor = self._visitors.get(name)
                is_expired = time.time() - modified > RETENTION_SECONDS
                exceeds_limit = total_size > self.max_total_bytes or (
                    visitor is not None and size_of_visitor[visitor] > self.max_visitor_bytes
                )
                if (is_expired or exceeds_limit) and name not in self._entries_in_use:
                    _remove(self.folder / name)
                    total_size -= size
                    if visitor is not None:
                        size_of_visitor[visitor] -= size

    def start_cleanup_thread(self) -> None:
        """Start a thread that removes expired entries."""

        def clean() -> None:
            while True:
                time.sleep(CLEANUP_SECONDS)
                self.clean()

        threading.Thread(target=clean, daemon=True).start()

    def remove(self, path: Path) -> None:
        """Remove the entry of a path."""
        if entry := self._entry(path):
            _remove(self.folder / entry)

    def _entry(self, path: Path) -> str | None:
        try:
            parts = Path(path).resolve().relative_to(self.folder).parts
        except ValueError:
            return None
        return parts[0] if parts else None

    def _entries(self) -> Iterator[tuple[float, str, int]]:
        """Yield the modification time, name and size of each entry."""
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):
                files = [path, *path.rglob("*")] if path.is_dir() else [path]
                stats = [file.lstat() for file in files]
                size = sum(
                    max(stat.st_size, stat.st_blocks * 512 if hasattr(stat, "st_blocks") else 0) for stat in stats
                )
                yield max(stat.st_mtime for stat in stats), path.name, size


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def visitor_of(host: str | None, headers: Mapping[str, str]) -> str:
    """Return a visitor's address: the connection's or, on a Space, the last public address in `X-Forwarded-For`."""
    if "SPACE_ID" in os.environ:
        for value in reversed(headers.get("x-forwarded-for", "").split(",")):
            with suppress(ValueError):
                if (address := ipaddress.ip_address(value.strip())).is_global:
                    return str(address)
    return host or "unknown"


class UploadMiddleware:
    """ASGI middleware that records the owner of each upload, and enforces the size limits."""

    def __init__(self, app: Any, storage: Storage) -> None:
        self.app, self.storage = app, storage

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Forward a request; the response to an upload lists its files."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].rstrip("/").endswith("/upload"):
            await self.app(scope, receive, send)
            return
        body = bytearray()

        async def watch(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    await to_thread.run_sync(self._record, bytes(body), _visitor(scope))
            await send(message)

        await self.app(scope, receive, watch)

    def _record(self, response: bytes, visitor: str) -> None:
        with suppress(ValueError):  # error responses list no files
            paths = json.loads(response)
            for path in paths if isinstance(paths, list) else []:
                self.storage.set_owner(Path(str(path)), visitor)
        self.storage.clean()


def _visitor(scope: Mapping[str, Any]) -> str:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return visitor_of((scope.get("client") or [None])[0], headers)
