"""Progress messages for long steps: elapsed time, and share of completed items."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")
Log = Callable[[str], None]
PROGRESS_INTERVAL = 15.0
"""Interval between messages, in seconds."""


@contextmanager
def elapsed(log: Log, step: str) -> Iterator[None]:
    """Log the time elapsed in the block every `PROGRESS_INTERVAL` seconds, from a thread."""
    started, stop = time.monotonic(), Event()

    def report() -> None:
        while not stop.wait(PROGRESS_INTERVAL):
            log(f"{step}: {time.monotonic() - started:,.0f} s")

    thread = Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def with_progress(items: Sequence[Item], log: Log, step: str) -> Iterator[Item]:
    """Yield items, and log the share of completed items every `PROGRESS_INTERVAL` seconds."""
    last = time.monotonic()
    for count, item in enumerate(items):
        now = time.monotonic()
        if now - last >= PROGRESS_INTERVAL:
            log(f"{step}: {count / len(items):.0%}")
            last = now
        yield item
