"""Votes on rows, and their resolution by majority."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evenmood import LABELS
from evenmood.errors import UsageError

ANNOTATORS = 5
"""Annotators per row, as in the paper."""


@dataclass(frozen=True)
class Item:
    """A row to annotate.

    Attributes:
        id: Id of the row.
        text: Text to label.
        predicted: Predicted labels, as label numbers.
        counts: Votes for each of the 28 labels; empty except for adjudicators.
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
        labels: Label numbers; empty if `unsure`.
        unsure: Whether the annotator could not decide.
        saw_predictions: Whether the annotator had been shown the predicted labels.
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
        labels: Label numbers; empty if `open`.
        counts: Votes for each of the 28 labels.
        resolution: `majority`, `adjudicated`, or `open` (a tie, or no label with a majority).
    """

    labels: tuple[int, ...]
    counts: tuple[int, ...]
    resolution: Literal["majority", "adjudicated", "open"]


def majority(votes: Sequence[Vote]) -> Result:
    """Resolve votes: keep the labels given by more than half of the annotators who were sure.

    The result is open on a tie, without a majority, or if fewer than half of the annotators were sure.
    """
    counts = counts_of(votes)
    sure = sum(not vote.unsure for vote in votes)
    labels = tuple(label for label, count in enumerate(counts) if 2 * count > sure)
    tie = any(2 * count == sure for count in counts if count)
    enough = 2 * sure > ANNOTATORS
    return Result(labels, counts, "majority" if labels and enough and not tie else "open")


def counts_of(votes: Sequence[Vote]) -> tuple[int, ...]:
    """Number of annotators who gave each label, without unsure ones."""
    return tuple(sum(label in vote.labels for vote in votes if not vote.unsure) for label in range(len(LABELS)))


def check_labels(labels: Iterable[int]) -> list[int]:
    """Return the label numbers without duplicates, ascending.

    Raises:
        UsageError: A value is not a label number; 3.9, "3" and True are not.
    """
    numbers = list(labels)
    if not all(is_label(label) for label in numbers):
        raise UsageError(f"invalid labels: {numbers}; expected numbers from 0 to {len(LABELS) - 1}")
    return sorted(set(numbers))


def is_label(value: Any) -> bool:
    """Whether a value is a label number of type `int`, not just convertible to one."""
    return type(value) is int and 0 <= value < len(LABELS)
