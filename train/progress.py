"""Progress messages for long steps: elapsed time, and share of items done."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")
Log = Callable[[str], None]
PAUSE = 15.0
"""Interval between messages, in seconds."""


@contextmanager
def elapsed(log: Log, step: str) -> Iterator[None]:
    """Log the elapsed time of the block every `PAUSE` seconds, from a thread."""
    started, done = time.monotonic(), Event()

    def report() -> None:
        while not done.wait(PAUSE):
            log(f"{step}: {time.monotonic() - started:,.0f} s")

    thread = Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def counted(items: Sequence[Item], log: Log, step: str) -> Iterator[Item]:
    """Yield items, and log the share done every `PAUSE` seconds."""
    last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= PAUSE:
            log(f"{step}: {done / len(items):.0%}")
            last = now
        yield item
