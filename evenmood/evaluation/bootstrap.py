"""Bootstrap: a sample is a weight for each row, so that one matrix product counts for all samples at once."""

from typing import Any

import numpy as np

SAMPLES = 1000
"""Of rows, seeds or both; an interval is from their 2.5th to their 97.5th percentile."""


def row_weights(rows: int, samples: int = SAMPLES, seed: int = 0) -> np.ndarray:
    """How often each row counts: float32 of shape (1 + samples, rows), once each in the first."""
    drawn = np.random.default_rng(seed).multinomial(rows, np.full(rows, 1 / rows), size=samples)
    return np.concatenate([np.ones((1, rows)), drawn]).astype(np.float32)


def seed_weights(seeds: int, stream: int = 0, samples: int = SAMPLES) -> np.ndarray:
    """How much each of several runs counts: shape (1 + samples, seeds), rows summing to 1, the plain mean in the first.

    Runs drawn with replacement spread less than means of new runs would, by (seeds - 1) / seeds of the variance; the
    samples' distance from the plain mean is widened by as much. One run alone has no spread to resample.
    """
    mean = np.full((1, seeds), 1 / seeds)
    if seeds == 1:
        return np.repeat(mean, 1 + samples, axis=0)
    drawn = np.random.default_rng([1, stream]).multinomial(seeds, mean[0], size=samples) / seeds
    return np.concatenate([mean, mean + (drawn - mean) * np.sqrt(seeds / (seeds - 1))])


def interval(values: np.ndarray) -> dict[str, Any]:
    """Value and 95 % interval of a figure, shape (1 + samples,): of the rows as they are, then of the samples."""
    if np.isnan(values[0]):
        return {"value": None, "low": None, "high": None}
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return {"value": float(values[0]), "low": float(low), "high": float(high)}
