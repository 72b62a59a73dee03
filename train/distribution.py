"""Data-parallel training: each device takes its share of every batch (https://keras.io/guides/distribution/)."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np

from evenmood.errors import UsageError


@contextmanager
def data_parallel(wanted: bool) -> Iterator[int]:
    """Spread training over all devices of this process, if wanted; gives their number.

    Keras does it on the JAX backend. The variables are the same on every device, and the gradient of a batch is the
    mean over the devices' shares: training is that of one device, but for rounding.

    Raises:
        UsageError: Another backend was chosen.
    """
    if not wanted:
        yield 1
        return
    if keras.backend.backend() != "jax":
        raise UsageError(
            f"--distribute needs Keras's JAX backend, not {keras.backend.backend()}: set KERAS_BACKEND=jax"
        )
    devices = keras.distribution.list_devices()
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    try:
        yield len(devices)
    finally:
        keras.distribution.set_distribution(before)


def even_batch(rows: np.ndarray, devices: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows of a batch that devices can share evenly: some stand there twice, and weigh nothing the second time.

    Batch normalization sees them twice all the same; only an epoch's last batches have any.

    Returns:
        Row numbers, a multiple of `devices`; and their weights in the loss, which give the mean over the batch's own
        rows. None where all weigh the same.
    """
    lacking = -len(rows) % devices
    if not lacking:
        return rows, None
    filled = np.resize(rows, len(rows) + lacking)
    weights = np.zeros(len(filled), np.float32)
    weights[: len(rows)] = len(filled) / len(rows)
    return filled, weights
