"""Votes of annotators: what the tests have in common."""

from typing import Any

from data_build.annotation.majority import Vote
from data_build.annotation.votes import Votes
from evenmood import LABELS

PEOPLE = ["Ada", "Ben", "Cleo", "Dan", "Eve"]
JOY, GRIEF, NEUTRAL = LABELS.index("joy"), LABELS.index("grief"), LABELS.index("neutral")


def cast(votes: Votes, row: str, *given: Any) -> None:
    """One vote per annotator: label numbers, or None for unsure."""
    said = [
        Vote(row, name, tuple(labels or ()), labels is None, saw_machine=False)
        for name, labels in zip([*PEOPLE, "Finn"], given, strict=False)
    ]
    assert votes.take(said) == len(said)
