"""Per-label thresholds: grid search on the validation split, maximising F1 (the paper's section on thresholds)."""

import numpy as np

GRID = np.arange(1, 100, dtype=np.float32) / 100
"""0.01 to 0.99 in steps of 0.01."""
DEFAULT = 0.5
"""Kept by a label that has no positive row."""


def tune_thresholds(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Find each label's threshold of highest F1; among equals the one nearest to 0.5.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels).

    Returns:
        float32 of shape (labels,); a label without a positive row keeps 0.5.
    """
    positives = labels.sum(axis=0)
    # F1 = 2 tp / (predicted + positives), for every threshold of the grid at once.
    f1 = np.zeros((len(GRID), labels.shape[1]))
    for row, threshold in enumerate(GRID):
        predicted = probabilities >= threshold
        hits = (predicted * labels).sum(axis=0)
        f1[row] = 2 * hits / np.maximum(predicted.sum(axis=0) + positives, 1)
    nearest_first = np.argsort(np.abs(GRID - DEFAULT), kind="stable")
    best = nearest_first[f1[nearest_first].argmax(axis=0)]
    return np.where(positives > 0, GRID[best], np.float32(DEFAULT)).astype(np.float32)
