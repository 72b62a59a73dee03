"""Stray quotation marks: they invalidate only their own row, or the message lists the affected rows."""

import gc
import time
from pathlib import Path

import pytest

from evenmood.tables.csv_records import csv_records
from evenmood.tables.streams import read_chunks
from tests.evenmood.test_cli import evenmood


def rows(count: int, first: int = 1) -> list[str]:
    return [f"{number},so happy {number}" for number in range(first, first + count)]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(["id,text", *lines]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("end", ["never closed", "another stray", "closed by accident"])
def test_stray_quote_does_not_swallow_later_rows(tmp_path: Path, end: str) -> None:
    last = {"never closed": [], "another stray": ['x,"oops again'], "closed by accident": ['x,"a" b']}[end]
    lines = [*rows(10), 'x,"oops', *rows(1000, 11), *last, *rows(10, 1011)]
    source = write(tmp_path / "in.csv", lines)
    printed, error = evenmood("predict", source, "--skip-bad")
    ids = [line.split(",")[0] for line in printed.splitlines()[1:]]
    assert ids == [str(number) for number in range(1, 1021)]
    assert error.startswith(
        f"invalid rows skipped: {1 + len(last)} of {1021 + len(last):,}; the first: {source}, line 12: "
    )
    assert "reading resumed at line 13" in error
    assert "line 12" in evenmood("predict", source, code=1)[1]


def test_stray_quote_closed_in_a_row_with_too_many_cells(tmp_path: Path) -> None:
    lines = [*rows(2), 'x,"oops', *rows(100, 3), '103,so",y', *rows(2, 104)]
    printed, error = evenmood("predict", write(tmp_path / "in.csv", lines), "--skip-bad")
    assert [line.split(",")[0] for line in printed.splitlines()[1:]] == [str(n) for n in range(1, 106) if n != 103]
    assert "invalid rows skipped: 2 of 106" in error
    assert "line 4: expected 2 cells, found 3; the row extends to line 105; reading resumed at line 5" in error


def test_well_formed_row_containing_others_is_reported(tmp_path: Path) -> None:
    lines = [*rows(2), 'x,"oops', *rows(1000, 3), 'y,oh"', *rows(2, 1003)]
    source = write(tmp_path / "in.csv", lines)
    printed, error = evenmood("predict", source, "--format", "jsonl")
    assert len(printed.splitlines()) == 5
    assert (
        f"rows that may contain several rows (a stray quotation mark?): 1; the first: {source}, "
        "lines 4 to 1005: one row, though each line" in error
    )


def test_multi_line_cells_are_valid(tmp_path: Path) -> None:
    letters = ['"Dear Bob,\nhow are you?\nI said:\n- yes, and\n- no, or\n\n- maybe.\nBye,\nAda"'] * 50
    source = write(tmp_path / "in.csv", [f"{number},{letter}" for number, letter in enumerate(letters)])
    printed, error = evenmood("predict", source, "--format", "jsonl")
    assert (len(printed.splitlines()), error) == (50, "")


def test_malformed_multi_line_cell_is_one_bad_row(tmp_path: Path) -> None:
    letter = '1,"Dear Bob\nI said\nhello\nand "no" to\nyou"'
    source = write(tmp_path / "in.csv", ["0,ok", letter, "2,ok", "3,ok"])
    bad: list[str] = []
    (chunk,) = read_chunks(str(source), "csv", "text", bad.append)
    assert [row["id"] for row in chunk.rows] == ["0", "2", "3"]
    assert bad[0].startswith(f"{source}, line 3: ',' expected after '\"'; the row extends to line 6")


def test_multi_line_rows_after_a_stray_quote(tmp_path: Path) -> None:
    lines = ['x,"oops', *(f'{number},"first\nsecond\nthird"' for number in range(20))]
    printed, error = evenmood("predict", write(tmp_path / "in.csv", lines), "--skip-bad", "--format", "jsonl")
    assert len(printed.splitlines()) == 20
    assert error.startswith("invalid rows skipped: 1 of 21")


def test_one_column(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('text\none\n"oops\n' + "many\n" * 500)
    printed, error = evenmood("predict", tmp_path / "in.csv", "--skip-bad", "--format", "jsonl")
    assert len(printed.splitlines()) == 501
    assert "invalid rows skipped: 1 of 502" in error


@pytest.mark.parametrize("line", ['1,"oops', '1,"""', '1,""",', '"1,""', 'a,"b"c', '""'])
def test_linear_time(line: str) -> None:
    def seconds(count: int) -> float:
        bad: list[str] = []
        gc.collect()
        gc.disable()  # collecting the garbage of earlier tests would take time
        try:
            start = time.process_time()
            list(csv_records("t", ["id,text\n", *[f"{line}\n"] * count], bad.append))
            return time.process_time() - start
        finally:
            gc.enable()

    seconds(100)
    assert seconds(40_000) < 400 * max(seconds(1_000), 1e-3)


def test_very_long_unclosed_quote() -> None:
    bad: list[str] = []
    lines = ["id,text\n", '1,"oops\n', *("2,ok\n" for _ in range(25_000)), '3,"\n', "4,last\n"]
    records = [cells for _, cells, _ in csv_records("t", lines, bad.append)]
    assert len(records) == 1 + 25_000 + 1
    assert [message.split(":")[0] for message in bad] == ["t, line 2", "t, line 25003"]


def test_records_include_line_numbers() -> None:
    lines = ['a,"b\n', 'c"\n', "\n", "1,2\n"]
    records = [(number, list(cells)) for number, cells, _ in csv_records("t", lines, list[str]().append)]
    assert records == [(1, ["a", "b\nc"]), (3, []), (4, ["1", "2"])]
