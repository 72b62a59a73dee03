"""Prediction results: labels with probabilities, and word weights."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label, its probability and the decision threshold applied."""

    label: str
    probability: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The labels of one text.

    Attributes:
        scores: Labels whose probability reaches their threshold, most probable first, each with its probability and
            threshold. Empty only for a missing text.
        fallback: Whether no label reached its threshold; `scores` then contains only the most probable label.
        words: Number of words in the text; None if it was created from probabilities alone.
        windows: Number of windows the text was split into: 1 unless it exceeds the model's maximum length, 0 for a
            missing text.
    """

    scores: tuple[LabelScore, ...]
    fallback: bool
    words: int | None = field(default=None, compare=False)
    windows: int | None = field(default=None, compare=False)
    _columns: Sequence[str] = field(default=(), compare=False, repr=False)
    _row: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def labels(self) -> list[str]:
        """Names of the labels, most probable first."""
        return [score.label for score in self.scores]

    @property
    def probabilities(self) -> dict[str, float]:
        """Probability of every label, in the model's order; empty for a missing text."""
        return {} if self._row is None else dict(zip(self._columns, self._row.tolist(), strict=True))

    @property
    def missing(self) -> bool:
        """Whether the text was missing: None, NaN or `pandas.NA`."""
        return self.windows == 0

    def to_dict(self) -> dict[str, Any]:
        """Convert to a dictionary for JSON: `labels`, `scores`, `fallback`, `probabilities`, `words`, `windows`."""
        scores = [
            {"label": score.label, "probability": score.probability, "threshold": score.threshold}
            for score in self.scores
        ]
        return {
            "labels": self.labels,
            "scores": scores,
            "fallback": self.fallback,
            "probabilities": self.probabilities,
            "words": self.words,
            "windows": self.windows,
        }

    def __repr__(self) -> str:
        parts = [f"{score.label}={score.probability:.2f}" for score in self.scores]
        parts += [f"{name}=True" for name in ("fallback", "missing") if getattr(self, name)]
        return f"Prediction({', '.join(parts)})"

    def __str__(self) -> str:
        if self.missing:
            return "missing text"
        scores = ", ".join(f"{score.label} {score.probability:.2f}" for score in self.scores)
        return f"{scores} (below its threshold)" if self.fallback else scores


MISSING = Prediction((), fallback=False, words=0, windows=0)
"""The prediction of a missing text."""


@dataclass(frozen=True, slots=True)
class WordWeight:
    """A word that the network reads, its position in the original text and its weight.

    Attributes:
        text: The word as written in the original text.
        start: Index of its first character.
        end: Index after its last character.
        weight: Share of the attention or of the change in probability, from 0 to 1; from `leave_one_out`, the
            decrease in the label's probability when the word is removed, from -1 to 1.
        known: Whether the vocabulary covers the word, whole or in pieces.
    """

    text: str
    start: int
    end: int
    weight: float
    known: bool


def apply_thresholds(
    probabilities: np.ndarray,
    thresholds: np.ndarray,
    labels: Sequence[str],
    words: np.ndarray | None = None,
    windows: np.ndarray | None = None,
) -> list[Prediction]:
    """Select the labels whose probability reaches their threshold, or the most probable one if none does.

    Args:
        probabilities: float32 of shape (n, labels); a row of NaN, for a missing text, gets no label.
        thresholds: float32 of shape (labels,).
        labels: Label of each column.
        words: Number of words of each text, shape (n,), if known.
        windows: Number of windows of each text, shape (n,), if known.
    """
    above = probabilities >= thresholds
    missing = np.isnan(probabilities).any(axis=1)
    fallback = np.logical_not(above.any(axis=1) | missing)
    if fallback.any():
        above[fallback, probabilities[fallback].argmax(axis=1)] = True
    rows, columns = np.nonzero(above)
    selected = probabilities[rows, columns]
    order = np.lexsort((-selected, rows))  # by row, then by descending probability, then by column
    column_order = columns[order].tolist()
    rounded_thresholds = [round(threshold, 6) for threshold in thresholds.tolist()]
    names, limits = map(labels.__getitem__, column_order), map(rounded_thresholds.__getitem__, column_order)
    scores = list(map(LabelScore, names, selected[order].tolist(), limits))
    ends = np.cumsum(above.sum(axis=1)).tolist()
    parts = map(scores.__getitem__, map(slice, [0, *ends], ends))
    counts = [repeat(None) if values is None else values.tolist() for values in (words, windows)]
    predictions = list(map(Prediction, map(tuple, parts), fallback.tolist(), *counts, repeat(labels), probabilities))
    for row in np.flatnonzero(missing).tolist():
        predictions[row] = MISSING
    return predictions
