"""Votes: queue, majority, ties, agreement, audit."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from data_build.annotation import agreement
from data_build.annotation.majority import Vote, majority
from data_build.annotation.votes import RESERVATION_SECONDS, Votes
from data_build.stage import input_hashes, open_stage
from data_build.stages import review
from evenmood import LABELS, DataError, UsageError
from evenmood.data.build_folder import read_manifest, read_rows
from evenmood.data.rows import schema, text_hash
from tests.data_build.annotation import ANNOTATORS, GRIEF, JOY, NEUTRAL, cast


def test_every_row_gets_exactly_five_votes(votes: Votes) -> None:
    active_annotators = [*ANNOTATORS, "Finn", "Gus"]
    voters: dict[str, set[str]] = {}
    while active_annotators:
        shown_items = {name: item for name in active_annotators if (item := votes.next(name))}
        for name, item in shown_items.items():
            votes.vote(Vote(item.id, name, (JOY,), unsure=False, saw_predictions=False))
            assert name not in voters.setdefault(item.id, set())
            voters[item.id].add(name)
        active_annotators = list(shown_items)
    assert [len(names) for names in voters.values()] == [5] * 6
    assert votes.progress("Ada")["complete_rows"] == 6
    with pytest.raises(UsageError, match="already has 5 votes"):
        votes.import_votes([Vote("sentiment140:0", "Hana", (JOY,), unsure=False, saw_predictions=False)])


def test_an_expired_reservation_releases_the_row(votes: Votes, monkeypatch: pytest.MonkeyPatch) -> None:
    first = votes.next("Ada")
    assert first is not None
    assert votes.next("Ada") == first  # reloading the page shows the same row
    for name in ANNOTATORS[1:]:
        assert votes.next(name) == first
    other = votes.next("Finn")
    assert other is not None
    assert other != first
    now = time.time() + RESERVATION_SECONDS + 1
    monkeypatch.setattr("data_build.annotation.votes.time.time", lambda: now)
    assert votes.next("Gus") == first


@pytest.mark.parametrize(
    ("row_votes", "labels", "resolution"),
    [
        ([[JOY], [JOY], [JOY], [GRIEF], [GRIEF]], (JOY,), "majority"),
        ([[JOY, GRIEF], [JOY, GRIEF], [JOY, GRIEF], [GRIEF], [NEUTRAL]], (JOY, GRIEF), "majority"),
        ([[JOY], [JOY], [GRIEF], [GRIEF], [NEUTRAL]], (), "open"),  # no label has a majority
        ([[JOY], [JOY], [GRIEF], [GRIEF], None], (), "open"),  # a tie
        ([[JOY], [JOY], [JOY], None, None], (JOY,), "majority"),
        ([[JOY], [JOY], None, None, None], (JOY,), "open"),  # most annotators were unsure
        ([None] * 5, (), "open"),
    ],
)
def test_majority(votes: Votes, row_votes: list[Any], labels: tuple[int, ...], resolution: str) -> None:
    cast(votes, "sentiment140:1", *row_votes)
    result = votes.results()["sentiment140:1"]
    assert (set(result.labels), result.resolution) == (set(labels), resolution)
    assert result.counts[JOY] == sum(JOY in (row or ()) for row in row_votes)
    assert majority(votes.all_votes()) == result


def test_four_votes_have_no_result(votes: Votes) -> None:
    cast(votes, "sentiment140:1", *[[JOY]] * 4)
    assert votes.results() == {}


def test_undo(votes: Votes) -> None:
    cast(votes, "sentiment140:1", [JOY])
    cast(votes, "sentiment140:2", [GRIEF])
    item = votes.undo("Ada")
    assert item is not None
    assert item.id == "sentiment140:2"
    assert [vote.id for vote in votes.all_votes()] == ["sentiment140:1"]
    assert votes.next("Ada") == item
    assert votes.undo("Ben") is None


def test_the_adjudicator_settles_ties(votes: Votes) -> None:
    votes.add_annotator("Judge", "long enough", adjudicator=True)
    cast(votes, "sentiment140:1", [JOY], [JOY], [GRIEF], [GRIEF], None)
    item = votes.next_tie("Judge")
    assert item is not None
    assert (item.id, item.counts[JOY], item.counts[GRIEF]) == ("sentiment140:1", 2, 2)
    assert votes.next_tie("Ada") is None  # an adjudicator does not settle their own vote
    with pytest.raises(UsageError, match="Ada is not an adjudicator"):
        votes.decide("sentiment140:1", "Ada", [JOY])
    with pytest.raises(UsageError, match="not open for adjudication"):
        votes.decide("sentiment140:2", "Judge", [JOY])
    votes.decide("sentiment140:1", "Judge", [GRIEF])
    with pytest.raises(UsageError, match="not open for adjudication"):
        votes.decide("sentiment140:1", "Judge", [JOY])
    assert votes.results()["sentiment140:1"].labels == (GRIEF,)
    assert votes.next_tie("Judge") is None


def test_invalid_votes_are_rejected(votes: Votes) -> None:
    for row, labels, message in (
        ("sentiment140:1", (), "no label is selected"),
        ("sentiment140:1", (28,), "expected numbers from 0 to 27"),
        ("sentiment140:99", (JOY,), "unknown row sentiment140:99: it is not in the review queue"),
    ):
        with pytest.raises(UsageError, match=message):
            votes.vote(Vote(row, "Ada", labels, unsure=False, saw_predictions=False))
    with pytest.raises(UsageError, match="sentiment140:1 was not shown to Ada"):
        votes.vote(Vote("sentiment140:1", "Ada", (JOY,), unsure=False, saw_predictions=False))
    assert votes.all_votes() == []
    with pytest.raises(UsageError, match="at least 8 characters"):
        votes.add_annotator("Ada", "short")


def test_authentication(votes: Votes) -> None:
    votes.add_annotator("Ada", "a long passphrase")
    assert votes.authenticate("Ada", "a long passphrase")
    assert not votes.authenticate("Ada", "another passphrase")
    assert not votes.authenticate("Nobody", "a long passphrase")
    assert b"a long passphrase" not in votes.path.read_bytes()


def test_rows_get_the_labels_of_the_review(build: Path, votes: Votes) -> None:
    votes.add_annotator("Judge", "long enough", adjudicator=True)
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
    assert manifest["dropped"] == {"discarded by the adjudicator": 1, "not yet adjudicated": 1}
    assert manifest["agreement"]["votes"] == 18
    assert review.source_stage(build) == "resolve"
    votes.decide("sentiment140:1", "Judge", [JOY])
    with pytest.raises(UsageError, match=r"a different votes; .*--restart"):
        review.resolve(build, print)
    review.resolve(build, print, restart=True)
    assert len(read_rows(build, "resolve")) == 5


def test_no_votes(build: Path) -> None:
    with pytest.raises(DataError, match="there are no votes"):
        review.resolve(build, print)
    Votes(build, "review").add_annotator("Ada", "a long passphrase")
    with pytest.raises(DataError, match="there are no votes"):
        review.resolve(build, print)
    assert review.source_stage(build) == "verify"
    assert review.audit_result(build) is None
    other = build / "other"
    shutil.copytree(build / "verify", other / "verify")
    with pytest.raises(UsageError, match="there are no annotators"):
        review.fill_review_queue(other)


def test_votes_belong_to_texts(build: Path, votes: Votes) -> None:
    cast(votes, "sentiment140:1", *[[GRIEF]] * 5)
    assert set(votes.results()) == {"sentiment140:1"}
    rows = read_rows(build, "verify").to_pylist()
    for row in rows:
        row["text"] = "something else"
        row["text_hash"] = text_hash(row["text"])
    with open_stage(build, "verify", {}, {}, print, restart=True) as stage:
        stage.write("part-00000", pyarrow.Table.from_pylist(rows, schema()), {"in": 6})
        stage.finish()
    review.resolve(build, print)  # the queue still has the previous texts
    assert not any(row["reviewed"] for row in read_rows(build, "resolve").to_pylist())
    assert review.fill_review_queue(build).results() == {}


def test_a_stage_older_than_its_input_is_rejected(build: Path, votes: Votes) -> None:
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


def test_votes_record_revealed_labels(votes: Votes) -> None:
    item = votes.next("Ada")
    assert item is not None
    assert votes.reveal(item.id, "Ada") == (JOY,)
    votes.vote(Vote(item.id, "Ada", (JOY,), unsure=False, saw_predictions=False))
    assert votes.all_votes()[0].saw_predictions


def test_a_limit_keeps_rows_with_votes(build: Path, votes: Votes) -> None:
    names = list(votes.predicted_labels())
    cast(votes, names[-1], *[[GRIEF]] * 5)
    assert set(review.fill_review_queue(build, limit=1).predicted_labels()) == {names[0], names[-1]}
    assert set(Votes(build, "review").results()) == {names[-1]}


def test_agreement() -> None:
    def row_votes(row: int, *labels_by_annotator: tuple[int, ...] | None) -> list[Vote]:
        return [
            Vote(str(row), name, labels or (), labels is None, saw_predictions=False)
            for name, labels in zip(ANNOTATORS, labels_by_annotator, strict=True)
        ]

    unanimous = [vote for row in range(10) for vote in row_votes(row, *[(row % 2,)] * 5)]
    statistics = agreement.measure(unanimous)
    assert statistics["alpha"][LABELS[0]] == statistics["kappa"][LABELS[0]] == 1
    assert statistics["alpha"]["grief"] is None  # no annotator chose it
    assert statistics["mean_alpha"] == 1
    assert {entry["kappa_with_others"] for entry in statistics["annotators"].values()} == {1.0}
    divided = [vote for row in range(10) for vote in row_votes(row, (0,), (1,), (0,), (1,), None)]
    statistics = agreement.measure(divided)
    assert statistics["alpha"][LABELS[0]] < 0
    assert statistics["kappa"][LABELS[0]] is None  # there is no row on which all five annotators were sure
    assert statistics["annotators"]["Eve"] == {"votes": 10, "unsure": 10, "kappa_with_others": None}
    assert agreement.measure([])["mean_alpha"] is None


def test_the_audit(build: Path) -> None:
    Votes(build, "audit").add_annotator("Ada", "a long passphrase")
    votes = review.fill_audit_queue(build, 5, seed=1)
    names = list(votes.predicted_labels())
    assert len(names) == 5
    for name in names[:3]:
        cast(votes, name, *[[JOY]] * 5)
    cast(votes, names[3], [JOY], [JOY], [GRIEF], [GRIEF], None)  # a tie counts as an error
    audit = review.audit_result(build)
    assert audit is not None
    assert (audit["rows"], audit["correct"], audit["share"]["value"]) == (4, 3, 0.75)
    assert audit["share"]["low"] == pytest.approx(0.1941, abs=1e-4)  # exact interval of 3 out of 4
    assert audit["share"]["high"] == pytest.approx(0.9937, abs=1e-4)
    assert json.dumps(audit)
    with open_stage(build, "balance", {}, {"target": 2}, print, restart=True) as stage:
        stage.finish()
    assert review.audit_result(build) is None  # the audit is of an earlier balanced set


def test_the_queue_is_shuffled_and_reproducible(build: Path, votes: Votes) -> None:
    first = list(review.fill_review_queue(build, seed=3).predicted_labels())
    assert first != sorted(first)
    assert list(review.fill_review_queue(build, seed=3).predicted_labels()) == first
    assert list(review.fill_review_queue(build, limit=2, seed=3).predicted_labels()) == first[:2]


def refill(votes: Votes, row: str, text: str) -> None:
    """Replace the text of an id, as rerunning a stage may do."""
    votes.set_queue([{"id": row, "text": text, "text_hash": text_hash(text), "labels": [JOY]}])


def test_undo_keeps_votes_on_other_texts_of_the_id(votes: Votes) -> None:
    name = "sentiment140:1"
    cast(votes, name, [JOY])
    refill(votes, name, "another text")
    cast(votes, name, [GRIEF])
    item = votes.undo("Ada")
    assert item is not None
    assert item.text == "another text"
    assert votes.all_votes() == []
    refill(votes, name, "text number 1")
    assert [(vote.annotator, vote.labels) for vote in votes.all_votes()] == [("Ada", (JOY,))]


def test_a_decision_on_another_text_of_the_id_does_not_prevent_undo(votes: Votes) -> None:
    name = "sentiment140:1"
    votes.add_annotator("Judge", "long enough", adjudicator=True)
    cast(votes, name, [JOY], [JOY], [GRIEF], [GRIEF], None)
    votes.decide(name, "Judge", [JOY])
    assert votes.undo("Ada") is None
    refill(votes, name, "another text")
    cast(votes, name, [GRIEF])
    assert votes.undo("Ada") is not None


def test_showing_a_text_does_not_show_other_texts_of_the_id(votes: Votes) -> None:
    name = "sentiment140:1"
    refill(votes, name, "one text")
    assert votes.next("Ada") is not None
    votes.reveal(name, "Ada")
    refill(votes, name, "another text")
    with pytest.raises(UsageError, match="was not shown to Ada"):
        votes.vote(Vote(name, "Ada", (JOY,), unsure=False, saw_predictions=False))
    assert votes.next("Ada") is not None
    votes.vote(Vote(name, "Ada", (JOY,), unsure=False, saw_predictions=False))
    assert [vote.saw_predictions for vote in votes.all_votes()] == [False]


@pytest.mark.parametrize("label", [3.9, "12", True, 28, -1, None])
def test_invalid_label_numbers_are_rejected(votes: Votes, label: Any) -> None:
    with pytest.raises(UsageError, match="expected numbers from 0 to 27"):
        votes.import_votes([Vote("sentiment140:1", "Ada", (label,), unsure=False, saw_predictions=False)])
    assert votes.all_votes() == []


def test_rows_with_duplicate_ids_are_not_queued(votes: Votes) -> None:
    row = {"id": "feedback:1", "text": "one", "text_hash": text_hash("one"), "labels": [JOY]}
    with pytest.raises(DataError, match="duplicate ids among the rows to review: 'feedback:1'"):
        votes.set_queue([row, row | {"text": "two", "text_hash": text_hash("two")}])
    assert len(votes.predicted_labels()) == 6
