"""Evaluate the exported network of a model folder on a split."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from evenmood import LABELS, EmotionClassifier
from evenmood.data.splits import OFFICIAL_DIGESTS, Split, load_split
from evenmood.evaluation import calibration
from evenmood.evaluation.metrics import round_floats, score
from evenmood.model.model_folder import TRAINING_FOLDER, read_info, write_info, write_text
from train.release import figures as plots
from train.release.card import LOG_FILE, write_card

OFFICIAL_THRESHOLDS = "thresholds-official.json"
"""File with thresholds tuned only on the data set's validation split, for models whose thresholds use more texts."""
DATA_FILE = "data.json"
"""File with the size, digest and label counts of each split that was used for training or evaluation."""
MAIN_METRICS = ("rows", "subset_accuracy", "micro_f1", "macro_f1", "macro_roc_auc", "macro_average_precision")
"""Averaged metrics in `emotions.json`, which also has the metrics per label."""


def evaluate(folder: Path, split: str, data: str | None = None) -> dict[str, Any]:
    """Evaluate a model folder on a split, and write the metrics to the folder.

    Every evaluation is logged in `training/evaluations.jsonl`, because the test split should be used only once, for the
    final report.

    Args:
        folder: Model folder; its metrics, `emotions.json` and card are updated.
        split: `train`, `validation` or `test`.
        data: Data set as in `load_split`; by default, the one the model was trained on. Metrics on another data set are
            written to a separate file, not to `emotions.json` and the card.

    Returns:
        The metrics, as from `write_metrics`.
    """
    own = read_info(folder).trained_from["data"]
    source = data or own
    rows = load_split(source, split)
    earlier = {"train": (), "validation": ("train",), "test": ("train", "validation")}[split]
    disjoint = rows.without(load_split(source, name) for name in earlier) if earlier else None
    is_own_data = source == own or matches_training_data(folder, split, rows)
    name = split if is_own_data else f"{split}-{rows.digest()[:8]}"
    metrics = write_metrics(
        folder, name, rows, onnx_probabilities(folder, rows.texts), disjoint, update_info=is_own_data
    )
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "split": split,
        "data": source,
        "rows": len(rows),
        "macro_f1": metrics["tuned"]["macro_f1"]["value"],
    }
    with (folder / TRAINING_FOLDER / LOG_FILE).open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")
    if is_own_data:
        record_split(folder, split, rows)
        write_card(folder)
    return metrics


def matches_training_data(folder: Path, split: str, rows: Split) -> bool:
    """Return whether rows from another source are those of the model's data set, by their digest."""
    path = folder / TRAINING_FOLDER / DATA_FILE
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    official = record.get("train", {}).get("digest") == OFFICIAL_DIGESTS["train"]
    expected = record.get(split, {}).get("digest", OFFICIAL_DIGESTS[split] if official else None)
    return bool(rows.digest() == expected)


def record_split(folder: Path, split: str, rows: Split) -> None:
    """Record the size, digest and label counts of a split of the model's data set."""
    path = folder / TRAINING_FOLDER / DATA_FILE
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    counts = rows.labels.sum(axis=0).astype(int).tolist()
    record[split] = {
        "rows": len(rows),
        "digest": rows.digest(),
        "label_counts": dict(zip(LABELS, counts, strict=True)),
    }
    write_text(path, json.dumps(record, indent=1) + "\n")


def onnx_probabilities(folder: Path, texts: Sequence[str]) -> np.ndarray:
    """Predict with the exported model: float32 of shape (n, labels)."""
    return EmotionClassifier.from_pretrained(folder).predict_proba(texts)


def write_metrics(
    folder: Path,
    split: str,
    rows: Split,
    probabilities: np.ndarray,
    disjoint: Split | None = None,
    update_info: bool = True,
) -> dict[str, Any]:
    """Compute metrics with tuned thresholds and with 0.5, and write them to the model folder.

    Writes `training/metrics-SPLIT.json`, `training/calibration-SPLIT.json` with the result of
    `calibration.calibration_metrics`, a reliability diagram, and the main metrics to `emotions.json`.

    Args:
        folder: Model folder.
        split: Name of the split.
        rows: Texts and labels of the split.
        probabilities: Predictions of shape (n, labels).
        disjoint: Rows whose text is not in an earlier split, scored separately if set.
        update_info: Whether to update `emotions.json`.

    Returns:
        Metrics as from `metrics.score`: `tuned`, `at_0.5` and, if available, `tuned_on_own_validation` and
        `tuned_without_overlap`.
    """
    info = read_info(folder)
    thresholds = np.array([info.thresholds[label] for label in info.labels], np.float32)
    metrics = {
        "tuned": score(rows.labels, probabilities, thresholds, info.labels),
        "at_0.5": score(rows.labels, probabilities, 0.5, info.labels),
    }
    official_file = folder / TRAINING_FOLDER / OFFICIAL_THRESHOLDS
    if update_info and official_file.exists():
        by_label = json.loads(official_file.read_text(encoding="utf-8"))
        official = np.array([by_label[label] for label in info.labels], np.float32)
        metrics["tuned_on_own_validation"] = score(rows.labels, probabilities, official, info.labels)
    if disjoint is not None:
        metrics["tuned_without_overlap"] = score(
            disjoint.labels, onnx_probabilities(folder, disjoint.texts), thresholds, info.labels
        )
    training = folder / TRAINING_FOLDER
    training.mkdir(exist_ok=True)
    write_text(training / f"metrics-{split}.json", json.dumps(metrics, indent=1) + "\n")
    calibrated = calibration.calibration_metrics(rows.labels, probabilities, info.labels)
    write_text(training / f"calibration-{split}.json", json.dumps(round_floats(calibrated, 6), indent=1) + "\n")
    plots.reliability(calibrated["reliability"], training / f"calibration-{split}.png")
    if update_info:
        main_metrics = round_floats({name: metrics["tuned"][name] for name in (*MAIN_METRICS, "per_label")})
        write_info(folder, replace(info, metrics={**info.metrics, split: main_metrics}))
    return metrics
