"""Serve a folder of static files on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, isolated: bool, **options: Any) -> None:
        self._isolated = isolated
        super().__init__(*arguments, **options)

    def end_headers(self) -> None:
        if self._isolated:
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def served(folder: Path, *, isolated: bool = False) -> Iterator[str]:
    """Serve a folder in a thread; yield its URL.

    Args:
        folder: Folder to serve.
        isolated: Make pages cross-origin isolated, as threads in WebAssembly require.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder), isolated=isolated))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
