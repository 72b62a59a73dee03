"""Feedback: rows in the format of the data set build, concurrent writes, commits to the Hub."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow
import pytest

from evenmood import LABELS, EmotionClassifier
from evenmood.data.rows import schema, text_hash
from evenmood.errors import UsageError
from space.server import feedback
from space.server.feedback import AGREE, CORRECT, DISAGREE, Store, feedback_repository, feedback_row
from tests.fakes.hub_server import HubServer

TEXT = 'Thank you so much! <b>"x"</b>\nreally'


def read_rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_have_the_format_of_the_data_set_build(model: EmotionClassifier) -> None:
    row = feedback_row(model, "default", "Thank you so much!", CORRECT, ["gratitude", "joy"])
    columns = {name: [row[name]] for name in schema().names}
    table = pyarrow.table(columns, schema())
    assert set(row) == {*schema().names, "feedback"}
    assert table["labels"].to_pylist() == [[LABELS.index("gratitude"), LABELS.index("joy")]]
    assert row["text_hash"] == text_hash("thank you so much")
    assert sum(row["votes"]) == 2
    assert row["reviewed"] is False
    details = row["feedback"]
    assert set(details) == {"verdict", "model", "predicted", "probabilities", "day"}
    assert details["predicted"] == ["gratitude"]
    assert feedback_row(model, "default", "x", DISAGREE, ["joy"])["votes"] is None
    assert feedback_row(model, "default", "Thank you", AGREE, ["joy"])["labels"] == [LABELS.index("gratitude")]
    surrogate = feedback_row(model, "default", "x \ud83d", AGREE, [])
    assert surrogate["text"] == "x \ufffd"  # Parquet files cannot store lone surrogates


def test_invalid_feedback_is_rejected(model: EmotionClassifier) -> None:
    with pytest.raises(UsageError, match="unknown label 'fury'; expected one of: admiration"):
        feedback_row(model, "default", "x", CORRECT, ["fury"])
    with pytest.raises(UsageError, match="at most 20,000"):
        feedback_row(model, "default", "x" * 20_001, AGREE, [])


def test_concurrent_writes_lose_no_rows(tmp_path: Path, model: EmotionClassifier) -> None:
    stores = [Store(tmp_path), Store(tmp_path)]  # one file per process
    template = feedback_row(model, "default", TEXT, AGREE, ["joy"])

    def add(number: int) -> None:
        stores[number % 2].add(template | {"id": f"feedback:{number}"})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(add, range(400)))
    rows = [row for store in stores for row in read_rows(store.path)]
    assert sorted(int(str(row["id"]).split(":")[1]) for row in rows) == list(range(400))
    assert {row["text"] for row in rows} == {TEXT}
    assert len({store.path for store in stores}) == 2


def test_commits_to_a_private_data_set(tmp_path: Path, hub: HubServer, token: str, model: EmotionClassifier) -> None:
    store = Store(tmp_path, "you/moods-feedback")
    store.add(feedback_row(model, "default", "Thank you", AGREE, ["gratitude"]))
    store.commit()
    repository = hub.repositories["datasets/you/moods-feedback"]
    (name,) = (name for name in repository.files() if name.startswith("data/"))
    assert repository.private
    assert name == f"data/{store.path.name}"
    assert [row["text"] for row in map(json.loads, repository.files()[name].splitlines())] == ["Thank you"]
    store.add(feedback_row(model, "default", "Oh no", CORRECT, ["sadness"]))
    store.commit()
    assert [json.loads(line)["text"] for line in repository.files()[name].splitlines()] == ["Thank you", "Oh no"]
    store.close()
    assert not [thread for thread in threading.enumerate() if "CommitScheduler" in thread.name]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"HF_TOKEN": "x"}, None),  # outside of Spaces, a token alone uploads nothing
        ({"SPACE_ID": "you/demo"}, None),
        ({"HF_TOKEN": "x", "SPACE_ID": "you/demo"}, "you/demo-feedback"),
        ({"HF_TOKEN": "x", "EVENMOOD_FEEDBACK_REPO": "you/feedback"}, "you/feedback"),
        ({"EVENMOOD_FEEDBACK_REPO": "you/feedback"}, None),
    ],
)
def test_feedback_repository(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str | None
) -> None:
    for name in ("HF_TOKEN", "SPACE_ID", feedback.REPO_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert feedback_repository() == expected
