"""The everyday benchmark: short texts of all kinds, written for this project, 12 or more for each label.

`validation` is for choosing between models, `test` for the report alone, `long` for choosing how the windows of long
texts are combined. Models wrote and annotated the texts.
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
from evenmood.evaluation.metrics import mean_over_labels, rounded
from evenmood.labels import LABELS
from evenmood.model.model_folder import TRAINING_FOLDER, figure_text, read_info, write_info, write_text
from train.evaluation.resampling import auc_draws

FOLDER = Path(__file__).parent / "everyday"


@dataclass(frozen=True)
class EverydaySplit:
    """One half of the benchmark.

    Attributes:
        split: Texts and labels.
        ignored: bool of shape (n, 28): debatable labels, excluded from scoring.
    """

    split: Split
    ignored: np.ndarray


def load_everyday(name: str) -> EverydaySplit:
    """Read `validation`, `test` or `long`.

    Raises:
        DataError: There is no such file.
    """
    path = FOLDER / f"{name}.jsonl"
    if not path.is_file():
        raise DataError(f"no everyday split {name!r}; expected validation or test")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return EverydaySplit(
        Split([row["text"] for row in rows], _multi_hot([row["labels"] for row in rows]), [None] * len(rows)),
        _multi_hot([row["also"] for row in rows]) > 0,
    )


def _multi_hot(names: Sequence[Sequence[str]]) -> np.ndarray:
    labels = np.zeros((len(names), len(LABELS)), np.float32)
    for row, given in enumerate(names):
        labels[row, [LABELS.index(name) for name in given]] = 1
    return labels


def score_everyday(folder: Path, split: str) -> dict[str, Any]:
    """Score a model folder on one half; the figures go into `training/everyday-SPLIT.json` and `emotions.json`.

    Args:
        folder: Model folder.
        split: `validation` or `test`.

    Returns:
        As `figures`.
    """
    rows = load_everyday(split)
    classifier = EmotionClassifier.from_pretrained(folder)
    thresholds = np.array([classifier.thresholds[label] for label in classifier.labels], np.float32)
    found = figures(rows, classifier.predict_proba(rows.split.texts), thresholds)
    (folder / TRAINING_FOLDER).mkdir(exist_ok=True)
    write_text(folder / TRAINING_FOLDER / f"everyday-{split}.json", json.dumps(found, indent=1) + "\n")
    info = read_info(folder)
    write_info(folder, replace(info, metrics={**info.metrics, f"everyday-{split}": found}))
    return found


def figures(rows: EverydaySplit, probabilities: np.ndarray, thresholds: np.ndarray) -> dict[str, Any]:
    """Figures with 95 % bootstrap intervals over texts; labels in `ignored` are left out of all of them.

    Args:
        rows: Texts, labels and ignored labels.
        probabilities: Shape (n, 28).
        thresholds: Shape (28,).

    Returns:
        `rows`, `macro_f1`, `micro_f1`, `first_label_right` (the most probable label is one of the text's) and
        `macro_roc_auc`, each but the first with `value`, `low` and `high`; and `per_label`, the F1 of each.
    """
    samples = bootstrap_samples(rows, probabilities, thresholds)
    per_label = samples.pop("f1")[0]
    return {
        "rows": len(rows.split),
        **{name: rounded(interval(values)) for name, values in samples.items()},
        "per_label": {label: round(float(value), 4) for label, value in zip(LABELS, per_label, strict=True)},
    }


def over_seeds(folders: Sequence[Path], split: str) -> dict[str, Any]:
    """Mean figures of models of several seeds; intervals are from resampling texts and models."""
    rows = load_everyday(split)
    found = []
    for folder in folders:
        classifier = EmotionClassifier.from_pretrained(folder)
        thresholds = np.array([classifier.thresholds[label] for label in classifier.labels], np.float32)
        found.append(bootstrap_samples(rows, classifier.predict_proba(rows.split.texts), thresholds))
    mix = seed_weights(len(folders))
    content: dict[str, Any] = {"rows": len(rows.split)}
    for name in ("macro_f1", "micro_f1", "first_label_right", "macro_roc_auc"):
        values = np.stack([one[name] for one in found], axis=1)
        content[name] = rounded(interval((values * mix).sum(axis=1)))
    return content


def bootstrap_samples(
    rows: EverydaySplit, probabilities: np.ndarray, thresholds: np.ndarray, auc: bool = True
) -> dict[str, np.ndarray]:
    """Each figure of all texts, and then of bootstrap samples of them, the same for every model.

    Returns:
        `macro_f1`, `micro_f1`, `first_label_right`, and `macro_roc_auc` if wanted: shape (1 + samples,); `f1`:
        (1 + samples, 28).
    """
    truth = rows.split.labels.astype(bool)
    predicted = (probabilities >= thresholds) & ~rows.ignored
    first = np.where(rows.ignored, -1, probabilities).argmax(axis=1)
    right = truth[np.arange(len(truth)), first]
    weights = row_weights(len(truth))
    hits, guessed, positive = (weights @ values.astype(np.float32) for values in (truth & predicted, predicted, truth))
    f1 = 2 * hits / np.maximum(guessed + positive, 1)
    f1[positive == 0] = np.nan
    samples = {
        "f1": f1,
        "macro_f1": np.nanmean(f1, axis=1),
        "micro_f1": 2 * hits.sum(axis=1) / np.maximum((guessed + positive).sum(axis=1), 1),
        "first_label_right": weights @ right / weights.sum(axis=1),
    }
    if auc:
        kept = ~rows.ignored
        columns = [
            auc_draws(truth[kept[:, label], label], probabilities[kept[:, label], label], weights[:, kept[:, label]])
            for label in range(len(LABELS))
        ]
        samples["macro_roc_auc"] = mean_over_labels(np.stack(columns, axis=1))
    return samples


def table(found: Mapping[str, Any]) -> str:
    """Figures as lines of text."""
    titles = {
        "macro_f1": "macro-F1",
        "micro_f1": "micro-F1",
        "first_label_right": "first label right",
        "macro_roc_auc": "macro ROC AUC",
    }
    lines = [f"everyday: {found['rows']:,} texts"]
    return "\n".join([*lines, *(f"{title:24} {figure_text(found[name])}" for name, title in titles.items())])
