"""Texts for benchmarks that need many: beginnings and ends of the tests' own miniature, put together."""

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

MINIATURE = Path(__file__).parent.parent / "tests" / "miniature"


def endless_texts(seed: int = 0) -> Iterator[str]:
    """Texts without end, some 14 words each, as GoEmotions' are."""
    draw = random.Random(seed)
    rows = (MINIATURE / "emotions.txt").read_text(encoding="utf-8").splitlines()
    sources = [row.partition(": ")[2].split() for row in rows]
    sources += [row.split() for row in (MINIATURE / "tweets.txt").read_text(encoding="utf-8").splitlines()]
    while True:
        first, second = draw.choices(sources, k=2)
        yield " ".join(first[: draw.randint(1, len(first))] + second[-draw.randint(1, len(second)) :])


def made_up_texts(count: int) -> list[str]:
    """The first so many."""
    return list(islice(endless_texts(), count))
