"""Stage `verify`: keep the labels that the teacher confirms, and drop duplicates of held-out texts."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow

from data_build.stage import Log, input_hashes, open_stage
from data_build.stages import goemotions, relabel
from data_build.teacher import acceptance_rules
from evenmood import LABELS
from evenmood.data.build_folder import read_manifest, read_rows, read_shards
from evenmood.data.leakage import LeakageFilter
from evenmood.data.rows import text_hash
from evenmood.thresholds import tune_thresholds

STAGE = "verify"
MIN_PROBABILITY = 0.7
"""Minimum teacher probability of a label, as in the paper (arXiv 2511.14073)."""
Alignment = Literal["probability", "precision", "intended"]


def run(
    build: Path,
    log: Log,
    *,
    alignment: Alignment = "probability",
    threshold: float = MIN_PROBABILITY,
    limit: int | None = None,
    restart: bool = False,
) -> None:
    """Write the rows with at least one accepted label, without their other labels.

    Args:
        build: Build folder.
        log: Called with each progress message.
        alignment: Acceptance rule, which decides the labels that a row keeps.
            `probability`: the teacher's probability is at least `threshold` (as in the paper).
            `precision`: the teacher's probability is at least the one above which its precision on validation is at
            least `threshold` with 95% confidence.
            `intended`: for generated rows, the requested label is among the teacher's two most probable labels and
            reaches its decision threshold tuned on validation (a second requested label is kept if it reaches its own
            threshold); for tweets, same as `probability`.
            With every rule, feedback rows keep the visitor's labels that reach the tuned thresholds.
        threshold: Minimum probability or precision, 0 to 1.
        limit: Maximum number of rows to read; by default, all.
        restart: Discard the output of an earlier run.

    Raises:
        DataError: An earlier stage is incomplete.
    """
    sources = relabel.stages(build)
    inputs = input_hashes(build, goemotions.STAGE, relabel.OFFICIAL_SCORES, *sources)
    options = {"alignment": alignment, "threshold": threshold, "limit": limit}
    with open_stage(build, STAGE, inputs, options, log, restart) as stage:
        if stage.finished:
            return
        thresholds = rule_thresholds(build, threshold)
        held_out = [text for split in ("validation", "test") for text in _texts(build, split)]
        leakage = LeakageFilter(held_out)
        training_hashes = {text_hash(text) for text in _texts(build, "train")}
        log(f"{STAGE}: checking for duplicates of {len(held_out):,} held-out texts (validation and test)")
        total, processed_rows = sum(read_manifest(build, source)["rows_out"] for source in sources), 0
        total = total if limit is None else min(limit, total)
        tweets_by_rule = {rule: np.zeros(len(LABELS), int) for rule in thresholds}
        generated_by_rule = {rule: np.zeros(len(LABELS), int) for rule in ("requested", "intended", *thresholds)}
        for name, shard in (shard for source in sources for shard in read_shards(build, source)):
            rows = shard.slice(0, total - processed_rows)
            if not rows.num_rows:
                continue
            processed_rows += rows.num_rows
            _count_by_rule(rows, thresholds, tweets_by_rule, generated_by_rule)
            if not stage.has(name):
                confirmed = confirmed_labels(rows, alignment, thresholds)
                stage.write(name, *_filter(rows, confirmed, leakage, training_hashes))
                stage.progress(rows.num_rows, processed_rows, total)
        official_overlap = Counter(
            reason for text in _texts(build, "train") if (reason := leakage.rejection_reason(text))
        )
        stage.finish(
            thresholds={
                rule: _by_label(np.where(np.isinf(values), np.nan, values)) for rule, values in thresholds.items()
            },
            tweets_by_rule={rule: _by_label(values) for rule, values in tweets_by_rule.items()},
            generated_by_rule={rule: _by_label(values) for rule, values in generated_by_rule.items()},
            official_overlap=dict(sorted(official_overlap.items())),
        )


def rule_thresholds(build: Path, threshold: float) -> dict[str, np.ndarray]:
    """Return the minimum teacher probability of each label, by acceptance rule.

    Args:
        build: Build folder, with the teacher's scores of the official splits.
        threshold: See `run`.

    Returns:
        float32 of shape (28,); infinity if the label is never accepted.
    """
    truth, scores = relabel.official_scores(build, "validation")
    return {
        "probability": np.full(len(LABELS), threshold, np.float32),
        "precision": acceptance_rules.precision_thresholds(truth, scores, threshold),
        "tuned": tune_thresholds(truth, scores),
    }


def confirmed_labels(rows: pyarrow.Table, alignment: Alignment, thresholds: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return which labels of each row are accepted: bool of shape (n, 28).

    Args:
        rows: Rows with teacher scores.
        alignment: Acceptance rule, see `run`.
        thresholds: See `rule_thresholds`.
    """
    scores = relabel.read_scores(rows)
    is_generated, is_feedback = _is_from(rows, "generated"), _is_from(rows, "feedback")
    labels = rows["labels"].to_pylist()
    confirmed: np.ndarray = scores >= thresholds["probability" if alignment == "intended" else alignment]
    row_labels = np.zeros_like(confirmed)
    for row in np.flatnonzero(is_generated | is_feedback):
        row_labels[row, labels[row]] = True
    # Feedback needs two votes: the visitor's and the teacher's.
    confirmed[is_feedback] = row_labels[is_feedback] & (scores[is_feedback] >= thresholds["tuned"])
    if alignment == "intended" and is_generated.any():
        accepted = acceptance_rules.accepted_by_intended(
            scores[is_generated], _intended(rows, is_generated), thresholds["tuned"]
        )
        confirmed[is_generated] = (
            row_labels[is_generated] & (scores[is_generated] >= thresholds["tuned"]) & accepted[:, None]
        )
    return confirmed


def _filter(
    rows: pyarrow.Table, confirmed: np.ndarray, leakage: LeakageFilter, training_hashes: set[str]
) -> tuple[pyarrow.Table, Counter[str]]:
    """Return the rows with a confirmed label and without leakage, and the number of rows dropped for each reason."""
    counts = Counter({"in": rows.num_rows})
    accepted = np.array(confirmed.any(axis=1))
    counts["no confirmed label"] = int((~accepted).sum())
    texts = rows["text"].to_pylist()
    for row in np.flatnonzero(accepted):
        is_training_text = text_hash(texts[row]) in training_hashes
        reason = "duplicate of a training text" if is_training_text else leakage.rejection_reason(texts[row])
        if reason:
            accepted[row] = False
            counts[reason] += 1
    labels = pyarrow.array(
        [confirmed[row].nonzero()[0].tolist() for row in np.flatnonzero(accepted)], rows.schema.field("labels").type
    )
    accepted_rows = rows.filter(pyarrow.array(accepted))
    return accepted_rows.set_column(rows.schema.get_field_index("labels"), "labels", labels), counts


def _count_by_rule(
    rows: pyarrow.Table,
    thresholds: Mapping[str, np.ndarray],
    tweets_by_rule: Mapping[str, np.ndarray],
    generated_by_rule: Mapping[str, np.ndarray],
) -> None:
    """Add the number of rows that each rule accepts: tweets by confirmed label, generated rows by requested label."""
    scores = relabel.read_scores(rows)
    is_generated, is_tweet = _is_from(rows, "generated"), _is_from(rows, "sentiment140")
    for rule, values in thresholds.items():
        tweets_by_rule[rule][:] += (scores[is_tweet] >= values).sum(axis=0)
    if is_generated.any():
        generated_scores, intended = scores[is_generated], _intended(rows, is_generated)
        intended_scores = generated_scores[np.arange(len(intended)), intended]
        accepted = {rule: intended_scores >= values[intended] for rule, values in thresholds.items()}
        accepted["requested"] = np.ones(len(intended), bool)
        accepted["intended"] = acceptance_rules.accepted_by_intended(generated_scores, intended, thresholds["tuned"])
        for rule, mask in accepted.items():
            np.add.at(generated_by_rule[rule], intended[mask], 1)


def _is_from(rows: pyarrow.Table, source: str) -> np.ndarray:
    return np.array([value == source for value in rows["source"].to_pylist()], bool)


def _intended(rows: pyarrow.Table, is_generated: np.ndarray) -> np.ndarray:
    """Return the requested label of each generated row: its first label."""
    labels = rows["labels"].to_pylist()
    return np.array([labels[row][0] for row in np.flatnonzero(is_generated)])


def _by_label(values: np.ndarray) -> dict[str, Any]:
    """Return the values by label name; NaN becomes None."""
    is_integer = np.issubdtype(values.dtype, np.integer)
    cells = [int(value) if is_integer else None if np.isnan(value) else round(float(value), 4) for value in values]
    return dict(zip(LABELS, cells, strict=True))


def _texts(build: Path, split: str) -> list[str]:
    texts: list[str] = read_rows(build, goemotions.STAGE, split)["text"].to_pylist()
    return texts
