"""Uploads and results on the server's disk: kept for an hour, within a budget in total and for each visitor."""

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

KEPT_SECONDS = 3600
"""How long uploads and results stay."""
TOTAL_BYTES = 2_000_000_000
"""Of all uploads and results; at most half of the disk space that is free at the start."""
VISITOR_BYTES = 300_000_000
"""Of one visitor's uploads and results; the largest table and what comes of it fit."""
EVERY_SECONDS = 60
"""Between two looks at what is too old."""


class Storage:
    """A folder whose oldest entries are removed as soon as a budget is exceeded.

    An entry is whatever lies in the folder directly: Gradio's folder of an upload, or a table's results. Entries that
    are read or written are not removed.

    Args:
        folder: Created if there is none.
        total: Bytes of all entries.
        each: Bytes of one visitor's entries.
    """

    def __init__(self, folder: Path, total: int = TOTAL_BYTES, each: int = VISITOR_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.total, self.each = min(total, shutil.disk_usage(folder).free // 2), each
        self._visitors: dict[str, str] = {}
        self._used: list[str] = []
        self._lock = threading.Lock()

    def new_folder(self, visitor: str) -> Path:
        """An empty folder for a visitor's results."""
        path = Path(tempfile.mkdtemp(prefix="table-", dir=self.folder))
        self.own(path, visitor)
        return path

    def own(self, path: Path, visitor: str) -> None:
        """Note whose entry a path belongs to; nothing for a path outside the folder."""
        if entry := self._entry(path):
            self._visitors[entry] = visitor

    @contextmanager
    def in_use(self, *paths: Path | None) -> Iterator[None]:
        """Keep the entries of these paths within the block; afterwards they are the newest ones."""
        entries = [entry for path in paths if path and (entry := self._entry(path))]
        with self._lock:
            self._used += entries
        try:
            yield
        finally:
            with self._lock:
                for entry in entries:
                    self._used.remove(entry)
                    with suppress(FileNotFoundError):
                        os.utime(self.folder / entry)

    def clean(self) -> None:
        """Remove what is too old, then the oldest entries of a visitor, and of all, that exceed a budget."""
        with self._lock:
            entries = sorted(self._entries())
            self._visitors = {name: who for name, who in self._visitors.items() if (self.folder / name).exists()}
            spent, spent_by = 0, dict.fromkeys(self._visitors.values(), 0)
            for _, name, size in entries:
                spent += size
                if name in self._visitors:
                    spent_by[self._visitors[name]] += size
            for changed, name, size in entries:
                visitor = self._visitors.get(name)
                old = time.time() - changed > KEPT_SECONDS
                much = spent > self.total or (visitor is not None and spent_by[visitor] > self.each)
                if (old or much) and name not in self._used:
                    _remove(self.folder / name)
                    spent -= size
                    if visitor is not None:
                        spent_by[visitor] -= size

    def clean_regularly(self) -> None:
        """Start a thread that removes what is too old."""

        def work() -> None:
            while True:
                time.sleep(EVERY_SECONDS)
                self.clean()

        threading.Thread(target=work, daemon=True).start()

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
        """When each entry changed last, its name, and its bytes."""
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):
                files = [path, *path.rglob("*")] if path.is_dir() else [path]
                stats = [file.lstat() for file in files]
                size = sum(max(one.st_size, one.st_blocks * 512 if hasattr(one, "st_blocks") else 0) for one in stats)
                yield max(one.st_mtime for one in stats), path.name, size


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def visitor_of(host: str | None, headers: Mapping[str, str]) -> str:
    """A visitor's address: the connection's, or on a Space the last public one that its proxies added."""
    if "SPACE_ID" in os.environ:
        for given in reversed(headers.get("x-forwarded-for", "").split(",")):
            with suppress(ValueError):
                if (address := ipaddress.ip_address(given.strip())).is_global:
                    return str(address)
    return host or "unknown"


class WatchUploads:
    """ASGI middleware that notes who uploaded what, and keeps the budgets after each upload."""

    def __init__(self, app: Any, storage: Storage) -> None:
        self.app, self.storage = app, storage

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Pass a request on; the answer to an upload lists its files."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].rstrip("/").endswith("/upload"):
            await self.app(scope, receive, send)
            return
        body = bytearray()

        async def watch(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    await to_thread.run_sync(self._note, bytes(body), _visitor(scope))
            await send(message)

        await self.app(scope, receive, watch)

    def _note(self, answer: bytes, visitor: str) -> None:
        with suppress(ValueError):  # an error's answer lists no files
            paths = json.loads(answer)
            for path in paths if isinstance(paths, list) else []:
                self.storage.own(Path(str(path)), visitor)
        self.storage.clean()


def _visitor(scope: Mapping[str, Any]) -> str:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return visitor_of((scope.get("client") or [None])[0], headers)
