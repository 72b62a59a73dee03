"""Stage `feedback`: import texts and labels that visitors of the demo agreed to share."""

import codecs
import json
from collections import Counter
from pathlib import Path
from typing import Any

from data_build.annotation.majority import is_label
from data_build.stage import Log, open_stage
from evenmood import LABELS
from evenmood.data import rows
from evenmood.data.build_folder import sha256
from evenmood.errors import DataError
from evenmood.model import hub
from evenmood.system.paths import expand_home
from evenmood.text.normalization import clean, replace_surrogates

STAGE = "feedback"
SHARD = "part-00000"
PATTERN = "feedback-*.jsonl"


def run(build: Path, log: Log, source: str, *, limit: int | None = None, restart: bool = False) -> None:
    """Write the labeled rows, deduplicated, with unique ids.

    Malformed lines are counted and skipped. If two rows share an id, the hash of the text is appended to the second.
    A visitor counts as a single annotator: `verify` keeps only the labels that the teacher confirms.

    Args:
        build: Build folder.
        log: Called with each progress message.
        source: Feedback folder of the demo, or the Hub data set to which it uploads feedback.
        limit: Maximum number of rows to read; by default, all.
        restart: Discard the output of an earlier run.

    Raises:
        DataError: There are no feedback files.
    """
    folder = expand_home(source)
    if not folder.is_dir():
        folder = hub.download_files(source, [f"data/{PATTERN}"], "dataset", error_class=DataError) / "data"
    files = sorted(folder.glob(PATTERN))
    if not files:
        raise DataError(f"{source}: no feedback found; expected files named {PATTERN}")
    inputs = {path.name: sha256(path) for path in files}
    with open_stage(build, STAGE, inputs, {"limit": limit}, log, restart) as stage:
        if stage.finished:
            return
        lines = [line for path in files for line in _lines(path)][:limit]
        labeled, counts = _labeled_rows(lines)
        columns = {name: [row[name] for row in labeled] for name in ("id", "text", "text_hash", "labels", "votes")}
        stage.write(SHARD, rows.table(**columns, source=[STAGE] * len(labeled)), counts)
        stage.finish()


def _lines(path: Path) -> list[bytes]:
    """Return the non-blank lines, split at line feeds only: a JSON string may contain U+2028."""
    return [line for line in path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n") if line.strip()]


def _labeled_rows(lines: list[bytes]) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return the labeled rows, deduplicated, and the number of lines dropped for each reason."""
    counts = Counter({"in": len(lines)})
    by_hash: dict[str, dict[str, Any]] = {}
    ids: set[str] = set()
    for line in lines:
        row = _parse(line)
        if row is None:
            counts["malformed"] += 1
        elif not row["labels"]:
            counts["no label"] += 1
        elif not clean(row["text"]):
            counts["no words"] += 1
        elif row["text_hash"] in by_hash:
            counts["duplicate"] += 1
        else:
            while row["id"] in ids:  # the review identifies rows by id
                row["id"] += f":{row['text_hash']}"
            ids.add(row["id"])
            by_hash[row["text_hash"]] = row
    return list(by_hash.values()), counts


def _parse(line: bytes) -> dict[str, Any] | None:
    """Parse a line; None if it is malformed. The Hub data set may contain lines that the demo did not write."""
    try:
        fields = json.loads(line.decode("utf-8"))
        text, labels, source_id = fields["text"], fields["labels"], fields["id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    source_id = str(source_id) if type(source_id) is int else source_id
    if not isinstance(text, str) or not isinstance(source_id, str) or not source_id or not isinstance(labels, list):
        return None
    if not all(is_label(label) for label in labels):
        return None
    text, source_id = replace_surrogates(text), replace_surrogates(source_id)
    return {
        "id": source_id if source_id.startswith(f"{STAGE}:") else f"{STAGE}:{source_id}",
        "text": text,
        "text_hash": rows.text_hash(text),
        "labels": sorted(set(labels)),
        "votes": [int(number in labels) for number in range(len(LABELS))],
    }
