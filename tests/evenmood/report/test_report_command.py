"""The command `evenmood report`."""

import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from evenmood import EmotionClassifier
from tests.evenmood.report.test_page import check_page
from tests.evenmood.test_cli import evenmood

TEXTS = ["Thank you so much!", "", "I am so angry at you", "I'm scared 😱", "The train leaves at five"] * 10
HEADER = "text,product,date\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "comments.csv"
    rows = [f'"{text}",{"AB"[i % 2]},2026-0{1 + i % 6}-11' for i, text in enumerate(TEXTS)]
    path.write_text(HEADER + "\n".join(rows), encoding="utf-8")
    return path


def test_report_of_a_table(table: Path, tmp_path: Path, each_name: str, each_model: EmotionClassifier) -> None:
    out, numbers = tmp_path / "report.html", tmp_path / "statistics.json"
    options: list[str | Path] = ["--time", "Date", "--group", "product", "--json", numbers, "--title", "<My> report"]
    _, error = evenmood("report", table, out, *options, "--model", each_name)
    assert error == "rows without a text, skipped: 10 of 50\n"
    check_page(out.read_text(encoding="utf-8"))
    assert '<b dir="auto">&lt;My&gt; report</b>' in out.read_text(encoding="utf-8")
    statistics = json.loads(numbers.read_text(encoding="utf-8"))
    assert (statistics["rows"], statistics["texts"], statistics["dated"]) == (50, 40, 40)
    assert [(group["name"], group["texts"]) for group in statistics["groups"]] == [("A", 20), ("B", 20)]
    predictions = each_model.predict([text for text in TEXTS if text])
    counts = {emotion["label"]: emotion["share"]["count"] for emotion in statistics["emotions"]}
    for label in each_model.labels:
        assert counts[label] == sum(label in row.labels and not row.fallback for row in predictions)
    precision = each_model.info.metrics["test"]["per_label"]["joy"]["precision"]
    assert next(emotion for emotion in statistics["emotions"] if emotion["label"] == "joy")["precision"] == precision


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "parquet", "txt"])
def test_statistics_do_not_depend_on_the_format(kind: str, tmp_path: Path) -> None:
    texts = [text or None for text in TEXTS]
    source = tmp_path / f"in.{kind}"
    if kind == "parquet":
        parquet.write_table(pyarrow.table({"text": texts}), source)
    elif kind == "jsonl":
        source.write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
    else:
        source.write_text("text\n" * (kind == "tsv") + "\n".join(TEXTS) + "\n", encoding="utf-8")
    evenmood("report", source, tmp_path / "out.html", "--json", tmp_path / "out.json")
    statistics = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (statistics["rows"], statistics["texts"]) == (50, 40)
    gratitude = next(emotion for emotion in statistics["emotions"] if emotion["label"] == "gratitude")
    assert gratitude["share"]["count"] == 10


def test_standard_input_and_output() -> None:
    printed, _ = evenmood("report", "-", "-", "--input-format", "txt", "--day", "2026-05-04", stdin=b"Thank you!\n")
    check_page(printed)
    assert "May 4, 2026" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--column", "comment"], "no column 'comment'"),
        (["--time", "when"], "no column 'when'"),
        (["--group", "shop"], "no column 'shop'"),
        (["--time-format", "%d"], "--time-format requires --time"),
        (["--time", "date", "--time-format", "%Q"], "--time-format '%Q'"),
        (["--json", "report.html"], "are the same file"),
        (["--json", "comments.csv"], "is the input file"),
        (["--json", "no/statistics.json"], "no such folder"),
        (["--delimiter", "ab"], "--delimiter 'ab'"),
        (["--input-format", "jsonl", "--delimiter", ";"], "--delimiter requires the format csv, not jsonl"),
    ],
)
def test_invalid_arguments(
    arguments: list[str], message: str, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    _, error = evenmood("report", table.name, "report.html", *arguments, code=2)
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["comments.csv"]


def test_existing_report_is_not_overwritten(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("precious")
    assert "--overwrite" in evenmood("report", table, out, code=2)[1]
    assert out.read_text() == "precious"
    evenmood("report", table, out, "--overwrite")
    check_page(out.read_text(encoding="utf-8"))


def test_invalid_rows(table: Path, tmp_path: Path) -> None:
    table.write_text(table.read_text(encoding="utf-8") + "\nonly one cell\n", encoding="utf-8")
    assert "line 52" in evenmood("report", table, tmp_path / "out.html", code=1)[1]
    _, error = evenmood("report", table, tmp_path / "out.html", "--skip-bad")
    assert "invalid rows skipped: 1 of " in error
