"""Data-parallel training: each device takes its share of every batch (https://keras.io/guides/distribution/)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np

from evenmood.errors import UsageError

HOSTS = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
"""Keras's variable that names the hosts; KERAS_DISTRIBUTION_NUM_PROCESSES and _PROCESS_ID say how many, and which."""


@dataclass(frozen=True)
class Devices:
    """What shares a batch: devices, evenly on hosts, and which of the hosts this is."""

    count: int = 1
    hosts: int = 1
    host: int = 0

    def share(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """This host's rows of a batch, and their weights in the loss: `even_batch`."""
        rows, weights = even_batch(batch, self.count)
        size = len(rows) // self.hosts
        own = slice(self.host * size, (self.host + 1) * size)
        return rows[own], None if weights is None else weights[own]

    def agree_on(self, epoch: int) -> None:
        """Compare the last finished epoch with that of the other hosts.

        Raises:
            UsageError: They were interrupted while one had saved an epoch that another had not.
        """
        if self.hosts == 1:
            return
        from jax.experimental import multihost_utils

        epochs = multihost_utils.process_allgather(np.array([epoch])).ravel().tolist()
        if len(set(epochs)) > 1:
            raise UsageError(
                f"the hosts' unfinished runs stand at epochs {', '.join(map(str, epochs))}: "
                "copy the OUT.partial of one of them to the others, or start anew with --restart"
            )


def join_hosts(wanted: bool) -> None:
    """Join the other hosts, where the environment names some; before anything is computed.

    Raises:
        UsageError: Another backend than JAX was chosen.
    """
    if not wanted:
        return
    backend = keras.backend.backend()
    if backend != "jax":
        raise UsageError(f"--distribute needs Keras's JAX backend, not {backend}: set KERAS_BACKEND=jax")
    if os.environ.get(HOSTS):
        keras.distribution.initialize()


@contextmanager
def data_parallel(wanted: bool) -> Iterator[Devices]:
    """Spread training over all devices of all hosts, if wanted.

    Keras does it on the JAX backend. The variables are the same on every device, and the gradient of a batch is the
    mean over the devices' shares: training is that of one device, but for rounding. Every host runs the same command
    with an `--out` of its own, and writes the same model there.
    """
    if not wanted:
        yield Devices()
        return
    import jax

    devices = keras.distribution.list_devices()
    before = keras.distribution.distribution()
    shared = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)  # `Devices.share` does it
    keras.distribution.set_distribution(shared)
    try:
        yield Devices(len(devices), jax.process_count(), jax.process_index())
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
