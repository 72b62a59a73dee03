"""Helpers for the tests of votes."""

from typing import Any

from data_build.annotation.majority import Vote
from data_build.annotation.votes import Votes
from evenmood import LABELS

ANNOTATORS = ["Ada", "Ben", "Cleo", "Dan", "Eve"]
JOY, GRIEF, NEUTRAL = LABELS.index("joy"), LABELS.index("grief"), LABELS.index("neutral")


def cast(votes: Votes, row: str, *labels_by_annotator: Any) -> None:
    """Cast one vote per annotator: label numbers, or None for unsure."""
    new_votes = [
        Vote(row, name, tuple(labels or ()), labels is None, saw_predictions=False)
        for name, labels in zip([*ANNOTATORS, "Finn"], labels_by_annotator, strict=False)
    ]
    assert votes.import_votes(new_votes) == len(new_votes)
