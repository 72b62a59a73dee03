"""Multi-label metrics with 95% bootstrap intervals, based on scikit-learn."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from evenmood.evaluation.bootstrap import BOOTSTRAP_SAMPLES, row_weights

try:
    from sklearn import metrics
    from sklearn.exceptions import UndefinedMetricWarning
except ModuleNotFoundError as error:
    message = 'evenmood.evaluation.metrics requires scikit-learn; install it with: pip install "evenmood[eval]"'
    raise ModuleNotFoundError(message, name=error.name) from None


def score(
    labels: np.ndarray,
    probabilities: np.ndarray,
    thresholds: np.ndarray | float,
    names: Sequence[str],
    bootstrap_samples: int = BOOTSTRAP_SAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute all metrics of a prediction.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels).
        thresholds: Shape (labels,), or one value for all labels; a label is predicted if its probability is at least
            its threshold.
        names: Label names.
        bootstrap_samples: Number of bootstrap samples; 0 disables the intervals.
        seed: Random seed of the bootstrap.

    Returns:
        `rows`, `subset_accuracy` and `hamming_loss`; `precision`, `recall` and `f1`, each prefixed with `micro_`,
        `macro_` and `weighted_`; `roc_auc` and `average_precision`, prefixed with `macro_` and `micro_`; and
        `per_label`, the metrics of each label. Averages with an interval are objects with `value`, `low` and `high`. A
        label without positive rows has F1 0, as in scikit-learn with `zero_division=0`, and is excluded from ROC AUC
        and average precision.
    """
    truth = labels.astype(bool)
    predicted = probabilities >= np.asarray(thresholds, probabilities.dtype)
    results: dict[str, Any] = {
        "rows": len(truth),
        "subset_accuracy": float(metrics.accuracy_score(truth, predicted)),
        "hamming_loss": float(metrics.hamming_loss(truth, predicted)),
    }
    for average in ("micro", "macro", "weighted"):
        values = metrics.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
        for name, value in zip(("precision", "recall", "f1"), values, strict=False):
            results[f"{average}_{name}"] = float(value)
    ranked = np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0))
    for average in ("macro", "micro"):
        for name, function in (
            ("roc_auc", metrics.roc_auc_score),
            ("average_precision", metrics.average_precision_score),
        ):
            value = function(truth[:, ranked], probabilities[:, ranked], average=average) if len(ranked) else np.nan
            results[f"{average}_{name}"] = float(value)
    results["per_label"] = _per_label(truth, predicted, probabilities, names)
    if bootstrap_samples:
        averaged, per_label = _bootstrap(truth, predicted, probabilities, bootstrap_samples, seed)
        for name, values in averaged.items():
            low, high = np.nanpercentile(values, [2.5, 97.5])
            results[name] = {"value": results[name], "low": float(low), "high": float(high)}
        for metric, values in per_label.items():
            for name, low, high in zip(names, *np.nanpercentile(values, [2.5, 97.5], axis=0), strict=True):
                results["per_label"][name] |= {f"{metric}_low": float(low), f"{metric}_high": float(high)}
    return results


def _per_label(
    truth: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    columns = metrics.precision_recall_fscore_support(truth, predicted, average=None, zero_division=0)
    table = {}
    for index, (name, precision, recall, f1, support) in enumerate(zip(names, *columns, strict=True)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)  # without positive rows, the AUC is NaN
            auc = float(metrics.roc_auc_score(truth[:, index], probabilities[:, index])) if support else np.nan
        table[name] = {
            "support": int(support),
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "roc_auc": None if np.isnan(auc) else auc,
        }
    return table


def _bootstrap(
    truth: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray, bootstrap_samples: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Compute averaged metrics of shape (samples,), and per-label metrics of shape (samples, labels)."""
    rows = len(truth)
    weights = row_weights(rows, bootstrap_samples, seed)[1:]
    per_label, micro_f1 = weighted_metrics(truth, predicted, weights)
    columns = zip(truth.T, probabilities.T, strict=True)
    auc, precision = zip(*(weighted_ranking_metrics(*column, weights) for column in columns), strict=True)
    averaged = {
        "subset_accuracy": weights @ (truth == predicted).all(axis=1).astype(np.float32) / rows,
        **{f"macro_{metric}": mean_over_labels(values) for metric, values in per_label.items()},
        "micro_f1": micro_f1,
        "macro_roc_auc": mean_over_labels(np.stack(auc, axis=1)),
        "macro_average_precision": mean_over_labels(np.stack(precision, axis=1)),
    }
    return averaged, per_label


def weighted_metrics(
    truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Compute precision, recall and F1 under many row weightings, such as bootstrap samples.

    Args:
        truth: bool of shape (n, labels).
        predicted: bool of shape (n, labels).
        weights: Count of each row in each sample: float32 of shape (samples, n).

    Returns:
        `precision`, `recall` and `f1`, each of shape (samples, labels), and micro-F1, of shape (samples,). Metrics
        are NaN where a sample has none of the label's positive rows, and 0 for a label without positive rows.
    """
    masks = (truth & predicted, predicted, truth)
    true_positives, positive, actual = ((weights @ mask.astype(np.float32)).astype(np.float64) for mask in masks)
    absent = (actual == 0) & truth.any(axis=0)
    per_label = {
        "precision": true_positives / np.maximum(positive, 1),
        "recall": true_positives / np.maximum(actual, 1),
        "f1": 2 * true_positives / np.maximum(positive + actual, 1),
    }
    micro_f1 = 2 * true_positives.sum(axis=1) / np.maximum(positive.sum(axis=1) + actual.sum(axis=1), 1)
    return {metric: np.where(absent, np.nan, values) for metric, values in per_label.items()}, micro_f1


def mean_over_labels(values: np.ndarray) -> np.ndarray:
    """Average over labels, ignoring NaN: from shape (samples, labels) to (samples,); NaN if all labels are NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # mean of an empty slice: a sample without positive rows
        return np.asarray(np.nanmean(values, axis=1))


def weighted_ranking_metrics(
    truth: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the ROC AUC and average precision of one label under many row weightings.

    Equal to scikit-learn's metrics with `sample_weight`, which accept only one weighting at a time.

    Args:
        truth: bool of shape (n,).
        scores: Shape (n,).
        weights: Shape (samples, n).

    Returns:
        Two arrays of shape (samples,); NaN where a sample has no positive rows (or, for ROC AUC, no negative rows).
    """
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])  # rows with tied scores are one group
    positive = np.add.reduceat(weights[:, order] * truth[order], starts, axis=1, dtype=np.float64)
    negative = np.add.reduceat(weights[:, order] * ~truth[order], starts, axis=1, dtype=np.float64)
    above, below = positive.cumsum(axis=1), negative.cumsum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = ((above - positive / 2) * negative).sum(axis=1) / (above[:, -1] * below[:, -1])
        precision = np.where(above + below > 0, above / (above + below), 0)
        return auc, (precision * positive).sum(axis=1) / above[:, -1]


def round_floats(content: Any, decimals: int = 4) -> Any:
    """Round all floats in nested objects and lists."""
    if isinstance(content, dict):
        return {name: round_floats(value, decimals) for name, value in content.items()}
    if isinstance(content, list):
        return [round_floats(value, decimals) for value in content]
    return round(content, decimals) if isinstance(content, float) else content
