"""Detect the format, encoding, delimiter and likely columns of a visitor's upload."""

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
from evenmood.tables.text_format import decode_lines, detect_format
from evenmood.tables.text_tables import TEXT_COLUMN
from evenmood.text.normalization import replace_surrogates

MAX_FILE_BYTES = 20_000_000
"""Maximum size of an upload."""
MAX_ROWS = 200_000
MAX_COLUMNS = 200
KINDS = {name: kind for name, kind in FORMATS.items() if kind in ("csv", "tsv", "jsonl", "txt")}
TEXT_COLUMNS = (TEXT_COLUMN, "comment", "tweet", "message", "review", "content", "body", "sentence")
DATE_COLUMNS = ("date", "time", "datetime", "timestamp", "created_at", "created", "day")
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
HEAD_BYTES = 1_000_000
SAMPLE_ROWS = 50
"""Rows used to detect the columns."""


@dataclass(frozen=True)
class Source:
    """A readable table.

    Attributes:
        path: File in UTF-8.
        name: File name of the upload.
        kind: `csv`, `tsv`, `jsonl` or `txt`.
        columns: Names of the columns.
        rows: First rows, used to detect the columns.
        delimiter: Delimiter of CSV and TSV files.
        encoding: Original encoding; None for UTF-8.
    """

    path: Path
    name: str
    kind: str
    columns: list[str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    delimiter: str = ","
    encoding: str | None = None


def open_source(path: Path, name: str, work_folder: Path) -> Source:
    """Detect the format of an upload by its file extension, and its encoding and delimiter by its content.

    Args:
        path: The upload.
        name: File name of the upload.
        work_folder: Folder for a copy in UTF-8.

    Raises:
        UsageError: The format is not supported, or the file is too large.
        DataError: The content does not match the file extension.
    """
    kind = KINDS.get(Path(name).suffix.lower())
    if Path(name).suffix.lower() == ".parquet":
        raise UsageError(
            f"{name}: Parquet files are not supported here; save it as CSV, or use: evenmood predict FILE.parquet"
        )
    if kind is None:
        raise UsageError(f"{name}: unsupported file type; expected .csv, .tsv, .jsonl or .txt")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise UsageError(
            f"{name}: the file is larger than {MAX_FILE_BYTES // 10**6} MB; split it, or use: evenmood predict"
        )
    content = path.read_bytes()
    if not content.strip():
        raise DataError(f"{name}: the file is empty; choose another file")
    text_format, body = detect_format(io.BytesIO(content), name, kind, None, None, TEXT_COLUMNS)
    if b"\0" in content[:HEAD_BYTES] and not text_format.encoding.startswith("utf-16"):
        raise DataError(f"{name}: not a text file, despite its extension; save it as {kind.upper()}")
    lines = decode_lines(body, text_format, any_line_end=kind in ("csv", "tsv"))
    try:
        text = lines.read()
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not {text_format.encoding_name} ({error.reason}); save it as UTF-8") from None
    encoding = None if text_format.encoding == "utf-8" else text_format.encoding_name
    if encoding:
        path = work_folder / f"source{Path(name).suffix.lower()}"
        with path.open("w", encoding="utf-8", errors=lines.errors, newline="") as copy:
            copy.write(text)  # invalid characters stay, and are reported when the row is read
    if kind == "jsonl":
        check_rows(text.count(text_format.line_end), name)
        keys, first = _keys(text.split(text_format.line_end), name)
        return Source(path, name, kind, keys, first, encoding=encoding)
    if kind == "txt":
        check_rows(text.count(text_format.line_end), name)
        first = [{TEXT_COLUMN: line.rstrip("\r\n")} for line in text[:HEAD_BYTES].split("\n", SAMPLE_ROWS)]
        return Source(path, name, kind, [TEXT_COLUMN], first[:SAMPLE_ROWS], encoding=encoding)
    delimiter = text_format.delimiter
    cells = csv.reader(io.StringIO(text[:HEAD_BYTES], newline=""), delimiter=delimiter)
    try:
        columns = next(cells, [])
    except csv.Error:
        raise DataError(f"{name}, line 1: malformed; expected the column names") from None
    if not columns:
        raise DataError(f"{name}, line 1: empty; expected the column names")
    if len(columns) > MAX_COLUMNS or max(map(len, columns), default=0) > 1000:
        raise DataError(f"{name}, line 1: expected at most {MAX_COLUMNS} column names of at most 1,000 characters")
    if max(text.count("\n"), text.count("\r")) > MAX_ROWS:  # too many rows, or line breaks within cells
        check_rows(sum(1 for _ in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) - 1, name)
    return Source(path, name, kind, columns, _first_rows(columns, cells), delimiter, encoding)


def _first_rows(columns: list[str], cells: Iterator[list[str]]) -> list[dict[str, Any]]:
    """Read the first rows; malformed ones are reported when the table is scored."""
    rows: list[dict[str, Any]] = []
    try:
        rows.extend(dict(zip(columns, row, strict=False)) for row in islice(cells, SAMPLE_ROWS))
    except csv.Error:
        return rows
    return rows


def open_pasted_text(lines: str, work_folder: Path) -> Source:
    """Convert pasted lines to a table with the column `text`.

    Raises:
        UsageError: The lines are too long in total.
    """
    if len(lines.encode("utf-8", "replace")) > MAX_FILE_BYTES:
        raise UsageError(f"the pasted text is larger than {MAX_FILE_BYTES // 10**6} MB; shorten it")
    path = work_folder / "pasted.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for line in lines.split("\n"):
            if line.strip():
                file.write(json.dumps({"text": line.strip()}) + "\n")
    return Source(path, "pasted lines", "jsonl", ["text"])


def _keys(lines: list[str], name: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Read all keys and the first rows of JSON Lines; malformed lines are reported when the table is scored."""
    keys: dict[str, None] = {}
    first: list[dict[str, Any]] = []
    for line in lines:
        try:
            row = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            keys.update(dict.fromkeys(map(replace_surrogates, row)))
            first += [row] if len(first) < SAMPLE_ROWS else []
        if len(keys) > MAX_COLUMNS:
            raise DataError(f"{name}: more than {MAX_COLUMNS} different keys; remove some")
    if not keys:
        raise DataError(f"{name}: no JSON object found; expected one object per line")
    return list(keys), first


def text_column(source: Source) -> str:
    """Detect the text column: by its name, otherwise the column with the longest cells."""

    def length(column: str) -> int:
        return sum(len(row[column]) for row in source.rows if isinstance(row.get(column), str))

    return _find_by_name(source.columns, TEXT_COLUMNS) or max(source.columns, key=length)


def date_column(source: Source) -> str | None:
    """Detect the date column by its name or its first cells; return None if there is none."""

    def has_dates(column: str) -> bool:
        return all(ISO_DATE.match(str(row.get(column, ""))) for row in source.rows)

    by_content = next((column for column in source.columns if source.rows and has_dates(column)), None)
    return _find_by_name(source.columns, DATE_COLUMNS) or by_content


def _find_by_name(columns: list[str], candidates: tuple[str, ...]) -> str | None:
    """Find the first column whose name equals a candidate or contains one."""
    names = {column.strip().lower(): column for column in columns}
    exact = next((names[name] for name in candidates if name in names), None)
    return exact or next((column for name, column in names.items() if any(part in name for part in candidates)), None)


def check_rows(rows: int, name: str) -> None:
    """Raise `UsageError` if there are too many rows."""
    if rows > MAX_ROWS:
        raise UsageError(f"{name}: more than {MAX_ROWS:,} rows; split the table, or use: evenmood predict")
