"""Calibration error, and per-label Platt scaling.

Platt scaling is linear in the logit, so `scale_head` folds it into the output layer without changing the graph. Slopes
are positive, so that the ranking of texts within a label is preserved, and with it ROC AUC and average precision.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 10
"""Number of bins of the expected calibration error and of the reliability table."""
EPSILON = 1e-7
"""Probabilities are clipped to [EPSILON, 1 - EPSILON] for finite logits: float16 and float32 round to 0 and 1."""
SLOPE_DEVIATION = 0.2
"""Prior standard deviation of a label's log slope around the shared slope; cross-validated on the validation split."""
OFFSET_DEVIATION = 0.4
"""Prior standard deviation of a label's shift, in logits; cross-validated on the validation split."""
MAX_STEPS = 100
"""Maximum number of Newton steps; a fit usually takes a dozen."""


def logit(probabilities: np.ndarray) -> np.ndarray:
    """Compute log(p / (1 - p)) in float64, finite also for 0 and 1."""
    clipped = np.clip(probabilities.astype(np.float64), EPSILON, 1 - EPSILON)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def apply_platt(probabilities: np.ndarray, slopes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Apply `sigmoid(slope * logit + offset)` per label: float32 of shape (n, labels)."""
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
        The new kernel and bias, with the same shapes and types.
    """
    return (kernel * slopes).astype(kernel.dtype), (bias * slopes + offsets).astype(bias.dtype)


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Fit one slope for all labels by maximum likelihood: temperature scaling with temperature 1 / slope.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks" (https://arxiv.org/abs/1706.04599), with a
    sigmoid per label instead of the softmax.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels).

    Returns:
        The positive slope; 1 if no label has both positive and negative rows.
    """
    fittable = _both_classes(labels)
    if not fittable.any():
        return 1.0
    column = logit(probabilities[:, fittable]).reshape(-1, 1)
    slope, _ = _fit(labels[:, fittable].reshape(-1, 1), column, 0.0, np.inf, 0.0)
    return float(slope[0])


def fit_platt(
    labels: np.ndarray,
    probabilities: np.ndarray,
    slope_deviation: float = SLOPE_DEVIATION,
    offset_deviation: float = OFFSET_DEVIATION,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit slope and offset of each label's logit by maximum a posteriori estimation.

    Platt scaling (Platt 1999, "Probabilistic Outputs for Support Vector Machines") with a normal prior on the log
    slope, centered on the slope shared by all labels (`fit_temperature`), and on the shift at the label's mean logit
    weighted by p(1 - p), where its rows are most informative. The prior keeps labels with few positive rows close to
    the shared slope.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels), any float type.
        slope_deviation: Standard deviation of the prior on the log slope; 0 gives all labels the same slope.
        offset_deviation: Standard deviation of the prior on the shift, in logits; 0 disables the shift.

    Returns:
        Positive slopes and offsets: float64 of shape (labels,); 1 and 0 for a label with only positive or only negative
        rows.
    """
    fittable = _both_classes(labels)
    slopes, offsets = np.ones(labels.shape[1]), np.zeros(labels.shape[1])
    if fittable.any():
        center = np.log(fit_temperature(labels, probabilities))
        slopes[fittable], offsets[fittable] = _fit(
            labels[:, fittable], logit(probabilities[:, fittable]), center, slope_deviation, offset_deviation
        )
    return slopes, offsets


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS, equal_mass: bool = False
) -> np.ndarray:
    """Compute the expected calibration error of each label as a binary classifier.

    The error is the mean over rows of |share of positive rows - mean probability| in the row's bin: Naeini et al. 2015,
    "Obtaining Well Calibrated Probabilities Using Bayesian Binning"; per class as in Nixon et al. 2019
    (https://arxiv.org/abs/1904.01685). For a rare label nearly all probabilities are close to 0, where equal-mass bins
    resolve more than equal-width bins. On finite data the error is above 0 even for true probabilities.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels), in [0, 1].
        bins: Number of bins per label.
        equal_mass: Whether bins have equally many rows instead of equal width; rows with equal probability share a bin.

    Returns:
        float64 of shape (labels,).
    """
    errors = np.zeros(labels.shape[1])
    for label in range(labels.shape[1]):
        column = probabilities[:, label].astype(np.float64)
        if equal_mass:
            edges = np.unique(np.quantile(column, np.arange(1, bins) / bins))
            bin_indices = np.searchsorted(edges, column, side="right")
        else:
            bin_indices = _bin(column, bins)
        gap = np.bincount(bin_indices, weights=labels[:, label] - column)  # rows * (share - mean) of each bin
        errors[label] = np.abs(gap).sum() / len(column)
    return errors


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> list[dict[str, Any]]:
    """Compute the reliability table over the predictions of all labels, in bins of equal width.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels), in [0, 1].
        bins: Number of bins.

    Returns:
        A row per non-empty bin: `from`, `to`, number of `predictions`, mean `probability`, share of positives `right`,
        and the 95% Wilson interval of that share, `low` and `high`.
    """
    bin_indices = _bin(probabilities.astype(np.float64), bins).ravel()
    count = np.bincount(bin_indices, minlength=bins)
    right = np.bincount(bin_indices, weights=labels.ravel(), minlength=bins)
    mass = np.bincount(bin_indices, weights=probabilities.ravel().astype(np.float64), minlength=bins)
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


def calibration_metrics(labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Compute all calibration metrics.

    Args:
        labels: 0 or 1, shape (n, labels).
        probabilities: Shape (n, labels), in [0, 1].
        names: Label names.

    Returns:
        `rows`; `ece` and `ece_equal_mass` (expected calibration error) and `log_loss` (in nats), each the mean over
        labels; `per_label`, the same by label name; and the `reliability` table over all labels.
    """
    errors = {
        "ece": expected_calibration_error(labels, probabilities),
        "ece_equal_mass": expected_calibration_error(labels, probabilities, equal_mass=True),
        "log_loss": log_loss(labels, probabilities),
    }
    return {
        "rows": len(labels),
        **{metric: float(values.mean()) for metric, values in errors.items()},
        "per_label": {
            name: {metric: float(values[label]) for metric, values in errors.items()}
            for label, name in enumerate(names)
        },
        "reliability": reliability(labels, probabilities),
    }


def wilson(successes: np.ndarray, trials: np.ndarray, z: float = 1.959964) -> tuple[np.ndarray, np.ndarray]:
    """Compute the Wilson score interval of a proportion (Wilson 1927), 95% by default; (0, 1) without trials."""
    count = np.maximum(trials, 1)
    share = successes / count
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    empty = trials == 0
    return np.where(empty, 0.0, np.maximum(center - half, 0)), np.where(empty, 1.0, np.minimum(center + half, 1))


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Compute the mean negative log-likelihood of each label, in nats: shape (labels,)."""
    logits = logit(probabilities)
    return np.asarray((np.logaddexp(0, logits) - labels * logits).mean(axis=0))


def _bin(probabilities: np.ndarray, bins: int) -> np.ndarray:
    """Return the index of the equal-width bin of each probability; bins include their lower edge, the last also 1."""
    return np.minimum((probabilities * bins).astype(np.int64), bins - 1)


def _both_classes(labels: np.ndarray) -> np.ndarray:
    """Return which labels have both positive and negative rows."""
    return np.asarray((labels > 0).any(axis=0) & (labels == 0).any(axis=0))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.logaddexp(0, -logits)))


def _fit(
    labels: np.ndarray, logits: np.ndarray, center: float, slope_deviation: float, offset_deviation: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fit `sigmoid(exp(s) * (logit - pivot) + pivot + c)` by Fisher scoring, for all labels at once.

    A step that increases the loss is halved. An infinite deviation leaves a parameter free; a deviation of 0 fixes it.
    """
    weight = (spread := _sigmoid(logits)) * (1 - spread)
    # Around the weighted mean logit, slope and shift are nearly independent, so that each prior affects only one.
    pivot = (weight * logits).sum(axis=0) / weight.sum(axis=0) if offset_deviation else np.zeros(logits.shape[1])
    distance = logits - pivot
    precision = np.array([1 / max(d, 1e-6) ** 2 for d in (slope_deviation, offset_deviation)])[:, None]
    target = np.array([center, 0.0])[:, None]

    def loss(parameters: np.ndarray) -> np.ndarray:
        scores = np.exp(parameters[0]) * distance + pivot + parameters[1]
        likelihood = (np.logaddexp(0, scores) - labels * scores).sum(axis=0)
        return np.asarray(likelihood + (precision * (parameters - target) ** 2).sum(axis=0) / 2)

    parameters = np.repeat(target, logits.shape[1], axis=1)
    current_loss = loss(parameters)
    for _ in range(MAX_STEPS):
        slope = np.exp(parameters[0])
        predicted = _sigmoid(slope * distance + pivot + parameters[1])
        weight = predicted * (1 - predicted)
        by_slope = slope * distance  # derivative of the score by the log slope; the one by the shift is 1
        gradient = np.array([((predicted - labels) * by_slope).sum(axis=0), (predicted - labels).sum(axis=0)])
        gradient += precision * (parameters - target)
        a = (weight * by_slope**2).sum(axis=0) + precision[0] + 1e-9
        b = (weight * by_slope).sum(axis=0)
        d = weight.sum(axis=0) + precision[1] + 1e-9
        step = np.array([d * gradient[0] - b * gradient[1], a * gradient[1] - b * gradient[0]]) / (a * d - b**2)
        step = np.clip(step, -1, 1)
        size = np.ones(len(current_loss))
        for _ in range(30):
            new_loss = loss(parameters - size * step)
            worse = new_loss > current_loss
            if not worse.any():
                break
            size[worse] /= 2
        better = new_loss <= current_loss
        parameters = np.where(better, parameters - size * step, parameters)
        lower_loss = np.where(better, new_loss, current_loss)
        gain, current_loss = current_loss - lower_loss, lower_loss
        if gain.max() < 1e-9 * max(1.0, float(current_loss.max())):
            break
    slopes = np.exp(parameters[0])
    return slopes, pivot * (1 - slopes) + parameters[1]
