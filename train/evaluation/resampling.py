"""Joint bootstrap over test rows and seeds, with the same row samples for every arm."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from evenmood.evaluation.metrics import mean_over_labels, weighted_metrics

PER_LABEL = "per_label_f1"

BootstrapSamples = Mapping[str, np.ndarray]
"""Metrics of shape (1 + samples,), per label (1 + samples, labels); the first entry is the value on the data."""


class ModelPredictions(Protocol):
    """Predicted probabilities and thresholds of a model."""

    @property
    def probabilities(self) -> np.ndarray:
        """Probabilities: shape (n, labels)."""

    @property
    def thresholds(self) -> np.ndarray:
        """Thresholds: shape (labels,)."""


def arm_samples(
    runs: Sequence[ModelPredictions], truth: np.ndarray, rows: np.ndarray, run_weights: np.ndarray, auc: bool = True
) -> BootstrapSamples:
    """Compute metrics of an arm, averaged over its runs, for every bootstrap sample of rows and runs.

    Args:
        runs: Runs of one arm.
        truth: bool of shape (n, labels).
        rows: Row weights from `row_weights`.
        run_weights: Run weights from `seed_weights`.
        auc: Whether to also compute ROC AUC, which takes the most time.
    """
    run_metrics = [run_samples(truth, run.probabilities, run.thresholds, rows, auc) for run in runs]
    return {
        name: np.einsum("bs,sb...->b...", run_weights, np.stack([run[name] for run in run_metrics]))
        for name in run_metrics[0]
    }


def run_samples(
    truth: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray, weights: np.ndarray, auc: bool = True
) -> dict[str, np.ndarray]:
    """Compute the metrics by which arms are compared, for every bootstrap sample of rows."""
    predicted = probabilities >= thresholds
    per_label, micro_f1 = weighted_metrics(truth, predicted, weights)
    metrics = {
        "macro_f1": mean_over_labels(per_label["f1"]),
        "micro_f1": micro_f1,
        "subset_accuracy": weights @ (truth == predicted).all(axis=1).astype(np.float32) / weights.sum(axis=1),
        PER_LABEL: per_label["f1"],
    }
    if auc:
        columns = [weighted_auc(truth[:, c], probabilities[:, c], weights) for c in range(truth.shape[1])]
        metrics["macro_roc_auc"] = mean_over_labels(np.stack(columns, axis=1))
    return metrics


def weighted_auc(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the ROC AUC of a label for many samples of row weights: the weighted share of correctly ordered pairs.

    Equal to `evenmood.evaluation.metrics.weighted_ranking_metrics`, but faster if few rows are positive.

    Returns:
        Shape (samples,); NaN where a sample has no positive or no negative row.
    """
    positive, negative = scores[truth], scores[~truth]
    negative_weights, positive_weights = weights[:, ~truth], weights[:, truth]
    below = (negative[:, None] < positive).astype(np.float32) + np.float32(0.5) * (negative[:, None] == positive)
    with np.errstate(invalid="ignore", divide="ignore"):
        ordered = (positive_weights * (negative_weights @ below)).sum(axis=1, dtype=np.float64)
        pairs = positive_weights.sum(axis=1, dtype=np.float64) * negative_weights.sum(axis=1, dtype=np.float64)
        return ordered / pairs  # type: ignore[no-any-return]
