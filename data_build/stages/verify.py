"""Fifth stage: rows get the labels that the teacher is sure of, and nothing of validation or test gets in."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow

from data_build.stage import Say, input_hashes, open_stage
from data_build.stages import goemotions, relabel
from data_build.teacher import gates
from evenmood import LABELS
from evenmood.data.build_folder import read_manifest, read_rows, read_shards
from evenmood.data.leakage import Leakage
from evenmood.data.rows import text_hash
from evenmood.thresholds import tune_thresholds

STAGE = "verify"
ALIGNMENT = 0.7
"""The paper's: the teacher gives the label at least this probability."""
Alignment = Literal["probability", "precision", "intended"]


def run(
    build: Path,
    say: Say,
    *,
    alignment: Alignment = "probability",
    threshold: float = ALIGNMENT,
    limit: int | None = None,
    restart: bool = False,
) -> None:
    """Write the relabelled rows that pass the gate, with the labels that pass it.

    Args:
        build: Build folder.
        say: Receives progress, a line at a time.
        alignment: `probability`: the teacher gives a label at least `threshold` (the paper's gate). `precision`: at
            least the probability from which on its precision on validation is surely `threshold`. `intended`: for
            generated rows, the label that a text was asked for is among the teacher's two highest and reaches the
            threshold tuned on validation (a second one stays if it reaches its own); for tweets, `probability`.
            Visitors' feedback keeps, by each gate, the labels that reach the threshold tuned on validation.
        threshold: From 0 to 1.
        limit: Rows to read; all of them if left out.
        restart: Forget what an earlier run wrote.

    Raises:
        DataError: An earlier stage is missing.
    """
    sources = relabel.stages(build)
    inputs = input_hashes(build, goemotions.STAGE, relabel.OFFICIAL, *sources)
    options = {"alignment": alignment, "threshold": threshold, "limit": limit}
    with open_stage(build, STAGE, inputs, options, say, restart) as stage:
        if stage.finished:
            return
        cuts = cuts_of(build, threshold)
        held = [text for split in ("validation", "test") for text in _texts(build, split)]
        leakage = Leakage(held)
        own = {text_hash(text) for text in _texts(build, "train")}
        say(f"{STAGE}: {len(held):,} validation and test texts are kept out")
        total, done = sum(read_manifest(build, source)["rows_out"] for source in sources), 0
        total = total if limit is None else min(limit, total)
        yields = {gate: np.zeros(len(LABELS), int) for gate in cuts}
        intended = {gate: np.zeros(len(LABELS), int) for gate in ("asked", "intended", *cuts)}
        for name, shard in (shard for source in sources for shard in read_shards(build, source)):
            rows = shard.slice(0, total - done)
            if not rows.num_rows:
                continue
            done += rows.num_rows
            _count(rows, cuts, yields, intended)
            if not stage.has(name):
                kept, counts = _passing(rows, given_by(rows, alignment, cuts), leakage, own)
                stage.write(name, kept, counts)
                stage.progress(rows.num_rows, done, total)
        overlap = Counter(reason for text in _texts(build, "train") if (reason := leakage.reason(text)))
        stage.finish(
            cuts={gate: _by_label(np.where(np.isinf(values), np.nan, values)) for gate, values in cuts.items()},
            yields={gate: _by_label(values) for gate, values in yields.items()},
            yields_generated={gate: _by_label(values) for gate, values in intended.items()},
            official_overlap=dict(sorted(overlap.items())),
        )


def cuts_of(build: Path, threshold: float) -> dict[str, np.ndarray]:
    """Probability from which on a label is given, per gate: float32 of shape (28,), infinity where never."""
    truth, scores = relabel.official_scores(build, "validation")
    return {
        "probability": np.full(len(LABELS), threshold, np.float32),
        "precision": gates.precision_cuts(truth, scores, threshold),
        "tuned": tune_thresholds(truth, scores),
    }


def given_by(rows: pyarrow.Table, alignment: Alignment, cuts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Labels that each row gets by a gate of `run`, with the cuts of `cuts_of`: bool of shape (n, 28)."""
    scores = relabel.scores_of(rows)
    written, said, labels = _of(rows, "generated"), _of(rows, "feedback"), rows["labels"].to_pylist()
    given: np.ndarray = scores >= cuts["probability" if alignment == "intended" else alignment]
    asked = np.zeros_like(given)
    for row in np.flatnonzero(written | said):
        asked[row, labels[row]] = True
    given[said] = asked[said] & (scores[said] >= cuts["tuned"])  # two voices: the visitor's and the teacher's
    if alignment == "intended" and written.any():
        passes = gates.intended_passes(scores[written], _intended(rows, written), cuts["tuned"])
        given[written] = asked[written] & (scores[written] >= cuts["tuned"]) & passes[:, None]
    return given


def _passing(
    rows: pyarrow.Table, given: np.ndarray, leakage: Leakage, own: set[str]
) -> tuple[pyarrow.Table, Counter[str]]:
    counts = Counter({"in": rows.num_rows})
    keep = np.array(given.any(axis=1))
    counts["no label passes the gate"] = int((~keep).sum())
    texts = rows["text"].to_pylist()
    for row in np.flatnonzero(keep):
        reason = "equals a training text" if text_hash(texts[row]) in own else leakage.reason(texts[row])
        if reason:
            keep[row] = False
            counts[reason] += 1
    labels = pyarrow.array(
        [given[row].nonzero()[0].tolist() for row in np.flatnonzero(keep)], rows.schema.field("labels").type
    )
    kept = rows.filter(pyarrow.array(keep))
    return kept.set_column(rows.schema.get_field_index("labels"), "labels", labels), counts


def _count(
    rows: pyarrow.Table,
    cuts: Mapping[str, np.ndarray],
    yields: Mapping[str, np.ndarray],
    intended: Mapping[str, np.ndarray],
) -> None:
    """Add what each gate would give: tweets by the label given, generated rows by the label they were asked for."""
    scores = relabel.scores_of(rows)
    written, tweets = _of(rows, "generated"), _of(rows, "sentiment140")
    for gate, values in cuts.items():
        yields[gate][:] += (scores[tweets] >= values).sum(axis=0)
    if written.any():
        own, first = scores[written], _intended(rows, written)
        ways = {gate: own[np.arange(len(own)), first] >= values[first] for gate, values in cuts.items()}
        ways |= {"asked": np.ones(len(own), bool), "intended": gates.intended_passes(own, first, cuts["tuned"])}
        for gate, passes in ways.items():
            np.add.at(intended[gate], first[passes], 1)


def _of(rows: pyarrow.Table, wanted: str) -> np.ndarray:
    return np.array([source == wanted for source in rows["source"].to_pylist()], bool)


def _intended(rows: pyarrow.Table, written: np.ndarray) -> np.ndarray:
    """The label that each generated row was asked for: the first of those it carries."""
    labels = rows["labels"].to_pylist()
    return np.array([labels[row][0] for row in np.flatnonzero(written)])


def _by_label(values: np.ndarray) -> dict[str, Any]:
    """Numbers by label; null where there is none."""
    whole = np.issubdtype(values.dtype, np.integer)
    shown = [int(value) if whole else None if np.isnan(value) else round(float(value), 4) for value in values]
    return dict(zip(LABELS, shown, strict=True))


def _texts(build: Path, split: str) -> list[str]:
    texts: list[str] = read_rows(build, goemotions.STAGE, split)["text"].to_pylist()
    return texts
