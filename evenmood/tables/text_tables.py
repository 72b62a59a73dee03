"""Read CSV, TSV, JSON Lines and plain text row by row."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import TextIOWrapper

from evenmood.errors import DataError
from evenmood.inputs import is_missing
from evenmood.tables.chunk import JsonRow, Row, check_column, check_distinct
from evenmood.tables.csv_records import csv_records
from evenmood.tables.text_format import TextFormat, broken_byte

TEXT_COLUMN = "text"
"""Column of plain text, which has one text per line."""
ErrorHandler = Callable[[str], None]
"""Callback with an error message for a row."""


@dataclass(frozen=True)
class TextTable:
    """A text table open for reading.

    Attributes:
        name: File name, for error messages.
        lines: Lines from the header on.
        text_format: Encoding and layout.
        column: Required column of strings; None disables the check.
        on_invalid: Called for each invalid row; if it returns, the row is skipped.
        on_suspicious_row: Called for each row that probably contains several rows.
        allow_null: Whether the text may be null in JSON Lines.
        allow_empty: Whether the text may be empty in other formats.
        hint: What to do about invalid bytes, for error messages.
    """

    name: str
    lines: TextIOWrapper
    text_format: TextFormat
    column: str | None
    on_invalid: ErrorHandler
    on_suspicious_row: ErrorHandler
    allow_null: bool
    allow_empty: bool
    hint: str = "convert the file, for instance with iconv"

    def is_text(self, line: str, number: int) -> bool:
        """Return whether all bytes of a line are valid; call `on_invalid` if not."""
        position = broken_byte(line, self.text_format)
        if position is not None:
            self.on_invalid(
                f"{self.name}, line {number}: not {self.text_format.encoding_name} at byte {position}; {self.hint}"
            )
        return position is None

    def is_allowed(self, text: str, number: int) -> bool:
        """Return whether a text may be used; call `on_invalid` if it is empty and must not be."""
        if not text and not self.allow_empty:
            self.on_invalid(f"{self.name}, line {number}: {self.column!r} is empty")
        return bool(text) or self.allow_empty


def read_csv(table: TextTable, names: Sequence[str] | None = None) -> tuple[list[str], Iterator[Row]]:
    """Read columns and rows of CSV or TSV; `names` are the column names of a file without a header."""
    header_read = names is not None

    def on_invalid(message: str) -> None:
        if not header_read:
            raise DataError(message)
        table.on_invalid(message)

    text_format, first = table.text_format, 2 if table.text_format.sep_line else 1
    records = csv_records(
        table.name,
        table.lines,
        on_invalid,
        delimiter=text_format.delimiter,
        quotes=text_format.quotes,
        columns=len(names) if names is not None else None,
        on_suspicious_row=table.on_suspicious_row,
        first_line=first,
    )
    if names is None:
        number, header, lines = next(records, (first, [], []))
        if not header:
            raise DataError(f"{table.name}: empty; expected a header with the column names")
        strict = replace(table, on_invalid=on_invalid)
        if all(strict.is_text(line, number + offset) for offset, line in enumerate(lines)):
            header_read = True
    else:
        header = list(names)
    check_distinct(header, table.name)
    check_column(table.column, header, table.name)
    text_index = None if table.column is None else header.index(table.column)

    def rows() -> Iterator[Row]:
        for number, cells, lines in records:
            if not cells:  # in a table with one column, a blank line is an empty text
                if len(header) > 1:
                    continue
                cells = [""]
            ascii_line = len(lines) == 1 and lines[0].isascii()  # fast path for the usual case
            if not ascii_line and not all(table.is_text(line, number + offset) for offset, line in enumerate(lines)):
                continue
            if text_index is None or cells[text_index] or table.is_allowed(cells[text_index], number):
                yield dict(zip(header, cells, strict=True))

    return header, rows()


def read_txt(table: TextTable) -> tuple[list[str], Iterator[Row]]:
    """Read plain text with one text per line."""
    check_column(table.column, [TEXT_COLUMN], table.name)

    def rows() -> Iterator[Row]:
        for number, line in enumerate(table.lines, 1):
            text = line.rstrip("\r\n")
            if table.is_text(line, number) and table.is_allowed(text, number):
                yield {TEXT_COLUMN: text}

    return [TEXT_COLUMN], rows()


def read_jsonl(table: TextTable) -> Iterator[Row]:
    """Read JSON Lines with one object per line."""
    column, on_invalid = table.column, table.on_invalid
    for number, line in enumerate(table.lines, 1):
        if not table.is_text(line, number) or not line.strip():
            continue
        where = f"{table.name}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            on_invalid(f"{where}: not JSON ({error})")
            continue
        if not isinstance(row, dict):
            on_invalid(f"{where}: expected a JSON object, found {type(row).__name__}")
        elif column is None:
            yield JsonRow(row, line)
        elif column not in row:
            on_invalid(f"{where}: no key {column!r}; the keys are {', '.join(map(repr, row)) or 'none'}")
        elif isinstance(row[column], str):
            yield JsonRow(row, line)
        elif table.allow_null and is_missing(row[column]):
            yield JsonRow(row | {column: None}, line)  # treat NaN, which Python's json accepts, as null
        else:
            on_invalid(f"{where}: {column!r} is {json.dumps(row[column])[:40]}, not a string")
