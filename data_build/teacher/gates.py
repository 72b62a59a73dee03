"""Gates: which of the teacher's labels a row is given."""

import numpy as np
from statsmodels.stats.proportion import proportion_confint


def precision_cuts(truth: np.ndarray, scores: np.ndarray, target: float) -> np.ndarray:
    """Per label the lowest probability at which the teacher's precision is surely the target.

    Surely: the lower end of the Wilson interval (95 %) of the precision among the texts at or above it.

    Args:
        truth: 0 or 1, shape (n, labels), of the validation split.
        scores: The teacher's probabilities of the same texts, shape (n, labels).
        target: Precision, 0 to 1.

    Returns:
        float32 of shape (labels,); infinity where no probability will do.
    """
    cuts = np.full(truth.shape[1], np.inf, np.float32)
    given = np.arange(1, len(truth) + 1)
    for label in range(truth.shape[1]):
        order = np.argsort(-scores[:, label], kind="stable")
        low, _ = proportion_confint(truth[order, label].cumsum(), given, method="wilson")
        good = np.flatnonzero(low >= target)
        if len(good):
            cuts[label] = scores[order[good[-1]], label]
    return cuts


def intended_passes(scores: np.ndarray, intended: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Whether each row's intended label is among the teacher's two highest and reaches its tuned threshold.

    Args:
        scores: The teacher's probabilities, shape (n, labels).
        intended: Label number of each row, shape (n,).
        thresholds: Tuned on validation, shape (labels,).

    Returns:
        bool of shape (n,).
    """
    rows = np.arange(len(scores))
    own = scores[rows, intended]
    higher = (scores > own[:, None]).sum(axis=1)
    passes: np.ndarray = (higher < 2) & (own >= thresholds[intended])
    return passes
