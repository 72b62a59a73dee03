"""Label Studio's exports, and label cells that cannot be parsed."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from evenmood.errors import DataError
from tests.commands import run_command
from tests.conftest import DEFAULT_MODEL
from train.transfer.columns import LabelCellError, cell_labels
from train.transfer.evaluation import evaluate_transfer
from train.transfer.label_studio import flatten_tasks
from train.transfer.labeled import LabeledSet, read_labeled
from train.transfer.mapping import read_mapping
from train.transfer.targets import read_targets

EKMAN = read_mapping("ekman")
LABELS = [["joy"], ["joy", "sadness"], ["anger"], [], ["fear", "surprise"], ["disgust"]]
TEXTS = [
    "What a wonderful day, I am so happy",
    "I laughed and then I cried, I miss her",
    "This makes me furious",
    "The meeting is at three",
    "I did not expect that, I am terrified",
    "That is disgusting",
]


def json_min_answer(labels: list[str]) -> Any:
    """Return an answer as JSON-MIN writes it: one choice as a string, several as an object."""
    return labels[0] if len(labels) == 1 else {"choices": labels}


def json_min(folder: Path) -> Path:
    rows = [
        {"id": number, "text": text, "annotator": 1, "annotation_id": number, "lead_time": 3.5}
        | ({"mood": json_min_answer(labels)} if labels else {})
        for number, (text, labels) in enumerate(zip(TEXTS, LABELS, strict=True), 1)
    ]
    path = folder / "export.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def json_min_lines(folder: Path) -> Path:
    rows = json.loads(json_min(folder).read_text())
    path = folder / "export.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def csv_export(folder: Path) -> Path:
    path = folder / "export.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "mood", "annotator"])
        for number, (text, labels) in enumerate(zip(TEXTS, LABELS, strict=True), 1):
            cell = json_min_answer(labels) if labels else ""
            writer.writerow([number, text, cell if isinstance(cell, str) else json.dumps(cell), 1])
    return path


def csv_from_pandas(folder: Path) -> Path:
    """JSON-MIN read and written as CSV by pandas, with objects in Python syntax."""
    path = csv_export(folder)
    path.write_text(path.read_text().replace('""', "'"), encoding="utf-8")
    assert "{'choices': ['joy', 'sadness']}" in path.read_text()
    return path


def parquet_structs(folder: Path) -> Path:
    cells = [{"choices": labels} if labels else None for labels in LABELS]
    parquet.write_table(pyarrow.table({"text": TEXTS, "mood": cells}), folder / "export.parquet")
    return folder / "export.parquet"


def annotation(labels: list[str], **extra: Any) -> dict[str, Any]:
    result = {"value": {"choices": labels}, "from_name": "mood", "to_name": "text", "type": "choices", "id": "x"}
    return {"id": 1, "completed_by": 1, "result": [result] if labels else [], "was_cancelled": False, **extra}


def tasks() -> list[dict[str, Any]]:
    return [
        {"id": number, "data": {"text": text}, "annotations": [annotation(labels)], "predictions": [], "meta": {}}
        for number, (text, labels) in enumerate(zip(TEXTS, LABELS, strict=True), 1)
    ]


def full_json(folder: Path) -> Path:
    content = tasks()
    content[0]["annotations"].append(annotation(["anger"], was_cancelled=True))  # skipped by the annotator
    content[3]["annotations"] = []
    path = folder / "export.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def full_json_lines(folder: Path) -> Path:
    path = folder / "export.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in tasks()), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "write",
    [json_min, json_min_lines, csv_export, csv_from_pandas, parquet_structs, full_json, full_json_lines],
)
def test_label_studio_exports(tmp_path: Path, write: Any) -> None:
    data = read_labeled(str(write(tmp_path)), "test", EKMAN.is_label)
    assert data.texts == TEXTS
    assert data.labels == LABELS
    assert data.read_as == "text in 'text', labels in 'mood'"


def test_multiple_choices_are_evaluated(tmp_path: Path) -> None:
    plain = tmp_path / "plain.jsonl"
    rows = [{"text": text, "mood": labels} for text, labels in zip(TEXTS, LABELS, strict=True)]
    plain.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    expected = evaluate_transfer(str(DEFAULT_MODEL), str(plain), "test", "ekman")
    results = evaluate_transfer(str(DEFAULT_MODEL), str(json_min(tmp_path)), "test", "ekman")
    assert results["macro_f1"] == expected["macro_f1"]
    assert results["per_label"]["sadness"]["support"] == 1
    assert results["data"]["without_label"] == 1


def test_single_task_and_several_annotators(tmp_path: Path) -> None:
    task = tasks()[1]
    del task["predictions"]
    (tmp_path / "task.json").write_text(json.dumps(task), encoding="utf-8")
    assert read_labeled(str(tmp_path / "task.json"), "test", EKMAN.is_label).labels == [["joy", "sadness"]]
    task["annotations"].append(annotation(["fear"]))
    with pytest.raises(DataError, match="here: 2 annotations; expected one per text"):
        list(flatten_tasks([("here", task)]))


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ([{"result": None}], "row 1: an annotation has no list of results"),
        (["joy"], "row 1: an annotation has no list of results"),
        ([{"result": ["joy"]}], "row 1: a result is 'joy'; expected"),
        ([{"result": [{"from_name": "mood", "value": "joy"}]}], "expected an object with a value"),
        ([{"result": [{"from_name": "mood", "value": {"rating": 3}}]}], r"row 1: 'mood' is \{'rating': 3\}; expected"),
    ],
)
def test_unsupported_annotations_are_rejected(tmp_path: Path, annotations: list[Any], message: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps([{"data": {"text": TEXTS[0]}, "annotations": annotations}]), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_labeled(str(path), "test", EKMAN.is_label, label_column="mood")


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ({"choices": ["joy", "fear"]}, ["joy", "fear"]),
        ({"choices": "joy"}, ["joy"]),
        ({"choices": []}, []),
        ({"choices": None}, []),
        ('{"choices": ["joy", "fear"]}', ["joy", "fear"]),
        ("{'choices': ['joy', 'fear']}", ["joy", "fear"]),
        ('{"joy": 1, "fear": 0}', ["joy"]),
        ({"joy": 1.0, "fear": None, "anger": "true"}, ["joy", "anger"]),
        ('["joy", "fear"]', ["joy", "fear"]),
        ("['joy' 'fear']", ["joy", "fear"]),
        (Decimal("3.0"), ["3"]),
        ([], []),
        ({}, []),
    ],
)
def test_supported_cells(value: Any, labels: list[str]) -> None:
    assert cell_labels(value, EKMAN.is_label) == labels


UNSUPPORTED = [
    {"labels": ["joy"]},
    {"choices": {"joy": 1}},
    {"choices": 3.5},
    {"choices": ["joy"], "rating": 3},
    {"joy": 0.9, "fear": 0.1},
    {"label": "joy"},
    [{"label": "joy", "score": 0.9}],
    [["joy"], ["fear"]],
    [[0, 12, "joy"]],
    [("joy", 1)],
    ["joy", None],
    ["joy", ""],
    [float("nan")],
    b"joy",
    True,
    [True],
    '{"labels": ["joy"]}',
    '{"choices": ["joy"',
    '[{"label": "joy"}]',
    '[["joy"], ["fear"]]',
    "[['joy'], ['fear']]",
    "{joy}",
    ",",
    ";|",
    "''",
    "['']",
]


@pytest.mark.parametrize("value", UNSUPPORTED)
def test_unsupported_cells_are_rejected(value: Any) -> None:
    with pytest.raises(LabelCellError, match=r"; expected (labels|0 or 1 for each label, or only 'choices')$") as error:
        cell_labels(value, EKMAN.is_label)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [value for value in UNSUPPORTED if not isinstance(value, bytes)])
def test_error_names_the_row(tmp_path: Path, value: Any) -> None:
    rows = [*({"text": text, "label": "joy"} for text in TEXTS), {"text": "And more", "label": value}]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl, row 7: 'label' is "):
        read_targets(str(path), "test", EKMAN)


def test_error_names_the_row_of_the_shard(tmp_path: Path) -> None:
    for shard, label in enumerate(["joy", {"rating": 2}]):
        rows = [{"text": text, "label": label} for text in TEXTS[:2]]
        name = f"test-0000{shard}-of-00002.jsonl"
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match=r"test-00001-of-00002\.jsonl, row 1: 'label' is \{'rating': 2\}"):
        read_labeled(str(tmp_path), "test", EKMAN.is_label)


def test_tweeteval_line_without_a_label_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "test_text.txt").write_text("a\nb\n")
    (tmp_path / "test_labels.txt").write_text("0\n,\n")
    with pytest.raises(DataError, match=r"test_labels\.txt, line 2: ','; expected a label"):
        read_labeled(str(tmp_path), "test", EKMAN.is_label)


def test_error_names_the_row_of_a_hub_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    rows = datasets.Dataset.from_dict({"text": TEXTS[:2], "label": [["joy"], [""]]})
    monkeypatch.setattr(datasets, "load_dataset", lambda *arguments, **options: rows)
    with pytest.raises(DataError, match=r"you/moods, row 2: 'label' is \[''\]"):
        read_labeled("you/moods", "test", EKMAN.is_label)


def test_other_columns_may_have_any_type(tmp_path: Path) -> None:
    rows = [{"text": t, "meta": {"a": [1]}, "mood": m} for t, m in zip(TEXTS, LABELS, strict=True)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data: LabeledSet = read_labeled(str(path), "test", EKMAN.is_label)
    assert data.labels == LABELS


def test_command_prints_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a b c", "label": "joy"}\n{"text": "d e f", "label": {"rating": 4}}\n')
    result = run_command("train", "evaluate", DEFAULT_MODEL, "--data", path, "--mapping", "ekman")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert (
        f"{path}, row 2: 'label' is {{'rating': 4}}; expected 0 or 1 for each label, or only 'choices'" in result.stderr
    )


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("joy", ["joy"]),
        (" Joy, love ", ["Joy", "love"]),
        ("joy;love|anger", ["joy", "love", "anger"]),
        ("joy love", ["joy", "love"]),
        ("no emotion", ["no emotion"]),
        ("no emotion, joy", ["no emotion", "joy"]),
        ("not applicable", ["not applicable"]),
        ("['joy', 'love']", ["joy", "love"]),
        ("[ 3 27]", ["3", "27"]),
        ("3,27", ["3", "27"]),
        ("-1", ["-1"]),
        (2.0, ["2"]),
        ("2.0", ["2"]),
        (["joy", 3], ["joy", "3"]),
        ({"joy": 1, "love": 0, "anger": True}, ["joy", "anger"]),
        (float("nan"), []),
        (None, []),
        ("", []),
        ("NA", []),
        ("nan", []),
        ("[]", []),
    ],
)
def test_cell_labels(value: Any, labels: list[str]) -> None:
    assert cell_labels(value, EKMAN.is_label) == labels
