"""Keep the texts with the highest scores of a stream, each text once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LONGEST = 320
"""Characters that are kept of a text."""


@dataclass(frozen=True)
class Example:
    """A text of the table with the labels that it was given.

    Attributes:
        text: Its beginning, `LONGEST` characters at the most.
        labels: Label and probability, the most probable first.
        score: What it was chosen for.
    """

    text: str
    labels: list[tuple[str, float]]
    score: float


class BestTexts:
    """The texts of highest score."""

    def __init__(self, count: int) -> None:
        """Take how many are kept."""
        self._count = count
        self._kept: dict[str, tuple[float, Any]] = {}

    def add(self, texts: Sequence[str | None], rows: np.ndarray, scores: np.ndarray, details: Any) -> None:
        """Offer some rows of a batch: their indices, their scores, and a function that describes a row."""
        floor = self._floor()
        for at in np.argsort(-scores, kind="stable").tolist():
            score = float(scores[at])
            if score <= floor:
                break
            row = int(rows[at])
            text = _shortened(texts[row] or "")
            if text not in self._kept or self._kept[text][0] < score:
                self._kept[text] = (score, details(row))
                if len(self._kept) > self._count:
                    del self._kept[min(self._kept, key=lambda kept: self._kept[kept][0])]
                floor = self._floor()

    def examples(self) -> list[Example]:
        """The texts, that of the highest score first."""
        best = sorted(self._kept.items(), key=lambda item: -item[1][0])
        return [Example(text, labels, score) for text, (score, labels) in best]

    def _floor(self) -> float:
        full = len(self._kept) >= self._count
        return min(score for score, _ in self._kept.values()) if full else -np.inf


def _shortened(text: str) -> str:
    """The beginning of a text on one line, cut at a space."""
    words = " ".join(text[: 4 * LONGEST].split())
    if len(words) <= LONGEST and len(text) <= 4 * LONGEST:
        return words
    beginning = words[:LONGEST]
    head, space, _ = beginning.rpartition(" ")
    return f"{head if space and len(head) > LONGEST // 2 else beginning}…"
