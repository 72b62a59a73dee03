"""A batch of table rows, independent of file format."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evenmood.errors import DataError, UsageError
from evenmood.text.normalization import replace_surrogates

if TYPE_CHECKING:
    from evenmood.tables.text_format import TextFormat

Row = dict[str, Any]
_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"


class JsonRow(dict[str, Any]):
    """A row of JSON Lines that keeps its original line, to write numbers and repeated keys unchanged.

    Attributes:
        line: The line without surrounding whitespace.
    """

    def __init__(self, values: Row, line: str) -> None:
        """Store the decoded values and the line."""
        super().__init__(values)
        self.line = line.strip()

    def cells(self) -> dict[str, str]:
        """Return each value as text: strings decoded, null as an empty cell, anything else as in the line.

        Lone surrogates in keys become U+FFFD, as in `replace_name_surrogates`.
        """
        cells, position = {}, 1
        while (position := self._skip(position)) and self.line[position] != "}":
            key, position = _DECODER.raw_decode(self.line, position)
            start = self._skip(self._skip(position) + 1)
            value, position = _DECODER.raw_decode(self.line, start)
            text = self.line[start:position]
            cells[replace_surrogates(key)] = value if isinstance(value, str) else "" if value is None else text
            position = self._skip(position)
            if self.line[position] == ",":
                position += 1
        return cells

    def extend(self, values: Row) -> str:
        """Return the line with keys appended."""
        return f"{self.line[:-1].rstrip()}, {json.dumps(values, ensure_ascii=False)[1:]}"

    def _skip(self, position: int) -> int:
        while self.line[position] in _SPACE:
            position += 1
        return position


@dataclass(frozen=True)
class Chunk:
    """A batch of rows.

    Attributes:
        columns: Column names in order; for JSON Lines, the keys of the chunk's rows.
        rows: Values by column; strings in text formats.
        schema: Arrow schema; only for Parquet.
        share_read: Share of the input read so far, from 0 to 1; None if its size is unknown.
        text_format: Encoding and layout of the file; only for text formats.
    """

    columns: list[str]
    rows: list[Row]
    schema: Any = None
    share_read: float | None = None
    text_format: "TextFormat | None" = field(default=None, compare=False)


def check_column(column: str | None, columns: Sequence[str], name: str) -> None:
    """Raise `UsageError` if a table has no such column; the message lists the columns."""
    if column is not None and column not in columns:
        raise UsageError(f"{name}: no column {column!r}; the columns are {', '.join(map(repr, columns)) or 'none'}")


def check_distinct(columns: Sequence[str], name: str) -> None:
    """Raise `DataError` if two columns of a table have the same name."""
    duplicates = sorted({column for column in columns if columns.count(column) > 1})
    if duplicates:
        raise DataError(f"{name}: duplicate column {duplicates[0]!r}; rename one of them")


def replace_name_surrogates(names: Sequence[str]) -> list[str]:
    """Replace lone surrogates in column names, which only JSON can represent, with U+FFFD.

    Raises:
        DataError: Two names become equal.
    """
    result = list(map(replace_surrogates, names))
    for index, name in enumerate(result):
        first = result.index(name)
        if names[first] != names[index]:
            raise DataError(
                f"columns {names[first]!a} and {names[index]!a} differ only in lone surrogates; "
                "rename one, or write JSON Lines"
            )
    return result
