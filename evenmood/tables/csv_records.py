"""CSV reader in which a stray quotation mark invalidates only its row."""

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MAX_ROW_LINES = 10_000
"""Maximum number of lines of a row: a quotation mark still open after that many lines is a stray one."""
SUSPICIOUS_LINES = 5
"""Minimum number of lines in a cell that look like rows for a stray quotation mark to be likely."""

# A cell may contain a whole document; Python's default limit is 131,072 characters.
csv.field_size_limit(2**31 - 1)


class _OpenQuoteError(Exception):
    """A row has more than `MAX_ROW_LINES` lines."""


def csv_records(
    name: str,
    lines: Iterable[str],
    on_invalid: Callable[[str], None],
    *,
    delimiter: str = ",",
    quotes: bool = True,
    columns: int | None = None,
    on_suspicious_row: Callable[[str], None] = lambda message: None,
    first_line: int = 1,
) -> Iterator[tuple[int, list[str], list[str]]]:
    """Stream the rows of a CSV file, recovering from malformed ones.

    After an invalid row, reading resumes on its second line if the lines enclosed by its quotation mark look like
    rows, otherwise after its last line. Blank lines are rows without cells.

    Args:
        name: File name, for error messages.
        lines: Lines with their line ends.
        on_invalid: Called with an error message for each invalid row; if it returns, the row is skipped.
        delimiter: Delimiter between cells.
        quotes: Whether cells may be quoted; tab-separated files often have no quotes.
        columns: Number of cells per row; by default, that of the first row.
        on_suspicious_row: Called with a message for a well-formed row with a cell of many lines that look like rows.
        first_line: Number of the first line, for error messages.

    Yields:
        Number of the row's first line; its cells; and its lines, in a list that is reused for the next row.
    """
    quoting: dict[str, Any] = {"strict": True} if quotes else {"quoting": csv.QUOTE_NONE}
    source, pending = iter(lines), deque[str]()
    row: list[str] = []

    def feed() -> Iterator[str]:
        while pending:
            line = pending.popleft()
            row.append(line)
            yield line
        for line in source:
            row.append(line)
            if len(row) > MAX_ROW_LINES:
                raise _OpenQuoteError
            yield line

    reader, next_line = csv.reader(feed(), delimiter=delimiter, **quoting), first_line
    while True:
        row.clear()
        start = next_line + reader.line_num
        try:
            cells = next(reader, None)
            if cells is None:
                return
            if columns is None and cells:
                columns = len(cells)
            if not cells or len(cells) == columns:
                if (
                    len(row) > SUSPICIOUS_LINES
                    and columns
                    and columns > 1
                    and _share_of_rows(row[1:], columns, delimiter) == 1
                ):
                    on_suspicious_row(
                        f"{name}, lines {start} to {start + len(row) - 1}: one row, though each line looks like a row; "
                        "a quotation mark may be missing"
                    )
                yield start, cells, row
                continue
            problem = f"expected {columns} cells, found {len(cells)}"
        except csv.Error as error:
            problem = _explain(error)
        except _OpenQuoteError:
            problem = f"a quotation mark is still open after {MAX_ROW_LINES:,} lines"
        enclosed_lines = row[1:]
        if not enclosed_lines:
            on_invalid(f"{name}, line {start}: {problem}")
            continue
        last = start + len(enclosed_lines)
        resumes = columns is not None and _share_of_rows(enclosed_lines, columns, delimiter) >= 0.5
        on_invalid(
            f"{name}, line {start}: {problem}; the row extends to line {last}"
            + (f"; reading resumed at line {start + 1}" if resumes else "")
        )
        # A generator that raised an error or reached the end of the file is exhausted: create a new one.
        pending.extendleft(reversed(enclosed_lines if resumes else []))
        next_line = start + (1 if resumes else len(row))
        reader = csv.reader(feed(), delimiter=delimiter, **quoting)


def _explain(error: csv.Error) -> str:
    """Explain an error message of `csv`."""
    message = str(error)
    return f"{message}: a quotation mark is never closed" if message == "unexpected end of data" else message


def _share_of_rows(lines: list[str], columns: int, delimiter: str) -> float:
    """Return the share of lines that are rows with the right number of cells."""
    rows = [cells for cells in csv.reader(lines, delimiter=delimiter) if cells]
    return sum(len(cells) == columns for cells in rows) / max(1, len(rows))
