"""CSV reader in which a stray quotation mark invalidates only its own row."""

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

LONGEST_ROW = 10_000
"""Lines of a row at the most: a quotation mark that is still open then is a stray one."""
SUSPICIOUS_LINES = 5
"""Lines of a cell, each of which could be a row, from which on a stray quotation mark is likely."""

# One cell may hold a whole page: Python's own limit is 131,072 characters.
csv.field_size_limit(2**31 - 1)


class _OpenQuoteError(Exception):
    """A row that is longer than `LONGEST_ROW`."""


def csv_records(
    name: str,
    lines: Iterable[str],
    on_bad: Callable[[str], None],
    *,
    delimiter: str = ",",
    quotes: bool = True,
    columns: int | None = None,
    on_doubt: Callable[[str], None] = lambda message: None,
    first_line: int = 1,
) -> Iterator[tuple[int, list[str], list[str]]]:
    """Read rows of one length in a stream; after a row that is broken, reading resumes at the line below its first.

    It resumes there if the lines that a quotation mark swallowed look like rows; else after the last of them, as then
    they are the lines of one cell. Blank lines are rows of no cells.

    Args:
        name: File name, for messages.
        lines: Text lines with their line ends.
        on_bad: Called with what is wrong with a row, and where; if it returns, the row is left out.
        delimiter: Character between cells.
        quotes: Whether quotation marks enclose cells; a tab-separated file often has none.
        columns: Cells of each row; None takes those of the first row.
        on_doubt: Called where a row is well-formed, but one of its cells holds many lines that look like rows.
        first_line: Number of the first line, for messages.

    Yields:
        Number of the row's first line, its cells, and its lines, in a list that is filled again for the next row.
    """
    quoting: dict[str, Any] = {"strict": True} if quotes else {"quoting": csv.QUOTE_NONE}
    source, again = iter(lines), deque[str]()
    row: list[str] = []

    def feed() -> Iterator[str]:
        while again:
            line = again.popleft()
            row.append(line)
            yield line
        for line in source:
            row.append(line)
            if len(row) > LONGEST_ROW:
                raise _OpenQuoteError
            yield line

    reader, before = csv.reader(feed(), delimiter=delimiter, **quoting), first_line
    while True:
        row.clear()
        start = before + reader.line_num
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
                    and _like_rows(row[1:], columns, delimiter) == 1
                ):
                    on_doubt(
                        f"{name}, lines {start} to {start + len(row) - 1}: one row, though each line looks like one; "
                        "a quotation mark may be missing"
                    )
                yield start, cells, row
                continue
            problem = f"{len(cells)} cells, but the table has {columns} columns"
        except csv.Error as error:
            problem = _explained(error)
        except _OpenQuoteError:
            problem = f"a quotation mark is still open {LONGEST_ROW:,} lines below"
        swallowed = row[1:]
        if not swallowed:
            on_bad(f"{name}, line {start}: {problem}")
            continue
        last = start + len(swallowed)
        resumes = columns is not None and _like_rows(swallowed, columns, delimiter) >= 0.5
        on_bad(
            f"{name}, line {start}: {problem}; the row goes to line {last}"
            + (f"; reading resumed at line {start + 1}" if resumes else "")
        )
        # The generator ends with an error that it raises, and with the file.
        again.extendleft(reversed(swallowed if resumes else []))
        before = start + (1 if resumes else len(row))
        reader = csv.reader(feed(), delimiter=delimiter, **quoting)


def _explained(error: csv.Error) -> str:
    """What `csv` says of a row, and what it means."""
    message = str(error)
    return f"{message}: a quotation mark is never closed" if message == "unexpected end of data" else message


def _like_rows(lines: list[str], columns: int, delimiter: str) -> float:
    """Share of rows with the right number of cells, where these lines are read for themselves."""
    rows = [cells for cells in csv.reader(lines, delimiter=delimiter) if cells]
    return sum(len(cells) == columns for cells in rows) / max(1, len(rows))
