"""Excel workbooks: types are preserved, texts stay texts, and cells that do not fit raise an error."""

import json
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from evenmood.errors import DataError, UsageError
from evenmood.tables.streams import read_chunks, write_rows
from tests.evenmood.test_cli import evenmood

openpyxl = pytest.importorskip("openpyxl", reason='openpyxl is not installed: pip install "evenmood[xlsx]"')
DAY = datetime(2026, 5, 4, 12, 30)


def workbook(path: Path, rows: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.create_sheet("another").append(["not", "read"])
    book.save(path)
    return path


def cells(path: Path) -> list[list[Any]]:
    return [list(row) for row in openpyxl.load_workbook(path).active.iter_rows(values_only=True)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows: list[list[Any]] = [
        ["id", "text", "date", "price", "ok", None],
        [1, "Thank you!", DAY, 1.5, True, None],
        [None, None, None, None, None, None],
        [2, None, DAY, 2, False, None],
        [3, 10, None, None, None, "in no column"],
        [4, "I am so angry", DAY],
    ]
    return workbook(tmp_path / "in.xlsx", rows)


def test_excel_round_trip_preserves_types(table: Path, tmp_path: Path) -> None:
    _, error = evenmood("predict", table, tmp_path / "out.xlsx", "--proba")
    assert error == "rows without a text, which got an empty prediction: 1 of 4\n"
    header, *rows = cells(tmp_path / "out.xlsx")
    assert header[:8] == ["id", "text", "date", "price", "ok", "emotions", "emotion_probabilities", "emotion_fallback"]
    assert [row[:5] for row in rows] == [
        [1, "Thank you!", DAY, 1.5, True],
        [2, None, DAY, 2, False],
        [3, 10, None, None, None],
        [4, "I am so angry", DAY, None, None],
    ]
    assert [row[5] for row in rows][::3] == ["gratitude", "anger"]
    assert rows[0][7] is False
    assert rows[1][5:8] == [None, None, None]
    assert isinstance(rows[0][header.index("emotion_joy")], float)


def test_excel_to_other_formats(table: Path, tmp_path: Path) -> None:
    printed, _ = evenmood("predict", table, "-", "--format", "jsonl")
    rows = [json.loads(line) for line in printed.splitlines()]
    assert (rows[0]["id"], rows[0]["date"], rows[0]["ok"]) == (1, "2026-05-04 12:30:00", True)
    assert rows[0]["emotions"] == ["gratitude"]
    assert (
        evenmood("predict", table)[0].splitlines()[1].startswith("1,Thank you!,2026-05-04 12:30:00,1.5,true,gratitude,")
    )
    assert "do not fit one Parquet schema" in evenmood("predict", table, tmp_path / "out.parquet", code=1)[1]
    workbook(tmp_path / "plain.xlsx", [["text", "date", "n"], ["Thank you!", DAY, 1], ["Oh no", None, 2.5]])
    evenmood("predict", tmp_path / "plain.xlsx", tmp_path / "out.parquet")
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert (rows[0]["date"], rows[0]["n"], rows[1]["n"], rows[0]["emotions"]) == (DAY, 1, 2.5, ["gratitude"])


def test_texts_never_become_formulas(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-1 angry", "@me", '=HYPERLINK("http://x")', "plain", "a\x07b", "12"]
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(json.dumps({"text": text, "=n": 5}) for text in texts), encoding="utf-8")
    evenmood("predict", source, tmp_path / "out.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    assert [cell.data_type for cell in sheet["A"]] == ["s"] * 9
    assert [cell.value for cell in sheet["A"]][1:] == [text.replace("\x07", "\ufffd") for text in texts]
    assert [cell.quotePrefix for cell in sheet["A"]][1:] == [True] * 5 + [False] * 3
    assert (sheet["B1"].value, sheet["B1"].data_type, sheet["B2"].value) == ("=n", "s", 5)


def test_values_without_an_excel_type_become_text(tmp_path: Path) -> None:
    values: list[Any] = [10**17, float("nan"), {"a": [1]}, date(1850, 1, 1), DAY.astimezone(), "x" * 32_767]
    with write_rows(str(tmp_path / "out.xlsx"), "xlsx", ["v"]) as write:
        write([{"v": value} for value in values])
    values_read = [row[0] for row in cells(tmp_path / "out.xlsx")][1:]
    assert values_read == [str(10**17), "nan", '{"a": [1]}', "1850-01-01", str(DAY.astimezone()), "x" * 32_767]
    too_long = write_rows(str(tmp_path / "no.xlsx"), "xlsx", ["v"])
    with pytest.raises(DataError, match="row 2: 'v' has 32,768 characters"), too_long as write:
        write([{"v": "x" * 32_768}])
    assert not (tmp_path / "no.xlsx").exists()


def test_unusual_sheets(tmp_path: Path) -> None:
    path = workbook(tmp_path / "in.xlsx", [["text", None, 2026, "", None], ["a", "b"], ["c", "d", "e", "f", "g"]])
    (chunk,) = read_chunks(str(path), "xlsx", "text")
    assert chunk.columns == ["text", "B", "2026"]
    assert chunk.rows == [{"text": "a", "B": "b", "2026": None}, {"text": "c", "B": "d", "2026": "e"}]
    only_names = workbook(tmp_path / "names.xlsx", [["text"]])
    assert [chunk.rows for chunk in read_chunks(str(only_names), "xlsx", "text")] == [[]]
    with pytest.raises(UsageError, match="no column 'comment'"):
        list(read_chunks(str(path), "xlsx", "comment"))
    twice = workbook(tmp_path / "twice.xlsx", [["text", "text"]])
    with pytest.raises(DataError, match="duplicate column"):
        list(read_chunks(str(twice), "xlsx", "text"))
    with pytest.raises(DataError, match="expected a header"):
        list(read_chunks(str(workbook(tmp_path / "empty.xlsx", [])), "xlsx", "text"))
    blank = workbook(tmp_path / "blank.xlsx", [["text", "n"], ["a", 1], [None, 2]])
    assert "row 2 (not counting blank rows): 'text' is empty" in evenmood("predict", blank, "--strict", code=1)[1]


def test_formulas_are_read_as_values(tmp_path: Path) -> None:
    path = workbook(tmp_path / "in.xlsx", [["text", "n"], ["Thank you", "=1+1"]])
    (chunk,) = read_chunks(str(path), "xlsx", "text")
    assert chunk.rows == [{"text": "Thank you", "n": None}]  # not computed yet


@pytest.mark.parametrize("content", [b"", b"text\nThank you\n", b"PK\x03\x04 cut", b"PK\x05\x06" + bytes(18)])
def test_invalid_workbooks_are_rejected(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "in.xlsx"
    path.write_bytes(content)
    _, error = evenmood("predict", path, tmp_path / "out.csv", code=1)
    assert "in.xlsx: not an Excel workbook (.xlsx), or corrupt" in error


def test_rows_are_streamed(tmp_path: Path) -> None:
    with write_rows(str(tmp_path / "in.xlsx"), "xlsx", ["text", "n"]) as write:
        for first in range(0, 5000, 1000):
            write([{"text": f"text {first + number}", "n": number} for number in range(1000)])
    chunks = list(read_chunks(str(tmp_path / "in.xlsx"), "xlsx", "text"))
    assert [len(chunk.rows) for chunk in chunks] == [1000] * 5
    assert {chunk.share_read for chunk in chunks} == {None}  # a streamed workbook does not store its size
    sized_chunks = read_chunks(str(workbook(tmp_path / "sized.xlsx", [["text"], *[["a"]] * 2500])), "xlsx", "text")
    shares = [chunk.share_read for chunk in sized_chunks]
    assert len(shares) > 1
    assert None not in shares
    assert shares == sorted(share for share in shares if share is not None)
    assert chunks[4].rows[-1] == {"text": "text 4999", "n": 999}
    printed, _ = evenmood("predict", "-", "--input-format", "xlsx", stdin=(tmp_path / "in.xlsx").read_bytes())
    assert len(printed.splitlines()) == 5001


def test_report_of_a_workbook(table: Path, tmp_path: Path) -> None:
    evenmood("report", table, tmp_path / "out.html", "--time", "date", "--json", tmp_path / "out.json")
    report = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (report["texts"], report["missing"], report["dated"]) == (3, 1, 2)


def test_sheet_option(table: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "two.xlsx", tmp_path / "out.html"
    book = openpyxl.load_workbook(table)
    book.create_sheet("2026 Q1").append(["Comment", "day"])
    book["2026 Q1"].append(["Thank you so much!", DAY])
    book.save(path)
    options = ["--sheet", "2026 q1", "--column", "comment"]
    printed, _ = evenmood("predict", path, *options, "--emotions-only", "--id", "DAY")
    assert printed.splitlines()[1].startswith("2026-05-04 12:30:00,gratitude,")
    evenmood("report", path, out, *options, "--time", "day", "--json", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["texts"] == 1
    commands: list[list[str | Path]] = [["predict", path], ["report", path, out, "--overwrite"]]
    for command in commands:
        error = evenmood(*command, "--sheet", "Q2", code=2)[1]
        assert error == f"error: {path}: no sheet 'Q2'; the sheets are 'Sheet', 'another', '2026 Q1'\n"
    (tmp_path / "in.csv").write_text("text\na\n", encoding="utf-8")
    assert (
        "--sheet requires the format xlsx, not csv"
        in evenmood("predict", tmp_path / "in.csv", "--sheet", "x", code=2)[1]
    )


def test_missing_extra_is_named(table: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['openpyxl'] = None; sys.argv = ['evenmood', *sys.argv[1:]]\n"
        "from evenmood.cli.commands import main; main()"
    )
    command = [sys.executable, "-c", code, "predict", str(table), str(tmp_path / "out.csv")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == 'error: openpyxl is not installed; install it with: pip install "evenmood[xlsx]"\n'
