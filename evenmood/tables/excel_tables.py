"""Excel workbooks (.xlsx) as `tables` reads and writes them: one sheet, whose first row names the columns.

Reading keeps the workbook's distinct strings in memory, as the format stores them apart from the rows.
"""

import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any, BinaryIO

from evenmood.errors import DataError, UsageError
from evenmood.tables.chunk import Row, has_column, once_each
from evenmood.text.normalization import encodable

MOST_ROWS = 1_048_576
"""Rows of a sheet, that with the names among them."""
MOST_CHARACTERS = 32_767
"""Characters of a cell."""
LARGEST_INTEGER = 10**15
"""Excel's numbers have 15 digits; longer ones are written as text."""
FORMULA_SIGNS = ("=", "+", "-", "@")
"""First characters of a formula."""


def read_rows(
    name: str, file: BinaryIO, column: str | None, sheet: str | None = None
) -> tuple[list[str], Iterator[tuple[Row, float | None]]]:
    """Columns and rows of a sheet, with the share of the sheet that has been read; blank rows are left out.

    Numbers, dates and booleans stay what they are; a formula is the value that Excel computed last. Columns without a
    name are called by their letter if any follows that has one, and are left out if none does.

    Args:
        name: File name, for messages.
        file: Seekable.
        column: Column that must be there; None for no such check.
        sheet: Name of the sheet, in any case; None for the first.

    Raises:
        DataError: Not a workbook, damaged, or without a row of names.
        UsageError: There is no such sheet or column; the message lists those that exist.
    """
    import openpyxl

    with _readable(name):
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        if not book.worksheets:
            raise DataError(f"{name}: no sheet with cells")
        chosen = _sheet(name, book.worksheets, sheet)
        total = chosen.max_row
        chosen.reset_dimensions()  # what files say of their size is often wrong
        cells = chosen.iter_rows(values_only=True)
        header = list(next(cells, ()))
    while header and header[-1] in (None, ""):
        header.pop()
    if not header:
        book.close()
        raise DataError(f"{name}: empty; expected a first row with the names of the columns")
    letter = openpyxl.utils.get_column_letter
    names = [letter(at) if cell in (None, "") else str(cell) for at, cell in enumerate(header, 1)]
    once_each(names, name)
    has_column(column, names, name)

    def rows() -> Iterator[tuple[Row, float | None]]:
        with closing(book):
            number = 1
            while True:
                with _readable(name):
                    values = next(cells, None)
                if values is None:
                    return
                number += 1
                if any(value is not None for value in values[: len(names)]):
                    padded = [*values, *[None] * (len(names) - len(values))]
                    done = min(1.0, number / total) if total else None
                    yield dict(zip(names, padded[: len(names)], strict=True)), done

    return names, rows()


def _sheet(name: str, sheets: Sequence[Any], wanted: str | None) -> Any:
    """The sheet of this name, which Excel does not tell apart by case; the first for None."""
    found = [one for one in sheets if wanted is None or one.title.casefold() == wanted.casefold()]
    if not found:
        raise UsageError(f"{name}: no sheet {wanted!r}; there are {', '.join(repr(one.title) for one in sheets)}")
    return found[0]


def text_of(value: Any) -> str | None:
    """A cell as text; None for an empty one."""
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else str(value)


@contextmanager
def row_writer(file: BinaryIO, columns: Sequence[str]) -> Iterator[Callable[[list[Row]], None]]:
    """As `streams.write_rows`, into an open file; rows wait in a temporary file of openpyxl's.

    Texts are cells of text, so that none becomes a formula: one that begins like a formula is marked as quoted, which
    Excel keeps when the cell is edited. Lists and objects are JSON.

    Raises:
        DataError: A row or a cell does not fit into a sheet.
    """
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("emotions")
    known, count = set(columns), 1
    sheet.append([_cell(sheet, name, 1, name) for name in columns])

    def write(rows: list[Row]) -> None:
        nonlocal count
        for row in rows:
            count += 1
            if count > MOST_ROWS:
                raise DataError(f"more than {MOST_ROWS:,} rows, which an Excel sheet cannot hold; write CSV or Parquet")
            if more := row.keys() - known:
                raise DataError(
                    f"a later row has {sorted(more)[0]!r}, which is no column of the first; write JSON Lines"
                )
            sheet.append([_cell(sheet, row.get(name), count, name) for name in columns])

    try:
        yield write
    except BaseException:
        sheet.close()  # else its generator complains when it is collected
        raise
    packed = BytesIO() if not file.seekable() else file
    book.save(packed)
    if packed is not file and isinstance(packed, BytesIO):
        file.write(packed.getbuffer())


def _cell(sheet: Any, value: Any, row: int, column: str) -> Any:
    """What openpyxl writes for a value."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, WriteOnlyCell

    if value == "":
        return None
    if value is None or isinstance(value, bool) or _fits_number(value) or _fits_date(value):
        return value
    structured = isinstance(value, (dict, list))
    text = json.dumps(value, ensure_ascii=False, default=str) if structured else str(value)
    if len(text) > MOST_CHARACTERS:
        raise DataError(
            f"row {row}: {column!r} has {len(text):,} characters; a cell of Excel holds {MOST_CHARACTERS:,}; "
            "write CSV or Parquet"
        )
    cell = WriteOnlyCell(sheet)
    cell.value = ILLEGAL_CHARACTERS_RE.sub("\ufffd", encodable(text))
    cell.data_type = "s"  # openpyxl takes what begins with = for a formula
    if text[:1] in FORMULA_SIGNS:
        cell.quotePrefix = True
    return cell


def _fits_number(value: Any) -> bool:
    if isinstance(value, float):
        return value - value == 0  # neither infinite nor NaN
    if isinstance(value, Decimal):
        return value.is_finite() and len(value.as_tuple().digits) <= 15
    return isinstance(value, int) and abs(value) < LARGEST_INTEGER


def _fits_date(value: Any) -> bool:
    """Whether Excel has such a date: from 1900 on, without a time zone."""
    if isinstance(value, datetime):
        return value.tzinfo is None and value.year >= 1900
    if isinstance(value, date):
        return value.year >= 1900
    return isinstance(value, timedelta) or (isinstance(value, time) and value.tzinfo is None)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn what openpyxl raises for files that it cannot read into one line."""
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        yield
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, TypeError, SyntaxError, EOFError) as error:
        if isinstance(error, (DataError, UsageError)):
            raise
        detail = " ".join(str(error).split())[:120]
        raise DataError(f"{name}: not an Excel workbook (.xlsx), or damaged ({detail})") from None
