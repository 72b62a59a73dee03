"""Feedback: nothing without consent, rows as the data build has them, appended whole, and committed to the Hub."""

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
from space.server.feedback import AGREE, CORRECT, DISAGREE, Store, repository, row_of
from tests.fakes.hub_server import HubServer

TEXT = 'Thank you so much! <b>"x"</b>\nreally'


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_row_is_the_data_builds(model: EmotionClassifier) -> None:
    row = row_of(model, "default", "Thank you so much!", CORRECT, ["gratitude", "joy"])
    columns = {name: [row[name]] for name in schema().names}
    table = pyarrow.table(columns, schema())
    assert set(row) == {*schema().names, "feedback"}
    assert table["labels"].to_pylist() == [[LABELS.index("gratitude"), LABELS.index("joy")]]
    assert row["text_hash"] == text_hash("thank you so much")
    assert sum(row["votes"]) == 2
    assert row["reviewed"] is False
    said = row["feedback"]
    assert set(said) == {"verdict", "model", "predicted", "probabilities", "day"}
    assert said["predicted"] == ["gratitude"]
    assert row_of(model, "default", "x", DISAGREE, ["joy"])["votes"] is None
    assert row_of(model, "default", "Thank you", AGREE, ["joy"])["labels"] == [LABELS.index("gratitude")]
    assert row_of(model, "default", "x \ud83d", AGREE, [])["text"] == "x \ufffd"  # what no Parquet file could hold


def test_wrong_feedback_is_refused(model: EmotionClassifier) -> None:
    with pytest.raises(UsageError, match="no label 'fury'"):
        row_of(model, "default", "x", CORRECT, ["fury"])
    with pytest.raises(UsageError, match="at most 20,000"):
        row_of(model, "default", "x" * 20_001, AGREE, [])


def test_many_at_once_lose_nothing(tmp_path: Path, model: EmotionClassifier) -> None:
    stores = [Store(tmp_path), Store(tmp_path)]  # two processes: a file each
    template = row_of(model, "default", TEXT, AGREE, ["joy"])

    def add(number: int) -> None:
        stores[number % 2].add(template | {"id": f"feedback:{number}"})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(add, range(400)))
    found = [row for store in stores for row in rows(store.path)]
    assert sorted(int(str(row["id"]).split(":")[1]) for row in found) == list(range(400))
    assert {row["text"] for row in found} == {TEXT}
    assert len({store.path for store in stores}) == 2


def test_it_is_committed_to_a_private_data_set(
    tmp_path: Path, hub: HubServer, token: str, model: EmotionClassifier
) -> None:
    store = Store(tmp_path, "you/moods-feedback")
    store.add(row_of(model, "default", "Thank you", AGREE, ["gratitude"]))
    store.commit()
    held = hub.repositories["datasets/you/moods-feedback"]
    (name,) = (name for name in held.files() if name.startswith("data/"))
    assert held.private
    assert name == f"data/{store.path.name}"
    assert [row["text"] for row in map(json.loads, held.files()[name].splitlines())] == ["Thank you"]
    store.add(row_of(model, "default", "Oh no", CORRECT, ["sadness"]))
    store.commit()
    assert [json.loads(line)["text"] for line in held.files()[name].splitlines()] == ["Thank you", "Oh no"]
    store.close()
    assert not [thread for thread in threading.enumerate() if "CommitScheduler" in thread.name]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"HF_TOKEN": "x"}, None),  # a person's own token, on a person's own machine: nothing is sent unasked
        ({"SPACE_ID": "you/demo"}, None),
        ({"HF_TOKEN": "x", "SPACE_ID": "you/demo"}, "you/demo-feedback"),
        ({"HF_TOKEN": "x", "EVENMOOD_FEEDBACK_REPO": "you/said"}, "you/said"),
        ({"EVENMOOD_FEEDBACK_REPO": "you/said"}, None),
    ],
)
def test_where_it_goes(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str | None) -> None:
    for name in ("HF_TOKEN", "SPACE_ID", feedback.REPO_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert repository() == expected
