"""Parquet as `tables` reads and writes it: in chunks of rows."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from evenmood.chunk import Chunk, Row, has_column, once_each
from evenmood.errors import DataError
from evenmood.text import encodable

GROUP_ROWS = 20_000
"""Rows of a row group: one a chunk would make a file that is slow to read."""


def read_chunks(
    name: str, file: BinaryIO, column: str | None, on_bad: Callable[[str], None], size: int
) -> Iterator[Chunk]:
    """As `tables.read_chunks`; `file` can be searched."""
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(file)
        schema, total, number = table.schema_arrow, table.metadata.num_rows, 0
        once_each(schema.names, name)
        has_column(column, schema.names, name)
        if total == 0:
            yield Chunk(schema.names, [], schema, 1.0)
        for batch in table.iter_batches(batch_size=size):
            rows = []
            for row in batch.to_pylist():
                number += 1
                if column is None or isinstance(row[column], str):
                    rows.append(row)
                else:
                    on_bad(f"{name}, row {number}: {column!r} is {row[column]!r:.40}, not a string")
            yield Chunk(schema.names, rows, schema, number / total)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise damaged(name, error) from None


def damaged(name: str, error: Exception) -> DataError:
    """What is said of a file that pyarrow cannot read."""
    return DataError(f"{name}: not a Parquet file, or damaged ({str(error).splitlines()[0]})")


@contextmanager
def row_writer(file: BinaryIO, columns: Sequence[str], schema: Any) -> Iterator[Callable[[list[Row]], None]]:
    """As `tables.write_rows`, into an open file."""
    import pyarrow
    from pyarrow import parquet

    writer: Any = None
    pending: list[Row] = []

    def flush() -> None:
        nonlocal writer
        try:
            table = pyarrow.Table.from_pylist(pending, schema=writer.schema if writer else schema)
        except (pyarrow.ArrowException, OverflowError) as error:
            raise DataError(f"rows do not fit one Parquet schema ({str(error).splitlines()[0]})") from None
        writer = writer or parquet.ParquetWriter(file, table.schema)
        writer.write_table(table)
        pending.clear()

    def write(rows: list[Row]) -> None:
        for row in rows:
            cells = {column: row.get(column) for column in columns}
            pending.append({key: encodable(cell) if isinstance(cell, str) else cell for key, cell in cells.items()})
        if len(pending) >= GROUP_ROWS:
            flush()

    try:
        yield write
        if pending or not writer:
            flush()
    finally:
        if writer:
            writer.close()
