"""Export verified generated rows to a Parquet file, and import them into another build."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow
from pyarrow import parquet

from data_build.stage import Log, input_hashes, open_stage
from data_build.stages import generate, goemotions
from evenmood import LABELS
from evenmood.data import rows
from evenmood.data.build_folder import read_rows, sha256
from evenmood.errors import DataError, UsageError

COLUMNS = ["id", "text", "labels", "source", "generator", "prompt_id"]
"""Columns of generated rows that do not depend on the teacher."""
PROVENANCE = ("prompt", "mode", "intended", "topic", "register", "examples", "seed", "finish_reason", "tokens", "cost")
"""Keys of the JSON in `prompt_id`, besides `length` and `view`; rows of early prompt versions lack some of them."""
ATTEMPTS = b"evenmood.attempts"
"""Parquet metadata key of `generate.generation_counts`."""


def import_rows(build: Path, log: Log, source: Path, *, limit: int | None = None, restart: bool = False) -> None:
    """Write the stage `generate` from rows of an earlier build, without sending requests.

    The manifest contains the counts of the original generation: texts requested, and texts dropped for each reason.

    Args:
        build: Build folder.
        log: Called with each progress message.
        source: Parquet file written by `export_rows`.
        limit: Maximum number of rows to import; by default, all.
        restart: Discard the output of an earlier run.

    Raises:
        DataError: The file is not a valid file of generated rows.
        UsageError: The build has further rounds of `generate`.
    """
    if not source.is_file():
        raise DataError(f"file not found: {source}; expected a file that report --generated wrote")
    try:
        content = parquet.read_table(source)
        table = rows.table(**{name: content[name] for name in COLUMNS})
        texts, sources = table["text"].to_pylist(), set(table["source"].to_pylist())
        attempts = {
            label: Counter(counts)
            for label, counts in json.loads((content.schema.metadata or {}).get(ATTEMPTS, b"{}")).items()
        }
    except (OSError, LookupError, TypeError, ValueError, AttributeError, pyarrow.ArrowException) as error:
        raise _invalid(source, " ".join(str(error).split())[:200]) from None
    if (build / generate.round_name(2)).exists():
        raise UsageError(
            f"{build} has more than one round of generate; delete {build / generate.round_name(2)} first, or use "
            "another build folder"
        )
    if not texts:
        raise _invalid(source, "the file has no rows")
    if sources - {"generated"}:
        raise _invalid(source, f"source is {', '.join(sorted(sources))}; expected generated")
    ids = table["id"].to_pylist()
    if len(set(ids)) < len(ids) or not all(row_id.startswith("generated:") for row_id in ids):
        raise _invalid(source, "expected unique ids that start with generated:")
    if unknown := {label for labels in table["labels"].to_pylist() for label in labels} - set(range(len(LABELS))):
        raise _invalid(source, f"unknown label {min(unknown)}; expected numbers from 0 to {len(LABELS) - 1}")
    hashes = pyarrow.array([rows.text_hash(text) for text in texts])
    table = table.set_column(table.schema.get_field_index("text_hash"), "text_hash", hashes)
    options = {"rows": sha256(source), "limit": limit}
    with open_stage(build, generate.STAGE, input_hashes(build, goemotions.STAGE), options, log, restart) as stage:
        if not stage.finished:
            row_count = table.num_rows
            counts = sum(attempts.values(), Counter[str]()) or Counter({"in": row_count, "accepted": row_count})
            counts["accepted but not verified"] = counts.pop("accepted") - row_count
            imported_rows = table.slice(0, limit)
            counts["over the limit"] = row_count - imported_rows.num_rows
            stage.write("part-00000", imported_rows, counts, attempts or None)
            stage.finish()


def _invalid(source: Path, reason: str) -> DataError:
    return DataError(f"{source}: not a valid file of generated rows ({reason}); use one that report --generated wrote")


def missing_keys(prompt_ids: Iterable[str]) -> dict[str, int]:
    """Count the generated rows that lack a provenance key, by key; keys that no row lacks are omitted."""
    provenance = [json.loads(prompt_id) for prompt_id in prompt_ids]
    missing_counts = {key: sum(entry.get(key) is None for entry in provenance) for key in PROVENANCE}
    return {key: count for key, count in missing_counts.items() if count}


def export_rows(build: Path, ids: set[str], path: Path) -> None:
    """Write the generated rows with these ids and the labels of their requests to a file for `import_rows`."""
    table = pyarrow.concat_tables([read_rows(build, name).select(COLUMNS) for name in generate.rounds(build)])
    selected_rows = table.filter(pyarrow.array([row_id in ids for row_id in table["id"].to_pylist()]))
    metadata = {ATTEMPTS: json.dumps(generate.generation_counts(build)).encode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(selected_rows.replace_schema_metadata(metadata), path, compression="zstd")
