"""Read and write Parquet in chunks of rows."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from evenmood.errors import DataError, EvenmoodError
from evenmood.inputs import is_missing
from evenmood.tables.chunk import Chunk, Row, check_column, check_distinct, replace_name_surrogates
from evenmood.text.normalization import replace_surrogates

GROUP_ROWS = 20_000
"""Minimum number of rows per row group, except the last; a group per chunk would be slow to read."""


def read_tables(
    name: str,
    file: BinaryIO,
    column: str | None,
    on_invalid: Callable[[str], None],
    size: int,
    allow_null: bool = False,
) -> Iterator[tuple[Any, float]]:
    """Yield Arrow tables of at most `size` rows, with the share of the file read so far; at least one table.

    Args:
        name: File name, for error messages.
        file: Seekable file.
        column: Required column of strings; None disables the check.
        on_invalid: Called with an error message for each row whose text is not a string; if it returns, the row is
            skipped.
        size: Maximum number of rows per table.
        allow_null: Whether the text may be null or NaN.

    Raises:
        DataError: The file is corrupt, or two columns have the same name.
        UsageError: The column does not exist.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        source = parquet.ParquetFile(file)
        schema, total, number = source.schema_arrow, source.metadata.num_rows, 0
        check_distinct(schema.names, name)
        check_column(column, schema.names, name)
        if total == 0:
            yield schema.empty_table(), 1.0
        for batch in source.iter_batches(batch_size=size):
            table = pyarrow.Table.from_batches([batch])
            texts = table[column].to_pylist() if column is not None else []
            valid = [isinstance(text, str) or (allow_null and is_missing(text)) for text in texts]
            if not all(valid):
                for row, (text, is_valid) in enumerate(zip(texts, valid, strict=True), number + 1):
                    if not is_valid:
                        on_invalid(f"{name}, row {row}: {column!r} is {text!r:.40}, not a string")
                table = table.filter(pyarrow.array(valid))
            number += batch.num_rows
            yield table, number / total
    except EvenmoodError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise corrupt_file_error(name, error) from None


def as_chunks(tables: Iterable[tuple[Any, float]]) -> Iterator[Chunk]:
    """Convert the output of `read_tables` to chunks of Python rows."""
    for table, share_read in tables:
        yield Chunk(table.schema.names, _python_rows(table), table.schema, share_read)


def _python_rows(table: Any) -> list[Row]:
    """Convert to dictionaries; values that Python's types cannot represent become strings, or integers if durations."""
    import pyarrow
    from pyarrow import types

    def readable(column: Any) -> Any:
        if types.is_time64(column.type) and column.type.unit == "ns":
            return column.cast(pyarrow.string())  # to_pylist would silently truncate to microseconds
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


def corrupt_file_error(name: str, error: Exception) -> DataError:
    """Return an error for a file that pyarrow cannot read."""
    return DataError(f"{name}: not a Parquet file, or corrupt ({str(error).splitlines()[0]})")


@contextmanager
def row_writer(file: BinaryIO, columns: Sequence[str], schema: Any) -> Iterator[Callable[[list[Row]], None]]:
    """Write rows to an open file with a given schema; see `streams.write_rows`."""
    import pyarrow
    from pyarrow import parquet

    pending: list[Row] = []
    with _convert_errors(), parquet.ParquetWriter(file, schema) as writer:

        def flush() -> None:
            writer.write_table(pyarrow.Table.from_pylist(pending, schema=schema))
            pending.clear()

        def write(rows: list[Row]) -> None:
            pending.extend({column: _encodable(row.get(column)) for column in columns} for row in rows)
            if len(pending) >= GROUP_ROWS:
                with _convert_errors():
                    flush()

        yield write
        if pending:
            flush()


@contextmanager
def inferring_writer(file: BinaryIO, trailing_columns: Sequence[str]) -> Iterator[Callable[[list[Row]], None]]:
    """Write rows with a schema inferred from all of them; lone surrogates become U+FFFD.

    Row groups are buffered in a temporary file, each with the schema of its rows. At the end the schemas are unified
    (integers and floats are promoted to floats, objects get the union of keys), and the groups are written.

    Args:
        file: Output file.
        trailing_columns: Columns to place after all others.

    Raises:
        DataError: No Parquet type can represent all values of a column.
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
            with _convert_errors():
                arrays = [_infer_array([_encodable(row.get(name)) for row in pending]) for name in names]
                table = pyarrow.table(dict(zip(replace_name_surrogates(names), arrays, strict=True)))
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
        first = [field for field in merged if field.name not in trailing_columns]
        schema = pyarrow.schema([*first, *(merged.field(name) for name in trailing_columns if name in merged.names)])
        with _convert_errors(), parquet.ParquetWriter(file, schema) as writer:
            for offset in offsets:
                spool.seek(offset)
                group = ipc.open_stream(spool).read_all()
                writer.write_table(pyarrow.table([_column(group, field) for field in schema], schema=schema))


@contextmanager
def _convert_errors() -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"rows do not fit one Parquet schema ({reason}); write JSON Lines instead") from None


def _column(table: Any, field: Any) -> Any:
    """Return the column of a table, converted to the type of a field; nulls if the table lacks it."""
    import pyarrow

    if field.name not in table.schema.names:
        return pyarrow.nulls(len(table), field.type)
    column = table[field.name]
    return column if column.type == field.type else pyarrow.array(column.to_pylist(), field.type)


def _infer_array(values: list[Any]) -> Any:
    """Convert values to an Arrow array of the inferred type."""
    import pyarrow

    array = pyarrow.array(values)
    if _mixes_booleans(values, array.type):
        raise pyarrow.ArrowTypeError("Expected number, got bool")  # Arrow would convert True to 1.0
    return array


def _mixes_booleans(values: Iterable[Any], kind: Any) -> bool:
    """Return whether booleans are mixed with numbers, at any depth."""
    from pyarrow import types

    if types.is_floating(kind):
        return any(isinstance(value, bool) for value in values)
    present = [value for value in values if value is not None]
    if types.is_list(kind):
        return _mixes_booleans((item for value in present for item in value), kind.value_type)
    if types.is_struct(kind):
        return any(_mixes_booleans([value.get(field.name) for value in present], field.type) for field in kind)
    return False


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, dict):
        return dict(zip(replace_name_surrogates(list(value)), map(_encodable, value.values()), strict=True))
    return [_encodable(item) for item in value] if isinstance(value, list) else value
