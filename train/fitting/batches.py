"""Batches of texts of similar length: what a batch is padded to costs time, and teaches nothing."""

from collections.abc import Iterator

import numpy as np

from evenmood.text.normalization import PAD_ID, POOL_SIZE

GROUP_BATCHES = 50
"""Batches whose texts are drawn together and then sorted by length; of a few only, batches would hardly be random."""


def token_counts(ids: np.ndarray) -> np.ndarray:
    """Tokens of each row of ids, shape (n, time): those that are not padding."""
    counts: np.ndarray = (ids != PAD_ID).sum(axis=1)
    return counts


def cut_to_longest(ids: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Rows of ids, as wide as the longest of them needs, a multiple of the pooling's size."""
    return ids[:, : -(-int(counts.max()) // POOL_SIZE) * POOL_SIZE]


def epoch_batches(counts: np.ndarray, batch_size: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Row numbers of an epoch's batches; every row is in one of them.

    Args:
        counts: Tokens of each row.
        batch_size: Rows a batch; the last ones may have fewer.
        random: Decides which rows meet, and the order of the batches.
    """
    order = random.permutation(len(counts))
    batches = []
    for start in range(0, len(order), batch_size * GROUP_BATCHES):
        group = order[start : start + batch_size * GROUP_BATCHES]
        group = group[np.argsort(counts[group], kind="stable")]
        batches += np.array_split(group, range(batch_size, len(group), batch_size))
    for index in random.permutation(len(batches)):
        yield batches[index]
