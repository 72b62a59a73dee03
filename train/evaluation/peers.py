"""Models of any origin on the same texts: the bundled ones, model folders, other programs' ONNX exports."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evenmood import LABELS, EmotionClassifier
from evenmood.data.splits import load_split
from evenmood.data.teacher import label_columns
from evenmood.errors import ModelError
from evenmood.evaluation.metrics import rounded, score
from evenmood.thresholds import tune_thresholds
from train.evaluation.everyday import figures, load_everyday

FIGURES = ("macro_f1", "micro_f1", "macro_roc_auc", "macro_average_precision", "subset_accuracy")


def open_model(model: str) -> EmotionClassifier:
    """Open a bundled model by its name, or a model folder or an ONNX export, here or on the Hub.

    Raises:
        ModelError: It is neither; the message says why.
    """
    try:
        return EmotionClassifier.from_pretrained(model)
    except ModelError as error:
        try:
            return EmotionClassifier.from_onnx(model)
        except ModelError as other:
            raise ModelError(f"{error}; as an ONNX export: {other}") from None


def peers(models: Sequence[str], data: str, split: str, log: Callable[[str], None]) -> dict[str, Any]:
    """Score models on a split of a data set and on the everyday texts.

    Args:
        models: As `open_model` takes them; each has the 28 labels, in any order.
        data: Data set as in `load_split`; thresholds are tuned on its validation split.
        split: `validation` or `test`, of the data set and of the everyday texts.
        log: Receives a line for each model.

    Returns:
        `split`, `rows` and `models`; of each model `model`, `tuned` and `own_thresholds` on the data set, and
        `everyday` with thresholds tuned on the everyday texts of validation.

    Raises:
        DataError: A model lacks a label.
    """
    validation, rows = load_split(data, "validation"), load_split(data, split)
    tuning, everyday = load_everyday("validation"), load_everyday(split)
    found = []
    for name in models:
        classifier = open_model(name)
        columns = label_columns(classifier.id2label, name)
        read = [
            classifier.predict_proba(texts)[:, columns]
            for texts in (validation.texts, rows.texts, tuning.split.texts, everyday.split.texts)
        ]
        tuned = tune_thresholds(validation.labels, read[0], "shrunk")
        own = np.array([classifier.thresholds[classifier.labels[column]] for column in columns], np.float32)
        ignored = np.where(tuning.ignored, np.float32(0), read[2])
        theirs = figures(everyday, read[3], tune_thresholds(tuning.split.labels, ignored, "shrunk"))
        entry = {
            "model": Path(name).name if Path(name).is_dir() else name,
            "tuned": _brief(score(rows.labels, read[1], tuned, LABELS)),
            "own_thresholds": _brief(score(rows.labels, read[1], own, LABELS)),
            "everyday": {key: theirs[key] for key in theirs if key != "per_label"},
        }
        found.append(entry)
        log(f"{entry['model']}: macro-F1 {_value(entry['tuned'])}, everyday {_value(entry['everyday'])}")
    return rounded({"data": data, "split": split, "rows": len(rows), "models": found}, 5)  # type: ignore[no-any-return]


def _brief(scored: dict[str, Any]) -> dict[str, Any]:
    return {name: scored[name] for name in FIGURES}


def _value(figures_of: Any) -> str:
    return f"{figures_of['macro_f1']['value']:.3f}"
