"""Ending on SIGTERM and SIGHUP as on Ctrl+C: what is unfinished is removed first."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def cleaned_up() -> Iterator[None]:
    """Raise `SystemExit` within the block on a signal, so that its `finally` clauses run; then die of the signal.

    Signals that are ignored, as `nohup` does it, stay ignored. In the main thread only.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:  # one that follows, as systemd sends it, must not cut the cleaning short
            raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler == signal.SIG_DFL:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:  # the parent sees what ended the process
            os.kill(os.getpid(), received[0])
