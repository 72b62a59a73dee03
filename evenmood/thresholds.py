"""Per-label thresholds: grid search on the validation split, maximising F1 (the paper's section on thresholds)."""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from evenmood.errors import UsageError
from evenmood.evaluation.calibration import apply_platt, fit_platt

Method = Literal["grid", "shrunk"]
"""`grid` is the paper's; `shrunk` draws the F1 of a rare label towards what its calibrated probabilities expect."""
Metric = Literal["f1", "f0.5", "f2"]
GRID = np.arange(1, 100, dtype=np.float32) / 100
"""0.01 to 0.99 in steps of 0.01."""
DEFAULT = 0.5
"""Kept by a label that has no positive row."""
PRIOR_POSITIVES = 100
"""Positive rows with which a label's own labels weigh as much as its calibrated probabilities; cross-validated."""
SUPPORTED = 0.05
"""Calibrated probability that a threshold of `shrunk` does not fall below: one text in twenty has the label."""


class TunedThresholds(dict[str, float]):
    """Threshold of each label, with what they reach on the texts that they were tuned on.

    Attributes:
        metric: What was maximized.
        scores: Score of each label; None for one that no text has.
        mean: Mean of these scores.
        unchanged: Labels that no text has, which keep the threshold that they had.
    """

    def __init__(self, thresholds: Mapping[str, float], metric: Metric, scores: Mapping[str, float | None]) -> None:
        """Take the thresholds and the scores of all labels."""
        super().__init__(thresholds)
        self.metric, self.scores = metric, dict(scores)
        known = [score for score in scores.values() if score is not None]
        self.mean = float(np.mean(known)) if known else 0.0
        self.unchanged = tuple(label for label, score in scores.items() if score is None)

    def __repr__(self) -> str:
        unchanged = f", unchanged: {', '.join(self.unchanged)}" if self.unchanged else ""
        return f"TunedThresholds({len(self)} labels, mean {self.metric} {self.mean:.3f}{unchanged})"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the constructor's arguments."""
        return type(self), (dict(self), self.metric, self.scores)


def tuned(
    truth: np.ndarray,
    probabilities: np.ndarray,
    current: Mapping[str, float],
    metric: Metric = "f1",
    method: Method = "shrunk",
) -> TunedThresholds:
    """Thresholds for labeled texts, and the scores that they reach.

    Args:
        truth: bool of shape (n, labels).
        probabilities: Shape (n, labels).
        current: Threshold of each label, in the columns' order, for labels that no text has.
        metric: See `EmotionClassifier.tune_thresholds`.
        method: See `tune_thresholds`.

    Raises:
        UsageError: There is no text, or an unknown metric or method.
    """
    if metric not in get_args(Metric) or method not in get_args(Method):
        raise UsageError(
            f"metric {metric!r}, method {method!r}: the metrics are {', '.join(get_args(Metric))}, "
            f"the methods {', '.join(get_args(Method))}"
        )
    if not len(truth):
        raise UsageError("no texts: thresholds need labeled texts to be tuned on")
    beta = float(metric.removeprefix("f"))
    found = tune_thresholds(truth.astype(np.float32), probabilities, method, beta=beta)
    positives = truth.sum(axis=0)
    predicted = probabilities >= found
    hits = (predicted & truth).sum(axis=0)
    reached = (1 + beta**2) * hits / np.maximum(predicted.sum(axis=0) + beta**2 * positives, 1)
    columns = list(zip(current.items(), positives.tolist(), found.tolist(), reached.tolist(), strict=True))
    return TunedThresholds(
        {label: round(new, 2) if count else before for (label, before), count, new, _ in columns},
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
    """Find each label's threshold of highest F1; among equals the one nearest to 0.5.

    A label of few positive rows has an F1 curve that is mostly chance, and its best point suits these rows alone.
    `shrunk` therefore counts each row with `w * label + (1 - w) * p`, where p is the row's probability after Platt
    scaling (`calibration.fit_platt`) and w is positives / (positives + PRIOR_POSITIVES). With p alone the F1 is the
    expected one (its best threshold is half of itself: Lipton et al. 2014, https://arxiv.org/abs/1402.1892).
    A threshold below 0.5 is never lower than the probability whose calibrated value is `SUPPORTED`: a label with few
    positive rows that the network cannot tell apart is not given at 0.01.
    `python -m train thresholds MODEL` compares the two by cross-validation.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels).
        method: `grid` or `shrunk`.
        repeats: How many times each row counts, whole numbers of shape (n,): the rows of a small set may weigh as much
            as those of a large one. What `shrunk` trusts a label's rows with does not grow by repeating them.
        beta: How much recall counts against precision: F-beta in place of F1.

    Returns:
        float32 of shape (labels,); a label without a positive row keeps 0.5.
    """
    positives = labels.sum(axis=0)
    if repeats is not None:
        labels, probabilities = (np.repeat(values, repeats, axis=0) for values in (labels, probabilities))
    share, supported = labels, np.ones((len(GRID), labels.shape[1]), bool)
    if method == "shrunk":
        slopes, offsets = fit_platt(labels, probabilities)
        own = positives / (positives + PRIOR_POSITIVES)
        share = own * labels + (1 - own) * apply_platt(probabilities, slopes, offsets)
        each = np.broadcast_to(GRID[:, None], supported.shape)
        supported = (apply_platt(each, slopes, offsets) >= SUPPORTED) | (each >= DEFAULT)
    relevant = share.sum(axis=0)
    # F-beta = (1 + b²) tp / (predicted + b² positives), for every threshold of the grid at once.
    f1 = np.zeros((len(GRID), labels.shape[1]))
    for row, threshold in enumerate(GRID):
        predicted = probabilities >= threshold
        hits = (predicted * share).sum(axis=0)
        f1[row] = (1 + beta**2) * hits / np.maximum(predicted.sum(axis=0) + beta**2 * relevant, 1e-9)
    f1[~supported] = -1
    nearest_first = np.argsort(np.abs(GRID - DEFAULT), kind="stable")
    best = nearest_first[f1[nearest_first].argmax(axis=0)]
    return np.where(positives > 0, GRID[best], np.float32(DEFAULT)).astype(np.float32)
