"""Stage `resolve`: resolve the votes of five annotators by majority.

Annotators vote in the app (`annotation/annotate.py`). This module fills its queue, imports and exports votes, and
applies them to the rows.
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
from data_build.annotation.database import FILE
from data_build.annotation.majority import ANNOTATORS, Result, Vote
from data_build.annotation.votes import Task, Votes
from data_build.stage import Log, input_hashes, open_stage
from data_build.stages import verify
from evenmood import LABELS
from evenmood.data.build_folder import MANIFEST_FILE, read_rows, read_shards, sha256
from evenmood.errors import DataError, EvenmoodError, UsageError
from evenmood.model.model_folder import write_text
from evenmood.tables.csv_records import csv_records

STAGE = "resolve"
BALANCE = "balance"
"""Stage whose rows are audited."""
AUDIT_ROWS = 1_000
COLUMNS = ("id", "annotator", "labels", "unsure", "saw_predictions")


def fill_review_queue(build: Path, limit: int | None = None, seed: int = 0) -> Votes:
    """Queue the verified rows for review, shuffled, so that a limited queue is a random sample.

    Rows with votes are queued even beyond the limit.

    Raises:
        DataError: The stage `verify` is incomplete.
        UsageError: There are no rows or no annotators.
    """
    return _fill_queue(build, "review", verify.STAGE, limit, seed)


def fill_audit_queue(build: Path, limit: int = AUDIT_ROWS, seed: int = 0) -> Votes:
    """Queue random rows of the balanced set for the audit.

    Raises:
        DataError: The stage `balance` is incomplete.
        UsageError: There are no rows or no annotators.
    """
    return _fill_queue(build, "audit", BALANCE, limit, seed)


def _fill_queue(build: Path, task: Task, stage: str, limit: int | None, seed: int) -> Votes:
    rows = read_rows(build, stage)
    if not rows.num_rows:
        raise UsageError(f"{build}: the stage {stage} has no rows to {task}; run it again with different options")
    votes = Votes(build, task)
    if not votes.annotators():
        raise UsageError(f"{build}: there are no annotators; add one with: python -m data_build annotator {build} NAME")
    permutation = np.random.default_rng(seed).permutation(rows.num_rows)
    shuffled = rows.select(["id", "text", "text_hash", "labels"]).take(permutation).to_pylist()
    voted_rows = votes.voted_rows()
    rows_within_limit = shuffled[:limit]
    beyond_limit = shuffled[len(rows_within_limit) :] if task == "review" else []
    rows_with_votes = [row for row in beyond_limit if (row["id"], row["text_hash"]) in voted_rows]
    votes.set_queue([*rows_within_limit, *rows_with_votes], sha256(build / stage / MANIFEST_FILE))
    return votes


def resolve(build: Path, log: Log, *, restart: bool = False) -> None:
    """Write the verified rows with the labels of the review.

    A row with five votes gets the majority labels or the adjudicator's labels. Rows without a clear majority (ties, no
    majority, too few sure annotators) are left out until an adjudicator decides; rows adjudicated to no label are
    dropped. Rows with fewer votes are unchanged, with `reviewed` false.

    Raises:
        DataError: The stage `verify` is incomplete, or there are no votes.
    """
    no_votes = DataError(f"{build}: there are no votes; collect some with: python -m data_build review {build}")
    if not (build / FILE).exists():
        raise no_votes
    votes = Votes(build, "review")
    all_votes, results = votes.all_votes(), votes.results()
    if not all_votes:
        raise no_votes
    text_hashes = votes.text_hashes()
    inputs = {**input_hashes(build, verify.STAGE), "votes": _fingerprint(all_votes, results)}
    with open_stage(build, STAGE, inputs, {"annotators": ANNOTATORS}, log, restart) as stage:
        if stage.finished:
            return
        for name, rows in read_shards(build, verify.STAGE):
            if not stage.has(name):
                stage.write(name, *_apply(rows, results, text_hashes))
        stage.finish(agreement=agreement.measure(all_votes))


def source_stage(build: Path) -> str:
    """Return the stage whose rows `balance` reads: `resolve` if it is finished, otherwise `verify`."""
    return STAGE if (build / STAGE / MANIFEST_FILE).exists() else verify.STAGE


def _apply(
    rows: pyarrow.Table, results: dict[str, Result], text_hashes: dict[str, str]
) -> tuple[pyarrow.Table, Counter[str]]:
    counts = Counter({"in": rows.num_rows})
    resolved_rows = []
    for row in rows.to_pylist():
        result = results.get(row["id"]) if text_hashes.get(row["id"]) == row["text_hash"] else None
        if result is None:
            resolved_rows.append(row)
        elif result.resolution == "open":
            counts["not yet adjudicated"] += 1
        elif not result.labels:
            counts["discarded by the adjudicator"] += 1
        else:
            review = {"votes": list(result.counts), "reviewed": True, "reviewed_by": "people"}
            resolved_rows.append({**row, **review, "resolution": result.resolution, "labels": list(result.labels)})
    return pyarrow.Table.from_pylist(resolved_rows, rows.schema), counts


def audit_result(build: Path) -> dict[str, Any] | None:
    """Evaluate the audit: a row is correct if the majority confirmed all its labels; ties count as errors.

    Returns:
        `rows`, `correct` and `share` as in `agreement.audit`; None if there is no audit of the current balanced set.
    """
    if not (build / FILE).exists() or not (build / BALANCE / MANIFEST_FILE).exists():
        return None
    votes = Votes(build, "audit")
    results, predicted_labels = votes.results(), votes.predicted_labels()
    if not results or votes.origin() != sha256(build / BALANCE / MANIFEST_FILE):
        return None
    labels_by_row = {name: set(result.labels) for name, result in results.items() if result.resolution != "open"}
    correct = sum(set(predicted_labels[name]) <= labels for name, labels in labels_by_row.items())
    return agreement.audit(correct, len(results))


def export_votes(build: Path, task: Task, path: Path) -> int:
    """Write all votes to a CSV or Parquet file, depending on the file extension.

    Returns:
        Number of votes.

    Raises:
        UsageError: Unknown file extension.
    """
    rows = [
        {
            "id": vote.id,
            "annotator": vote.annotator,
            "labels": " ".join(LABELS[label] for label in vote.labels),
            "unsure": vote.unsure,
            "saw_predictions": vote.saw_predictions,
        }
        for vote in Votes(build, task).all_votes()
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix.lower():
        case ".csv":
            write_text(path, frame.to_csv(index=False))
        case ".parquet":
            frame.to_parquet(path, index=False)
        case _:
            raise UsageError(f"{path}: unknown file extension; expected .csv or .parquet")
    return len(rows)


def import_votes(build: Path, task: Task, path: Path) -> int:
    """Import a file written by `export_votes`. If one vote is invalid, none is imported.

    Existing votes of the same annotator on the same row are replaced.

    Returns:
        Number of votes.

    Raises:
        DataError: The file cannot be read, lacks a column, or contains an invalid vote: an unknown label or row,
            neither labels nor `unsure`, no annotator, or a sixth vote on a row.
        UsageError: Unknown file extension.
    """
    votes = []
    for number, row in enumerate(_read(path), 1):
        names = str(row["labels"] or "").split()
        if unknown := [name for name in names if name not in LABELS]:
            raise DataError(
                f"{path}, vote {number}: unknown label {', '.join(unknown)}; expected one of: {', '.join(LABELS)}"
            )
        flags = [_flag(row[name], f"{path}, vote {number}: {name}") for name in ("unsure", "saw_predictions")]
        votes.append(Vote(str(row["id"]), str(row["annotator"]), tuple(map(LABELS.index, names)), *flags))
    try:
        return Votes(build, task).import_votes(votes)
    except UsageError as error:
        raise DataError(f"{path}, {error}") from None


def _flag(value: Any, where: str) -> bool:
    flags = {"true": True, "1": True, "false": False, "0": False}
    if (name := str(value).strip().lower()) not in flags:
        raise DataError(f"{where} is {value!r}; expected true or false")
    return flags[name]


def _read(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a votes file, with all values as strings.

    Raises:
        DataError: The file cannot be read, or lacks a column.
        UsageError: Unknown file extension.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"{path}: unknown file extension; expected .csv or .parquet")
    try:
        frame = _read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path).astype(str)
    except EvenmoodError:
        raise
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"cannot read {path}: {' '.join(str(error).split())[:200]}") from None
    if missing := [name for name in COLUMNS if name not in frame.columns]:
        raise DataError(f"{path}: missing column {', '.join(missing)}; expected columns: {', '.join(COLUMNS)}")
    return [{name: row[name] for name in COLUMNS} for row in frame.to_dict("records")]


def _read_csv(path: Path) -> pd.DataFrame:
    """Read the rows of a CSV file, as strings.

    Raises:
        DataError: A row is malformed, or an unclosed quotation mark spans several lines.
    """

    def raise_error(message: str) -> None:
        raise DataError(message)

    with path.open(encoding="utf-8-sig", newline="") as lines:
        records = csv_records(str(path), lines, raise_error, on_suspicious_row=raise_error)
        rows = [(start, list(cells)) for start, cells, _ in records if cells]
    if not rows:
        raise DataError(f"cannot read {path}: the file is empty")
    for start, cells in rows:
        if any("\n" in cell or "\r" in cell for cell in cells):
            raise DataError(f"{path}, line {start}: a cell spans several lines; check for a missing quotation mark")
    return pd.DataFrame([cells for _, cells in rows[1:]], columns=rows[0][1], dtype=str)


def _fingerprint(votes: list[Vote], results: dict[str, Result]) -> str:
    content = [[vote.id, vote.annotator, vote.labels, vote.unsure] for vote in votes]
    decisions = [[name, result.labels, result.resolution] for name, result in results.items()]
    return hashlib.sha256(json.dumps([content, decisions]).encode()).hexdigest()
