"""Bootstrap samples as row weights, so that one matmul evaluates all samples."""

from typing import Any

import numpy as np

BOOTSTRAP_SAMPLES = 1000
"""Default number of bootstrap samples; an interval spans their 2.5th to 97.5th percentile."""


def row_weights(rows: int, samples: int = BOOTSTRAP_SAMPLES, seed: int = 0) -> np.ndarray:
    """Count each row in bootstrap samples: float32 of shape (1 + samples, rows); the first sample is the data."""
    counts = np.random.default_rng(seed).multinomial(rows, np.full(rows, 1 / rows), size=samples)
    return np.concatenate([np.ones((1, rows)), counts]).astype(np.float32)


def seed_weights(seeds: int, stream: int = 0, samples: int = BOOTSTRAP_SAMPLES) -> np.ndarray:
    """Return the weights of training runs in bootstrap samples: shape (1 + samples, seeds); rows sum to 1.

    Resampling n runs underestimates the variance of their mean by the factor (n - 1) / n, so the distances from the
    mean are scaled up accordingly. A single run has no variance to resample.

    Args:
        seeds: Number of training runs.
        stream: Index of an independent random stream.
        samples: Number of bootstrap samples.
    """
    mean = np.full((1, seeds), 1 / seeds)
    if seeds == 1:
        return np.repeat(mean, 1 + samples, axis=0)
    weights = np.random.default_rng([1, stream]).multinomial(seeds, mean[0], size=samples) / seeds
    return np.concatenate([mean, mean + (weights - mean) * np.sqrt(seeds / (seeds - 1))])


def interval(values: np.ndarray) -> dict[str, Any]:
    """Return the value and 95% interval of a metric.

    `values[0]` is the value on the data; the rest are those of the bootstrap samples.
    """
    if np.isnan(values[0]):
        return {"value": None, "low": None, "high": None}
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return {"value": float(values[0]), "low": float(low), "high": float(high)}
