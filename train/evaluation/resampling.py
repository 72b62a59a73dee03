"""Bootstrap over test rows and seeds at once, the same resampled rows for every arm."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from evenmood.evaluation.metrics import mean_over_labels, weighted_figures

PER_LABEL = "per_label_f1"

Draws = Mapping[str, np.ndarray]
"""Figures of shape (1 + resamples,), per label (1 + resamples, labels); the first is that of the rows as they are."""


class Scored(Protocol):
    """What a model says of texts: probabilities of shape (n, labels), and thresholds of shape (labels,)."""

    @property
    def probabilities(self) -> np.ndarray:
        """Shape (n, labels)."""

    @property
    def thresholds(self) -> np.ndarray:
        """Shape (labels,)."""


def arm_draws(
    runs: Sequence[Scored], truth: np.ndarray, rows: np.ndarray, seeds: np.ndarray, auc: bool = True
) -> Draws:
    """An arm's figures, each the mean over its runs, under every resample of rows and runs.

    Args:
        runs: Of one arm, with probabilities of shape (n, labels).
        truth: bool of shape (n, labels).
        rows: As from `row_weights`.
        seeds: As from `seed_weights`.
        auc: Whether to count the AUC too, which takes longest.
    """
    figures = [run_draws(truth, run.probabilities, run.thresholds, rows, auc) for run in runs]
    return {name: np.einsum("bs,sb...->b...", seeds, np.stack([each[name] for each in figures])) for name in figures[0]}


def run_draws(
    truth: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray, weights: np.ndarray, auc: bool = True
) -> dict[str, np.ndarray]:
    """The figures of `evenmood.evaluation.metrics.score` that arms are compared by, under many row weightings."""
    predicted = probabilities >= thresholds
    per_label, micro_f1 = weighted_figures(truth, predicted, weights)
    figures = {
        "macro_f1": mean_over_labels(per_label["f1"]),
        "micro_f1": micro_f1,
        "subset_accuracy": weights @ (truth == predicted).all(axis=1).astype(np.float32) / weights.sum(axis=1),
        PER_LABEL: per_label["f1"],
    }
    if auc:
        columns = [auc_draws(truth[:, c], probabilities[:, c], weights) for c in range(truth.shape[1])]
        figures["macro_roc_auc"] = mean_over_labels(np.stack(columns, axis=1))
    return figures


def auc_draws(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """ROC AUC of one label under many row weightings: the weight of pairs that stand in the right order.

    As `evenmood.evaluation.metrics.ranking_figures`, by one matrix product: faster where few rows are positive.

    Returns:
        Shape (resamples,); NaN where a resample has no positive or no negative row.
    """
    positive, negative = scores[truth], scores[~truth]
    lost, won = weights[:, ~truth], weights[:, truth]
    below = (negative[:, None] < positive).astype(np.float32) + np.float32(0.5) * (negative[:, None] == positive)
    with np.errstate(invalid="ignore", divide="ignore"):
        ordered = (won * (lost @ below)).sum(axis=1, dtype=np.float64)
        return ordered / (won.sum(axis=1, dtype=np.float64) * lost.sum(axis=1, dtype=np.float64))  # type: ignore[no-any-return]
