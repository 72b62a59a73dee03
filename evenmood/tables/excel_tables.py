"""Read and write Excel workbooks (.xlsx): one sheet, whose first row has the column names.

Reading keeps all distinct strings of the workbook in memory, because the format stores them separately from the rows.
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
from evenmood.tables.chunk import Row, check_column, check_distinct
from evenmood.text.normalization import replace_surrogates

MAX_ROWS = 1_048_576
"""Maximum number of rows of a sheet, including the header."""
MAX_CHARACTERS = 32_767
"""Maximum length of a cell, in characters."""
MAX_INTEGER = 10**15
"""Excel numbers have 15 digits; larger integers are written as text."""
FORMULA_SIGNS = ("=", "+", "-", "@")
"""First characters of a formula."""


def read_rows(
    name: str, file: BinaryIO, column: str | None, sheet: str | None = None
) -> tuple[list[str], Iterator[tuple[Row, float | None]]]:
    """Read the column names and rows of a sheet, each row with the share of the sheet read so far; skips blank rows.

    Numbers, dates and booleans keep their type; a formula has the value that Excel last computed. A column without a
    name is named by its letter, or ignored if it is after the last named column.

    Args:
        name: File name, for error messages.
        file: Seekable file.
        column: Required column; None disables the check.
        sheet: Name of the sheet, ignoring case; by default, the first.

    Raises:
        DataError: The file is not a workbook, is corrupt, or has no header.
        UsageError: The sheet or column does not exist; the message lists those that do.
    """
    import openpyxl

    with _convert_errors(name):
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        if not book.worksheets:
            raise DataError(f"{name}: no sheet with cells")
        worksheet = _sheet(name, book.worksheets, sheet)
        total = worksheet.max_row
        worksheet.reset_dimensions()  # the stored dimensions are often wrong
        cells = worksheet.iter_rows(values_only=True)
        header = list(next(cells, ()))
    while header and header[-1] in (None, ""):
        header.pop()
    if not header:
        book.close()
        raise DataError(f"{name}: empty; expected a header with the column names")
    letter = openpyxl.utils.get_column_letter
    names = [letter(number) if cell in (None, "") else str(cell) for number, cell in enumerate(header, 1)]
    check_distinct(names, name)
    check_column(column, names, name)

    def rows() -> Iterator[tuple[Row, float | None]]:
        with closing(book):
            number = 1
            while True:
                with _convert_errors(name):
                    values = next(cells, None)
                if values is None:
                    return
                number += 1
                if any(value is not None for value in values[: len(names)]):
                    padded = [*values, *[None] * (len(names) - len(values))]
                    share_read = min(1.0, number / total) if total else None
                    yield dict(zip(names, padded[: len(names)], strict=True)), share_read

    return names, rows()


def _sheet(name: str, sheets: Sequence[Any], title: str | None) -> Any:
    """Find a sheet by name, ignoring case as Excel does; by default, the first."""
    matches = [sheet for sheet in sheets if title is None or sheet.title.casefold() == title.casefold()]
    if not matches:
        raise UsageError(f"{name}: no sheet {title!r}; the sheets are {', '.join(repr(s.title) for s in sheets)}")
    return matches[0]


def text_of(value: Any) -> str | None:
    """Convert a cell to text; None for an empty cell."""
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else str(value)


@contextmanager
def row_writer(file: BinaryIO, columns: Sequence[str]) -> Iterator[Callable[[list[Row]], None]]:
    """Write rows to an open file (see `streams.write_rows`); openpyxl buffers them in a temporary file.

    Strings are text cells, so that none becomes a formula; a string that begins like a formula is marked as quoted,
    which Excel preserves when the cell is edited. Lists and objects are JSON.

    Raises:
        DataError: A row or a cell exceeds the limits of a sheet.
    """
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("emotions")
    column_names, count = set(columns), 1
    sheet.append([_cell(sheet, name, 1, name) for name in columns])

    def write(rows: list[Row]) -> None:
        nonlocal count
        for row in rows:
            count += 1
            if count > MAX_ROWS:
                raise DataError(f"more than {MAX_ROWS:,} rows, the limit of an Excel sheet; write CSV or Parquet")
            if extra := row.keys() - column_names:
                raise DataError(
                    f"a row has the key {sorted(extra)[0]!r}, which is not among the columns of the first rows; "
                    "write JSON Lines"
                )
            sheet.append([_cell(sheet, row.get(name), count, name) for name in columns])

    try:
        yield write
    except BaseException:
        sheet.close()  # otherwise its generator raises when it is garbage-collected
        raise
    buffer = BytesIO() if not file.seekable() else file
    book.save(buffer)
    if buffer is not file and isinstance(buffer, BytesIO):
        file.write(buffer.getbuffer())


def _cell(sheet: Any, value: Any, row: int, column: str) -> Any:
    """Convert a value to what openpyxl writes."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, WriteOnlyCell

    if value == "":
        return None
    if value is None or isinstance(value, bool) or _fits_number(value) or _fits_date(value):
        return value
    structured = isinstance(value, (dict, list))
    text = json.dumps(value, ensure_ascii=False, default=str) if structured else str(value)
    if len(text) > MAX_CHARACTERS:
        raise DataError(
            f"row {row}: {column!r} has {len(text):,} characters; the limit of an Excel cell is {MAX_CHARACTERS:,}; "
            "write CSV or Parquet"
        )
    cell = WriteOnlyCell(sheet)
    cell.value = ILLEGAL_CHARACTERS_RE.sub("\ufffd", replace_surrogates(text))
    cell.data_type = "s"  # otherwise openpyxl treats a string that begins with = as a formula
    if text[:1] in FORMULA_SIGNS:
        cell.quotePrefix = True
    return cell


def _fits_number(value: Any) -> bool:
    if isinstance(value, float):
        return value - value == 0  # neither infinite nor NaN
    if isinstance(value, Decimal):
        return value.is_finite() and len(value.as_tuple().digits) <= 15
    return isinstance(value, int) and abs(value) < MAX_INTEGER


def _fits_date(value: Any) -> bool:
    """Return whether Excel can represent a date or time: from 1900 on, without a time zone."""
    if isinstance(value, datetime):
        return value.tzinfo is None and value.year >= 1900
    if isinstance(value, date):
        return value.year >= 1900
    return isinstance(value, timedelta) or (isinstance(value, time) and value.tzinfo is None)


@contextmanager
def _convert_errors(name: str) -> Iterator[None]:
    """Convert openpyxl's errors for invalid files to a one-line `DataError`."""
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        yield
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, TypeError, SyntaxError, EOFError) as error:
        if isinstance(error, (DataError, UsageError)):
            raise
        detail = " ".join(str(error).split())[:120]
        raise DataError(f"{name}: not an Excel workbook (.xlsx), or corrupt ({detail})") from None
