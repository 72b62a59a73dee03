"""Tune per-label thresholds by grid search, maximizing F1 (see the paper, arXiv 2511.14073, section on thresholds)."""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from evenmood.errors import UsageError
from evenmood.evaluation.calibration import apply_platt, fit_platt

Method = Literal["grid", "shrunk"]
"""`grid` is the paper's method; `shrunk` shrinks the F1 of a rare label towards the F1 expected from its calibrated
probabilities."""
Metric = Literal["f1", "f0.5", "f2"]
GRID = np.arange(1, 100, dtype=np.float32) / 100
"""0.01 to 0.99 in steps of 0.01."""
DEFAULT_THRESHOLD = 0.5
"""Threshold of a label without positive rows."""
PRIOR_POSITIVES = 100
"""Number of positive rows at which observed labels and calibrated probabilities have equal weight; cross-validated."""
MIN_CALIBRATED_PROBABILITY = 0.05
"""Minimum calibrated probability at a threshold below 0.5, for the method `shrunk`."""


class TunedThresholds(dict[str, float]):
    """Threshold of each label, and the scores on the texts used for tuning.

    Attributes:
        metric: Metric that was maximized.
        scores: Score of each label; None for a label without texts.
        mean: Mean of the scores.
        unchanged: Labels without texts, which keep their previous threshold.
    """

    def __init__(self, thresholds: Mapping[str, float], metric: Metric, scores: Mapping[str, float | None]) -> None:
        """Store the thresholds and scores of all labels."""
        super().__init__(thresholds)
        self.metric, self.scores = metric, dict(scores)
        defined = [score for score in scores.values() if score is not None]
        self.mean = float(np.mean(defined)) if defined else 0.0
        self.unchanged = tuple(label for label, score in scores.items() if score is None)

    def __repr__(self) -> str:
        unchanged = f", unchanged: {', '.join(self.unchanged)}" if self.unchanged else ""
        return f"TunedThresholds({len(self)} labels, mean {self.metric} {self.mean:.3f}{unchanged})"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the arguments of the constructor."""
        return type(self), (dict(self), self.metric, self.scores)


def tune_and_score(
    truth: np.ndarray,
    probabilities: np.ndarray,
    current: Mapping[str, float],
    metric: Metric = "f1",
    method: Method = "shrunk",
) -> TunedThresholds:
    """Tune thresholds on labeled texts and compute the scores.

    Args:
        truth: bool of shape (n, labels).
        probabilities: Shape (n, labels).
        current: Current thresholds, in the order of the columns, kept for labels without texts.
        metric: See `EmotionClassifier.tune_thresholds`.
        method: See `tune_thresholds`.

    Raises:
        UsageError: There are no texts, or the metric or method is unknown.
    """
    for name, value, choices in (("metric", metric, get_args(Metric)), ("method", method, get_args(Method))):
        if value not in choices:
            raise UsageError(f"unknown {name} {value!r}; expected one of: {', '.join(choices)}")
    if not len(truth):
        raise UsageError("no texts; expected labeled texts to tune thresholds on")
    beta = float(metric.removeprefix("f"))
    new_thresholds = tune_thresholds(truth.astype(np.float32), probabilities, method, beta=beta)
    positives = truth.sum(axis=0)
    predicted = probabilities >= new_thresholds
    true_positives = (predicted & truth).sum(axis=0)
    scores = (1 + beta**2) * true_positives / np.maximum(predicted.sum(axis=0) + beta**2 * positives, 1)
    columns = list(zip(current.items(), positives.tolist(), new_thresholds.tolist(), scores.tolist(), strict=True))
    return TunedThresholds(
        {label: round(new, 2) if count else previous for (label, previous), count, new, _ in columns},
        metric,
        {label: score if count else None for (label, _), count, _, score in columns},
    )


def tune_thresholds(
    labels: np.ndarray,
    probabilities: np.ndarray,
    method: Method = "grid",
    repeats: np.ndarray | None = None,
    beta: float = 1.0,
) -> np.ndarray:
    """Find the threshold with the highest F1 for each label; the one closest to 0.5 in case of a tie.

    The F1 curve of a label with few positive rows is noisy, and its maximum overfits these rows. The method `shrunk`
    therefore replaces each row's label with `w * label + (1 - w) * p`, where p is the row's probability after Platt
    scaling (`calibration.fit_platt`) and w is positives / (positives + PRIOR_POSITIVES). For w = 0 this is the expected
    F1, whose optimal threshold is half of the maximum expected F1 (Lipton et al. 2014,
    https://arxiv.org/abs/1402.1892). A threshold below 0.5 is never lower than the probability whose calibrated value
    is `MIN_CALIBRATED_PROBABILITY`, so that a rare label that the network cannot separate is not predicted at 0.01.
    `python -m train thresholds MODEL` compares both methods by cross-validation.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels).
        method: `grid` or `shrunk`.
        repeats: Integer weight of each row, shape (n,), so that a small data set can have the weight of a large one.
            Repetition does not increase w.
        beta: Weight of recall relative to precision: F-beta instead of F1.

    Returns:
        float32 of shape (labels,); 0.5 for a label without positive rows.
    """
    positives = labels.sum(axis=0)
    if repeats is not None:
        labels, probabilities = (np.repeat(values, repeats, axis=0) for values in (labels, probabilities))
    soft_labels, allowed = labels, np.ones((len(GRID), labels.shape[1]), bool)
    if method == "shrunk":
        slopes, offsets = fit_platt(labels, probabilities)
        weight = positives / (positives + PRIOR_POSITIVES)
        soft_labels = weight * labels + (1 - weight) * apply_platt(probabilities, slopes, offsets)
        grid = np.broadcast_to(GRID[:, None], allowed.shape)
        allowed = (apply_platt(grid, slopes, offsets) >= MIN_CALIBRATED_PROBABILITY) | (grid >= DEFAULT_THRESHOLD)
    expected_positives = soft_labels.sum(axis=0)
    # F-beta = (1 + b²) tp / (predicted + b² positives), for every threshold of the grid.
    f1 = np.zeros((len(GRID), labels.shape[1]))
    for row, threshold in enumerate(GRID):
        predicted = probabilities >= threshold
        true_positives = (predicted * soft_labels).sum(axis=0)
        f1[row] = (
            (1 + beta**2) * true_positives / np.maximum(predicted.sum(axis=0) + beta**2 * expected_positives, 1e-9)
        )
    f1[~allowed] = -1
    nearest_first = np.argsort(np.abs(GRID - DEFAULT_THRESHOLD), kind="stable")
    best = nearest_first[f1[nearest_first].argmax(axis=0)]
    return np.where(positives > 0, GRID[best], np.float32(DEFAULT_THRESHOLD)).astype(np.float32)
