"""Rules that decide which of the teacher's labels to accept."""

import numpy as np
from statsmodels.stats.proportion import proportion_confint


def precision_thresholds(truth: np.ndarray, scores: np.ndarray, target: float) -> np.ndarray:
    """Find the lowest probability of each label at which the teacher reaches a precision with 95% confidence.

    The criterion is the lower bound of the Wilson interval of the precision among all texts at or above the threshold.

    Args:
        truth: Labels of the validation split, 0 or 1, shape (n, labels).
        scores: The teacher's probabilities, shape (n, labels).
        target: Precision, 0 to 1.

    Returns:
        float32 of shape (labels,); infinity if the label never reaches the precision.
    """
    thresholds = np.full(truth.shape[1], np.inf, np.float32)
    predicted = np.arange(1, len(truth) + 1)
    for label in range(truth.shape[1]):
        ranking = np.argsort(-scores[:, label], kind="stable")
        lower_bound, _ = proportion_confint(truth[ranking, label].cumsum(), predicted, method="wilson")
        sufficient = np.flatnonzero(lower_bound >= target)
        if len(sufficient):
            thresholds[label] = scores[ranking[sufficient[-1]], label]
    return thresholds


def accepted_by_intended(scores: np.ndarray, intended: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return whether each row's intended label is among the teacher's top two and reaches its decision threshold.

    Args:
        scores: The teacher's probabilities, shape (n, labels).
        intended: Label index of each row, shape (n,).
        thresholds: Decision thresholds tuned on validation, shape (labels,).

    Returns:
        bool of shape (n,).
    """
    rows = np.arange(len(scores))
    intended_scores = scores[rows, intended]
    higher = (scores > intended_scores[:, None]).sum(axis=1)
    accepted: np.ndarray = (higher < 2) & (intended_scores >= thresholds[intended])
    return accepted
