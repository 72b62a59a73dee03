"""CSV, TSV, JSON Lines, Parquet and Excel, read and written in a stream: memory holds a chunk of rows at a time."""

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
from evenmood.tables.chunk import Chunk, JsonRow, Row, encodable_names
from evenmood.tables.table_files import FORMATS, STREAM, open_input, open_seekable, whole_file
from evenmood.tables.table_form import Form, decoded_lines, read_form
from evenmood.tables.text_tables import Complaint, TextTable, read_csv, read_jsonl, read_txt
from evenmood.text.normalization import encodable

CHUNK_ROWS = 1000
TSV_FORM = Form(delimiter="\t", quotes=False)


def format_of(name: str, given: str | None, flag: str) -> str:
    """Format of a file: the one given, or the one that its name ends in.

    Raises:
        UsageError: Neither says; `flag` is the option to name.
    """
    if given is None and name == STREAM:
        raise UsageError(f"say with {flag} what standard input or output holds: {', '.join(_names())}")
    found = given or FORMATS.get(Path(name).suffix.lower())
    if found not in _names():
        raise UsageError(f"{name}: the name does not tell the format; say it with {flag}: {', '.join(_names())}")
    return found


def refuse(message: str) -> NoReturn:
    """Default bad-row handler of `read_chunks`."""
    raise DataError(message)


def ignore(message: str) -> None:
    """Do nothing about a row."""


def read_chunks(
    name: str,
    kind: str,
    column: str | None,
    on_bad: Complaint = refuse,
    size: int = CHUNK_ROWS,
    delimiter: str | None = ",",
    header: Sequence[str] | None = None,
    *,
    encoding: str | None = "utf-8",
    allow_null: bool = False,
    allow_empty: bool = True,
    on_doubt: Complaint = ignore,
    sheet: str | None = None,
) -> Iterator[Chunk]:
    """Read a table in chunks; a table without rows gives one empty chunk.

    Args:
        name: File, or `-` for standard input.
        kind: `csv`, `tsv`, `jsonl`, `parquet`, `xlsx`, or `txt` for a text a line, whose column is `text`.
        column: Column that must be there and hold strings; None where the caller looks for himself.
        on_bad: Called with what is wrong with a row, and where; if it returns, the row is left out.
        size: Rows a chunk at the most.
        delimiter: Character between the cells of a `csv` file; None detects it.
        header: Names of the columns of a text file whose first line is a row already.
        encoding: Name of a Python codec; None detects UTF-8, UTF-16 and Windows-1252. Of text formats.
        allow_null: Whether rows whose text is null stay, as None; else they are bad rows. Of JSON Lines and Parquet.
        allow_empty: Whether rows whose text is an empty cell stay; else they are bad rows. Of CSV, TSV, Excel and text.
        on_doubt: Called with a row of a `csv` file that is likely several, because of a stray quotation mark.
        sheet: Name of the sheet of an `xlsx` file; None for the first.

    Raises:
        DataError: The file cannot be read.
        UsageError: There is no such column or sheet; the message says which there are.
    """
    if kind == "parquet":
        with open_seekable(name) as seekable:
            tables = parquet_tables.read_tables(name, seekable, column, on_bad, size, allow_null)
            yield from parquet_tables.as_chunks(tables)
        return
    if kind == "xlsx":
        with open_seekable(name) as seekable:
            yield from _excel_chunks(name, seekable, column, on_bad, size, allow_empty, sheet)
        return
    with open_input(name) as opened:
        total = 0 if name == STREAM else os.fstat(opened.fileno()).st_size
        names = [column] if column else []
        form, file = read_form(opened, name, kind, encoding, delimiter, names)
        if delimiter == "\t":  # TSV has no quotes: a quotation mark is a character like any other
            form = replace(form, quotes=False)
        lines = decoded_lines(file, form, any_line_end=kind in ("csv", "tsv"))
        table = TextTable(name, lines, form, column, on_bad, on_doubt, allow_null, allow_empty)
        if encoding is None:
            table = replace(table, hint=f"{table.hint}, or give its --encoding")
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
                    done = file.tell() / total if total else None
                    yield Chunk(columns or _keys(chunk), chunk, done=done, form=form)
                    chunk, empty = [], False
            if chunk or empty:
                yield Chunk(columns or _keys(chunk), chunk, done=1.0, form=form)
        except UnicodeDecodeError as error:
            raise DataError(f"{name}: not {form.encoding_name} ({error.reason}); {table.hint}") from None
        finally:
            lines.detach()  # closing them would close standard input


def _excel_chunks(
    name: str, file: BinaryIO, column: str | None, on_bad: Complaint, size: int, allow_empty: bool, sheet: str | None
) -> Iterator[Chunk]:
    columns, rows = excel_tables.read_rows(name, file, column, sheet)
    chunk: list[Row] = []
    empty = True
    for number, (row, done) in enumerate(rows, 1):
        if column is not None and not allow_empty and excel_tables.text_of(row[column]) is None:
            on_bad(f"{name}, row {number} of those that are not blank: {column!r} is empty")
            continue
        chunk.append(row)
        if len(chunk) == size:
            yield Chunk(columns, chunk, done=done)
            chunk, empty = [], False
    if chunk or empty:
        yield Chunk(columns, chunk, done=1.0)


@contextmanager
def write_rows(
    name: str,
    kind: str,
    columns: Sequence[str],
    schema: Any = None,
    overwrite: bool = False,
    last: Sequence[str] = (),
    form: Form | None = None,
) -> Iterator[Callable[[list[Row]], None]]:
    """Give a function that writes rows; the file appears whole at the end, or not at all.

    Args:
        name: File, or `-` for standard output.
        kind: `csv`, `tsv`, `jsonl`, `parquet` or `xlsx`.
        columns: Names of the columns, in order; JSON Lines, and Parquet without a schema, take what a row has.
        schema: Arrow schema for Parquet; None infers one that fits all rows.
        overwrite: Replace a file that exists.
        last: Columns that come after all others where the schema is inferred.
        form: How to write CSV or TSV; UTF-8 with commas or tabs if left out.

    Raises:
        UsageError: The file exists and `overwrite` is false.
        DataError: A row does not fit into the table.
    """
    with whole_file(name, overwrite) as file, _writer(file, kind, columns, schema, last, form) as write:
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
    """The column of this name, or the only one that differs from it in upper and lower case alone."""
    if name == STREAM or not Path(name).is_file():
        return column
    # The delimiter is chosen by the column's presence, ignoring case.
    with open_input(name) as file:
        if kind == "csv" and delimiter is None:
            delimiter = read_form(file, name, kind, encoding, None, [column])[0].delimiter
    columns = next(read_chunks(name, kind, None, ignore, 1, delimiter, encoding=encoding, sheet=sheet)).columns
    alike = [one for one in columns if one.casefold() == column.casefold()]
    return alike[0] if column not in columns and len(alike) == 1 else column


@contextmanager
def _writer(
    file: BinaryIO, kind: str, columns: Sequence[str], schema: Any, last: Sequence[str], form: Form | None
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
        yield _csv_writer(file, form or (TSV_FORM if kind == "tsv" else Form()), columns)


def _json_line(row: Row) -> bytes:
    if isinstance(row, JsonRow):
        return row.line.encode() + b"\n"
    line = json.dumps(row, ensure_ascii=False, default=str)
    try:
        return line.encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, which JSON can escape and UTF-8 cannot hold
        return json.dumps(row, default=str).encode() + b"\n"


def _csv_writer(file: BinaryIO, form: Form, columns: Sequence[str]) -> Callable[[list[Row]], None]:
    encoding, line_end = form.encoding, form.line_end.encode(form.encoding)

    class Encoder:
        """The part of a text file that csv.writer needs."""

        def write(self, text: str) -> int:
            return file.write(encodable(text).removesuffix("\r\n").encode(encoding) + line_end)

    quoting: dict[str, Any] = {} if form.quotes else {"quoting": csv.QUOTE_NONE, "quotechar": None}
    # The terminator says which characters want quotes: both, and each row is then ended as the form says.
    writer = csv.writer(Encoder(), lineterminator="\r\n", delimiter=form.delimiter, **quoting)
    file.write(form.byte_order_mark)
    if form.sep_line:
        file.write(f"sep={form.delimiter}".encode(encoding) + line_end)
    known = set(columns)

    def write_row(cells: Sequence[str]) -> None:
        try:
            writer.writerow(cells)
        except csv.Error:
            raise DataError("a cell holds a tab or line break, which TSV cannot hold; write CSV") from None
        except UnicodeEncodeError as error:
            character = error.object[error.start]
            raise DataError(
                f"{form.encoding_name} has no {character!a} (in {error.object[:40].strip()!r}); "
                "choose another --output-encoding, such as utf-8"
            ) from None

    write_row(encodable_names(columns))

    def write(rows: list[Row]) -> None:
        for row in rows:
            more = row.keys() - known
            if more:
                raise DataError(
                    f"a later row has {sorted(more)[0]!r}, which is no column of the first; write JSON Lines"
                )
            write_row([cell(row.get(column)) for column in columns])

    return write


def cell(value: Any) -> str:
    """A value as a text format writes it: lists and objects as JSON, nothing as an empty cell."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, (bool, dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
