"""The written texts: majority votes, deduplication, leakage checks, similar data sets, invalid files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from data_build.stages import balance, goemotions, written
from data_build.stages.written import Extra
from data_build.written.written_votes import resolve
from evenmood import LABELS, DataError
from evenmood.data.build_folder import read_manifest, read_rows
from evenmood.data.rows import symbol_hash, table, text_hash
from evenmood.data.splits import load_split
from tests.fakes.hub_server import HubServer

TEXTS = [
    ("The dog slept through the whole storm, bless him.", ["love", "amusement"]),
    ("They cancelled my leave the night before the wedding.", ["anger"]),
    ("nobody came to the reading", ["sadness"]),
    ("My brother got the all clear this morning.", ["relief", "joy"]),
]


def write_texts(path: Path, rows: list[tuple[str, list[str]]]) -> Path:
    lines = [{"text": text, "labels": labels, "domain": "chat", "writer": "writer-x"} for text, labels in rows]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def write_votes(path: Path, labels_by_id: dict[str, list[str]], sample: str = "random") -> Path:
    rows = [
        {"id": name, "annotator": f"model-{number}", "labels": labels, "sample": sample}
        for name, votes in labels_by_id.items()
        for number, labels in enumerate(votes, 1)
    ]
    pd.DataFrame(rows, columns=["id", "annotator", "labels", "sample"]).to_parquet(path)
    return path


def resolve_votes(
    tmp_path: Path, data: Path, rows: Any, votes: dict[str, list[str]]
) -> tuple[list[Any], dict[str, Any]]:
    messages: list[str] = []
    statistics = resolve(
        [write_texts(tmp_path / "texts.jsonl", rows)],
        write_votes(tmp_path / "votes.parquet", votes),
        str(data),
        tmp_path / "train.parquet",
        tmp_path / "written.json",
        messages.append,
    )
    return parquet.read_table(tmp_path / "train.parquet").to_pylist(), statistics


def test_the_majority_decides(tmp_path: Path, small_data: Path) -> None:
    dog, leave, reading, _ = (symbol_hash(text) for text, _ in TEXTS)
    votes = {
        dog: ["amusement love", "love", "love", "love amusement", "amusement love"],
        leave: ["anger", "anger disappointment", "disappointment anger", "disappointment", "sadness disappointment"],
        reading: ["sadness", "disappointment", "neutral", "grief", "embarrassment"],
    }
    rows, statistics = resolve_votes(tmp_path, small_data, TEXTS, votes)
    by_text = {row["text"]: row for row in rows}
    assert by_text[TEXTS[0][0]]["labels"] == ["love", "amusement"]  # the writer's main label stays first
    assert by_text[TEXTS[1][0]]["labels"] == ["anger", "disappointment"]
    assert by_text[TEXTS[1][0]]["writer_labels"] == ["anger"]
    assert by_text[TEXTS[1][0]]["votes"][LABELS.index("disappointment")] == 4
    assert TEXTS[2][0] not in by_text
    assert by_text[TEXTS[3][0]]["votes"] is None
    assert statistics["dropped"]["no majority"] == 1
    assert statistics["label_changes"] == {"main label changed": 0, "label added": 1, "label removed": 0}
    first_label = statistics["annotators_and_writers"]["first_label"]["value"]
    assert first_label == pytest.approx((5 + 3 + 1) / 15, abs=1e-4)
    assert statistics["labels"]["love"] == {"main": 1, "all": 1}
    assert json.loads((tmp_path / "written.json").read_text()) == statistics


def test_an_audit_is_reported(tmp_path: Path, small_data: Path) -> None:
    texts = write_texts(tmp_path / "texts.jsonl", TEXTS)
    votes = write_votes(tmp_path / "votes.parquet", {})
    ids = [symbol_hash(text) for text, _ in TEXTS]
    verdicts = pd.DataFrame({"id": [*ids, "dropped"], "reasonable": [True, True, True, False, False]})
    verdicts.to_parquet(tmp_path / "audit.parquet")
    targets = (tmp_path / "t.parquet", tmp_path / "t.json")
    statistics = resolve([texts], votes, str(small_data), *targets, lambda line: None, tmp_path / "audit.parquet")
    assert (statistics["audit"]["correct"], statistics["audit"]["rows"]) == (3, 4)
    assert statistics["audit"]["share"]["low"] < 0.75 < statistics["audit"]["share"]["high"]
    with pytest.raises(DataError, match="not an audit file"):
        resolve([texts], votes, str(small_data), *targets, lambda line: None, texts)


def test_duplicates_and_held_out_texts_are_dropped(tmp_path: Path, small_data: Path) -> None:
    held_out = next(text for text in load_split(str(small_data), "test").texts if len(text.split()) > 3)
    benchmark = written.benchmark_texts()[0]
    near = "My brother got the all clear this morning."
    emoji = [
        ("see you tomorrow 😂", ["amusement"]),
        ("see you tomorrow 😭", ["sadness"]),
        ("😡", ["anger"]),
        ("😱", ["fear"]),
    ]
    more = [(held_out, ["joy"]), (benchmark, ["joy"]), (near, ["joy"]), *emoji]
    rows, statistics = resolve_votes(tmp_path, small_data, [*TEXTS, *more], {})
    assert [row["text"] for row in rows] == [text for text, _ in [*TEXTS, *emoji]]
    assert len({row["id"] for row in rows}) == len(rows)
    assert statistics["dropped"]["duplicate of a held-out text"] == 2
    assert statistics["dropped"]["duplicate or near-duplicate"] == 1


def test_the_control_sample_is_reported_separately(tmp_path: Path, small_data: Path) -> None:
    validation = load_split(str(small_data), "validation")
    human = LABELS[int(validation.labels[3].nonzero()[0][0])]
    texts = write_texts(tmp_path / "texts.jsonl", TEXTS)
    votes = write_votes(tmp_path / "votes.parquet", {"validation:3": [human] * 4 + ["grief"]}, "control")
    statistics = resolve(
        [texts], votes, str(small_data), tmp_path / "t.parquet", tmp_path / "t.json", lambda line: None
    )
    assert statistics["annotators_and_goemotions"]["any_label"]["value"] == (1 if human == "grief" else 0.8)
    assert statistics["annotators_and_writers"]["votes"] == 0


@pytest.mark.parametrize("line", ["{}", "[1]", '{"text": "a", "labels": ["glee"], "domain": "", "writer": ""}', "{"])
def test_malformed_lines_are_located(tmp_path: Path, small_data: Path, line: str) -> None:
    path = write_texts(tmp_path / "texts.jsonl", TEXTS)
    path.write_text(path.read_text() + line + "\n")
    votes = write_votes(tmp_path / "votes.parquet", {})
    with pytest.raises(DataError, match=r"texts\.jsonl, line 5"):
        resolve([path], votes, str(small_data), tmp_path / "t.parquet", tmp_path / "t.json", lambda line: None)


@pytest.fixture
def build(tmp_path: Path, small_data: Path) -> Path:
    goemotions.run(tmp_path / "build", lambda line: None, str(small_data), any_size=True)
    return tmp_path / "build"


def test_rows_record_their_provenance(build: Path, tmp_path: Path, small_data: Path) -> None:
    dog = symbol_hash(TEXTS[0][0])
    resolve_votes(tmp_path, small_data, TEXTS, {dog: ["love"] * 5})
    written.run(build, lambda line: None, tmp_path / "train.parquet")
    rows = {row["text"]: row for row in read_rows(build, "written").to_pylist()}
    row = rows[TEXTS[0][0]]
    assert (row["id"], row["source"], row["generator"]) == (f"written:{dog}", "written", "writer-x")
    assert (row["labels"], row["reviewed"], row["reviewed_by"]) == ([LABELS.index("love")], False, "model")
    assert rows[TEXTS[3][0]]["reviewed_by"] is None
    assert json.loads(row["prompt_id"]) == {"domain": "chat"}
    assert written.stages(build) == ("written",)


def test_training_and_held_out_texts_are_dropped(build: Path, tmp_path: Path, small_data: Path) -> None:
    texts = [load_split(str(small_data), name).texts[0] for name in ("train", "validation")]
    texts += [written.benchmark_texts()[1], " ", "a fresh one about nothing much"]
    parquet.write_table(pyarrow.table({"text": texts, "labels": [["joy"]] * 5}), tmp_path / "t.parquet")
    written.run(build, lambda line: None, tmp_path / "t.parquet")
    assert read_rows(build, "written")["text"].to_pylist() == texts[-1:]
    assert sum(read_manifest(build, "written")["dropped"].values()) == 4


def test_an_extra_data_set_is_added(build: Path, tmp_path: Path, hub: HubServer) -> None:
    own, other = tmp_path / "t.parquet", tmp_path / "other.parquet"
    parquet.write_table(pyarrow.table({"text": ["a written text"], "labels": [["joy"]]}), own)
    parquet.write_table(pyarrow.table({"comment": ["an extra text"], "emotion": ["grief"]}), other)
    hub.add("datasets/you/pillars", {"data/train-00000-of-00001.parquet": other.read_bytes()})
    written.run(build, lambda line: None, own, extra=Extra("you/pillars", "comment", "emotion"))
    rows = read_rows(build, "written").to_pylist()
    assert [(row["text"], row["labels"]) for row in rows] == [
        ("an extra text", [LABELS.index("grief")]),
        ("a written text", [LABELS.index("joy")]),
    ]


def test_wrong_columns_and_labels(build: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"text": ["one"], "labels": [["glee"]]}), path)
    with pytest.raises(DataError, match="unknown label 'glee'"):
        written.run(build, lambda line: None, path)
    parquet.write_table(pyarrow.table({"text": ["one"], "labels": [["joy"]]}), path)
    with pytest.raises(DataError, match="no column 'comment'; choose one with --text-column: text, labels"):
        written.run(build, lambda line: None, path, extra=Extra(str(path), "comment"), restart=True)
    with pytest.raises(DataError, match="file not found"):
        written.run(build, lambda line: None, tmp_path / "nowhere.parquet", restart=True)


def test_balance_prefers_written_texts_to_machine_labeled_ones(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["thank you", "my own text", "a sad tweet"]
    parquet.write_table(pyarrow.table({"text": texts, "labels": [["gratitude"]] * 3}), tmp_path / "t.parquet")
    written.run(build, lambda line: None, tmp_path / "t.parquet")
    official = {"id": ["1"], "text": ["Thank you!"], "labels": [[15]], "scores": [None]}
    tweets = {"id": ["2"], "text": ["A sad tweet"], "text_hash": [text_hash("A sad tweet")], "labels": [[25]]}
    stages = {
        "relabel-official": pyarrow.table(official),
        "verify": table(**tweets, source=["sentiment140"]),
        "written": read_rows(build, "written"),
    }
    monkeypatch.setattr(balance, "read_rows", lambda folder, name, prefix="": stages[name])
    unique, counts = balance.deduplicated_rows(build)
    assert unique["text"].to_pylist() == ["Thank you!", "my own text", "a sad tweet"]
    assert unique["source"].to_pylist() == ["goemotions", "written", "written"]
    assert counts["duplicate written text"] == 1
    assert counts["duplicate sentiment140 text with other labels"] == 1
    labels = [[0]] * 9
    ranks = np.array([balance.RANKS[name] for name in ("sentiment140", "generated", "written") for _ in range(3)])
    assert balance.select(labels, ranks, 4, 1.5, seed=0)[-3:].tolist() == [6, 7, 8]


def test_ids_are_unique(build: Path, tmp_path: Path) -> None:
    own = pyarrow.table({"text": ["one", "two", "three"], "labels": [["joy"]] * 3, "id": ["a", "b", "a"]})
    parquet.write_table(own, tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t.parquet: duplicate id 'a'"):
        written.run(build, lambda line: None, tmp_path / "t.parquet")
    other = tmp_path / "other.parquet"
    parquet.write_table(own.select(["text", "labels"]), tmp_path / "t.parquet")
    parquet.write_table(pyarrow.table({"text": ["four", "five"], "labels": ["joy", "grief"]}), other)
    written.run(build, lambda line: None, tmp_path / "t.parquet", extra=Extra(str(other)), restart=True)
    ids = read_rows(build, "written")["id"].to_pylist()
    assert sorted(ids) == [
        *(f"written:extra-{row}" for row in (0, 1)),
        *(f"written:written-{row}" for row in (0, 1, 2)),
    ]


def test_shards_are_named_after_their_source(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "SHARD_ROWS", 2)
    rows = {"text": ["one thing", "two things", "three of them"], "labels": [["joy"]] * 3}
    parquet.write_table(pyarrow.table(rows), tmp_path / "t.parquet")
    written.run(build, lambda line: None, tmp_path / "t.parquet")
    assert list(read_manifest(build, "written")["shards"]) == ["written-00000.parquet", "written-00001.parquet"]
    assert read_rows(build, "written")["id"].to_pylist() == [f"written:written-{row}" for row in range(3)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"text": ["one", None], "labels": [["joy"]] * 2}, "t.parquet, row 2: the text is null"),
        ({"text": [1], "labels": [["joy"]]}, "t.parquet: the column text has the type int64; expected strings"),
        ({"labels": [["joy"]]}, "t.parquet: no column 'text'; the columns are: labels"),
        ({"text": ["one"], "labels": [[3.9]]}, "unknown label 3.9"),
        ({"text": ["one"], "labels": [["12"]]}, "unknown label '12'"),
        ({"text": ["one"], "labels": [[True]]}, "unknown label True"),
        ({"text": ["one"], "labels": [["joy"]], "votes": ["five"]}, "written, rows 1 to 1: "),
    ],
)
def test_invalid_rows(build: Path, tmp_path: Path, rows: dict[str, Any], message: str) -> None:
    parquet.write_table(pyarrow.table(rows), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=message):
        written.run(build, lambda line: None, tmp_path / "t.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1 cut short"])
def test_a_corrupt_parquet_file(build: Path, tmp_path: Path, content: bytes) -> None:
    own, broken = tmp_path / "t.parquet", tmp_path / "broken.parquet"
    parquet.write_table(pyarrow.table({"text": ["one"], "labels": [["joy"]]}), own)
    broken.write_bytes(content)
    with pytest.raises(DataError, match=r"broken.parquet: corrupt, or not a Parquet file"):
        written.run(build, lambda line: None, broken)
    with pytest.raises(DataError, match=r"broken.parquet: corrupt, or not a Parquet file"):
        written.run(build, lambda line: None, own, extra=Extra(str(broken)), restart=True)


def test_invalid_votes_and_audits(tmp_path: Path, small_data: Path) -> None:
    texts = write_texts(tmp_path / "texts.jsonl", TEXTS)
    targets = (tmp_path / "t.parquet", tmp_path / "t.json")
    row = {"id": "x", "annotator": "model-1", "labels": "joy", "sample": "random"}
    cases: list[tuple[list[dict[str, Any]], str]] = [
        ([row, row], "votes.parquet: model-1 voted on x more than once"),
        ([{**row, "labels": None}], "votes.parquet, vote 1: labels None"),
    ]
    for rows, message in cases:
        pd.DataFrame(rows).to_parquet(tmp_path / "votes.parquet")
        with pytest.raises(DataError, match=message):
            resolve([texts], tmp_path / "votes.parquet", str(small_data), *targets, print)
    votes = write_votes(tmp_path / "votes.parquet", {})
    ids = [symbol_hash(text) for text, _ in TEXTS]
    for audit in ({"id": ids, "reasonable": ["no"] * 4}, {"id": ids[:1] * 2, "reasonable": [True] * 2}):
        pd.DataFrame(audit).to_parquet(tmp_path / "audit.parquet")
        with pytest.raises(DataError, match="invalid audit file"):
            resolve([texts], votes, str(small_data), *targets, print, tmp_path / "audit.parquet")
    texts.write_text(json.dumps({"text": 5, "labels": ["joy"], "domain": "", "writer": ""}))
    with pytest.raises(DataError, match="line 1: text is 5; expected a string without lone surrogates"):
        resolve([texts], votes, str(small_data), *targets, print)


def test_a_missing_benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(written, "BENCHMARK", tmp_path)
    with pytest.raises(DataError, match="no texts of the everyday benchmark"):
        written.benchmark_texts()
    monkeypatch.undo()
    assert len(written.benchmark_texts()) > 1_000
