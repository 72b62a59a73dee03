"""Batches of texts of similar length, to minimize padding."""

from collections.abc import Iterator

import numpy as np

from evenmood.text.normalization import PAD_ID, POOL_SIZE

GROUP_BATCHES = 50
"""Number of batches whose texts are sampled together and sorted by length; fewer would make batches less random."""


def token_counts(ids: np.ndarray) -> np.ndarray:
    """Count the tokens of each row without padding: from shape (n, time) to (n,)."""
    counts: np.ndarray = (ids != PAD_ID).sum(axis=1)
    return counts


def trim_padding(ids: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Trim padding to the length of the longest row, rounded up to a multiple of the pool size."""
    return ids[:, : -(-int(counts.max()) // POOL_SIZE) * POOL_SIZE]


def epoch_batches(counts: np.ndarray, batch_size: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the row indices of each batch of an epoch; every row is in exactly one batch.

    Args:
        counts: Number of tokens of each row: shape (n,).
        batch_size: Rows per batch; some batches may be smaller.
        random: Random generator for the composition and order of batches.
    """
    order = random.permutation(len(counts))
    batches = []
    for start in range(0, len(order), batch_size * GROUP_BATCHES):
        group = order[start : start + batch_size * GROUP_BATCHES]
        group = group[np.argsort(counts[group], kind="stable")]
        batches += np.array_split(group, range(batch_size, len(group), batch_size))
    for index in random.permutation(len(batches)):
        yield batches[index]
