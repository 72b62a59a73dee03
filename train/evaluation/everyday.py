"""The everyday benchmark: held-out diary lines, chats, work messages and other everyday texts, at least 12 per label.

The split `validation` is for model selection, `test` for reporting, and `long` for choosing how the windows of long
texts are combined. Language models wrote and annotated the texts. The written texts in data_build/written/ are training
texts of the same kinds, without duplicates and near-duplicates of benchmark texts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evenmood.classifier import EmotionClassifier
from evenmood.data.splits import Split
from evenmood.errors import DataError
from evenmood.evaluation.bootstrap import interval, row_weights, seed_weights
from evenmood.evaluation.metrics import mean_over_labels, round_floats
from evenmood.labels import LABELS
from evenmood.model.model_folder import TRAINING_FOLDER, format_metric, read_info, write_info, write_text
from train.evaluation.resampling import weighted_auc

FOLDER = Path(__file__).parent / "everyday"


@dataclass(frozen=True)
class EverydaySplit:
    """A split of the benchmark.

    Attributes:
        split: Texts and labels.
        ignored: Debatable labels, which are excluded from scoring: bool of shape (n, 28).
    """

    split: Split
    ignored: np.ndarray


def load_everyday(name: str) -> EverydaySplit:
    """Load the split `validation`, `test` or `long`.

    Raises:
        DataError: The split does not exist.
    """
    path = FOLDER / f"{name}.jsonl"
    if not path.is_file():
        raise DataError(f"unknown everyday split {name!r}; expected validation, test or long")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return EverydaySplit(
        Split([row["text"] for row in rows], _multi_hot([row["labels"] for row in rows]), [None] * len(rows)),
        _multi_hot([row["also"] for row in rows]) > 0,
    )


def _multi_hot(names: Sequence[Sequence[str]]) -> np.ndarray:
    labels = np.zeros((len(names), len(LABELS)), np.float32)
    for row, row_names in enumerate(names):
        labels[row, [LABELS.index(name) for name in row_names]] = 1
    return labels


def score_everyday(folder: Path, split: str) -> dict[str, Any]:
    """Evaluate a model folder on a split, and write `training/everyday-SPLIT.json` and `emotions.json`.

    Args:
        folder: Model folder.
        split: `validation` or `test`.

    Returns:
        Metrics, as from `compute_metrics`.
    """
    rows = load_everyday(split)
    classifier = EmotionClassifier.from_pretrained(folder)
    thresholds = np.array([classifier.thresholds[label] for label in classifier.labels], np.float32)
    result = compute_metrics(rows, classifier.predict_proba(rows.split.texts), thresholds)
    (folder / TRAINING_FOLDER).mkdir(exist_ok=True)
    write_text(folder / TRAINING_FOLDER / f"everyday-{split}.json", json.dumps(result, indent=1) + "\n")
    info = read_info(folder)
    write_info(folder, replace(info, metrics={**info.metrics, f"everyday-{split}": result}))
    return result


def compute_metrics(rows: EverydaySplit, probabilities: np.ndarray, thresholds: np.ndarray) -> dict[str, Any]:
    """Compute metrics with 95% bootstrap intervals over texts, excluding labels in `ignored`.

    Args:
        rows: Texts, labels and ignored labels.
        probabilities: Shape (n, 28).
        thresholds: Shape (28,).

    Returns:
        `rows`; `macro_f1`, `micro_f1`, `first_label_right` (whether the most probable label is correct) and
        `macro_roc_auc`, each with `value`, `low` and `high`; and `per_label`, the F1 of each label.
    """
    samples = bootstrap_samples(rows, probabilities, thresholds)
    per_label = samples.pop("f1")[0]
    return {
        "rows": len(rows.split),
        **{name: round_floats(interval(values)) for name, values in samples.items()},
        "per_label": {label: round(float(value), 4) for label, value in zip(LABELS, per_label, strict=True)},
    }


def over_seeds(folders: Sequence[Path], split: str) -> dict[str, Any]:
    """Compute mean metrics over models of several seeds, with intervals from resampling texts and models."""
    rows = load_everyday(split)
    runs = []
    for folder in folders:
        classifier = EmotionClassifier.from_pretrained(folder)
        thresholds = np.array([classifier.thresholds[label] for label in classifier.labels], np.float32)
        runs.append(bootstrap_samples(rows, classifier.predict_proba(rows.split.texts), thresholds))
    run_weights = seed_weights(len(folders))
    content: dict[str, Any] = {"rows": len(rows.split)}
    for name in ("macro_f1", "micro_f1", "first_label_right", "macro_roc_auc"):
        values = np.stack([run[name] for run in runs], axis=1)
        content[name] = round_floats(interval((values * run_weights).sum(axis=1)))
    return content


def bootstrap_samples(
    rows: EverydaySplit, probabilities: np.ndarray, thresholds: np.ndarray, auc: bool = True
) -> dict[str, np.ndarray]:
    """Compute metrics on all texts, and on bootstrap samples that are the same for every model.

    Returns:
        `macro_f1`, `micro_f1`, `first_label_right` and, with `auc`, `macro_roc_auc`: shape (1 + samples,); and `f1`:
        shape (1 + samples, 28).
    """
    truth = rows.split.labels.astype(bool)
    predicted = (probabilities >= thresholds) & ~rows.ignored
    first = np.where(rows.ignored, -1, probabilities).argmax(axis=1)
    first_is_correct = truth[np.arange(len(truth)), first]
    weights = row_weights(len(truth))
    true_positives, predicted_positives, positives = (
        weights @ values.astype(np.float32) for values in (truth & predicted, predicted, truth)
    )
    f1 = 2 * true_positives / np.maximum(predicted_positives + positives, 1)
    f1[positives == 0] = np.nan
    samples = {
        "f1": f1,
        "macro_f1": np.nanmean(f1, axis=1),
        "micro_f1": 2 * true_positives.sum(axis=1) / np.maximum((predicted_positives + positives).sum(axis=1), 1),
        "first_label_right": weights @ first_is_correct / weights.sum(axis=1),
    }
    if auc:
        included = ~rows.ignored
        columns = [
            weighted_auc(
                truth[included[:, label], label],
                probabilities[included[:, label], label],
                weights[:, included[:, label]],
            )
            for label in range(len(LABELS))
        ]
        samples["macro_roc_auc"] = mean_over_labels(np.stack(columns, axis=1))
    return samples


def table(result: Mapping[str, Any]) -> str:
    """Format metrics as text."""
    titles = {
        "macro_f1": "macro-F1",
        "micro_f1": "micro-F1",
        "first_label_right": "top-1 accuracy",
        "macro_roc_auc": "macro ROC AUC",
    }
    lines = [f"everyday: {result['rows']:,} texts"]
    return "\n".join([*lines, *(f"{title:24} {format_metric(result[name])}" for name, title in titles.items())])
