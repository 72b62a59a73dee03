"""Calibration: how often labels of a given probability are right, and per-label Platt scaling that corrects it.

Platt scaling is linear in the logit, so it folds into the output layer (`scale_head`) and changes no graph and no
reader. Slopes are positive: the order of texts within a label, and with it ROC AUC and average precision, stays.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 10
"""Bins of the expected calibration error and of the reliability table."""
EPSILON = 1e-7
"""Probabilities are cut to [EPSILON, 1 - EPSILON] before a logit is taken: float16 and float32 round to 0 and 1."""
SLOPE_DEVIATION = 0.2
"""Prior standard deviation of a label's log slope around the slope of all labels; cross-validated on validation."""
OFFSET_DEVIATION = 0.4
"""Prior standard deviation of a label's shift, in logits; cross-validated on validation."""
STEPS = 100
"""Most Newton steps of a fit; it takes a dozen."""


def logit(probabilities: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)) in float64, finite for probabilities of 0 and 1 too."""
    cut = np.clip(probabilities.astype(np.float64), EPSILON, 1 - EPSILON)
    return np.asarray(np.log(cut) - np.log1p(-cut))


def apply_platt(probabilities: np.ndarray, slopes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Probabilities after `sigmoid(slope * logit + offset)` of each label: float32 of the same shape (n, labels)."""
    return _sigmoid(logit(probabilities) * slopes + offsets).astype(np.float32)


def scale_head(
    kernel: np.ndarray, bias: np.ndarray, slopes: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fold Platt scaling into the sigmoid output layer: its logits become `slope * logit + offset`.

    Args:
        kernel: Shape (units, labels).
        bias: Shape (labels,).
        slopes: Shape (labels,).
        offsets: Shape (labels,).

    Returns:
        Kernel and bias of the same shapes and types.
    """
    return (kernel * slopes).astype(kernel.dtype), (bias * slopes + offsets).astype(bias.dtype)


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Slope for all labels together, of highest likelihood: temperature scaling, its temperature 1 / slope.

    Guo et al. 2017, "On Calibration of Modern Neural Networks" (https://arxiv.org/abs/1706.04599), one sigmoid a label
    in the place of the softmax.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels).

    Returns:
        A positive number; 1 where no label has both kinds of rows.
    """
    known = _both_kinds(labels)
    if not known.any():
        return 1.0
    column = logit(probabilities[:, known]).reshape(-1, 1)
    slope, _ = _fit(labels[:, known].reshape(-1, 1), column, 0.0, np.inf, 0.0)
    return float(slope[0])


def fit_platt(
    labels: np.ndarray,
    probabilities: np.ndarray,
    slope_deviation: float = SLOPE_DEVIATION,
    offset_deviation: float = OFFSET_DEVIATION,
) -> tuple[np.ndarray, np.ndarray]:
    """Slope and offset of each label's logit, of highest likelihood under a prior that holds rare labels back.

    Platt scaling (Platt 1999, "Probabilistic Outputs for Support Vector Machines") with a normal prior on the log
    slope, around the slope that suits all labels together (`fit_temperature`), and on the shift at the logit where the
    label's rows tell most (their mean weighted by p(1 - p)): a label of thirteen positive rows moves as far as thirteen
    rows can be trusted.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels), any float type.
        slope_deviation: Standard deviation of the prior on the log slope; 0 gives all labels the same slope.
        offset_deviation: Standard deviation of the prior on the shift, in logits; 0 for none.

    Returns:
        Slopes, all positive, and offsets: float64 of shape (labels,). A label all of whose rows are alike keeps 1, 0.
    """
    known = _both_kinds(labels)
    slopes, offsets = np.ones(labels.shape[1]), np.zeros(labels.shape[1])
    if known.any():
        centre = np.log(fit_temperature(labels, probabilities))
        slopes[known], offsets[known] = _fit(
            labels[:, known], logit(probabilities[:, known]), centre, slope_deviation, offset_deviation
        )
    return slopes, offsets


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS, equal_mass: bool = False
) -> np.ndarray:
    """Expected calibration error of each label, taken as a binary question of its own.

    The mean over rows of |share of positive rows - mean probability| of the row's bin. Naeini et al. 2015, "Obtaining
    Well Calibrated Probabilities Using Bayesian Binning", class by class as in Nixon et al. 2019
    (https://arxiv.org/abs/1904.01685): of a rare label nearly all rows lie near 0, where equal-width bins see little
    and equal-mass bins more. The error of finite rows is never 0, not even of true probabilities.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels), in [0, 1].
        bins: Bins a label.
        equal_mass: Bins of equally many rows instead of equal width; rows of equal probability share a bin.

    Returns:
        float64 of shape (labels,).
    """
    errors = np.zeros(labels.shape[1])
    for label in range(labels.shape[1]):
        column = probabilities[:, label].astype(np.float64)
        if equal_mass:
            edges = np.unique(np.quantile(column, np.arange(1, bins) / bins))
            where = np.searchsorted(edges, column, side="right")
        else:
            where = _bin(column, bins)
        gap = np.bincount(where, weights=labels[:, label] - column)  # rows * (share - mean) of each bin
        errors[label] = np.abs(gap).sum() / len(column)
    return errors


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> list[dict[str, Any]]:
    """How often labels given a probability were right: all labels' predictions together, in bins of equal width.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels), in [0, 1].
        bins: Bins.

    Returns:
        A row per bin that holds predictions: `from`, `to`, `predictions`, their mean `probability`, the share that was
        `right`, and the 95 % Wilson interval of that share, `low` and `high`.
    """
    where = _bin(probabilities.astype(np.float64), bins).ravel()
    count = np.bincount(where, minlength=bins)
    right = np.bincount(where, weights=labels.ravel(), minlength=bins)
    mass = np.bincount(where, weights=probabilities.ravel().astype(np.float64), minlength=bins)
    low, high = wilson(right, count)
    return [
        {
            "from": index / bins,
            "to": (index + 1) / bins,
            "predictions": int(count[index]),
            "probability": float(mass[index] / count[index]),
            "right": float(right[index] / count[index]),
            "low": float(low[index]),
            "high": float(high[index]),
        }
        for index in np.flatnonzero(count)
    ]


def report(labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """All calibration figures of a prediction.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels), in [0, 1].
        names: A name per label.

    Returns:
        `ece` and `ece_equal_mass` (expected calibration error, the mean over labels), `log_loss` (its mean too, in
        nats), `per_label` errors by name, and the `reliability` table of all labels together.
    """
    errors = {
        "ece": expected_calibration_error(labels, probabilities),
        "ece_equal_mass": expected_calibration_error(labels, probabilities, equal_mass=True),
        "log_loss": log_loss(labels, probabilities),
    }
    return {
        "rows": len(labels),
        **{figure: float(values.mean()) for figure, values in errors.items()},
        "per_label": {
            name: {figure: float(values[label]) for figure, values in errors.items()}
            for label, name in enumerate(names)
        },
        "reliability": reliability(labels, probabilities),
    }


def wilson(successes: np.ndarray, trials: np.ndarray, z: float = 1.959964) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of a share (Wilson 1927), 95 % by default; (0, 1) where there is no trial."""
    count = np.maximum(trials, 1)
    share = successes / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    none = trials == 0
    return np.where(none, 0.0, np.maximum(centre - half, 0)), np.where(none, 1.0, np.minimum(centre + half, 1))


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Mean negative log-likelihood of each label in nats: shape (labels,)."""
    logits = logit(probabilities)
    return np.asarray((np.logaddexp(0, logits) - labels * logits).mean(axis=0))


def _bin(probabilities: np.ndarray, bins: int) -> np.ndarray:
    """Number of the equal-width bin, closed below; 1 falls into the last."""
    return np.minimum((probabilities * bins).astype(np.int64), bins - 1)


def _both_kinds(labels: np.ndarray) -> np.ndarray:
    return np.asarray((labels > 0).any(axis=0) & (labels == 0).any(axis=0))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.logaddexp(0, -logits)))


def _fit(
    labels: np.ndarray, logits: np.ndarray, centre: float, slope_deviation: float, offset_deviation: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fisher scoring for `sigmoid(exp(s) * (logit - pivot) + pivot + c)`, all labels at once; a worse step is halved.

    A deviation of infinity leaves a parameter free, one of 0 holds it.
    """
    weight = (spread := _sigmoid(logits)) * (1 - spread)
    # About its weighted mean logit a label's slope and shift are nearly independent, so each prior holds one of them.
    pivot = (weight * logits).sum(axis=0) / weight.sum(axis=0) if offset_deviation else np.zeros(logits.shape[1])
    distance = logits - pivot
    precision = np.array([1 / max(d, 1e-6) ** 2 for d in (slope_deviation, offset_deviation)])[:, None]
    target = np.array([centre, 0.0])[:, None]

    def loss(at: np.ndarray) -> np.ndarray:
        scores = np.exp(at[0]) * distance + pivot + at[1]
        missed = (np.logaddexp(0, scores) - labels * scores).sum(axis=0)
        return np.asarray(missed + (precision * (at - target) ** 2).sum(axis=0) / 2)

    at = np.repeat(target, logits.shape[1], axis=1)
    now = loss(at)
    for _ in range(STEPS):
        slope = np.exp(at[0])
        given = _sigmoid(slope * distance + pivot + at[1])
        weight = given * (1 - given)
        moved = slope * distance  # derivative of the score by the log slope; by the shift it is 1
        gradient = np.array([((given - labels) * moved).sum(axis=0), (given - labels).sum(axis=0)])
        gradient += precision * (at - target)
        a = (weight * moved**2).sum(axis=0) + precision[0] + 1e-9
        b = (weight * moved).sum(axis=0)
        d = weight.sum(axis=0) + precision[1] + 1e-9
        step = np.array([d * gradient[0] - b * gradient[1], a * gradient[1] - b * gradient[0]]) / (a * d - b**2)
        step = np.clip(step, -1, 1)
        size = np.ones(len(now))
        for _ in range(30):
            after = loss(at - size * step)
            worse = after > now
            if not worse.any():
                break
            size[worse] /= 2
        better = after <= now
        at = np.where(better, at - size * step, at)
        gain, now = now - np.where(better, after, now), np.where(better, after, now)
        if gain.max() < 1e-9 * max(1.0, float(now.max())):
            break
    slopes = np.exp(at[0])
    return slopes, pivot * (1 - slopes) + at[1]
