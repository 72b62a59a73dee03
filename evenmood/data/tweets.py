"""Read Sentiment140 from a file or the Hub, and clean tweets."""

import csv
import html
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from evenmood.data.splits import convert_hub_errors
from evenmood.errors import DataError
from evenmood.model import hub
from evenmood.tables.csv_records import SUSPICIOUS_LINES, csv_records

PARQUET_REVISION = "refs/convert/parquet"
ORIGINAL_COLUMNS = 6
"""Columns of the original file: polarity, id, date, query, user and text, without a header."""
_NOISE = re.compile(r"(?:https?://|www\.)\S+|(?<!\w)@\w+|^\s*RT\b[\s:]*|\bRT\s+(?=@)", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def clean_tweet(raw: str) -> str:
    """Clean a tweet: unescape HTML entities, fix mojibake, and remove mentions, URLs and retweet marks."""
    import ftfy

    fixed_text = ftfy.fix_text(html.unescape(raw))
    return _SPACE.sub(" ", _NOISE.sub(" ", fixed_text)).strip()


def read_tweets(path: Path, on_invalid: Callable[[str], None] | None = None) -> Iterator[tuple[str, str]]:
    """Stream tweets from a CSV file: the id (or the row number, from 1) and the original text.

    A stray quotation mark invalidates only its row; reading resumes on the next line.

    Args:
        path: CSV file with the six original columns and no header, or with a header that has a column `text`. Each
            line is UTF-8 or Latin-1.
        on_invalid: Called with an error message for each invalid row, which is skipped; by default, an error is raised.

    Raises:
        DataError: The file does not exist, is empty or has no column of texts, or a row is invalid.
    """
    try:
        with path.open("rb") as file:
            lines = enumerate(map(_decode, file), 1)
            start, first = next(((number, line) for number, line in lines if line.strip("\ufeff \t\r\n")), (0, ""))
            if not first:
                raise DataError(f"{path}: the file is empty")
            first = first.removeprefix("\ufeff")
            cells = next(csv.reader([first]))
            header = [name.strip().lower() for name in cells]
            is_original = len(cells) == ORIGINAL_COLUMNS and cells[0].isdecimal()
            if "text" in header:
                text_column, id_column = header.index("text"), header.index("id") if "id" in header else None
            elif is_original:
                text_column, id_column = ORIGINAL_COLUMNS - 1, 1
            else:
                raise DataError(
                    f"{path}: the first row is {','.join(cells)[:80]!r}; expected Sentiment140's six columns without a "
                    "header, or a header with the column text"
                )
            table = _Table(str(path), len(cells), text_column, on_invalid or _raise_data_error)
            if is_original:
                rows = table.rows(chain([first], (line for _, line in lines)), start)
            else:
                rows = table.rows((line for _, line in lines), start + 1)
            for number, row in enumerate(rows, 1):
                yield (str(number) if id_column is None else row[id_column]), row[text_column]
    except csv.Error as error:
        raise DataError(f"{path}: not CSV ({error})") from None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None


@dataclass
class _Table:
    """A CSV table whose rows rarely span several lines.

    Attributes:
        name: Name for error messages.
        columns: Number of cells per row.
        text_column: Index of the text cell.
        on_invalid: As in `read_tweets`.
        numeric: Indices of other cells that are numbers in the first row; None until it has been read.
    """

    name: str
    columns: int
    text_column: int
    on_invalid: Callable[[str], None]
    numeric: list[int] | None = None

    def rows(self, lines: Iterable[str], start: int) -> Iterator[list[str]]:
        """Yield the cells of each row; `start` is the number of the first line."""
        for number, cells, record in csv_records(
            self.name, lines, self.on_invalid, columns=self.columns, first_line=start
        ):
            if not cells:
                continue
            if self.numeric is None:
                self.numeric = [
                    index for index, cell in enumerate(cells) if index != self.text_column and cell.strip().isdecimal()
                ]
            enclosed_lines = record[1:]
            if enclosed_lines and self._are_rows(enclosed_lines):
                last = number + len(enclosed_lines)
                self.on_invalid(
                    f"{self.name}, line {number}: a quotation mark encloses the rows to line {last}; "
                    f"reading resumed at line {number + 1}"
                )
                yield from self.rows(enclosed_lines, number + 1)
                continue
            yield cells

    def _are_rows(self, lines: list[str]) -> bool:
        """Return whether lines inside a cell look like rows: with all cells, and numbers where the first row has some.

        Without numeric cells, several lines are required: a line or two of prose may have as many commas.
        """
        rows = [next(csv.reader([line]), []) for line in lines]
        if self.columns == 1 or any(len(cells) != self.columns for cells in rows):
            return False
        has_numbers = all(cells[index].strip().isdecimal() for cells in rows for index in self.numeric or ())
        return len(rows) >= SUSPICIOUS_LINES or (bool(self.numeric) and has_numbers)


def _raise_data_error(message: str) -> None:
    raise DataError(message)


def read_hub(source: str, on_invalid: Callable[[str], None] | None = None) -> Iterator[tuple[str, str]]:
    """Stream tweets from a Hub data set: the row number, from 1, and the text.

    Args:
        source: `namespace/name` or `namespace/name@revision`; the default revision is the Hub's Parquet conversion,
            since the original is a loading script.
        on_invalid: As in `read_tweets`, for rows without a text.

    Raises:
        DataError: The data set does not exist, is not accessible or has no column `text`, or a row is invalid.
    """
    import datasets

    repo_id, _, revision = source.partition("@")
    try:
        with convert_hub_errors(f"file {source!r}"):
            stream = hub.retry(
                lambda: datasets.load_dataset(
                    repo_id, revision=revision or PARQUET_REVISION, split="train", streaming=True
                )
            )
            for number, row in enumerate(stream, 1):
                if not isinstance(row["text"], str):
                    (on_invalid or _raise_data_error)(f"{source}, row {number}: text is {row['text']!r}, not a string")
                    continue
                yield str(number), row["text"]
    except KeyError:
        raise DataError(f"{source}: the data set has no column text") from None


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")
