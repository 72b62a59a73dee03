"""A build folder of the data set, as its readers see it: finished stages, each a folder of checked Parquet shards."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenmood.errors import DataError, EvenmoodError

if TYPE_CHECKING:
    import pyarrow

MANIFEST_FILE = "manifest.json"
MANIFEST_PARTS: Mapping[str, type] = {
    "inputs": dict,
    "options": dict,
    "rows_in": int,
    "rows_out": int,
    "dropped": dict,
    "shards": dict,
}
"""What every manifest holds, and what else it may hold is the stage's."""
OFFICIAL = "goemotions"
"""The stage that holds the official split: a shard each for train, validation and test."""
CONFIGURATIONS = {"balanced": "balance", "unbalanced": "balance-unbalanced"}
"""The stage that holds each configuration's training rows."""


def is_build(folder: Path) -> bool:
    """Whether a folder is a build folder, however far its build has come."""
    return (folder / OFFICIAL / MANIFEST_FILE).is_file()


def read_manifest(build: Path, name: str) -> dict[str, Any]:
    """The manifest of a finished stage.

    Raises:
        DataError: The stage has not been run, or not to its end; or the file is damaged.
    """
    path = build / name / MANIFEST_FILE
    if not path.exists():
        started = "was not finished" if (build / name).is_dir() else "has not been run"
        raise DataError(f"{build}: the stage {name} {started}; run: {_again(build, name).removesuffix(' --restart')}")
    return read_record(path, MANIFEST_PARTS)


def read_record(path: Path, parts: Mapping[str, type]) -> dict[str, Any]:
    """A stage's plan or manifest: a JSON object.

    Args:
        path: File in the stage's folder.
        parts: Keys that the object has at least, each with its value's type.

    Raises:
        DataError: The file is empty, cut short or damaged; the message says how to write it again.
    """
    try:
        record: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        reason = f"not JSON: {' '.join(str(error).split())[:100]}" if path.stat().st_size else "the file is empty"
        raise damaged(path, reason) from None
    if not isinstance(record, dict):
        raise damaged(path, "not a JSON object")
    for key, kind in parts.items():
        if type(record.get(key)) is not kind:
            raise damaged(path, f"no {key!r} in it" if key not in record else f"{key!r} is {str(record[key])[:40]!r}")
    for shard in record.get("shards", {}).values():
        if not isinstance(shard, dict) or type(shard.get("rows")) is not int or "sha256" not in shard:
            raise damaged(path, f"a shard is {str(shard)[:40]!r}")
    return record


def damaged(path: Path, reason: str) -> DataError:
    """The error for a damaged file in the folder of a stage, which the stage can write again."""
    return DataError(f"{path} is damaged ({reason}); run: {_again(path.parent.parent, path.parent.name)}")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises for a damaged shard into a `DataError` that says how to write it again."""
    import pyarrow

    try:
        yield
    except EvenmoodError:
        raise
    except (pyarrow.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError):
            raise DataError(f"{path} is missing; run: {_again(path.parent.parent, path.parent.name)}") from None
        if isinstance(error, OSError) and error.errno:  # the disk's, and no matter of the content
            raise
        reason = " ".join(str(error).split())[:100] if path.stat().st_size else "the file is empty"
        raise damaged(path, reason) from None


def read_shard(path: Path, columns: Sequence[str] | None = None) -> "pyarrow.Table":
    """Rows of a shard, whose checksum nobody has recorded yet or has checked already.

    Raises:
        DataError: The file is missing or damaged, or lacks a column.
    """
    from pyarrow import parquet

    with readable(path):
        rows = parquet.read_table(path, columns=columns)
        if columns is not None:
            rows = rows.select(columns)
    return rows


def check_current(build: Path, name: str) -> None:
    """Raise `DataError` where a stage, or one that it was made from, is older than what it was made from."""
    for source, recorded in read_manifest(build, name)["inputs"].items():
        path = build / source / MANIFEST_FILE
        if source != name and path.exists():  # a stage's raw input may have its own name
            read_manifest(build, source)  # a damaged one was not done again
            if sha256(path) != recorded:
                raise DataError(f"{build}: {source} was done again after {name}; run: {_again(build, name)}")
            check_current(build, source)


def read_shards(build: Path, name: str, prefix: str = "") -> Iterator[tuple[str, "pyarrow.Table"]]:
    """Name and rows of each shard of a finished stage, checked against the manifest.

    Raises:
        DataError: The stage is not finished, or a shard is not the one that it wrote.
    """
    for file, about in read_manifest(build, name)["shards"].items():
        if not file.startswith(prefix):
            continue
        path = build / name / file
        if not path.is_file() or sha256(path) != about["sha256"]:
            state = "differs from what the stage wrote" if path.is_file() else "is missing"
            raise DataError(f"{path} {state}; run: {_again(build, name)}")
        yield path.stem, read_shard(path).replace_schema_metadata(None)


def read_rows(build: Path, name: str, prefix: str = "") -> "pyarrow.Table":
    """All rows of a finished stage in one table.

    Raises:
        DataError: As `read_shards`, or there is no such shard.
    """
    import pyarrow

    tables = [table for _, table in read_shards(build, name, prefix)]
    if not tables:
        raise DataError(f"{build / name}: no shard {prefix}*.parquet in its manifest; run: {_again(build, name)}")
    return pyarrow.concat_tables(tables)


def _again(build: Path, name: str) -> str:
    """The command that writes a stage's folder from the start."""
    command, _, part = name.partition("-")
    further = f" --round {part}" if command == "generate" and part else ""
    return f"python -m data_build {command} {build}{further} --restart"


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
