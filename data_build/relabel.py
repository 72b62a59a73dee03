"""Third stage: the teacher's 28 probabilities for every tweet, and how good the teacher is."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow

from data_build import goemotions, sentiment140
from data_build.stage import Say, input_hashes, open_stage, read_manifest, read_rows, read_shards
from data_build.teacher import TEACHER, Engine, Teacher, fingerprint
from evenmood import LABELS
from evenmood.model_folder import figure_text

STAGE = "relabel"


def run(
    build: Path,
    say: Say,
    teacher: str = TEACHER,
    *,
    engine: Engine = "torch",
    batch_size: int = 256,
    limit: int | None = None,
    evaluate: bool = False,
    restart: bool = False,
) -> None:
    """Write the rows of `sentiment140` with the teacher's scores, shard by shard.

    Args:
        build: Build folder.
        say: Receives progress, a line at a time.
        teacher: As in `Teacher`.
        engine: As in `Teacher`.
        batch_size: As in `Teacher`.
        limit: Rows to label; all of them if left out.
        evaluate: Measure the teacher on the official validation and test splits first, as the paper does.
        restart: Forget what an earlier run wrote.

    Raises:
        DataError: An earlier stage is missing, or the teacher cannot be loaded.
    """
    inputs = {**input_hashes(build, sentiment140.STAGE, goemotions.STAGE), "teacher": fingerprint(teacher)}
    options = {"teacher": _name(teacher), "engine": engine, "limit": limit, "evaluate": evaluate}
    with open_stage(build, STAGE, inputs, options, say, restart) as stage:
        if stage.finished:
            return
        model = Teacher(teacher, engine=engine, batch_size=batch_size)
        figures = measure(build, model, say) if evaluate else None
        total = read_manifest(build, sentiment140.STAGE)["rows_out"]
        total = total if limit is None else min(limit, total)
        done = 0
        for name, shard in read_shards(build, sentiment140.STAGE):
            rows = shard.slice(0, max(0, total - done))
            done += rows.num_rows
            if stage.has(name) or not rows.num_rows:
                continue
            scores = model.probabilities(rows["text"].to_pylist())
            stage.write(name, with_scores(rows, scores), {"in": rows.num_rows})
            stage.progress(rows.num_rows, done, total)
        stage.finish(**({"evaluation": figures} if figures else {}))


def with_scores(rows: pyarrow.Table, scores: np.ndarray) -> pyarrow.Table:
    """The same rows with a probability per label."""
    at = rows.schema.get_field_index("scores")
    return rows.set_column(at, rows.schema.field(at), pyarrow.array(list(scores), rows.schema.field(at).type))


def measure(build: Path, model: Teacher, say: Say) -> dict[str, Any]:
    """The teacher's figures on validation and test: at 0.5, and at thresholds tuned on validation."""
    from evenmood.metrics import score
    from evenmood.thresholds import tune_thresholds

    figures: dict[str, Any] = {}
    thresholds = np.full(len(LABELS), 0.5, np.float32)
    for split in ("validation", "test"):
        truth, scores = official_scores(build, model, split)
        if split == "validation":
            thresholds = tune_thresholds(truth, scores)
            figures["thresholds"] = dict(zip(LABELS, thresholds.round(2).astype(float).tolist(), strict=True))
        figures[split] = {
            "tuned": score(truth, scores, thresholds, LABELS),
            "at_0.5": score(truth, scores, 0.5, LABELS),
        }
        shown = ("macro_f1", "macro-F1"), ("micro_f1", "micro-F1"), ("macro_roc_auc", "macro ROC AUC")
        tuned = figures[split]["tuned"]
        say(f"teacher on {split}: " + ", ".join(f"{title} {figure_text(tuned[name])}" for name, title in shown))
    return figures


def official_scores(build: Path, model: Teacher, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and the teacher's probabilities of an official split, each of shape (n, 28)."""
    rows = read_rows(build, goemotions.STAGE, split)
    truth = np.zeros((rows.num_rows, len(LABELS)), np.float32)
    for index, numbers in enumerate(rows["labels"].to_pylist()):
        truth[index, numbers] = 1
    return truth, model.probabilities(rows["text"].to_pylist())


def _name(teacher: str) -> str:
    return Path(teacher).name if Path(teacher).is_dir() else teacher
