"""Read a build folder of the data set: finished stages, each a folder of Parquet shards with checksums."""

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
MANIFEST_KEYS: Mapping[str, type] = {
    "inputs": dict,
    "options": dict,
    "rows_in": int,
    "rows_out": int,
    "dropped": dict,
    "shards": dict,
}
"""Required keys of a manifest, with their types; a stage may add more."""
OFFICIAL_STAGE = "goemotions"
"""Stage with the official splits, one shard each."""
CONFIGURATIONS = {"balanced": "balance", "unbalanced": "balance-unbalanced"}
"""Stage with the training rows of each configuration."""


def is_build(folder: Path) -> bool:
    """Return whether a folder is a build folder, complete or not."""
    return (folder / OFFICIAL_STAGE / MANIFEST_FILE).is_file()


def read_manifest(build: Path, name: str) -> dict[str, Any]:
    """Read the manifest of a finished stage.

    Raises:
        DataError: The stage has not been run, is incomplete, or has a corrupt manifest.
    """
    path = build / name / MANIFEST_FILE
    if not path.exists():
        state = "was not finished" if (build / name).is_dir() else "has not been run"
        raise DataError(
            f"{build}: the stage {name} {state}; run: {_restart_command(build, name).removesuffix(' --restart')}"
        )
    return read_record(path, MANIFEST_KEYS)


def read_record(path: Path, required: Mapping[str, type]) -> dict[str, Any]:
    """Read a stage's plan or manifest: a JSON object.

    Args:
        path: File in the stage's folder.
        required: Required keys, each with the type of its value.

    Raises:
        DataError: The file is empty, truncated or corrupt; the message names the command that rewrites it.
    """
    try:
        record: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        reason = f"not JSON: {' '.join(str(error).split())[:100]}" if path.stat().st_size else "the file is empty"
        raise corrupt_file_error(path, reason) from None
    if not isinstance(record, dict):
        raise corrupt_file_error(path, "not a JSON object")
    for key, kind in required.items():
        if type(record.get(key)) is not kind:
            raise corrupt_file_error(
                path, f"{key!r} is {str(record[key])[:40]!r}" if key in record else f"missing key {key!r}"
            )
    for shard in record.get("shards", {}).values():
        if not isinstance(shard, dict) or type(shard.get("rows")) is not int or "sha256" not in shard:
            raise corrupt_file_error(path, f"invalid shard entry {str(shard)[:40]!r}")
    return record


def corrupt_file_error(path: Path, reason: str) -> DataError:
    """Return the error for a corrupt file of a stage, with the command that rewrites it."""
    return DataError(f"{path} is corrupt ({reason}); run: {_restart_command(path.parent.parent, path.parent.name)}")


@contextmanager
def convert_shard_errors(path: Path) -> Iterator[None]:
    """Convert pyarrow's errors for a corrupt shard into a `DataError` that names the command that rewrites it."""
    import pyarrow

    try:
        yield
    except EvenmoodError:
        raise
    except (pyarrow.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError):
            raise DataError(
                f"{path} is missing; run: {_restart_command(path.parent.parent, path.parent.name)}"
            ) from None
        if isinstance(error, OSError) and error.errno:  # an I/O error, not corrupt content
            raise
        reason = " ".join(str(error).split())[:100] if path.stat().st_size else "the file is empty"
        raise corrupt_file_error(path, reason) from None


def read_shard(path: Path, columns: Sequence[str] | None = None) -> "pyarrow.Table":
    """Read a shard without verifying its checksum.

    Raises:
        DataError: The file is missing or corrupt, or lacks a column.
    """
    from pyarrow import parquet

    with convert_shard_errors(path):
        rows = parquet.read_table(path, columns=columns)
        if columns is not None:
            rows = rows.select(columns)
    return rows


def check_current(build: Path, name: str) -> None:
    """Raise `DataError` if a stage, or any stage it depends on, is older than its inputs."""
    for source, checksum in read_manifest(build, name)["inputs"].items():
        path = build / source / MANIFEST_FILE
        if source != name and path.exists():  # a stage's raw input may share its name
            read_manifest(build, source)  # a corrupt manifest also has another checksum: report the corruption instead
            if sha256(path) != checksum:
                raise DataError(
                    f"{build}: {name} is older than its input {source}; run: {_restart_command(build, name)}"
                )
            check_current(build, source)


def read_shards(build: Path, name: str, prefix: str = "") -> Iterator[tuple[str, "pyarrow.Table"]]:
    """Yield the name and rows of each shard of a finished stage, verified against the manifest.

    Raises:
        DataError: The stage is incomplete, or a shard is missing or was modified.
    """
    for file, entry in read_manifest(build, name)["shards"].items():
        if not file.startswith(prefix):
            continue
        path = build / name / file
        if not path.is_file() or sha256(path) != entry["sha256"]:
            state = "differs from what the stage wrote" if path.is_file() else "is missing"
            raise DataError(f"{path} {state}; run: {_restart_command(build, name)}")
        yield path.stem, read_shard(path).replace_schema_metadata(None)


def read_rows(build: Path, name: str, prefix: str = "") -> "pyarrow.Table":
    """Read all rows of a finished stage into one table.

    Raises:
        DataError: As for `read_shards`, or no shard name starts with `prefix`.
    """
    import pyarrow

    tables = [table for _, table in read_shards(build, name, prefix)]
    if not tables:
        raise DataError(
            f"{build / name}: no shard {prefix}*.parquet in its manifest; run: {_restart_command(build, name)}"
        )
    return pyarrow.concat_tables(tables)


def _restart_command(build: Path, name: str) -> str:
    """Return the command that rewrites a stage's folder from scratch."""
    command, _, suffix = name.partition("-")
    option = f" --round {suffix}" if command == "generate" and suffix else ""
    return f"python -m data_build {command} {build}{option} --restart"


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
