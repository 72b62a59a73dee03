"""Parquet as `tables` reads and writes it: in chunks of rows."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from evenmood.errors import DataError, EvenmoodError
from evenmood.inputs import is_missing
from evenmood.tables.chunk import Chunk, Row, encodable_names, has_column, once_each
from evenmood.text.normalization import encodable

GROUP_ROWS = 20_000
"""Rows of a row group: one a chunk would make a file that is slow to read."""


def read_tables(
    name: str,
    file: BinaryIO,
    column: str | None,
    on_bad: Callable[[str], None],
    size: int,
    allow_null: bool = False,
) -> Iterator[tuple[Any, float]]:
    """Arrow tables of `size` rows at the most, and the share of the file that has been read; at least one table.

    Args:
        name: File name, for messages.
        file: Seekable.
        column: Column that must be there and hold strings; None for no such check.
        on_bad: Called for a row whose text is not a string; if it returns, the row is left out.
        size: Rows a table at the most.
        allow_null: Whether rows whose text is null or NaN stay; else they are bad rows.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        source = parquet.ParquetFile(file)
        schema, total, number = source.schema_arrow, source.metadata.num_rows, 0
        once_each(schema.names, name)
        has_column(column, schema.names, name)
        if total == 0:
            yield schema.empty_table(), 1.0
        for batch in source.iter_batches(batch_size=size):
            table = pyarrow.Table.from_batches([batch])
            texts = table[column].to_pylist() if column is not None else []
            valid = [isinstance(text, str) or (allow_null and is_missing(text)) for text in texts]
            if not all(valid):
                for row, (text, good) in enumerate(zip(texts, valid, strict=True), number + 1):
                    if not good:
                        on_bad(f"{name}, row {row}: {column!r} is {text!r:.40}, not a string")
                table = table.filter(pyarrow.array(valid))
            number += batch.num_rows
            yield table, number / total
    except EvenmoodError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise damaged(name, error) from None


def as_chunks(tables: Iterable[tuple[Any, float]]) -> Iterator[Chunk]:
    """Convert the output of `read_tables` to chunks of Python rows."""
    for table, done in tables:
        yield Chunk(table.schema.names, _python_rows(table), table.schema, done)


def _python_rows(table: Any) -> list[Row]:
    """Rows as dictionaries; times that Python's own types cannot hold are text."""
    import pyarrow
    from pyarrow import types

    def readable(column: Any) -> Any:
        if types.is_time64(column.type) and column.type.unit == "ns":
            return column.cast(pyarrow.string())  # to_pylist would cut it to microseconds without a word
        if not types.is_temporal(column.type):
            return column
        try:
            column.to_pylist()
        except (ValueError, OverflowError):
            return column.cast(pyarrow.int64()) if types.is_duration(column.type) else column.cast(pyarrow.string())
        return column

    columns = {name: readable(column) for name, column in zip(table.schema.names, table.columns, strict=True)}
    rows: list[Row] = pyarrow.table(columns).to_pylist() if columns else []
    return rows


def damaged(name: str, error: Exception) -> DataError:
    """What is said of a file that pyarrow cannot read."""
    return DataError(f"{name}: not a Parquet file, or damaged ({str(error).splitlines()[0]})")


@contextmanager
def row_writer(file: BinaryIO, columns: Sequence[str], schema: Any) -> Iterator[Callable[[list[Row]], None]]:
    """As `tables.write_rows`, into an open file, with a schema that is known."""
    import pyarrow
    from pyarrow import parquet

    pending: list[Row] = []
    with _fitting(), parquet.ParquetWriter(file, schema) as writer:

        def flush() -> None:
            writer.write_table(pyarrow.Table.from_pylist(pending, schema=schema))
            pending.clear()

        def write(rows: list[Row]) -> None:
            pending.extend({column: _encodable(row.get(column)) for column in columns} for row in rows)
            if len(pending) >= GROUP_ROWS:
                with _fitting():
                    flush()

        yield write
        if pending:
            flush()


@contextmanager
def inferring_writer(file: BinaryIO, last: Sequence[str]) -> Iterator[Callable[[list[Row]], None]]:
    """Write rows whose schema is known only when all have been seen; no value is rounded and no column is left out.

    Row groups wait in a temporary file; each has the schema of its own rows. At the end the schemas become one
    (integers and decimals become decimals, objects get the keys of all) and the groups are written with it.

    Args:
        file: Parquet file to write.
        last: Columns that come after all others.

    Raises:
        DataError: No Parquet schema holds all values of a column without changing one.
    """
    import pyarrow
    from pyarrow import ipc, parquet

    pending: list[Row] = []
    offsets: list[int] = []
    merged = pyarrow.schema([])

    with tempfile.TemporaryFile() as spool:

        def flush() -> None:
            nonlocal merged
            names = list(dict.fromkeys(key for row in pending for key in row))
            with _fitting():
                arrays = [_inferred([_encodable(row.get(name)) for row in pending]) for name in names]
                table = pyarrow.table(dict(zip(encodable_names(names), arrays, strict=True)))
                merged = pyarrow.unify_schemas([merged, table.schema], promote_options="permissive")
            offsets.append(spool.tell())
            with ipc.new_stream(spool, table.schema) as stream:
                stream.write_table(table)
            pending.clear()

        def write(rows: list[Row]) -> None:
            pending.extend(rows)
            if len(pending) >= GROUP_ROWS:
                flush()

        yield write
        if pending:
            flush()
        own = [field for field in merged if field.name not in last]
        schema = pyarrow.schema([*own, *(merged.field(name) for name in last if name in merged.names)])
        with _fitting(), parquet.ParquetWriter(file, schema) as writer:
            for offset in offsets:
                spool.seek(offset)
                group = ipc.open_stream(spool).read_all()
                writer.write_table(pyarrow.table([_column(group, field) for field in schema], schema=schema))


@contextmanager
def _fitting() -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"rows do not fit one Parquet schema ({reason}); write JSON Lines instead") from None


def _column(table: Any, field: Any) -> Any:
    """A column of a table in the type of a field; nulls where the table lacks it."""
    import pyarrow

    if field.name not in table.schema.names:
        return pyarrow.nulls(len(table), field.type)
    column = table[field.name]
    return column if column.type == field.type else pyarrow.array(column.to_pylist(), field.type)


def _inferred(values: list[Any]) -> Any:
    """An Arrow array of the type that the values have."""
    import pyarrow

    array = pyarrow.array(values)
    if _mixes_booleans(values, array.type):
        raise pyarrow.ArrowTypeError("Expected number, got bool")  # Arrow reads True as 1.0 among decimals
    return array


def _mixes_booleans(values: Iterable[Any], kind: Any) -> bool:
    """Whether booleans stand among the numbers of a type, at any depth."""
    from pyarrow import types

    if types.is_floating(kind):
        return any(isinstance(value, bool) for value in values)
    given = [value for value in values if value is not None]
    if types.is_list(kind):
        return _mixes_booleans((item for value in given for item in value), kind.value_type)
    if types.is_struct(kind):
        return any(_mixes_booleans([value.get(field.name) for value in given], field.type) for field in kind)
    return False


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return dict(zip(encodable_names(list(value)), map(_encodable, value.values()), strict=True))
    return [_encodable(item) for item in value] if isinstance(value, list) else value
