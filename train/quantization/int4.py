"""Quantize weights to int4, with a scale per block."""

import math

import numpy as np

TABLE_BLOCK = 128
"""Block size of a token's vector: weights that share a scale."""
MATMUL_BLOCK = 32
"""Block size of a column of a matmul."""
SCALE_FACTORS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65)
"""Scales to try, relative to the smallest scale that clips no weight."""


def int4_blocks(table: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Quantize rows to integers from -8 to 7 with a scale per block that minimizes the squared error.

    The largest weight of a block is often an outlier: clipping it then costs less than a coarse scale.

    Args:
        table: float32 of shape (rows, size).
        block: Maximum block size; reduced to a divisor of `size`.

    Returns:
        int8 of shape (rows, size), and float32 of shape (rows, blocks).
    """
    blocks = table.reshape(len(table), -1, math.gcd(table.shape[1], block))
    largest = np.maximum(np.abs(blocks).max(axis=-1, keepdims=True), 1e-8) / 7.5
    best_error = np.full(largest.shape, np.inf)
    codes, scales = np.zeros(blocks.shape, np.int8), np.ones(largest.shape, np.float32)
    for factor in SCALE_FACTORS:
        scale = largest * factor
        candidates = np.clip(np.round(blocks / scale), -8, 7)
        error = ((candidates * scale - blocks) ** 2).sum(axis=-1, keepdims=True)
        better = error < best_error
        best_error = np.where(better, error, best_error)
        codes, scales = np.where(better, candidates, codes).astype(np.int8), np.where(better, scale, scales)
    return codes.reshape(table.shape), scales[..., 0].astype(np.float32)
