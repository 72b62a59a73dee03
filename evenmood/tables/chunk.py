"""A batch of table rows, independent of file format."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evenmood.errors import DataError, UsageError
from evenmood.text.normalization import encodable

if TYPE_CHECKING:
    from evenmood.tables.table_form import Form

Row = dict[str, Any]
_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"


class JsonRow(dict[str, Any]):
    """A row of JSON Lines that keeps its line, so that numbers and repeated keys can be written as they were read.

    Attributes:
        line: The line, without white space around it.
    """

    def __init__(self, values: Row, line: str) -> None:
        """Take the decoded values and the line."""
        super().__init__(values)
        self.line = line.strip()

    def cells(self) -> dict[str, str]:
        """Each value as text: strings decoded, null as an empty cell, anything else as the line has it.

        Lone surrogates in keys are U+FFFD, as in `encodable_names`.
        """
        found, at = {}, 1
        while (at := self._skip(at)) and self.line[at] != "}":
            key, at = _DECODER.raw_decode(self.line, at)
            start = self._skip(self._skip(at) + 1)
            value, at = _DECODER.raw_decode(self.line, start)
            found[encodable(key)] = value if isinstance(value, str) else "" if value is None else self.line[start:at]
            at = self._skip(at)
            if self.line[at] == ",":
                at += 1
        return found

    def extended(self, more: Row) -> str:
        """The line with further keys at its end."""
        return f"{self.line[:-1].rstrip()}, {json.dumps(more, ensure_ascii=False)[1:]}"

    def _skip(self, at: int) -> int:
        while self.line[at] in _SPACE:
            at += 1
        return at


@dataclass(frozen=True)
class Chunk:
    """Some rows of a table.

    Attributes:
        columns: Names of the columns, in order; of JSON Lines those of the chunk's rows.
        rows: A value by column each; text formats give strings.
        schema: Arrow schema, of Parquet alone.
        done: Share of the input that has been read, from 0 to 1; None where its size is unknown.
        form: How the file is written, of text formats alone.
    """

    columns: list[str]
    rows: list[Row]
    schema: Any = None
    done: float | None = None
    form: "Form | None" = field(default=None, compare=False)


def has_column(column: str | None, columns: Sequence[str], name: str) -> None:
    """Raise `UsageError`, which names those there are, if a table has no such column."""
    if column is not None and column not in columns:
        raise UsageError(f"{name}: no column {column!r}; there are {', '.join(map(repr, columns)) or 'none'}")


def once_each(columns: Sequence[str], name: str) -> None:
    """Raise `DataError` if two columns of a table have the same name: a row has room for one of them."""
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise DataError(f"{name}: duplicate column {twice[0]!r}; rename one of them")


def encodable_names(names: Sequence[str]) -> list[str]:
    """Names with U+FFFD for lone surrogates, which only JSON can hold.

    Raises:
        DataError: Two names become one by that.
    """
    result = list(map(encodable, names))
    for index, name in enumerate(result):
        first = result.index(name)
        if names[first] != names[index]:
            raise DataError(
                f"columns {names[first]!a} and {names[index]!a} differ in what is not text alone; "
                "rename one, or write JSON Lines"
            )
    return result
