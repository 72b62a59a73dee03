"""Score a model folder on a split through `model.onnx`, the very thing that predicts."""

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
from evenmood.evaluation.metrics import rounded, score
from evenmood.model.model_folder import TRAINING_FOLDER, read_info, write_info, write_text
from train.release import figures as drawn
from train.release.card import LOG_FILE, write_card

OFFICIAL_THRESHOLDS = "thresholds-official.json"
"""Thresholds tuned on the data set's own validation split alone, of a model whose thresholds suit further texts too."""
DATA_FILE = "data.json"
"""What each split that this model has read holds: rows, digest, texts per label."""
BRIEF = ("rows", "subset_accuracy", "micro_f1", "macro_f1", "macro_roc_auc", "macro_average_precision")
"""Figures that `emotions.json` carries beside those per label."""


def evaluate(folder: Path, split: str, data: str | None = None) -> dict[str, Any]:
    """Score a model folder on a split of its own data set, or of another, and write the figures into the folder.

    Every run is logged in `training/evaluations.jsonl`: the test split is meant to be read once, for the report.

    Args:
        folder: Model folder; its metrics, `emotions.json` and card are updated.
        split: `validation` or `test` (or `train`).
        data: Data set as in `load_split`; None for the one the model was trained from. Figures of another data set go
            into a file of their own and stay out of `emotions.json` and the card.

    Returns:
        What `write_metrics` wrote.
    """
    own = read_info(folder).trained_from["data"]
    source = data or own
    rows = load_split(source, split)
    earlier = {"train": (), "validation": ("train",), "test": ("train", "validation")}[split]
    disjoint = rows.without(load_split(source, name) for name in earlier) if earlier else None
    belongs = source == own or is_own(folder, split, rows)
    name = split if belongs else f"{split}-{rows.digest()[:8]}"
    figures = write_metrics(folder, name, rows, onnx_probabilities(folder, rows.texts), disjoint, brief=belongs)
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "split": split,
        "data": source,
        "rows": len(rows),
        "macro_f1": figures["tuned"]["macro_f1"]["value"],
    }
    with (folder / TRAINING_FOLDER / LOG_FILE).open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")
    if belongs:
        record_split(folder, split, rows)
        write_card(folder)
    return figures


def is_own(folder: Path, split: str, rows: Split) -> bool:
    """Whether rows read from elsewhere are those of the model's own data set."""
    path = folder / TRAINING_FOLDER / DATA_FILE
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    official = known.get("train", {}).get("digest") == OFFICIAL_DIGESTS["train"]
    wanted = known.get(split, {}).get("digest", OFFICIAL_DIGESTS[split] if official else None)
    return bool(rows.digest() == wanted)


def record_split(folder: Path, split: str, rows: Split) -> None:
    """Note in the training record what a split of the model's own data set holds."""
    path = folder / TRAINING_FOLDER / DATA_FILE
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    counts = rows.labels.sum(axis=0).astype(int).tolist()
    known[split] = {
        "rows": len(rows),
        "digest": rows.digest(),
        "label_counts": dict(zip(LABELS, counts, strict=True)),
    }
    write_text(path, json.dumps(known, indent=1) + "\n")


def onnx_probabilities(folder: Path, texts: Sequence[str]) -> np.ndarray:
    """Probabilities of the exported model: float32, shape (n, labels)."""
    return EmotionClassifier.from_pretrained(folder).predict_proba(texts)


def write_metrics(
    folder: Path,
    split: str,
    rows: Split,
    probabilities: np.ndarray,
    disjoint: Split | None = None,
    brief: bool = True,
) -> dict[str, Any]:
    """Score at 0.5 and at the tuned thresholds; write `training/metrics-SPLIT.json` and the brief into `emotions.json`.

    Beside them `training/calibration-SPLIT.json` gets what `calibration.report` gives, and its reliability a figure.

    Args:
        folder: Model folder.
        split: The split's name.
        rows: Its texts and labels.
        probabilities: Shape (n, labels).
        disjoint: The rows whose text is in no earlier split, scored as well where given.
        brief: Whether `emotions.json` gets the brief.

    Returns:
        `tuned`, `at_0.5` and, where there are such, `tuned_on_own_validation` and `tuned_without_overlap`: figures as
        in `metrics.score`.
    """
    info = read_info(folder)
    cuts = np.array([info.thresholds[label] for label in info.labels], np.float32)
    figures = {
        "tuned": score(rows.labels, probabilities, cuts, info.labels),
        "at_0.5": score(rows.labels, probabilities, 0.5, info.labels),
    }
    own = folder / TRAINING_FOLDER / OFFICIAL_THRESHOLDS
    if brief and own.exists():
        by_label = json.loads(own.read_text(encoding="utf-8"))
        official = np.array([by_label[label] for label in info.labels], np.float32)
        figures["tuned_on_own_validation"] = score(rows.labels, probabilities, official, info.labels)
    if disjoint is not None:
        figures["tuned_without_overlap"] = score(
            disjoint.labels, onnx_probabilities(folder, disjoint.texts), cuts, info.labels
        )
    training = folder / TRAINING_FOLDER
    training.mkdir(exist_ok=True)
    write_text(training / f"metrics-{split}.json", json.dumps(figures, indent=1) + "\n")
    calibrated = calibration.report(rows.labels, probabilities, info.labels)
    write_text(training / f"calibration-{split}.json", json.dumps(rounded(calibrated, 6), indent=1) + "\n")
    drawn.reliability(calibrated["reliability"], training / f"calibration-{split}.png")
    if brief:
        short = rounded({name: figures["tuned"][name] for name in (*BRIEF, "per_label")})
        write_info(folder, replace(info, metrics={**info.metrics, split: short}))
    return figures
