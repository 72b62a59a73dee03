"""`evenmood predict` between formats: no value changes its type, loses a digit, or disappears."""

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import pyarrow
import pytest
from pyarrow import parquet

from evenmood.tables.emotion_columns import PREDICTION_COLUMNS
from tests.evenmood.test_cli import evenmood


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def repeated_rows(last: list[Any], count: int = 20_001, **cells: Any) -> list[Any]:
    return [*({"text": "ok", **cells} for _ in range(count)), *last]


def to_parquet(tmp_path: Path, rows: list[Any], code: int = 0) -> tuple[Any, str]:
    source, target = jsonl(tmp_path / "in.jsonl", rows), tmp_path / "out.parquet"
    _, error = evenmood("predict", source, target, code=code)
    return (parquet.read_table(target) if target.exists() else None), error


def test_integers_become_floats_if_a_later_row_has_one(tmp_path: Path) -> None:
    table, _ = to_parquet(tmp_path, repeated_rows([{"text": "ok", "n": 1.5}], n=1))
    assert table["n"].to_pylist()[-2:] == [1.0, 1.5]


def test_column_missing_from_early_rows_is_written(tmp_path: Path) -> None:
    table, _ = to_parquet(tmp_path, repeated_rows([{"text": "ok", "late": "x"}], count=1500))
    assert table["late"].to_pylist()[-2:] == [None, "x"]
    assert table.schema.names == ["text", "late", *PREDICTION_COLUMNS]


def test_nested_key_missing_from_early_rows_is_written(tmp_path: Path) -> None:
    table, _ = to_parquet(tmp_path, repeated_rows([{"text": "ok", "d": {"b": [1]}}], d={"a": 1}))
    assert table["d"].to_pylist()[-2:] == [{"a": 1, "b": None}, {"a": None, "b": [1]}]


def test_schema_of_standard_input_is_inferred_from_all_rows(tmp_path: Path) -> None:
    rows = repeated_rows([{"text": "ok", "n": 0.5, "late": True}], n=3)
    content = jsonl(tmp_path / "in.jsonl", rows).read_bytes()
    evenmood("predict", "-", tmp_path / "out.parquet", "--input-format", "jsonl", stdin=content)
    table = parquet.read_table(tmp_path / "out.parquet")
    assert [table["n"][-1].as_py(), table["late"][-1].as_py(), len(table)] == [0.5, True, 20_002]


@pytest.mark.parametrize(
    "last", [{"n": "one"}, {"n": True}, {"n": 2**53 + 1, "m": 0.5}, {"n": 2**80}, {"n": {"a": 1}}, {"e": {}}]
)
def test_incompatible_later_rows_are_rejected(tmp_path: Path, last: dict[str, Any]) -> None:
    rows = repeated_rows([{"text": "ok", **last}], count=3, n=0.5)
    table, error = to_parquet(tmp_path, rows, code=1)
    assert table is None
    assert "do not fit one Parquet schema" in error


def test_parquet_to_parquet_preserves_types(tmp_path: Path) -> None:
    categories = ["low", "mid", "high", "never used"]
    n = 3
    columns = {
        "text": pyarrow.array(["Thank you!", "ok", "I'm scared"], pyarrow.large_string()),
        "ordered": pyarrow.DictionaryArray.from_arrays(
            pyarrow.array([2, 0, None], pyarrow.int8()), pyarrow.array(categories), ordered=True
        ),
        "time": pyarrow.array([1, 2, 86_399_999_999_999], pyarrow.time64("ns")),
        "stamp": pyarrow.array([1, 2, None], pyarrow.timestamp("ns", "Europe/Berlin")),
        "far": pyarrow.array([253_402_300_800, 0, 1], pyarrow.timestamp("s")),  # the year 10000
        "day": pyarrow.array([10_000_000, 0, 1], pyarrow.date32()),
        "long": pyarrow.array([2**62, 0, None], pyarrow.duration("s")),
        "exact": pyarrow.array([Decimal("1.10"), None, Decimal("0.01")], pyarrow.decimal128(20, 2)),
        "small": pyarrow.array([1, 2, 3], pyarrow.uint8()),
        "half": pyarrow.array([1.5, 2.5, None], pyarrow.float16()),
        "map": pyarrow.array([[("a", 1)], [], None], pyarrow.map_(pyarrow.string(), pyarrow.int32())),
        "bytes": pyarrow.array([b"\xff", b"", None], pyarrow.binary()),
    }
    table = pyarrow.table(columns).replace_schema_metadata({"mine": "kept"})
    parquet.write_table(table, tmp_path / "in.parquet", row_group_size=2)
    evenmood("predict", tmp_path / "in.parquet", tmp_path / "out.parquet")
    source, output = (parquet.read_table(tmp_path / name) for name in ("in.parquet", "out.parquet"))
    assert output.schema.names == [*columns, *PREDICTION_COLUMNS]
    assert output.schema.metadata == source.schema.metadata
    for name in columns:
        assert output.schema.field(name) == source.schema.field(name)
        assert output[name].equals(source[name]), name
    assert output["ordered"].type.ordered
    assert output["ordered"].chunk(0).dictionary.to_pylist() == categories
    assert len(output) == n
    assert output["emotions"].to_pylist()[0] == ["gratitude"]


def test_pandas_frame_round_trip(tmp_path: Path) -> None:
    grades = pandas.Categorical(["b", "a"], categories=["c", "b", "a"], ordered=True)
    frame = pandas.DataFrame({"text": ["ok", "Thank you"], "grade": grades}, index=pandas.Index([7, 9], name="key"))
    frame.to_parquet(tmp_path / "in.parquet")
    evenmood("predict", tmp_path / "in.parquet", tmp_path / "out.parquet")
    again = pandas.read_parquet(tmp_path / "out.parquet")
    pandas.testing.assert_frame_equal(again[["text", "grade"]], frame)


def test_missing_texts_of_parquet_can_be_skipped(tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["a", None, "b"], "n": pyarrow.array([1, 2, 3], pyarrow.int16())})
    parquet.write_table(table, tmp_path / "in.parquet")
    command = ("predict", tmp_path / "in.parquet", tmp_path / "out.parquet", "--strict")
    assert "row 2" in evenmood(*command, code=1)[1]
    assert not (tmp_path / "out.parquet").exists()
    evenmood(*command, "--skip-bad")
    again = parquet.read_table(tmp_path / "out.parquet")
    assert again["n"].to_pylist() == [1, 3]
    assert again["n"].type == pyarrow.int16()


def test_times_without_a_python_type_are_written_as_text(tmp_path: Path) -> None:
    columns = {
        "text": ["ok"],
        "time": pyarrow.array([1], pyarrow.time64("ns")),
        "far": pyarrow.array([253_402_300_800], pyarrow.timestamp("s")),
        "near": pyarrow.array([datetime.date(2020, 1, 2)]),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "in.parquet")
    for kind in ("csv", "jsonl"):
        printed, _ = evenmood("predict", tmp_path / "in.parquet", "-", "--format", kind)
        for text in ("00:00:00.000000001", "10000-01-01", "2020-01-02"):
            assert text in printed


LINE = (
    '{"a": -0, "b": 1e400, "c": 0.12345678901234567890123, "d": [1.10, {"x": 1E5}], "k": 1, "k": 2, "text": "Thanks!"}'
)


def test_json_lines_are_written_unchanged(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "in.jsonl", [LINE, ' {"text" : "\\ud83d\\ude00 \\ud800" }  '])
    first, second = evenmood("predict", source, "-")[0].splitlines()
    assert first.startswith(LINE[:-1] + ', "emotions": ["gratitude"]')
    assert second.startswith('{"text" : "\\ud83d\\ude00 \\ud800", "emotions": [')
    assert json.loads(first)["emotion_fallback"] is False


def test_json_numbers_are_unchanged_in_csv(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "in.jsonl", [LINE, LINE.replace("-0", "null").replace("1e400", "true")])
    header, first, second = evenmood("predict", source, "-", "--format", "tsv")[0].splitlines()
    assert header.split("\t")[:6] == ["a", "b", "c", "d", "k", "text"]
    assert first.split("\t")[:6] == ["-0", "1e400", "0.12345678901234567890123", '[1.10, {"x": 1E5}]', "2", "Thanks!"]
    assert second.split("\t")[:2] == ["", "true"]
