"""Votes: the queue, majorities, ties, agreement, and what goes in and out."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from data_build.annotation import agreement
from data_build.annotation.majority import Vote, majority
from data_build.annotation.votes import HELD, Votes
from data_build.stage import input_hashes, open_stage
from data_build.stages import review
from evenmood import LABELS, DataError, UsageError
from evenmood.data.build_folder import read_manifest, read_rows
from evenmood.data.rows import schema, text_hash
from tests.data_build.annotation import GRIEF, JOY, NEUTRAL, PEOPLE, cast


def test_every_row_gets_five_readers_and_no_more(votes: Votes) -> None:
    crowd = [*PEOPLE, "Finn", "Gus"]
    read: dict[str, set[str]] = {}
    waiting = crowd
    while waiting:
        shown = {name: item for name in waiting if (item := votes.next(name))}
        for name, item in shown.items():
            votes.vote(Vote(item.id, name, (JOY,), unsure=False, saw_machine=False))
            assert name not in read.setdefault(item.id, set())
            read[item.id].add(name)
        waiting = list(shown)
    assert [len(names) for names in read.values()] == [5] * 6
    assert votes.progress("Ada")["voted"] == 6
    with pytest.raises(UsageError, match="has its 5 readers already"):
        votes.take([Vote("sentiment140:0", "Hana", (JOY,), unsure=False, saw_machine=False)])


def test_a_row_that_somebody_left_goes_to_another(votes: Votes, monkeypatch: pytest.MonkeyPatch) -> None:
    first = votes.next("Ada")
    assert first is not None
    assert votes.next("Ada") == first  # a page that was loaded again shows it again
    for name in PEOPLE[1:]:
        assert votes.next(name) == first
    other = votes.next("Finn")
    assert other is not None
    assert other != first
    now = time.time() + HELD + 1
    monkeypatch.setattr("data_build.annotation.votes.time.time", lambda: now)
    assert votes.next("Gus") == first


@pytest.mark.parametrize(
    ("given", "labels", "resolution"),
    [
        ([[JOY], [JOY], [JOY], [GRIEF], [GRIEF]], (JOY,), "majority"),
        ([[JOY, GRIEF], [JOY, GRIEF], [JOY, GRIEF], [GRIEF], [NEUTRAL]], (JOY, GRIEF), "majority"),
        ([[JOY], [JOY], [GRIEF], [GRIEF], [NEUTRAL]], (), "open"),  # no label has a majority
        ([[JOY], [JOY], [GRIEF], [GRIEF], None], (), "open"),  # a tie
        ([[JOY], [JOY], [JOY], None, None], (JOY,), "majority"),
        ([[JOY], [JOY], None, None, None], (JOY,), "open"),  # most of them were unsure
        ([None] * 5, (), "open"),
    ],
)
def test_majority(votes: Votes, given: list[Any], labels: tuple[int, ...], resolution: str) -> None:
    cast(votes, "sentiment140:1", *given)
    result = votes.results()["sentiment140:1"]
    assert (set(result.labels), result.resolution) == (set(labels), resolution)
    assert result.counts[JOY] == sum(JOY in (row or ()) for row in given)
    assert majority(votes.all()) == result


def test_four_votes_are_no_result(votes: Votes) -> None:
    cast(votes, "sentiment140:1", *[[JOY]] * 4)
    assert votes.results() == {}


def test_undo(votes: Votes) -> None:
    cast(votes, "sentiment140:1", [JOY])
    cast(votes, "sentiment140:2", [GRIEF])
    item = votes.undo("Ada")
    assert item is not None
    assert item.id == "sentiment140:2"
    assert [vote.id for vote in votes.all()] == ["sentiment140:1"]
    assert votes.next("Ada") == item
    assert votes.undo("Ben") is None


def test_the_adjudicator_settles(votes: Votes) -> None:
    votes.add_person("Judge", "long enough", adjudicator=True)
    cast(votes, "sentiment140:1", [JOY], [JOY], [GRIEF], [GRIEF], None)
    item = votes.next_tie("Judge")
    assert item is not None
    assert (item.id, item.counts[JOY], item.counts[GRIEF]) == ("sentiment140:1", 2, 2)
    assert votes.next_tie("Ada") is None  # nobody settles what they voted on
    with pytest.raises(UsageError, match="Ada is no adjudicator"):
        votes.decide("sentiment140:1", "Ada", [JOY])
    with pytest.raises(UsageError, match="waits for no adjudicator"):
        votes.decide("sentiment140:2", "Judge", [JOY])
    votes.decide("sentiment140:1", "Judge", [GRIEF])
    with pytest.raises(UsageError, match="waits for no adjudicator"):
        votes.decide("sentiment140:1", "Judge", [JOY])
    assert votes.results()["sentiment140:1"].labels == (GRIEF,)
    assert votes.next_tie("Judge") is None


def test_bad_votes(votes: Votes) -> None:
    for row, labels, message in (
        ("sentiment140:1", (), "choose a label"),
        ("sentiment140:1", (28,), "expected numbers from 0 to 27"),
        ("sentiment140:99", (JOY,), "is not among the rows to review"),
    ):
        with pytest.raises(UsageError, match=message):
            votes.vote(Vote(row, "Ada", labels, unsure=False, saw_machine=False))
    with pytest.raises(UsageError, match="sentiment140:1 was not shown to Ada"):
        votes.vote(Vote("sentiment140:1", "Ada", (JOY,), unsure=False, saw_machine=False))
    assert votes.all() == []
    with pytest.raises(UsageError, match="at least 8 characters"):
        votes.add_person("Ada", "short")


def test_who_is_let_in(votes: Votes) -> None:
    votes.add_person("Ada", "a long passphrase")
    assert votes.lets_in("Ada", "a long passphrase")
    assert not votes.lets_in("Ada", "another passphrase")
    assert not votes.lets_in("Nobody", "a long passphrase")
    assert b"a long passphrase" not in votes.path.read_bytes()


def test_rows_get_what_people_said(build: Path, votes: Votes) -> None:
    votes.add_person("Judge", "long enough", adjudicator=True)
    cast(votes, "sentiment140:0", *[[GRIEF]] * 5)
    cast(votes, "sentiment140:1", [JOY], [JOY], [GRIEF], [GRIEF], None)
    cast(votes, "sentiment140:2", *[None] * 5)
    cast(votes, "sentiment140:3", *[[JOY]] * 3)
    votes.decide("sentiment140:2", "Judge", [])
    review.resolve(build, print)
    rows = {row["id"]: row for row in read_rows(build, "resolve").to_pylist()}
    assert (rows["sentiment140:0"]["labels"], rows["sentiment140:0"]["resolution"]) == ([GRIEF], "majority")
    assert rows["sentiment140:0"]["votes"][GRIEF] == 5
    assert rows["sentiment140:0"]["reviewed"]
    for name in ("sentiment140:3", "sentiment140:4"):
        assert (rows[name]["reviewed"], rows[name]["votes"], rows[name]["labels"]) == (False, None, [JOY])
    manifest = read_manifest(build, "resolve")
    assert manifest["dropped"] == {"thrown out by the adjudicator": 1, "waits for the adjudicator": 1}
    assert manifest["agreement"]["votes"] == 18
    assert review.source_of(build) == "resolve"
    votes.decide("sentiment140:1", "Judge", [JOY])
    with pytest.raises(UsageError, match=r"other votes; .*--restart"):
        review.resolve(build, print)
    review.resolve(build, print, restart=True)
    assert len(read_rows(build, "resolve")) == 5


def test_without_votes_nothing_is_reviewed(build: Path) -> None:
    with pytest.raises(DataError, match="nobody has voted"):
        review.resolve(build, print)
    Votes(build, "review").add_person("Ada", "a long passphrase")
    with pytest.raises(DataError, match="nobody has voted"):
        review.resolve(build, print)
    assert review.source_of(build) == "verify"
    assert review.audited(build) is None
    other = build / "other"
    shutil.copytree(build / "verify", other / "verify")
    with pytest.raises(UsageError, match="nobody is let in yet"):
        review.fill(other)


def test_votes_are_on_texts(build: Path, votes: Votes) -> None:
    cast(votes, "sentiment140:1", *[[GRIEF]] * 5)
    assert set(votes.results()) == {"sentiment140:1"}
    rows = read_rows(build, "verify").to_pylist()
    for row in rows:
        row["text"] = "something else"
        row["text_hash"] = text_hash(row["text"])
    with open_stage(build, "verify", {}, {}, print, restart=True) as stage:
        stage.write("part-00000", pyarrow.Table.from_pylist(rows, schema()), {"in": 6})
        stage.finish()
    review.resolve(build, print)  # the queue still holds the texts of before
    assert not any(row["reviewed"] for row in read_rows(build, "resolve").to_pylist())
    assert review.fill(build).results() == {}


def test_a_stage_that_is_older_than_its_input_is_refused(build: Path, votes: Votes) -> None:
    cast(votes, "sentiment140:1", *[[GRIEF]] * 5)
    review.resolve(build, print)
    rows = read_rows(build, "verify")
    with open_stage(build, "verify", {}, {"threshold": 0.9}, print, restart=True) as stage:
        stage.write("part-00000", rows.slice(1), {"in": 6})
        stage.finish()
    with pytest.raises(DataError, match=r"resolve is older than its input verify; run: .* resolve .* --restart"):
        input_hashes(build, "resolve")
    review.resolve(build, print, restart=True)
    assert input_hashes(build, "resolve")


def test_what_was_looked_at_is_kept(votes: Votes) -> None:
    item = votes.next("Ada")
    assert item is not None
    assert votes.reveal(item.id, "Ada") == (JOY,)
    votes.vote(Vote(item.id, "Ada", (JOY,), unsure=False, saw_machine=False))
    assert votes.all()[0].saw_machine


def test_a_limit_hides_no_votes(build: Path, votes: Votes) -> None:
    names = list(votes.machine())
    cast(votes, names[-1], *[[GRIEF]] * 5)
    assert set(review.fill(build, limit=1).machine()) == {names[0], names[-1]}
    assert set(Votes(build, "review").results()) == {names[-1]}


def test_agreement() -> None:
    def said(row: int, *given: tuple[int, ...] | None) -> list[Vote]:
        return [
            Vote(str(row), name, labels or (), labels is None, saw_machine=False)
            for name, labels in zip(PEOPLE, given, strict=True)
        ]

    same = [vote for row in range(10) for vote in said(row, *[(row % 2,)] * 5)]
    figures = agreement.measure(same)
    assert figures["alpha"][LABELS[0]] == figures["kappa"][LABELS[0]] == 1
    assert figures["alpha"]["grief"] is None  # nobody ever gave it
    assert figures["mean_alpha"] == 1
    assert {entry["kappa_with_others"] for entry in figures["annotators"].values()} == {1.0}
    apart = [vote for row in range(10) for vote in said(row, (0,), (1,), (0,), (1,), None)]
    figures = agreement.measure(apart)
    assert figures["alpha"][LABELS[0]] < 0
    assert figures["kappa"][LABELS[0]] is None  # no row that five were sure of
    assert figures["annotators"]["Eve"] == {"votes": 10, "unsure": 10, "kappa_with_others": None}
    assert agreement.measure([])["mean_alpha"] is None


def test_the_audit(build: Path) -> None:
    Votes(build, "audit").add_person("Ada", "a long passphrase")
    votes = review.fill_audit(build, 5, seed=1)
    names = list(votes.machine())
    assert len(names) == 5
    for name in names[:3]:
        cast(votes, name, *[[JOY]] * 5)
    cast(votes, names[3], [JOY], [JOY], [GRIEF], [GRIEF], None)  # no majority: it does not hold
    found = review.audited(build)
    assert found is not None
    assert (found["rows"], found["right"], found["share"]["value"]) == (4, 3, 0.75)
    assert found["share"]["low"] == pytest.approx(0.1941, abs=1e-4)  # exact interval of 3 in 4
    assert found["share"]["high"] == pytest.approx(0.9937, abs=1e-4)
    assert json.dumps(found)
    with open_stage(build, "balance", {}, {"target": 2}, print, restart=True) as stage:
        stage.finish()
    assert review.audited(build) is None  # it was of another set


def test_the_queue_is_fair_and_stays_the_same(build: Path, votes: Votes) -> None:
    first = list(review.fill(build, seed=3).machine())
    assert first != sorted(first)
    assert list(review.fill(build, seed=3).machine()) == first
    assert list(review.fill(build, limit=2, seed=3).machine()) == first[:2]


def refill(votes: Votes, row: str, text: str) -> None:
    """Give an id another text, as a stage does that was run again."""
    votes.fill([{"id": row, "text": text, "text_hash": text_hash(text), "labels": [JOY]}])


def test_undo_leaves_the_votes_on_other_texts_of_the_id(votes: Votes) -> None:
    name = "sentiment140:1"
    cast(votes, name, [JOY])
    refill(votes, name, "another text")
    cast(votes, name, [GRIEF])
    item = votes.undo("Ada")
    assert item is not None
    assert item.text == "another text"
    assert votes.all() == []
    refill(votes, name, "text number 1")
    assert [(vote.annotator, vote.labels) for vote in votes.all()] == [("Ada", (JOY,))]


def test_a_decision_on_another_text_of_the_id_does_not_forbid_undoing(votes: Votes) -> None:
    name = "sentiment140:1"
    votes.add_person("Judge", "long enough", adjudicator=True)
    cast(votes, name, [JOY], [JOY], [GRIEF], [GRIEF], None)
    votes.decide(name, "Judge", [JOY])
    assert votes.undo("Ada") is None
    refill(votes, name, "another text")
    cast(votes, name, [GRIEF])
    assert votes.undo("Ada") is not None


def test_what_was_shown_is_a_text_and_not_an_id(votes: Votes) -> None:
    name = "sentiment140:1"
    refill(votes, name, "one text")
    assert votes.next("Ada") is not None
    votes.reveal(name, "Ada")
    refill(votes, name, "another text")
    with pytest.raises(UsageError, match="was not shown to Ada"):
        votes.vote(Vote(name, "Ada", (JOY,), unsure=False, saw_machine=False))
    assert votes.next("Ada") is not None
    votes.vote(Vote(name, "Ada", (JOY,), unsure=False, saw_machine=False))
    assert [vote.saw_machine for vote in votes.all()] == [False]


@pytest.mark.parametrize("label", [3.9, "12", True, 28, -1, None])
def test_what_is_no_label_number_is_refused(votes: Votes, label: Any) -> None:
    with pytest.raises(UsageError, match="expected numbers from 0 to 27"):
        votes.take([Vote("sentiment140:1", "Ada", (label,), unsure=False, saw_machine=False)])
    assert votes.all() == []


def test_rows_that_share_an_id_are_not_queued(votes: Votes) -> None:
    row = {"id": "feedback:1", "text": "one", "text_hash": text_hash("one"), "labels": [JOY]}
    with pytest.raises(DataError, match="1 ids appear more than once among the rows to review: 'feedback:1'"):
        votes.fill([row, row | {"text": "two", "text_hash": text_hash("two")}])
    assert len(votes.machine()) == 6
