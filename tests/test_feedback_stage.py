"""Feedback as a source of the data build: from a folder or the Hub, whatever stands in it."""

import json
from pathlib import Path

import pytest

from data_build import feedback
from evenmood import DataError
from evenmood.build_folder import read_manifest, read_rows
from tests.hub_server import HubServer

GOOD = {"id": "feedback:1", "text": "Thank you \ud83d", "labels": [15, 15]}
LINES = [
    GOOD,
    GOOD | {"id": "feedback:2", "text": "thank you!"},
    GOOD | {"text": "Oh no", "labels": []},
    GOOD | {"text": "!!!"},
    GOOD | {"labels": [28]},
    GOOD | {"labels": ["joy"]},
    GOOD | {"text": None},
    GOOD | {"text": 5},
    GOOD | {"labels": [1e400]},
    [1],
    "x",
    {"text": "x", "labels": [1]},
]


def content() -> str:
    return "\n".join([*map(json.dumps, LINES), "{", "[" * 100_000]) + "\n"


def test_what_stays_and_why_the_rest_does_not(tmp_path: Path) -> None:
    (tmp_path / "said").mkdir()
    (tmp_path / "said" / "feedback-a.jsonl").write_text(content())
    (tmp_path / "said" / "other.jsonl").write_text("not ours")
    feedback.run(tmp_path, print, str(tmp_path / "said"))
    (row,) = read_rows(tmp_path, "feedback").to_pylist()
    assert (row["id"], row["source"], row["labels"], row["votes"][15]) == ("feedback:1", "feedback", [15], 1)
    assert read_manifest(tmp_path, "feedback")["dropped"] == {
        "no label given": 1,
        "no words": 1,
        "not a row": 10,
        "repeated": 1,
    }


def test_from_the_hub(tmp_path: Path, hub: HubServer) -> None:
    hub.add("datasets/you/demo-feedback", {"data/feedback-a.jsonl": content().encode()})
    feedback.run(tmp_path, print, "you/demo-feedback")
    assert read_rows(tmp_path, "feedback")["text"].to_pylist() == ["Thank you \ufffd"]


def test_nothing_there(tmp_path: Path, hub: HubServer) -> None:
    with pytest.raises(DataError, match="holds no feedback"):
        feedback.run(tmp_path, print, str(tmp_path))
    with pytest.raises(DataError, match="no such repository"):
        feedback.run(tmp_path, print, "you/nothing")
