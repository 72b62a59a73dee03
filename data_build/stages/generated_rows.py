"""Generated rows as a file: one build writes those that it verified, another takes them and asks for none."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow
from pyarrow import parquet

from data_build.stage import Say, input_hashes, open_stage
from data_build.stages import generate, goemotions
from evenmood import LABELS
from evenmood.data import rows
from evenmood.data.build_folder import read_rows, sha256
from evenmood.errors import DataError, UsageError

KEPT = ["id", "text", "labels", "source", "generator", "prompt_id"]
"""Columns of generated rows that stay true whatever teacher reads them."""
RECORDED = ("prompt", "mode", "intended", "topic", "register", "examples", "seed", "finish_reason", "tokens", "cost")
"""What `prompt_id` tells of a row, as JSON, besides `length` and `view`; early rows lack some of it."""
ATTEMPTS = b"evenmood.attempts"
"""Key of `attempts` in the Parquet metadata of a file that `take` reads."""


def take(build: Path, say: Say, source: Path, *, limit: int | None = None, restart: bool = False) -> None:
    """Take rows that were generated before in place of asking for new ones.

    The manifest's counts are those of their making: the texts asked for, and why the others were left out.

    Args:
        build: Build folder.
        say: Receives progress, a line at a time.
        source: Parquet file as `report` writes it.
        limit: Rows to take; all of them if left out.
        restart: Forget what an earlier run wrote.

    Raises:
        DataError: It is no such file.
    """
    try:
        held = parquet.read_table(source)
        found = rows.table(**{name: held[name] for name in KEPT})
        texts, own = found["text"].to_pylist(), set(found["source"].to_pylist())
        tried = {
            label: Counter(counts)
            for label, counts in json.loads((held.schema.metadata or {}).get(ATTEMPTS, b"{}")).items()
        }
    except (OSError, LookupError, TypeError, ValueError, AttributeError, pyarrow.ArrowException) as error:
        raise DataError(f"{source} holds no generated rows: {' '.join(str(error).split())[:200]}") from None
    if (build / generate.round_name(2)).exists():
        raise UsageError(
            f"{build} holds further rounds; remove {build / generate.round_name(2)} first, or take another folder"
        )
    if not texts:
        raise DataError(f"{source} holds no generated rows: it has none at all")
    if own - {"generated"}:
        raise DataError(f"{source} holds rows of {', '.join(sorted(own))}; expected generated ones alone")
    names = found["id"].to_pylist()
    if len(set(names)) < len(names) or not all(name.startswith("generated:") for name in names):
        raise DataError(f"{source} holds no generated rows: ids are unique and start with generated:")
    if unknown := {label for labels in found["labels"].to_pylist() for label in labels} - set(range(len(LABELS))):
        raise DataError(f"{source} holds no generated rows: label {min(unknown)} is not from 0 to {len(LABELS) - 1}")
    hashes = pyarrow.array([rows.text_hash(text) for text in texts])
    found = found.set_column(found.schema.get_field_index("text_hash"), "text_hash", hashes)
    options = {"rows": sha256(source), "limit": limit}
    with open_stage(build, generate.STAGE, input_hashes(build, goemotions.STAGE), options, say, restart) as stage:
        if not stage.finished:
            counts = sum(tried.values(), Counter[str]()) or Counter({"in": found.num_rows, "kept": found.num_rows})
            counts["fit, and not verified"] = counts.pop("kept") - found.num_rows
            first = found.slice(0, limit)
            counts["over the limit"] = found.num_rows - first.num_rows
            stage.write("part-00000", first, counts, tried or None)
            stage.finish()


def unrecorded(recorded: Iterable[str]) -> dict[str, int]:
    """How many generated rows lack which part of their provenance; a part that none lacks is left out."""
    held = [json.loads(one) for one in recorded]
    lacking = {name: sum(one.get(name) is None for one in held) for name in RECORDED}
    return {name: count for name, count in lacking.items() if count}


def keep(build: Path, names: set[str], path: Path) -> None:
    """Write the rows of all rounds with these ids, as they were asked for, for `take`."""
    held = pyarrow.concat_tables([read_rows(build, name).select(KEPT) for name in generate.rounds(build)])
    found = held.filter(pyarrow.array([name in names for name in held["id"].to_pylist()]))
    metadata = {ATTEMPTS: json.dumps(generate.attempts(build)).encode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(found.replace_schema_metadata(metadata), path, compression="zstd")
