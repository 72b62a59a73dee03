"""Exported, imported and corrupt votes."""

import sqlite3
from pathlib import Path

import pytest

from data_build.annotation.votes import Votes
from data_build.stages import review
from evenmood import DataError, UsageError
from tests.data_build.annotation import ANNOTATORS, GRIEF, JOY, NEUTRAL, cast


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_export_and_import(votes: Votes, build: Path, tmp_path: Path, extension: str) -> None:
    cast(votes, "sentiment140:1", [JOY, GRIEF], None, [NEUTRAL])
    exported_votes, path = votes.all_votes(), tmp_path / f"votes.{extension}"
    assert review.export_votes(build, "review", path) == 3
    for name in ANNOTATORS:
        votes.undo(name)
    assert votes.all_votes() == []
    assert review.import_votes(build, "review", path) == 3
    assert votes.all_votes() == exported_votes


def test_votes_that_cannot_be_imported(votes: Votes, build: Path, tmp_path: Path) -> None:
    header = "id,annotator,labels,unsure,saw_predictions\n"
    path = tmp_path / "votes.csv"
    valid_row = "sentiment140:1,Ada,joy,False,False\n"
    for content, message in (
        (
            header + valid_row + "sentiment140:1,Ben,glee,False,False\n",
            "vote 2: unknown label glee; expected one of",
        ),
        (header + valid_row + "sentiment140:77,Ben,joy,False,False\n", "vote 2: unknown row sentiment140:77"),
        (header + "sentiment140:1,Ada,joy,maybe,False\n", "vote 1: unsure is 'maybe'; expected true or false"),
        (header + "sentiment140:1,,joy,False,False\n", "vote 1: the annotator's name is empty"),
        (header + "sentiment140:1,Ada,,False,False\n", "vote 1: no label is selected"),
        ("id,labels\n1,joy\n", "missing column annotator, unsure, saw_predictions"),
        ("", "cannot read"),
        (header + valid_row + valid_row.replace("Ada", '"Ben') + valid_row * 20, "line 3: .*quotation mark"),
        (header + valid_row.replace("Ada", '"Ben') + valid_row + valid_row.replace("joy", 'joy"'), "line 2: "),
        (header + valid_row.replace("Ada", '"A\nB"'), "line 2: a cell spans several lines"),
        (header + valid_row.replace("Ada", "Ada,Ben"), "line 2: expected 5 cells, found 6"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=message):
            review.import_votes(build, "review", path)
        assert votes.all_votes() == []
    with pytest.raises(UsageError, match=r"\.csv or \.parquet"):
        review.export_votes(build, "review", tmp_path / "votes.xlsx")


@pytest.mark.parametrize("content", [b"", b"not a database at all, however long it may be" * 200])
def test_an_empty_or_overwritten_database(build: Path, votes: Votes, content: bytes) -> None:
    cast(votes, "sentiment140:1", [JOY])
    votes.path.write_bytes(content)
    steps = r"annotator .* NAME.* review .*votes .*--import FILE.* resolve .*--restart"
    with pytest.raises(DataError, match=rf"votes\.sqlite is corrupt .*{steps}"):
        review.resolve(build, print)
    assert votes.path.read_bytes() == content


def test_a_database_with_a_corrupt_cell(build: Path, votes: Votes) -> None:
    cast(votes, "sentiment140:1", [JOY])
    for cell in ("", "[3.9]", "5"):
        with sqlite3.connect(votes.path) as database:
            database.execute("UPDATE votes SET labels = ?", (cell,))
        with pytest.raises(DataError, match=r"votes\.sqlite is corrupt \(invalid labels"):
            review.resolve(build, print)
