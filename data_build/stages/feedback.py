"""A source of its own: what visitors of the demo said of its answers, with their consent."""

import codecs
import json
from collections import Counter
from pathlib import Path
from typing import Any

from data_build.annotation.majority import is_label
from data_build.stage import Say, open_stage
from evenmood import LABELS
from evenmood.data import rows
from evenmood.data.build_folder import sha256
from evenmood.errors import DataError
from evenmood.model import hub
from evenmood.system.paths import expanded
from evenmood.text.normalization import clean, encodable

STAGE = "feedback"
SHARD = "part-00000"
PATTERN = "feedback-*.jsonl"


def run(build: Path, say: Say, source: str, *, limit: int | None = None, restart: bool = False) -> None:
    """Write the rows that carry labels, each text once and under an id of its own.

    A line that is not UTF-8, not JSON or not a row is counted. A row whose id another one has gets the hash of its text
    added to it.

    A visitor's labels are one voice: the stage `verify` keeps those of them that the teacher gives too.

    Args:
        build: Build folder.
        say: Receives progress, a line at a time.
        source: Folder where the demo keeps feedback, or the Hub data set that it commits it to.
        limit: Rows to read; all of them if left out.
        restart: Forget what an earlier run wrote.

    Raises:
        DataError: Nothing there.
    """
    folder = expanded(source)
    if not folder.is_dir():
        folder = hub.fetch(source, [f"data/{PATTERN}"], "dataset", kind=DataError) / "data"
    files = sorted(folder.glob(PATTERN))
    if not files:
        raise DataError(f"{source} holds no feedback: no {PATTERN} there")
    inputs = {path.name: sha256(path) for path in files}
    with open_stage(build, STAGE, inputs, {"limit": limit}, say, restart) as stage:
        if stage.finished:
            return
        lines = [line for path in files for line in _lines(path)][:limit]
        kept, counts = _kept(lines)
        columns = {name: [row[name] for row in kept] for name in ("id", "text", "text_hash", "labels", "votes")}
        stage.write(SHARD, rows.table(**columns, source=[STAGE] * len(kept)), counts)
        stage.finish()


def _lines(path: Path) -> list[bytes]:
    """Non-blank lines, split at line feeds only: a JSON string may contain U+2028."""
    return [line for line in path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n") if line.strip()]


def _kept(lines: list[bytes]) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The rows that stay, and how many went for which reason."""
    counts = Counter({"in": len(lines)})
    kept: dict[str, dict[str, Any]] = {}
    ids: set[str] = set()
    for line in lines:
        row = _read(line)
        if row is None:
            counts["not a row"] += 1
        elif not row["labels"]:
            counts["no label given"] += 1
        elif not clean(row["text"]):
            counts["no words"] += 1
        elif row["text_hash"] in kept:
            counts["repeated"] += 1
        else:
            while row["id"] in ids:  # votes and decisions of the review are by id
                row["id"] += f":{row['text_hash']}"
            ids.add(row["id"])
            kept[row["text_hash"]] = row
    return list(kept.values()), counts


def _read(line: bytes) -> dict[str, Any] | None:
    """A line as a row; None where it is none: whoever can write to the data set may have written anything."""
    try:
        given = json.loads(line.decode("utf-8"))
        text, labels, own_id = given["text"], given["labels"], given["id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    own_id = str(own_id) if type(own_id) is int else own_id
    if not isinstance(text, str) or not isinstance(own_id, str) or not own_id or not isinstance(labels, list):
        return None
    if not all(is_label(label) for label in labels):
        return None
    text, own_id = encodable(text), encodable(own_id)
    return {
        "id": own_id if own_id.startswith(f"{STAGE}:") else f"{STAGE}:{own_id}",
        "text": text,
        "text_hash": rows.text_hash(text),
        "labels": sorted(set(labels)),
        "votes": [int(number in labels) for number in range(len(LABELS))],
    }
