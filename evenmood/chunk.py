"""Some rows of a table, whatever format it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evenmood.errors import DataError, UsageError

Row = dict[str, Any]


@dataclass(frozen=True)
class Chunk:
    """Some rows of a table.

    Attributes:
        columns: Names of the columns, in order; of JSON Lines those of the chunk's rows.
        rows: A value by column each; text formats give strings.
        schema: Arrow schema, of Parquet alone.
        done: Share of the input that has been read, from 0 to 1; None where its size is unknown.
    """

    columns: list[str]
    rows: list[Row]
    schema: Any = None
    done: float | None = None


def has_column(column: str | None, columns: Sequence[str], name: str) -> None:
    """Raise `UsageError`, which names those there are, if a table has no such column."""
    if column is not None and column not in columns:
        raise UsageError(f"{name}: no column {column!r}; there are {', '.join(map(repr, columns)) or 'none'}")


def once_each(columns: Sequence[str], name: str) -> None:
    """Raise `DataError` if two columns of a table have the same name: a row has room for one of them."""
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise DataError(f"{name}: column {twice[0]!r} stands there twice")
