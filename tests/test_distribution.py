"""`train fit --distribute`: one machine as four devices learns what one device learns."""

import csv
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import SMALL
from tests.test_fit import command
from train.distribution import even_batch

DEVICES = "--xla_force_host_platform_device_count=4"


def losses(folder: Path) -> list[tuple[float, float]]:
    with (folder / "training" / "history.csv").open(encoding="utf-8") as file:
        return [(float(row["loss"]), float(row["val_loss"])) for row in csv.DictReader(file)]


@pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed")
def test_four_devices_learn_what_one_learns(small_data: Path, tmp_path: Path) -> None:
    options: list[str | Path] = ["--data", small_data, *SMALL, "--epochs", "2", "--dropout", "0"]
    done = command("fit", *options, "--out", tmp_path / "one", KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr
    done = command("fit", *options, "--distribute", "--out", tmp_path / "four", KERAS_BACKEND="jax", XLA_FLAGS=DEVICES)
    assert done.returncode == 0, done.stderr
    assert "4 devices" in done.stderr
    np.testing.assert_allclose(losses(tmp_path / "four"), losses(tmp_path / "one"), rtol=3e-3)


def test_another_backend_is_refused(small_data: Path, tmp_path: Path) -> None:
    done = command("fit", "--data", small_data, *SMALL, "--distribute", "--out", tmp_path / "m")
    assert done.returncode == 2
    assert "--distribute needs Keras's JAX backend, not tensorflow: set KERAS_BACKEND=jax" in done.stderr


def test_an_uneven_batch() -> None:
    rows, weights = even_batch(np.array([7, 3, 9, 1]), 4)
    assert weights is None
    rows, weights = even_batch(np.array([7, 3, 9, 1, 5]), 4)
    assert weights is not None
    assert rows.tolist() == [7, 3, 9, 1, 5, 7, 3, 9]
    loss = np.array([1.0, 2, 3, 4, 5, 1, 2, 3])
    assert (loss * weights).mean() == pytest.approx(loss[:5].mean())
    rows, _ = even_batch(np.array([2]), 4)
    assert rows.tolist() == [2] * 4
