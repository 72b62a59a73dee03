"""Annotator votes and majority resolution."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evenmood import LABELS
from evenmood.errors import UsageError

ANNOTATORS = 5
"""Annotators per row, as in the paper (arXiv 2511.14073)."""


@dataclass(frozen=True)
class Item:
    """A row to annotate.

    Attributes:
        id: Id of the row.
        text: Text to label.
        predicted: Indices of the predicted labels.
        counts: Number of votes for each of the 28 labels; only for adjudicators, otherwise empty.
    """

    id: str
    text: str
    predicted: tuple[int, ...]
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Vote:
    """An annotator's vote on a row.

    Attributes:
        id: Id of the row.
        annotator: Name of the annotator.
        labels: Label indices; empty if `unsure`.
        unsure: Whether the annotator could not decide.
        saw_predictions: Whether the annotator was shown the predicted labels.
    """

    id: str
    annotator: str
    labels: tuple[int, ...]
    unsure: bool
    saw_predictions: bool


@dataclass(frozen=True)
class Result:
    """Outcome of the votes on a row.

    Attributes:
        labels: Indices of the labels with a majority, or of the adjudicator's labels. Do not use them if `resolution`
            is `open`.
        counts: Number of votes for each of the 28 labels.
        resolution: `majority`, `adjudicated`, or `open` (a tie, no label with a majority, or too few annotators
            who were sure).
    """

    labels: tuple[int, ...]
    counts: tuple[int, ...]
    resolution: Literal["majority", "adjudicated", "open"]


def majority(votes: Sequence[Vote]) -> Result:
    """Resolve votes: keep the labels chosen by more than half of the annotators who were sure.

    The result is open on a tie, without a majority, or if fewer than half of the annotators were sure.
    """
    counts = count_votes(votes)
    sure_votes = sum(not vote.unsure for vote in votes)
    labels = tuple(label for label, count in enumerate(counts) if 2 * count > sure_votes)
    tie = any(2 * count == sure_votes for count in counts if count)
    has_quorum = 2 * sure_votes > ANNOTATORS
    return Result(labels, counts, "majority" if labels and has_quorum and not tie else "open")


def count_votes(votes: Sequence[Vote]) -> tuple[int, ...]:
    """Count the annotators who chose each label; unsure votes are excluded."""
    return tuple(sum(label in vote.labels for vote in votes if not vote.unsure) for label in range(len(LABELS)))


def normalize_labels(labels: Iterable[int]) -> list[int]:
    """Return the label indices without duplicates, in ascending order.

    Raises:
        UsageError: A value is not an `int` in range. Floats, strings and Booleans are rejected.
    """
    indices = list(labels)
    if not all(is_label(label) for label in indices):
        raise UsageError(f"invalid labels: {indices}; expected numbers from 0 to {len(LABELS) - 1}")
    return sorted(set(indices))


def is_label(value: Any) -> bool:
    """Return whether a value is a label index of type `int`, not just convertible to one."""
    return type(value) is int and 0 <= value < len(LABELS)
