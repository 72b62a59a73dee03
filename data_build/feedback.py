"""A source of its own: what visitors of the demo said of its answers, with their consent."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from data_build.stage import Say, open_stage
from evenmood import LABELS, hub, rows
from evenmood.build_folder import sha256
from evenmood.errors import DataError
from evenmood.text import clean, encodable

STAGE = "feedback"
SHARD = "part-00000"
PATTERN = "feedback-*.jsonl"


def run(build: Path, say: Say, source: str, *, limit: int | None = None, restart: bool = False) -> None:
    """Write the rows that carry labels, each text once.

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
    folder = Path(source).expanduser()
    if not folder.is_dir():
        folder = hub.fetch(source, [f"data/{PATTERN}"], "dataset", kind=DataError) / "data"
    files = sorted(folder.glob(PATTERN))
    if not files:
        raise DataError(f"{source} holds no feedback: no {PATTERN} there")
    inputs = {path.name: sha256(path) for path in files}
    with open_stage(build, STAGE, inputs, {"limit": limit}, say, restart) as stage:
        if stage.finished:
            return
        lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()][:limit]
        kept, counts = _kept(lines)
        columns = {name: [row[name] for row in kept] for name in ("id", "text", "text_hash", "labels", "votes")}
        stage.write(SHARD, rows.table(**columns, source=[STAGE] * len(kept)), counts)
        stage.finish()


def _kept(lines: list[str]) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The rows that stay, and how many went for which reason."""
    counts = Counter({"in": len(lines)})
    kept: dict[str, dict[str, Any]] = {}
    for line in lines:
        row = _read(line)
        if row is None:
            counts["not a row"] += 1
        elif not row["labels"]:
            counts["no label given"] += 1
        elif not clean(row["text"]):
            counts["no words"] += 1
        elif kept.setdefault(row["text_hash"], row) is not row:
            counts["repeated"] += 1
    return list(kept.values()), counts


def _read(line: str) -> dict[str, Any] | None:
    """A line as a row; None where it is none: whoever can write to the data set may have written anything."""
    try:
        given = json.loads(line)
        text, labels = encodable(given["text"]), sorted({int(number) for number in given["labels"]})
        own_id = encodable(str(given["id"]))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    if not isinstance(text, str) or any(not 0 <= number < len(LABELS) for number in labels):
        return None
    votes = [int(number in labels) for number in range(len(LABELS))]
    return {"id": own_id, "text": text, "text_hash": rows.text_hash(text), "labels": labels, "votes": votes}
