"""Base class for HTTP servers on loopback that run in a thread during a `with` block."""

from http.server import HTTPServer
from threading import Thread
from types import TracebackType
from typing import Self


class LoopbackServer:
    """Context manager that runs the HTTP server created by a subclass."""

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
