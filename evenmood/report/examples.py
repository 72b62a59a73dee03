"""Collect the distinct texts with the highest scores from a stream."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_EXAMPLE_CHARS = 320
"""Maximum length of an example, in characters."""


@dataclass(frozen=True)
class Example:
    """An example text and its predicted labels.

    Attributes:
        text: The text, truncated to `MAX_EXAMPLE_CHARS` characters.
        labels: Labels and probabilities, most probable first.
        score: Score for which the text was selected.
    """

    text: str
    labels: list[tuple[str, float]]
    score: float


class BestTexts:
    """A bounded collection of the texts with the highest scores."""

    def __init__(self, count: int) -> None:
        """Set the maximum number of texts."""
        self._count = count
        self._best: dict[str, tuple[float, Any]] = {}

    def add(self, texts: Sequence[str | None], rows: np.ndarray, scores: np.ndarray, details: Any) -> None:
        """Add the rows of a batch that score high enough.

        Args:
            texts: Texts of the batch.
            rows: Indices of the candidate rows: shape (m,).
            scores: Scores of the candidates: shape (m,).
            details: Function that returns the labels of a row.
        """
        floor = self._floor()
        for index in np.argsort(-scores, kind="stable").tolist():
            score = float(scores[index])
            if score <= floor:
                break
            row = int(rows[index])
            text = _shorten(texts[row] or "")
            if text not in self._best or self._best[text][0] < score:
                self._best[text] = (score, details(row))
                if len(self._best) > self._count:
                    del self._best[min(self._best, key=lambda text: self._best[text][0])]
                floor = self._floor()

    def examples(self) -> list[Example]:
        """Return the examples, highest score first."""
        best = sorted(self._best.items(), key=lambda item: -item[1][0])
        return [Example(text, labels, score) for text, (score, labels) in best]

    def _floor(self) -> float:
        full = len(self._best) >= self._count
        return min(score for score, _ in self._best.values()) if full else -np.inf


def _shorten(text: str) -> str:
    """Collapse whitespace and truncate a text, preferably at a space."""
    words = " ".join(text[: 4 * MAX_EXAMPLE_CHARS].split())
    if len(words) <= MAX_EXAMPLE_CHARS and len(text) <= 4 * MAX_EXAMPLE_CHARS:
        return words
    beginning = words[:MAX_EXAMPLE_CHARS]
    head, space, _ = beginning.rpartition(" ")
    return f"{head if space and len(head) > MAX_EXAMPLE_CHARS // 2 else beginning}…"
