"""Signs of life during long steps: elapsed time, and items done."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")
Say = Callable[[str], None]
PAUSE = 15.0
"""Seconds between two lines."""


@contextmanager
def elapsed(say: Say, step: str) -> Iterator[None]:
    """Say every `PAUSE` seconds, from a thread, how long a step has been running."""
    started, done = time.monotonic(), Event()

    def report() -> None:
        while not done.wait(PAUSE):
            say(f"{step}: {time.monotonic() - started:,.0f} s")

    thread = Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def counted(items: Sequence[Item], say: Say, step: str) -> Iterator[Item]:
    """Yield the items, and say every `PAUSE` seconds which share of them is done."""
    last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= PAUSE:
            say(f"{step}: {done / len(items):.0%}")
            last = now
        yield item
