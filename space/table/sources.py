"""A visitor's upload: what it is, told by its name and what it holds, and which columns are likely the right ones."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from evenmood.errors import DataError, UsageError
from evenmood.tables.table_files import FORMATS
from evenmood.tables.table_form import decoded_lines, read_form
from evenmood.tables.text_tables import TEXT_COLUMN
from evenmood.text.normalization import encodable

LARGEST_FILE = 20_000_000
"""Bytes of an upload."""
MOST_ROWS = 200_000
MOST_COLUMNS = 200
KINDS = {name: kind for name, kind in FORMATS.items() if kind in ("csv", "tsv", "jsonl", "txt")}
TEXT_COLUMNS = (TEXT_COLUMN, "comment", "tweet", "message", "review", "content", "body", "sentence")
DATE_COLUMNS = ("date", "time", "datetime", "timestamp", "created_at", "created", "day")
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
HEAD_BYTES = 1_000_000
LOOKED_AT = 50
"""Rows from which columns are guessed."""


@dataclass(frozen=True)
class Source:
    """A table that can be read: its file in UTF-8, and how.

    Attributes:
        name: As the visitor calls it.
        rows: The first rows, to guess columns from.
        encoding: What the file was converted from; None where it was UTF-8.
    """

    path: Path
    name: str
    kind: str
    columns: list[str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    delimiter: str = ","
    encoding: str | None = None


def open_source(path: Path, name: str, work: Path) -> Source:
    """Find out what an upload is: its format by its name, its encoding and delimiter by what it holds.

    Args:
        path: The upload.
        name: What the visitor calls it.
        work: Folder for a converted copy.

    Raises:
        UsageError: Not a format that is taken, or a Parquet file.
        DataError: Not what its name says.
    """
    kind = KINDS.get(Path(name).suffix.lower())
    if Path(name).suffix.lower() == ".parquet":
        raise UsageError("Parquet files are not read here: save it as CSV, or use: evenmood predict FILE.parquet")
    if kind is None:
        raise UsageError(f"{name}: CSV, TSV and JSON Lines are read (.csv, .tsv, .jsonl), told by the file's name")
    if path.stat().st_size > LARGEST_FILE:
        raise UsageError(
            f"{name}: at most {LARGEST_FILE // 10**6} MB are taken; cut the file, or use: evenmood predict"
        )
    content = path.read_bytes()
    if not content.strip():
        raise DataError(f"{name}: empty")
    form, rest = read_form(io.BytesIO(content), name, kind, None, None, TEXT_COLUMNS)
    if b"\0" in content[:HEAD_BYTES] and not form.encoding.startswith("utf-16"):
        raise DataError(f"{name}: not a text file despite its name")
    lines = decoded_lines(rest, form, any_line_end=kind in ("csv", "tsv"))
    try:
        text = lines.read()
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not {form.encoding_name} ({error.reason}); save it as UTF-8") from None
    encoding = None if form.encoding == "utf-8" else form.encoding_name.title()
    if encoding:
        path = work / f"source{Path(name).suffix.lower()}"
        with path.open("w", encoding="utf-8", errors=lines.errors, newline="") as copy:
            copy.write(text)  # invalid characters are kept: the row is reported when it is read
    if kind == "jsonl":
        check_rows(text.count(form.line_end), name)
        keys, first = _keys(text.split(form.line_end), name)
        return Source(path, name, kind, keys, first, encoding=encoding)
    if kind == "txt":
        check_rows(text.count(form.line_end), name)
        first = [{TEXT_COLUMN: line.rstrip("\r\n")} for line in text[:HEAD_BYTES].split("\n", LOOKED_AT)]
        return Source(path, name, kind, [TEXT_COLUMN], first[:LOOKED_AT], encoding=encoding)
    delimiter = form.delimiter
    cells = csv.reader(io.StringIO(text[:HEAD_BYTES], newline=""), delimiter=delimiter)
    try:
        columns = next(cells, [])
    except csv.Error:
        raise DataError(f"{name}, line 1: not a line of column names") from None
    if not columns:
        raise DataError(f"{name}, line 1: empty; expected the names of the columns")
    if len(columns) > MOST_COLUMNS or max(map(len, columns), default=0) > 1000:
        raise DataError(f"{name}: the first line must hold the columns' names, at most {MOST_COLUMNS} short ones")
    if max(text.count("\n"), text.count("\r")) > MOST_ROWS:  # as many rows, or line breaks within cells
        check_rows(sum(1 for _ in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) - 1, name)
    return Source(path, name, kind, columns, _first(columns, cells), delimiter, encoding)


def _first(columns: list[str], cells: Iterator[list[str]]) -> list[dict[str, Any]]:
    """The first rows; what is wrong with one is told when the rows are read."""
    rows: list[dict[str, Any]] = []
    try:
        rows.extend(dict(zip(columns, row, strict=False)) for row in islice(cells, LOOKED_AT))
    except csv.Error:
        return rows
    return rows


def pasted(lines: str, work: Path) -> Source:
    """Lines of text as a table with the column `text`.

    Raises:
        UsageError: Too many characters.
    """
    if len(lines.encode("utf-8", "replace")) > LARGEST_FILE:
        raise UsageError(f"at most {LARGEST_FILE // 10**6} MB are taken")
    path = work / "pasted.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for line in lines.split("\n"):
            if line.strip():
                file.write(json.dumps({"text": line.strip()}) + "\n")
    return Source(path, "pasted lines", "jsonl", ["text"])


def _keys(lines: list[str], name: str) -> tuple[list[str], list[dict[str, Any]]]:
    """All keys of JSON Lines and the first rows; broken lines are told when the rows are read."""
    keys: dict[str, None] = {}
    first: list[dict[str, Any]] = []
    for line in lines:
        try:
            row = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            keys.update(dict.fromkeys(map(encodable, row)))
            first += [row] if len(first) < LOOKED_AT else []
        if len(keys) > MOST_COLUMNS:
            raise DataError(f"{name}: more than {MOST_COLUMNS} different keys")
    if not keys:
        raise DataError(f"{name}: no line holds a JSON object")
    return list(keys), first


def text_column(source: Source) -> str:
    """The column that likely holds the texts: by its name, or else the one with the longest cells."""

    def length(column: str) -> int:
        return sum(len(row[column]) for row in source.rows if isinstance(row.get(column), str))

    return _named(source.columns, TEXT_COLUMNS) or max(source.columns, key=length)


def date_column(source: Source) -> str | None:
    """The column that likely holds dates, by its name or its first cells; None where there is none."""

    def dated(column: str) -> bool:
        return all(ISO_DATE.match(str(row.get(column, ""))) for row in source.rows)

    found = next((column for column in source.columns if source.rows and dated(column)), None)
    return _named(source.columns, DATE_COLUMNS) or found


def _named(columns: list[str], wanted: tuple[str, ...]) -> str | None:
    names = {column.strip().lower(): column for column in columns}
    exact = next((names[name] for name in wanted if name in names), None)
    return exact or next((column for name, column in names.items() if any(part in name for part in wanted)), None)


def check_rows(rows: int, name: str) -> None:
    """Refuse more rows than are taken."""
    if rows > MOST_ROWS:
        raise UsageError(f"{name}: more than {MOST_ROWS:,} rows; cut it, or use: evenmood predict")
