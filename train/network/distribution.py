"""Data-parallel training, which splits every batch over devices (https://keras.io/guides/distribution/)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np

from evenmood.errors import UsageError

HOSTS = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
"""Environment variable of Keras with the hosts; see also KERAS_DISTRIBUTION_NUM_PROCESSES and _PROCESS_ID."""


@dataclass(frozen=True)
class Devices:
    """Devices that share a batch: their number, the number of hosts, and the index of this host."""

    count: int = 1
    hosts: int = 1
    host: int = 0

    def share(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the rows of a batch for this host, and their weights in the loss; see `even_batch`."""
        rows, weights = even_batch(batch, self.count)
        size = len(rows) // self.hosts
        part = slice(self.host * size, (self.host + 1) * size)
        return rows[part], None if weights is None else weights[part]

    def check_same_epoch(self, epoch: int) -> None:
        """Check that all hosts resume from the same epoch.

        Raises:
            UsageError: The checkpoints of the hosts have different epochs.
        """
        if self.hosts == 1:
            return
        from jax.experimental import multihost_utils

        epochs = multihost_utils.process_allgather(np.array([epoch])).ravel().tolist()
        if len(set(epochs)) > 1:
            raise UsageError(
                f"the hosts' checkpoints are at different epochs ({', '.join(map(str, epochs))}); "
                "copy OUT.partial from one host to the others, or discard them with --restart"
            )


def join_hosts(distribute: bool) -> None:
    """Connect to the hosts named in the environment, if any, before any computation.

    Raises:
        UsageError: The backend is not JAX.
    """
    if not distribute:
        return
    backend = keras.backend.backend()
    if backend != "jax":
        raise UsageError(f"--distribute requires the JAX backend; found {backend}: set KERAS_BACKEND=jax")
    if os.environ.get(HOSTS):
        keras.distribution.initialize()


@contextmanager
def data_parallel(distribute: bool) -> Iterator[Devices]:
    """Distribute training over all devices of all hosts in the block, if `distribute`.

    Requires the JAX backend. Variables are replicated, and the gradient of a batch is the mean over the devices, so
    that training equals that on one device except for rounding. Every host runs the same command with its own `--out`,
    and writes the same model.
    """
    if not distribute:
        yield Devices()
        return
    import jax

    devices = keras.distribution.list_devices()
    before = keras.distribution.distribution()
    shared = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)  # done by `Devices.share`
    keras.distribution.set_distribution(shared)
    try:
        yield Devices(len(devices), jax.process_count(), jax.process_index())
    finally:
        keras.distribution.set_distribution(before)


def even_batch(rows: np.ndarray, devices: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Pad a batch with repeated rows of weight 0, so that devices can share it evenly.

    Batch normalization includes the repeated rows; they occur only in the last batches of an epoch.

    Returns:
        Row indices, whose number is a multiple of `devices`; and their weights in the loss, or None if all are equal.
    """
    padding = -len(rows) % devices
    if not padding:
        return rows, None
    filled = np.resize(rows, len(rows) + padding)
    weights = np.zeros(len(filled), np.float32)
    weights[: len(rows)] = len(filled) / len(rows)
    return filled, weights
