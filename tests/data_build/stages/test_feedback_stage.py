"""Feedback as a source of the data build: from a folder or the Hub, with malformed lines."""

import json
from pathlib import Path
from typing import Any

import pytest

from data_build.annotation.votes import Votes
from data_build.stage import open_stage
from data_build.stages import feedback, review
from evenmood import DataError
from evenmood.data.build_folder import read_manifest, read_rows
from evenmood.data.rows import text_hash
from tests.fakes.hub_server import HubServer

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


def test_accepted_and_dropped_rows(tmp_path: Path) -> None:
    (tmp_path / "feedback-files").mkdir()
    (tmp_path / "feedback-files" / "feedback-a.jsonl").write_text(content())
    (tmp_path / "feedback-files" / "other.jsonl").write_text("not ours")
    feedback.run(tmp_path, print, str(tmp_path / "feedback-files"))
    (row,) = read_rows(tmp_path, "feedback").to_pylist()
    assert (row["id"], row["source"], row["labels"], row["votes"][15]) == ("feedback:1", "feedback", [15], 1)
    assert read_manifest(tmp_path, "feedback")["dropped"] == {
        "no label": 1,
        "no words": 1,
        "malformed": 10,
        "duplicate": 1,
    }


def test_from_the_hub(tmp_path: Path, hub: HubServer) -> None:
    hub.add("datasets/you/demo-feedback", {"data/feedback-a.jsonl": content().encode()})
    feedback.run(tmp_path, print, "you/demo-feedback")
    assert read_rows(tmp_path, "feedback")["text"].to_pylist() == ["Thank you \ufffd"]


def test_no_feedback(tmp_path: Path, hub: HubServer) -> None:
    with pytest.raises(DataError, match="no feedback found"):
        feedback.run(tmp_path, print, str(tmp_path))
    with pytest.raises(DataError, match="nor an accessible Hub repository"):
        feedback.run(tmp_path, print, "you/nothing")


def stage_of(tmp_path: Path, content: bytes) -> list[dict[str, Any]]:
    """Run the stage on one file, and return its rows."""
    (tmp_path / "feedback-files").mkdir()
    (tmp_path / "feedback-files" / "feedback-a.jsonl").write_bytes(content)
    feedback.run(tmp_path, print, str(tmp_path / "feedback-files"))
    rows: list[dict[str, Any]] = read_rows(tmp_path, "feedback").to_pylist()
    return rows


def line(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}, ensure_ascii=False).encode(errors="replace") + b"\n"


def test_lines_that_are_not_utf_8_are_counted(tmp_path: Path) -> None:
    broken = line(text="caf\u00e9 is nice").replace("\u00e9".encode(), b"\xe9")
    content = b"\xef\xbb\xbf" + line(text="the first") + broken + b"{\n\r\n" + line(id="feedback:2", text="the last")
    rows = stage_of(tmp_path, content.replace(b"}\n", b"}\r\n"))
    assert [row["text"] for row in rows] == ["the first", "the last"]
    manifest = read_manifest(tmp_path, "feedback")
    assert (manifest["rows_in"], manifest["dropped"]) == (4, {"malformed": 2})


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, character: str) -> None:
    content = line(text="one AND two").replace(b"AND", character.encode())
    assert [row["text"] for row in stage_of(tmp_path, content)] == [f"one {character} two"]


def test_duplicate_ids_are_made_unique(tmp_path: Path) -> None:
    content = b"".join(
        line(id=name, text=text) for name, text in (("x", "one"), ("x", "two"), ("x", "one"), ("y", "z"))
    )
    rows = stage_of(
        tmp_path, content + line(id=f"feedback:x:{text_hash('four')}", text="three") + line(id="x", text="four")
    )
    assert [row["text"] for row in rows] == ["one", "two", "z", "three", "four"]
    assert rows[0]["id"] == "feedback:x"
    assert rows[1]["id"] == f"feedback:x:{text_hash('two')}"
    assert len({row["id"] for row in rows}) == 5
    with open_stage(tmp_path, "verify", {}, {}, print) as stage:
        stage.write("part-00000", read_rows(tmp_path, "feedback"), {"in": 5})
        stage.finish()
    Votes(tmp_path, "review").add_annotator("Ada", "a long passphrase")
    assert len(review.fill_review_queue(tmp_path).text_hashes()) == 5


def test_ids_start_with_the_source(tmp_path: Path) -> None:
    rows = stage_of(tmp_path, line(id="sentiment140:1", text="one") + line(id="generated:1-0-0", text="two"))
    assert [row["id"] for row in rows] == ["feedback:sentiment140:1", "feedback:generated:1-0-0"]


@pytest.mark.parametrize(
    "changes",
    [
        *({"labels": value} for value in ([3.9], [3.0], ["12"], [True], [None], "12", {"12": 1}, 12, [[12]], [-1])),
        *({"id": value} for value in (None, "", True, ["x"])),
        {"text": ["a"]},
    ],
    ids=str,
)
def test_invalid_labels_ids_and_texts_are_dropped(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert stage_of(tmp_path, line(**changes)) == []
    assert read_manifest(tmp_path, "feedback")["dropped"] == {"malformed": 1}
