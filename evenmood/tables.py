"""CSV, TSV, JSON Lines and Parquet, read and written in a stream: memory holds a chunk of rows at a time."""

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from evenmood import parquet_tables
from evenmood.chunk import Chunk, JsonRow, Row, has_column, once_each
from evenmood.errors import DataError, UsageError
from evenmood.text import encodable

FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".txt": "txt"}
"""Format by a file name's ending."""
STREAM = "-"
"""The file name of standard input and output."""
TEXT_COLUMN = "text"
CHUNK_ROWS = 1000

# One cell may hold a whole page: Python's own limit is 131,072 characters.
csv.field_size_limit(2**31 - 1)


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
    """What `read_chunks` does with a bad row if not told otherwise."""
    raise DataError(message)


def read_chunks(
    name: str,
    kind: str,
    column: str | None,
    on_bad: Callable[[str], None] = refuse,
    size: int = CHUNK_ROWS,
    delimiter: str = ",",
    header: Sequence[str] | None = None,
) -> Iterator[Chunk]:
    """Read a table in chunks; a table without rows gives one empty chunk.

    Args:
        name: File, or `-` for standard input.
        kind: `csv`, `tsv`, `jsonl`, `parquet`, or `txt` for a text a line, whose column is `text`.
        column: Column that must be there and hold strings; None where the caller looks for himself.
        on_bad: Called with what is wrong with a row, and where; if it returns, the row is left out.
        size: Rows a chunk at the most.
        delimiter: What stands between the cells of a `csv` file; many spreadsheets write a semicolon.
        header: Names of the columns of a text file whose first line is a row already.

    Raises:
        DataError: The file cannot be read.
        UsageError: There is no such column; the message says which there are.
    """
    if kind == "parquet":
        with open_seekable(name) as seekable:
            yield from parquet_tables.read_chunks(name, seekable, column, on_bad, size)
        return
    with open_input(name) as file:
        total = 0 if name == STREAM else os.fstat(file.fileno()).st_size
        columns, rows = (
            _read_jsonl(name, file, column, on_bad)
            if kind == "jsonl"
            else _read_txt(name, file, column, on_bad)
            if kind == "txt"
            else _read_csv(name, file, column, "\t" if kind == "tsv" else delimiter, on_bad, header)
        )
        chunk: list[Row] = []
        empty = True
        for row in rows:
            chunk.append(row)
            if len(chunk) == size:
                yield Chunk(columns or _keys(chunk), chunk, done=file.tell() / total if total else None)
                chunk, empty = [], False
        if chunk or empty:
            yield Chunk(columns or _keys(chunk), chunk, done=1.0)


@contextmanager
def write_rows(
    name: str,
    kind: str,
    columns: Sequence[str],
    schema: Any = None,
    overwrite: bool = False,
    last: Sequence[str] = (),
) -> Iterator[Callable[[list[Row]], None]]:
    """Give a function that writes rows; the file appears whole at the end, or not at all.

    Args:
        name: File, or `-` for standard output.
        kind: `csv`, `tsv`, `jsonl` or `parquet`.
        columns: Names of the columns, in order; JSON Lines, and Parquet without a schema, take what a row has.
        schema: Arrow schema for Parquet; None infers one that fits all rows.
        overwrite: Replace a file that exists.
        last: Columns that come after all others where the schema is inferred.

    Raises:
        UsageError: The file exists and `overwrite` is false.
        DataError: A row does not fit into the table.
    """
    with whole_file(name, overwrite) as file, _writer(file, kind, columns, schema, last) as write:
        yield write


@contextmanager
def whole_file(name: str, overwrite: bool) -> Iterator[BinaryIO]:
    """Give a file to write to; it appears whole at the end, or not at all. `-` is standard output.

    Raises:
        UsageError: The file exists and `overwrite` is false.
    """
    if name == STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    check_output(name, overwrite)
    path = Path(name).resolve()  # a link stays a link
    if path.exists() and not path.is_file():  # a pipe or a device cannot be replaced, only written to
        with path.open("wb") as file:
            yield file
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
        if path.exists():
            shutil.copymode(path, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_output(name: str, overwrite: bool) -> None:
    """Raise `UsageError` for a file that exists and may not be replaced, or whose folder does not."""
    path = Path(name)
    if name == STREAM:
        return
    if path.is_dir():
        raise UsageError(f"{name} is a folder; name a file")
    if path.exists() and not overwrite:
        raise UsageError(f"{name} exists already; choose another name, or replace it with --overwrite")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{name}: there is no folder {path.parent}")


def _names() -> list[str]:
    return list(dict.fromkeys(FORMATS.values()))


def _keys(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


@contextmanager
def open_input(name: str) -> Iterator[BinaryIO]:
    """Open a file, or standard input for `-`.

    Raises:
        UsageError: There is no such file.
        DataError: It cannot be read.
    """
    if name == STREAM:
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - an error while reading is another one
    except FileNotFoundError:
        raise UsageError(f"{name}: no such file") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror})") from None
    with file:
        yield file


@contextmanager
def open_seekable(name: str) -> Iterator[BinaryIO]:
    """As `open_input`; standard input is read whole, as Parquet has its index at its end."""
    with open_input(name) as file:
        yield BytesIO(file.read()) if name == STREAM else file


def _lines(name: str, file: BinaryIO, on_bad: Callable[[str], None], bad: list[int]) -> Iterator[str]:
    """Decoded lines. A line that is not UTF-8 is told, noted in `bad`, and still given, so that quotes stay in step."""
    for number, line in enumerate(file, 1):
        encoding = "utf-8-sig" if number == 1 else "utf-8"
        try:
            yield line.decode(encoding)
        except UnicodeDecodeError as error:
            on_bad(f"{name}, line {number}: not UTF-8 at byte {error.start}; convert the file, for instance with iconv")
            bad.append(number)
            yield line.decode(encoding, "replace")


def _read_csv(
    name: str,
    file: BinaryIO,
    column: str | None,
    delimiter: str,
    on_bad: Callable[[str], None],
    names: Sequence[str] | None = None,
) -> tuple[list[str], Iterator[Row]]:
    # TSV has no quotes: a quotation mark is a character like any other, and a cell cannot hold a tab or line break.
    quoting: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if delimiter == "\t" else {"strict": True}
    bad: list[int] = []
    reader = csv.reader(_lines(name, file, on_bad, bad), delimiter=delimiter, **quoting)
    try:
        header = next(reader, None) if names is None else list(names)
    except csv.Error as error:
        raise DataError(f"{name}, line 1: {error}") from None
    if not header:
        raise DataError(f"{name}: empty; expected a line with the names of the columns")
    once_each(header, name)
    has_column(column, header, name)

    def rows() -> Iterator[Row]:
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                if not bad:
                    on_bad(f"{name}, line {line}: {error}")
                bad.clear()
                continue
            if cells is None:
                return
            if bad:  # told already
                bad.clear()
                continue
            if not cells and len(header) == 1:  # a blank line is an empty text where there is one column
                cells = [""]
            elif not cells:
                continue
            if len(cells) != len(header):
                on_bad(f"{name}, line {line}: {len(cells)} cells, but the table has {len(header)} columns")
                continue
            yield dict(zip(header, cells, strict=True))

    return header, rows()


def _read_txt(
    name: str, file: BinaryIO, column: str | None, on_bad: Callable[[str], None]
) -> tuple[list[str], Iterator[Row]]:
    has_column(column, [TEXT_COLUMN], name)

    def rows() -> Iterator[Row]:
        bad: list[int] = []
        for line in _lines(name, file, on_bad, bad):
            if bad:
                bad.clear()
            else:
                yield {TEXT_COLUMN: line.rstrip("\r\n")}

    return [TEXT_COLUMN], rows()


def find_column(name: str, kind: str, column: str) -> str:
    """The column of this name, or the only one that differs from it in upper and lower case alone."""
    if name == STREAM or not Path(name).is_file():
        return column
    columns = next(read_chunks(name, kind, None, lambda message: None, size=1)).columns
    alike = [one for one in columns if one.casefold() == column.casefold()]
    return alike[0] if column not in columns and len(alike) == 1 else column


def _read_jsonl(
    name: str, file: BinaryIO, column: str | None, on_bad: Callable[[str], None]
) -> tuple[list[str], Iterator[Row]]:
    def rows() -> Iterator[Row]:
        bad: list[int] = []
        for number, line in enumerate(_lines(name, file, on_bad, bad), 1):
            where = f"{name}, line {number}"
            if bad or not line.strip():
                bad.clear()
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                on_bad(f"{where}: not JSON ({error})")
                continue
            if not isinstance(row, dict):
                on_bad(f"{where}: {type(row).__name__} in place of an object")
            elif column is None:
                yield JsonRow(row, line)
            elif column not in row:
                on_bad(f"{where}: no {column!r}; there are {', '.join(map(repr, row)) or 'no keys'}")
            elif not isinstance(row[column], str):
                on_bad(f"{where}: {column!r} is {json.dumps(row[column])[:40]}, not a string")
            else:
                yield JsonRow(row, line)

    return [], rows()


@contextmanager
def _writer(
    file: BinaryIO, kind: str, columns: Sequence[str], schema: Any, last: Sequence[str]
) -> Iterator[Callable[[list[Row]], None]]:
    if kind == "parquet":
        writer = (
            parquet_tables.inferring_writer(file, last)
            if schema is None
            else parquet_tables.row_writer(file, columns, schema)
        )
        with writer as write:
            yield write
    elif kind == "jsonl":
        yield lambda rows: file.writelines(_json_line(row) for row in rows) or None
    else:
        yield _csv_writer(file, kind, columns)


def _json_line(row: Row) -> bytes:
    if isinstance(row, JsonRow):
        return row.line.encode() + b"\n"
    line = json.dumps(row, ensure_ascii=False, default=str)
    try:
        return line.encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, which JSON can escape and UTF-8 cannot hold
        return json.dumps(row, default=str).encode() + b"\n"


def _csv_writer(file: BinaryIO, kind: str, columns: Sequence[str]) -> Callable[[list[Row]], None]:
    class Encoder:
        """The part of a text file that csv.writer needs."""

        def write(self, text: str) -> int:
            return file.write(encodable(text).removesuffix("\r\n").encode() + b"\n")

    quoting = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None} if kind == "tsv" else {}
    # The terminator says which characters want quotes: both, and each row is then ended by one line feed.
    writer = csv.writer(Encoder(), lineterminator="\r\n", **quoting)  # type: ignore[arg-type]
    writer.writerow(columns)
    known = set(columns)

    def write(rows: list[Row]) -> None:
        for row in rows:
            more = row.keys() - known
            if more:
                raise DataError(
                    f"a later row has {sorted(more)[0]!r}, which is no column of the first; write JSON Lines"
                )
            try:
                writer.writerow([cell(row.get(column)) for column in columns])
            except csv.Error:
                raise DataError("a cell holds a tab or line break, which TSV cannot hold; write CSV") from None

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
