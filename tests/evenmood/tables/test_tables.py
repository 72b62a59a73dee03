"""Round trips of tables: nothing is changed or lost."""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from evenmood import DataError
from evenmood.tables.chunk import Chunk
from evenmood.tables.streams import read_chunks, write_rows


def write(path: Path, kind: str, columns: list[str], rows: list[dict[str, Any]], **options: Any) -> None:
    with write_rows(str(path), kind, columns, **options) as send:
        send(rows)


def read(path: Path, kind: str, **options: Any) -> list[dict[str, Any]]:
    return [row for chunk in read_chunks(str(path), kind, "text", **options) for row in chunk.rows]


@pytest.mark.parametrize(
    "text",
    ["plain", "", " spaces ", 'q"uote', "a,b", "line\nfeed", "carriage\rreturn", "both\r\n", "NUL\0", "😱\u2028x"],
)
def test_csv_round_trip(tmp_path: Path, text: str) -> None:
    for columns in (["text"], ["id", "text"]):
        rows = [{"id": "1", "text": text}, {"id": "2", "text": "next"}]
        rows = [{column: row[column] for column in columns} for row in rows]
        write(tmp_path / "t.csv", "csv", columns, rows, overwrite=True)
        assert read(tmp_path / "t.csv", "csv") == rows


def test_blank_line_in_a_single_column_is_an_empty_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"text\na\n\nb\n")
    assert [row["text"] for row in read(tmp_path / "t.csv", "csv")] == ["a", "", "b"]


def test_invalid_bytes_invalidate_only_their_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'id,text\n1,"first\nca\xe9f\nlast"\n2,"\xe9"\n3,good\n')
    bad: list[str] = []
    assert read(tmp_path / "t.csv", "csv", on_invalid=bad.append) == [{"id": "3", "text": "good"}]
    assert [message.split(":")[0].split(", ")[1] for message in bad] == ["line 3", "line 5"]


def test_chunks_report_the_share_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"text\n" + b"some words\n" * 2500)
    chunks = list(read_chunks(str(tmp_path / "t.csv"), "csv", "text"))
    assert [len(chunk.rows) for chunk in chunks] == [1000, 1000, 500]
    shares = [chunk.share_read or 0 for chunk in chunks]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_parquet_keeps_columns_missing_from_the_first_row(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"text": "a"}, {"text": "b", "more": 1}]
    write(tmp_path / "t.parquet", "parquet", ["text", "more"], rows)
    assert parquet.read_table(tmp_path / "t.parquet").to_pylist() == [{"text": "a", "more": None}, rows[1]]


def test_parquet_row_groups_are_not_chunks(tmp_path: Path) -> None:
    with write_rows(str(tmp_path / "t.parquet"), "parquet", ["text"]) as send:
        for _ in range(45):
            send([{"text": "x"}] * 1000)
    assert parquet.ParquetFile(tmp_path / "t.parquet").metadata.num_row_groups == 3


@pytest.mark.parametrize("rows", [[{"text": "a", "n": 2**70}], [{"text": "a", "n": 1}, {"text": "b", "n": "one"}]])
def test_rows_without_a_common_type_are_rejected(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    with pytest.raises(DataError, match="do not fit one Parquet schema"):
        write(tmp_path / "t.parquet", "parquet", ["text", "n"], rows)
    assert list(tmp_path.iterdir()) == []


def test_tables_without_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"id,text\n")
    assert list(read_chunks(str(tmp_path / "t.csv"), "csv", "text")) == [Chunk(["id", "text"], [], None, 1.0)]
    write(tmp_path / "t.jsonl", "jsonl", ["text"], [])
    assert read(tmp_path / "t.jsonl", "jsonl") == []


def test_cells_that_tsv_cannot_represent_are_rejected(tmp_path: Path) -> None:
    for text in ("a\tb", "a\nb", "a\rb"):
        with pytest.raises(DataError, match="which TSV cannot represent; write CSV"):
            write(tmp_path / "t.tsv", "tsv", ["text"], [{"text": text}])
    assert list(tmp_path.iterdir()) == []


def test_later_row_with_a_new_column_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a row has the key 'new', which is not among the columns of the first rows"):
        write(tmp_path / "t.csv", "csv", ["text"], [{"text": "a"}, {"text": "b", "new": 1}])


def test_lone_surrogates(tmp_path: Path) -> None:
    write(tmp_path / "t.jsonl", "jsonl", ["text"], [{"text": "a\ud800"}])
    assert json.loads((tmp_path / "t.jsonl").read_text()) == {"text": "a\ud800"}
    write(tmp_path / "t.csv", "csv", ["text"], [{"text": "a\ud800"}])
    assert read(tmp_path / "t.csv", "csv") == [{"text": "a\ufffd"}]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX links and modes")
def test_symbolic_links_and_file_modes_are_preserved(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "real.csv").chmod(0o600)
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    write(tmp_path / "link.csv", "csv", ["text"], [{"text": "new"}], overwrite=True)
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "text\nnew\n"
    assert (tmp_path / "real.csv").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_pipes_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe.csv").read_text()))
    reader.start()
    write(tmp_path / "pipe.csv", "csv", ["text"], [{"text": "x"}], overwrite=True)
    reader.join(timeout=10)
    assert got == ["text\nx\n"]
    assert (tmp_path / "pipe.csv").is_fifo()
