"""Base class of HTTP servers on loopback that run in a thread within a `with` block."""

from http.server import HTTPServer
from threading import Thread
from types import TracebackType
from typing import Self


class LoopbackServer:
    """Start and stop the HTTP server that a subclass creates."""

    _http: HTTPServer
    _thread: Thread

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
