"""Votes and what comes of them: the majority of five, or nothing yet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evenmood import LABELS
from evenmood.errors import UsageError

ANNOTATORS = 5
"""The paper's: each row is read by five people."""


@dataclass(frozen=True)
class Item:
    """A row that somebody is to read.

    Attributes:
        id: The row's.
        text: To read.
        machine: Label numbers that it carries so far.
        counts: How many annotators gave each label, 28 numbers; for the adjudicator alone, else empty.
    """

    id: str
    text: str
    machine: tuple[int, ...]
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Vote:
    """What one annotator said of one row."""

    id: str
    annotator: str
    labels: tuple[int, ...]
    unsure: bool
    saw_machine: bool


@dataclass(frozen=True)
class Result:
    """What came of a row's votes.

    Attributes:
        labels: Label numbers; none where nothing was agreed on.
        counts: How many annotators gave each label, 28 numbers.
        resolution: `majority`, `adjudicated`, or `open`: a tie, or no label with a majority.
    """

    labels: tuple[int, ...]
    counts: tuple[int, ...]
    resolution: Literal["majority", "adjudicated", "open"]


def majority(votes: Sequence[Vote]) -> Result:
    """The labels that more than half of those who were sure gave.

    Open on a tie, where no label has that many, and where less than half of the annotators were sure.
    """
    counts = counts_of(votes)
    sure = sum(not vote.unsure for vote in votes)
    labels = tuple(label for label, count in enumerate(counts) if 2 * count > sure)
    tie = any(2 * count == sure for count in counts if count)
    enough = 2 * sure > ANNOTATORS
    return Result(labels, counts, "majority" if labels and enough and not tie else "open")


def counts_of(votes: Sequence[Vote]) -> tuple[int, ...]:
    """How many annotators who were sure gave each label."""
    return tuple(sum(label in vote.labels for vote in votes if not vote.unsure) for label in range(len(LABELS)))


def checked(labels: Iterable[int]) -> list[int]:
    """Label numbers, each once, ascending; raises `UsageError` where one is none: 3.9, "3" and True are not 3."""
    given = list(labels)
    if not all(is_label(label) for label in given):
        raise UsageError(f"labels is {given}; expected numbers from 0 to {len(LABELS) - 1}")
    return sorted(set(given))


def is_label(value: Any) -> bool:
    """Whether a value is the number of a label, and nothing that merely converts to one."""
    return type(value) is int and 0 <= value < len(LABELS)
