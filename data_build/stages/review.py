"""Sixth stage: what five annotators said of the rows, by majority; where nobody has read a row, it says so.

Annotators vote in the app of `annotate.py`; this file fills its queue, takes votes in and out, and applies them.
"""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow

from data_build.annotation import agreement
from data_build.annotation.majority import ANNOTATORS, Result, Vote
from data_build.annotation.votes import FILE, Task, Votes
from data_build.stage import Say, input_hashes, open_stage
from data_build.stages import verify
from evenmood import LABELS
from evenmood.data.build_folder import MANIFEST_FILE, read_rows, read_shards, sha256
from evenmood.errors import DataError, EvenmoodError, UsageError
from evenmood.model.model_folder import write_text
from evenmood.tables.csv_records import csv_records

STAGE = "resolve"
BALANCE = "balance"
"""The stage whose rows are audited."""
AUDIT_ROWS = 1_000
COLUMNS = ("id", "annotator", "labels", "unsure", "saw_machine")


def fill(build: Path, limit: int | None = None, seed: int = 0) -> Votes:
    """The queue of the review: the rows that passed verification, shuffled, so that a part of them is a fair one.

    Raises:
        DataError: The stage `verify` is missing.
        UsageError: It left no row.
    """
    return _filled(build, "review", verify.STAGE, limit, seed)


def fill_audit(build: Path, limit: int = AUDIT_ROWS, seed: int = 0) -> Votes:
    """The queue of the audit: rows drawn from the balanced set at random.

    Raises:
        DataError: The stage `balance` is missing.
        UsageError: It left no row.
    """
    return _filled(build, "audit", BALANCE, limit, seed)


def _filled(build: Path, task: Task, stage: str, limit: int | None, seed: int) -> Votes:
    rows = read_rows(build, stage)
    if not rows.num_rows:
        raise UsageError(f"{build}: no rows to {task}")
    votes = Votes(build, task)
    if not votes.people():
        raise UsageError(f"{build}: nobody is let in yet; run: python -m data_build annotator {build} NAME")
    order = np.random.default_rng(seed).permutation(rows.num_rows)
    texts = rows.select(["id", "text", "text_hash", "labels"]).take(order).to_pylist()
    voted = votes.voted()
    first = texts[:limit]
    later = [row for row in texts[len(first) :] if task == "review" and (row["id"], row["text_hash"]) in voted]
    votes.fill([*first, *later], sha256(build / stage / MANIFEST_FILE))
    return votes


def resolve(build: Path, say: Say, *, restart: bool = False) -> None:
    """Write the verified rows with what people said of them.

    A row that all its annotators have read gets the labels of the majority, or the adjudicator's; one that they could
    not agree on is left out until it is settled. A row that nobody, or not everybody, has read stays as it is, with
    `reviewed` false.

    Raises:
        DataError: The stage `verify` is missing, or nobody has voted.
    """
    if not (build / FILE).exists():
        raise DataError(f"{build}: nobody has voted; run: python -m data_build review {build}")
    votes = Votes(build, "review")
    held, results = votes.all(), votes.results()
    if not held:
        raise DataError(f"{build}: nobody has voted; run: python -m data_build review {build}")
    hashes = votes.hashes()
    inputs = {**input_hashes(build, verify.STAGE), "votes": _fingerprint(held, results)}
    with open_stage(build, STAGE, inputs, {"annotators": ANNOTATORS}, say, restart) as stage:
        if stage.finished:
            return
        for name, rows in read_shards(build, verify.STAGE):
            if not stage.has(name):
                stage.write(name, *_applied(rows, results, hashes))
        stage.finish(agreement=agreement.measure(held))


def source_of(build: Path) -> str:
    """The stage whose rows are balanced: this one where people have reviewed, else `verify`."""
    return STAGE if (build / STAGE / MANIFEST_FILE).exists() else verify.STAGE


def _applied(
    rows: pyarrow.Table, results: dict[str, Result], hashes: dict[str, str]
) -> tuple[pyarrow.Table, Counter[str]]:
    counts = Counter({"in": rows.num_rows})
    kept = []
    for row in rows.to_pylist():
        result = results.get(row["id"]) if hashes.get(row["id"]) == row["text_hash"] else None
        if result is None:
            kept.append(row)
        elif result.resolution == "open":
            counts["waits for the adjudicator"] += 1
        elif not result.labels:
            counts["thrown out by the adjudicator"] += 1
        else:
            seen = {"votes": list(result.counts), "reviewed": True, "reviewed_by": "people"}
            kept.append({**row, **seen, "resolution": result.resolution, "labels": list(result.labels)})
    return pyarrow.Table.from_pylist(kept, rows.schema), counts


def audited(build: Path) -> dict[str, Any] | None:
    """How many audited rows hold: those where the majority gave every label; one without a majority does not hold.

    None where there was no audit of this very balanced set.
    """
    if not (build / FILE).exists() or not (build / BALANCE / MANIFEST_FILE).exists():
        return None
    votes = Votes(build, "audit")
    results, machine = votes.results(), votes.machine()
    if not results or votes.origin() != sha256(build / BALANCE / MANIFEST_FILE):
        return None
    settled = {name: set(result.labels) for name, result in results.items() if result.resolution != "open"}
    held = sum(set(machine[name]) <= labels for name, labels in settled.items())
    return agreement.audit(held, len(results))


def export(build: Path, task: Task, path: Path) -> int:
    """Write all votes as CSV or Parquet, told by the name's ending.

    Returns:
        Votes written.

    Raises:
        UsageError: The ending is another one.
    """
    rows = [
        {
            "id": vote.id,
            "annotator": vote.annotator,
            "labels": " ".join(LABELS[label] for label in vote.labels),
            "unsure": vote.unsure,
            "saw_machine": vote.saw_machine,
        }
        for vote in Votes(build, task).all()
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix.lower():
        case ".csv":
            write_text(path, frame.to_csv(index=False))
        case ".parquet":
            frame.to_parquet(path, index=False)
        case _:
            raise UsageError(f"{path}: votes are written as .csv or .parquet")
    return len(rows)


def take(build: Path, task: Task, path: Path) -> int:
    """Take votes in as `export` writes them, all or none.

    Returns:
        Votes taken.

    Raises:
        DataError: The file lacks a column, names an unknown label or row, or cannot be read.
    """
    taken = []
    for number, row in enumerate(_read(path), 1):
        names = str(row["labels"] or "").split()
        if unknown := [name for name in names if name not in LABELS]:
            raise DataError(f"{path}, vote {number}: {', '.join(unknown)} is no label")
        flags = [_flag(row[name], f"{path}, vote {number}: {name}") for name in ("unsure", "saw_machine")]
        taken.append(Vote(str(row["id"]), str(row["annotator"]), tuple(map(LABELS.index, names)), *flags))
    try:
        return Votes(build, task).take(taken)
    except UsageError as error:
        raise DataError(f"{path}, {error}") from None


def _flag(value: Any, where: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if (name := str(value).strip().lower()) not in known:
        raise DataError(f"{where} is {value!r}; expected true or false")
    return known[name]


def _read(path: Path) -> list[dict[str, Any]]:
    """Rows of a file of votes; every value as text.

    Raises:
        DataError: The file cannot be read, or lacks a column.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"{path}: votes are read as .csv or .parquet")
    try:
        frame = _read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path).astype(str)
    except EvenmoodError:
        raise
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from None
    if absent := [name for name in COLUMNS if name not in frame.columns]:
        raise DataError(f"{path} lacks the column {', '.join(absent)}")
    return [{name: row[name] for name in COLUMNS} for row in frame.to_dict("records")]


def _read_csv(path: Path) -> pd.DataFrame:
    """Every row of a CSV file as text; a broken one, or a quotation mark that swallows others, is an error."""

    def refuse(message: str) -> None:
        raise DataError(message)

    with path.open(encoding="utf-8-sig", newline="") as lines:
        records = csv_records(str(path), lines, refuse, on_doubt=refuse)
        rows = [(start, list(cells)) for start, cells, _ in records if cells]
    if not rows:
        raise DataError(f"{path} cannot be read: the file is empty")
    for start, cells in rows:
        if any("\n" in cell or "\r" in cell for cell in cells):
            raise DataError(f"{path}, line {start}: a cell of several lines; a quotation mark may be missing")
    return pd.DataFrame([cells for _, cells in rows[1:]], columns=rows[0][1], dtype=str)


def _fingerprint(votes: list[Vote], results: dict[str, Result]) -> str:
    content = [[vote.id, vote.annotator, vote.labels, vote.unsure] for vote in votes]
    settled = [[name, result.labels, result.resolution] for name, result in results.items()]
    return hashlib.sha256(json.dumps([content, settled]).encode()).hexdigest()
