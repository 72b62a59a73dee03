"""A build folder of the data set, as its readers see it: finished stages, each a folder of checked Parquet shards."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenmood.errors import DataError

if TYPE_CHECKING:
    import pyarrow

MANIFEST_FILE = "manifest.json"
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
        DataError: The stage has not been run, or not to its end.
    """
    path = build / name / MANIFEST_FILE
    if not path.exists():
        started = "was not finished" if (build / name).is_dir() else "has not been run"
        raise DataError(f"{build}: the stage {name} {started}; run: python -m data_build {command_of(name)} {build}")
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return manifest


def check_current(build: Path, name: str) -> None:
    """Raise `DataError` where a stage, or one that it was made from, is older than what it was made from."""
    for source, recorded in read_manifest(build, name)["inputs"].items():
        path = build / source / MANIFEST_FILE
        if source != name and path.exists():  # a stage's raw input may have its own name
            if sha256(path) != recorded:
                raise DataError(
                    f"{build}: {source} was done again after {name}; run: python -m data_build {command_of(name)} "
                    f"{build} --restart"
                )
            check_current(build, source)


def read_shards(build: Path, name: str, prefix: str = "") -> Iterator[tuple[str, "pyarrow.Table"]]:
    """Name and rows of each shard of a finished stage, checked against the manifest.

    Raises:
        DataError: The stage is not finished, or a shard is not the one that it wrote.
    """
    from pyarrow import parquet

    for file, about in read_manifest(build, name)["shards"].items():
        if not file.startswith(prefix):
            continue
        path = build / name / file
        if not path.is_file() or sha256(path) != about["sha256"]:
            state = "differs from what the stage wrote" if path.is_file() else "is missing"
            raise DataError(f"{path} {state}; run: python -m data_build {command_of(name)} {build} --restart")
        yield path.stem, parquet.read_table(path).replace_schema_metadata(None)


def read_rows(build: Path, name: str, prefix: str = "") -> "pyarrow.Table":
    """All rows of a finished stage in one table."""
    import pyarrow

    return pyarrow.concat_tables([table for _, table in read_shards(build, name, prefix)])


def command_of(name: str) -> str:
    """The command that writes a stage's folder; some write several."""
    return name.split("-")[0]


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
