"""Clean up on SIGTERM and SIGHUP as on Ctrl+C."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def exit_on_termination() -> Iterator[None]:
    """Raise `SystemExit` in the block on SIGTERM or SIGHUP, so that `finally` clauses run; then re-raise the signal.

    Ignored signals (`nohup`) stay ignored. Works only in the main thread.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:  # a second signal (systemd sends one) must not interrupt the cleanup
            raise SystemExit(128 + number)

    previous_handlers = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in previous_handlers.items():
        if handler == signal.SIG_DFL:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
        if received:  # die from the signal, so that the parent process sees it
            os.kill(os.getpid(), received[0])
