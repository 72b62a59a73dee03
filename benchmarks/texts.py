"""Synthetic texts for benchmarks, combined from beginnings and ends of the test texts."""

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

MINIATURE = Path(__file__).parent.parent / "tests" / "miniature"


def endless_texts(seed: int = 0) -> Iterator[str]:
    """Yield texts of about 14 words, as in GoEmotions, without end."""
    rng = random.Random(seed)
    rows = (MINIATURE / "emotions.txt").read_text(encoding="utf-8").splitlines()
    sources = [row.partition(": ")[2].split() for row in rows]
    sources += [row.split() for row in (MINIATURE / "tweets.txt").read_text(encoding="utf-8").splitlines()]
    while True:
        first, second = rng.choices(sources, k=2)
        yield " ".join(first[: rng.randint(1, len(first))] + second[-rng.randint(1, len(second)) :])


def synthetic_texts(count: int) -> list[str]:
    """Return the first `count` texts of `endless_texts`."""
    return list(islice(endless_texts(), count))
