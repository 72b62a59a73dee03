"""Stream tables in CSV, TSV, JSON Lines, Parquet and Excel, one chunk of rows in memory at a time."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from evenmood.errors import DataError, UsageError
from evenmood.tables import excel_tables, parquet_tables
from evenmood.tables.chunk import Chunk, JsonRow, Row, replace_name_surrogates
from evenmood.tables.table_files import FORMATS, STREAM, atomic_file, open_input, open_seekable
from evenmood.tables.text_format import TextFormat, decode_lines, detect_format
from evenmood.tables.text_tables import ErrorHandler, TextTable, read_csv, read_jsonl, read_txt
from evenmood.text.normalization import replace_surrogates

CHUNK_ROWS = 1000
TSV_FORMAT = TextFormat(delimiter="\t", quotes=False)


def format_of(name: str, requested: str | None, flag: str) -> str:
    """Return the format of a file: the requested one, or that of its extension.

    Args:
        name: File name, or `-`.
        requested: Explicit format; None for that of the extension.
        flag: Option that sets the format, for the error message.

    Raises:
        UsageError: The format is unknown.
    """
    accepted_names = [kind for kind in _names() if kind != "txt" or flag != "--format"]
    if requested is None and name == STREAM:
        raise UsageError(
            f"{flag} is required for standard input or output; expected one of: {', '.join(accepted_names)}"
        )
    kind = requested or FORMATS.get(Path(name).suffix.lower())
    if kind not in _names():
        raise UsageError(f"{name}: unknown file extension; set {flag} to one of: {', '.join(accepted_names)}")
    return kind


def raise_error(message: str) -> NoReturn:
    """Raise `DataError`: the default handler of invalid rows."""
    raise DataError(message)


def ignore(message: str) -> None:
    """Ignore a message."""


def read_chunks(
    name: str,
    kind: str,
    column: str | None,
    on_invalid: ErrorHandler = raise_error,
    size: int = CHUNK_ROWS,
    delimiter: str | None = ",",
    header: Sequence[str] | None = None,
    *,
    encoding: str | None = "utf-8",
    allow_null: bool = False,
    allow_empty: bool = True,
    on_suspicious_row: ErrorHandler = ignore,
    sheet: str | None = None,
) -> Iterator[Chunk]:
    """Read a table in chunks; an empty table yields one empty chunk.

    Args:
        name: File name, or `-` for standard input.
        kind: `csv`, `tsv`, `jsonl`, `parquet`, `xlsx`, or `txt` (one text per line, in the column `text`).
        column: Required column of strings; None disables the check.
        on_invalid: Called with an error message for each invalid row; if it returns, the row is skipped.
        size: Maximum number of rows per chunk.
        delimiter: Delimiter of a CSV file; None to detect it.
        header: Column names of a text file without a header.
        encoding: Python codec of text formats; None to detect UTF-8, UTF-16 and Windows-1252.
        allow_null: Whether the text may be null in JSON Lines and Parquet; otherwise such rows are invalid.
        allow_empty: Whether the text may be empty in CSV, TSV, Excel and plain text; otherwise such rows are invalid.
        on_suspicious_row: Called with a message for a CSV row that probably contains several rows (a stray quote).
        sheet: Sheet of an `xlsx` file; by default, the first.

    Raises:
        DataError: The file cannot be read.
        UsageError: The column or sheet does not exist; the message lists those that do.
    """
    if kind == "parquet":
        with open_seekable(name) as seekable:
            tables = parquet_tables.read_tables(name, seekable, column, on_invalid, size, allow_null)
            yield from parquet_tables.as_chunks(tables)
        return
    if kind == "xlsx":
        with open_seekable(name) as seekable:
            yield from _excel_chunks(name, seekable, column, on_invalid, size, allow_empty, sheet)
        return
    with open_input(name) as input_file:
        total = 0 if name == STREAM else os.fstat(input_file.fileno()).st_size
        names = [column] if column else []
        text_format, file = detect_format(input_file, name, kind, encoding, delimiter, names)
        if delimiter == "\t":  # TSV has no quoting
            text_format = replace(text_format, quotes=False)
        lines = decode_lines(file, text_format, any_line_end=kind in ("csv", "tsv"))
        table = TextTable(name, lines, text_format, column, on_invalid, on_suspicious_row, allow_null, allow_empty)
        if encoding is None:
            table = replace(table, hint=f"{table.hint}, or set --encoding")
        try:
            columns, rows = (
                ([], read_jsonl(table))
                if kind == "jsonl"
                else read_txt(table)
                if kind == "txt"
                else read_csv(table, header)
            )
            chunk: list[Row] = []
            empty = True
            for row in rows:
                chunk.append(row)
                if len(chunk) == size:
                    share_read = file.tell() / total if total else None
                    yield Chunk(columns or _keys(chunk), chunk, share_read=share_read, text_format=text_format)
                    chunk, empty = [], False
            if chunk or empty:
                yield Chunk(columns or _keys(chunk), chunk, share_read=1.0, text_format=text_format)
        except UnicodeDecodeError as error:
            raise DataError(f"{name}: not {text_format.encoding_name} ({error.reason}); {table.hint}") from None
        finally:
            lines.detach()  # closing the wrapper would close standard input


def _excel_chunks(
    name: str,
    file: BinaryIO,
    column: str | None,
    on_invalid: ErrorHandler,
    size: int,
    allow_empty: bool,
    sheet: str | None,
) -> Iterator[Chunk]:
    columns, rows = excel_tables.read_rows(name, file, column, sheet)
    chunk: list[Row] = []
    empty = True
    for number, (row, share_read) in enumerate(rows, 1):
        if column is not None and not allow_empty and excel_tables.text_of(row[column]) is None:
            on_invalid(f"{name}, row {number} (not counting blank rows): {column!r} is empty")
            continue
        chunk.append(row)
        if len(chunk) == size:
            yield Chunk(columns, chunk, share_read=share_read)
            chunk, empty = [], False
    if chunk or empty:
        yield Chunk(columns, chunk, share_read=1.0)


@contextmanager
def write_rows(
    name: str,
    kind: str,
    columns: Sequence[str],
    schema: Any = None,
    overwrite: bool = False,
    last: Sequence[str] = (),
    text_format: TextFormat | None = None,
) -> Iterator[Callable[[list[Row]], None]]:
    """Write a table atomically; yields a function that writes rows.

    Args:
        name: File name, or `-` for standard output.
        kind: `csv`, `tsv`, `jsonl`, `parquet` or `xlsx`.
        columns: Column names in order; JSON Lines, and Parquet without a schema, use the keys of the rows.
        schema: Arrow schema for Parquet; by default, it is inferred from all rows.
        overwrite: Whether to replace an existing file.
        last: Columns to place after all others if the schema is inferred.
        text_format: Encoding and layout of CSV or TSV; by default, UTF-8 with commas or tabs.

    Raises:
        UsageError: The file exists and `overwrite` is false.
        DataError: A row does not match the table.
    """
    with atomic_file(name, overwrite) as file, _writer(file, kind, columns, schema, last, text_format) as write:
        yield write


def _names() -> list[str]:
    return list(dict.fromkeys(FORMATS.values()))


def _keys(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def find_column(
    name: str,
    kind: str,
    column: str,
    delimiter: str | None = ",",
    encoding: str | None = "utf-8",
    sheet: str | None = None,
) -> str:
    """Find a column by name, or by name ignoring case if the name does not exist and only one column matches."""
    if name == STREAM or not Path(name).is_file():
        return column
    # Detection prefers the delimiter with which the column exists, ignoring case.
    with open_input(name) as file:
        if kind == "csv" and delimiter is None:
            delimiter = detect_format(file, name, kind, encoding, None, [column])[0].delimiter
    columns = next(read_chunks(name, kind, None, ignore, 1, delimiter, encoding=encoding, sheet=sheet)).columns
    matches = [candidate for candidate in columns if candidate.casefold() == column.casefold()]
    return matches[0] if column not in columns and len(matches) == 1 else column


@contextmanager
def _writer(
    file: BinaryIO, kind: str, columns: Sequence[str], schema: Any, last: Sequence[str], text_format: TextFormat | None
) -> Iterator[Callable[[list[Row]], None]]:
    if kind == "parquet":
        writer = (
            parquet_tables.inferring_writer(file, last)
            if schema is None
            else parquet_tables.row_writer(file, columns, schema)
        )
        with writer as write:
            yield write
    elif kind == "xlsx":
        with excel_tables.row_writer(file, columns) as write:
            yield write
    elif kind == "jsonl":
        yield lambda rows: file.writelines(_json_line(row) for row in rows) or None
    else:
        yield _csv_writer(file, text_format or (TSV_FORMAT if kind == "tsv" else TextFormat()), columns)


def _json_line(row: Row) -> bytes:
    if isinstance(row, JsonRow):
        return row.line.encode() + b"\n"
    line = json.dumps(row, ensure_ascii=False, default=str)
    try:
        return line.encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, which JSON can escape but UTF-8 cannot encode
        return json.dumps(row, default=str).encode() + b"\n"


def _csv_writer(file: BinaryIO, text_format: TextFormat, columns: Sequence[str]) -> Callable[[list[Row]], None]:
    encoding, line_end = text_format.encoding, text_format.line_end.encode(text_format.encoding)

    class Encoder:
        """The file interface that csv.writer requires."""

        def write(self, text: str) -> int:
            return file.write(replace_surrogates(text).removesuffix("\r\n").encode(encoding) + line_end)

    quoting: dict[str, Any] = {} if text_format.quotes else {"quoting": csv.QUOTE_NONE, "quotechar": None}
    # The line terminator determines which characters are quoted: both CR and LF. `Encoder` replaces it with the line
    # end of the format.
    writer = csv.writer(Encoder(), lineterminator="\r\n", delimiter=text_format.delimiter, **quoting)
    file.write(text_format.byte_order_mark)
    if text_format.sep_line:
        file.write(f"sep={text_format.delimiter}".encode(encoding) + line_end)
    column_names = set(columns)

    def write_row(cells: Sequence[str]) -> None:
        try:
            writer.writerow(cells)
        except csv.Error:
            raise DataError("a cell contains a tab or line break, which TSV cannot represent; write CSV") from None
        except UnicodeEncodeError as error:
            character = error.object[error.start]
            raise DataError(
                f"{text_format.encoding_name} cannot encode {character!a} (in {error.object[:40].strip()!r}); "
                "set another --output-encoding, such as utf-8"
            ) from None

    write_row(replace_name_surrogates(columns))

    def write(rows: list[Row]) -> None:
        for row in rows:
            extra = row.keys() - column_names
            if extra:
                raise DataError(
                    f"a row has the key {sorted(extra)[0]!r}, which is not among the columns of the first rows; "
                    "write JSON Lines"
                )
            write_row([cell(row.get(column)) for column in columns])

    return write


def cell(value: Any) -> str:
    """Format a value for a text format: lists and objects as JSON, None as an empty cell."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, (bool, dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
