"""Compare bundled models, model folders and other programs' ONNX exports on the same texts."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evenmood import LABELS, EmotionClassifier
from evenmood.data.splits import load_split
from evenmood.data.teacher import label_columns
from evenmood.errors import ModelError
from evenmood.evaluation.metrics import round_floats, score
from evenmood.thresholds import tune_thresholds
from train.evaluation.everyday import compute_metrics, load_everyday

METRICS = ("macro_f1", "micro_f1", "macro_roc_auc", "macro_average_precision", "subset_accuracy")


def open_model(model: str) -> EmotionClassifier:
    """Load a bundled model, a model folder or an ONNX export; folders and exports may be on disk or on the Hub.

    Raises:
        ModelError: The model cannot be loaded in any of these ways.
    """
    try:
        return EmotionClassifier.from_pretrained(model)
    except ModelError as error:
        try:
            return EmotionClassifier.from_onnx(model)
        except ModelError as other:
            raise ModelError(f"{error}; as an ONNX export: {other}") from None


def peers(models: Sequence[str], data: str, split: str, log: Callable[[str], None]) -> dict[str, Any]:
    """Evaluate models on a split of a data set and on the everyday benchmark.

    Args:
        models: Names, folders or Hub ids, as in `open_model`; each has the 28 labels, in any order.
        data: Data set as in `load_split`; thresholds are tuned on its validation split.
        split: `validation` or `test`, of the data set and of the everyday benchmark.
        log: Called with a message per model.

    Returns:
        `data`, `split`, `rows` and `models`; for each model, `model`, `tuned` and `own_thresholds` on the data set, and
        `everyday` with thresholds tuned on the benchmark's validation texts.

    Raises:
        DataError: A model lacks a label.
        ModelError: A model cannot be loaded.
    """
    validation, rows = load_split(data, "validation"), load_split(data, split)
    tuning, everyday = load_everyday("validation"), load_everyday(split)
    entries = []
    for name in models:
        classifier = open_model(name)
        columns = label_columns(classifier.id2label, name)
        predictions = [
            classifier.predict_proba(texts)[:, columns]
            for texts in (validation.texts, rows.texts, tuning.split.texts, everyday.split.texts)
        ]
        tuned = tune_thresholds(validation.labels, predictions[0], "shrunk")
        own = np.array([classifier.thresholds[classifier.labels[column]] for column in columns], np.float32)
        masked = np.where(tuning.ignored, np.float32(0), predictions[2])
        everyday_thresholds = tune_thresholds(tuning.split.labels, masked, "shrunk")
        everyday_metrics = compute_metrics(everyday, predictions[3], everyday_thresholds)
        entry = {
            "model": Path(name).name if Path(name).is_dir() else name,
            "tuned": _select(score(rows.labels, predictions[1], tuned, LABELS)),
            "own_thresholds": _select(score(rows.labels, predictions[1], own, LABELS)),
            "everyday": {key: value for key, value in everyday_metrics.items() if key != "per_label"},
        }
        entries.append(entry)
        log(f"{entry['model']}: macro-F1 {_macro_f1(entry['tuned'])}, everyday {_macro_f1(entry['everyday'])}")
    return round_floats({"data": data, "split": split, "rows": len(rows), "models": entries}, 5)  # type: ignore[no-any-return]


def _select(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: metrics[name] for name in METRICS}


def _macro_f1(metrics: Any) -> str:
    return f"{metrics['macro_f1']['value']:.3f}"
