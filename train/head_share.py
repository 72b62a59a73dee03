"""How the two output layers of a trained network are mixed into one: chosen on validation."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from evenmood.calibration import logit
from evenmood.metrics import mean_over_labels, weighted_figures
from evenmood.model_folder import write_text
from evenmood.text import encode
from evenmood.thresholds import tune_thresholds
from train.config import TrainConfig
from train.validation import ValidationRows

SHARES = tuple(round(0.05 * step, 2) for step in range(21))
TOLERANCE = 0.01
"""Macro-F1 on the data set's own validation split that a share may cost, less than half of its 95 % interval."""
SHARE_FILE = "head-share.json"


def choose_share(trained: keras.Model, config: TrainConfig, rows: ValidationRows, reader: Any) -> dict[str, Any]:
    """Compare shares of the second output layer; the largest that hardly costs the data set's own validation split.

    Args:
        trained: From `network.with_two_heads`.
        config: Thresholds' rule.
        rows: Both validation sets.
        reader: Tokenizer.

    Returns:
        `share`, and `tried`: macro-F1 of both validation sets for each share, thresholds tuned on each.
    """
    ids = encode(reader, rows.texts)
    first, second = (
        logit(trained.predict([ids, np.full((len(ids), 1), share, np.float32)], batch_size=1024, verbose=0))
        for share in (0, 1)
    )
    own = rows.repeats == 1
    tried = []
    for share in SHARES:
        masked = rows.masked(1 / (1 + np.exp(-((1 - share) * first + share * second))))
        figures = {}
        for name, part in (("own", own), ("everyday", ~own)):
            cuts = tune_thresholds(rows.labels[part], masked[part], config.thresholds)
            figures[name] = macro_f1(rows.labels[part], masked[part], cuts)
        tried.append({"share": share, **{name: round(value, 4) for name, value in figures.items()}})
    floor = max(entry["own"] for entry in tried) - TOLERANCE
    return {"share": max(entry["share"] for entry in tried if entry["own"] >= floor), "tried": tried}


def macro_f1(labels: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray) -> float:
    """Macro-F1 over the labels that occur."""
    found, _ = weighted_figures(labels > 0, probabilities >= thresholds, np.ones((1, len(labels)), np.float32))
    return float(mean_over_labels(found["f1"])[0])


def write_share(chosen: dict[str, Any], training: Path) -> None:
    """Keep what was tried beside the model."""
    write_text(training / SHARE_FILE, json.dumps(chosen, indent=1) + "\n")
