"""`train fit --distribute`: four simulated devices give the same result as one."""

import csv
import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.commands import run_command
from tests.conftest import SMALL
from tests.fakes.local_hub import run_module
from tests.fresh_environment import ROOT
from train.network.distribution import even_batch

QUICK = ["--epochs", "2", "--dropout", "0", "--max-length", "4"]
XLA = "--xla_backend_optimization_level=0"
"""Compile quickly: these runs compile longer than they train."""
DEVICES = "--xla_force_host_platform_device_count="


def losses(folder: Path) -> list[tuple[float, float]]:
    with (folder / "training" / "history.csv").open(encoding="utf-8") as file:
        return [(float(row["loss"]), float(row["val_loss"])) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def one(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that JAX trained on one device."""
    if find_spec("jax") is None:
        pytest.skip("jax is not installed")
    out = tmp_path_factory.mktemp("jax") / "one"
    options: list[str | Path] = ["--data", small_data, *SMALL, *QUICK, "--out", out]
    done = run_module("train", "fit", *options, KERAS_BACKEND="jax", XLA_FLAGS=XLA)
    assert done.returncode == 0, done.stderr
    return out


def test_one_device_exports_what_it_learned(one: Path) -> None:
    storage = json.loads((one / "training/storage.json").read_text())
    assert storage["largest_difference"] < 1e-5


def test_four_devices_learn_what_one_learns(one: Path, small_data: Path, tmp_path: Path) -> None:
    options: list[str | Path] = ["--data", small_data, *SMALL, *QUICK, "--distribute", "--out", tmp_path / "four"]
    done = run_module("train", "fit", *options, KERAS_BACKEND="jax", XLA_FLAGS=f"{XLA} {DEVICES}4")
    assert done.returncode == 0, done.stderr
    assert "4 devices on 1 hosts" in done.stderr
    np.testing.assert_allclose(losses(tmp_path / "four"), losses(one), rtol=3e-3)


def on_two_hosts(*commands: list[str]) -> tuple[list[int], list[str]]:
    """Run a command on each of two hosts of two devices; gives their exit codes, and what they said."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    hosts = []
    for host, arguments in enumerate(commands):
        variables = {
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"{XLA} {DEVICES}2",
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"{address},127.0.0.1:1",
            "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
            "KERAS_DISTRIBUTION_PROCESS_ID": str(host),
        }
        environment = {**os.environ, **variables}
        hosts.append(
            subprocess.Popen([sys.executable, *arguments], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        )
    said = [host.communicate(timeout=300)[1] for host in hosts]
    return [host.returncode for host in hosts], said


def test_two_hosts_learn_the_same(one: Path, small_data: Path, tmp_path: Path) -> None:
    options = ["-m", "train", "fit", "--data", str(small_data), *SMALL, *QUICK, "--distribute", "--out"]
    codes, said = on_two_hosts(*([*options, str(tmp_path / f"host{host}")] for host in range(2)))
    assert codes == [0, 0], said
    assert all("4 devices on 2 hosts" in lines for lines in said)
    assert losses(tmp_path / "host0") == losses(tmp_path / "host1")
    np.testing.assert_allclose(losses(tmp_path / "host0"), losses(one), rtol=3e-3)


@pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed")
def test_hosts_stopped_at_different_epochs_are_reported() -> None:
    script = (
        "import sys; from train.network.distribution import data_parallel, join_hosts\n"
        "join_hosts(True)\n"
        "with data_parallel(True) as devices:\n"
        "    devices.agree_on(3)\n"
        "    devices.agree_on(int(sys.argv[1]))"
    )
    codes, said = on_two_hosts(*(["-c", script, epoch] for epoch in ("4", "5")))
    assert codes == [1, 1]
    for lines in said:
        assert "the checkpoints of the hosts have the epochs 4, 5; expected the same: copy OUT.partial" in lines


def test_another_backend_is_refused(small_data: Path, tmp_path: Path) -> None:
    done = run_command("train", "fit", "--data", small_data, *SMALL, "--distribute", "--out", tmp_path / "m")
    assert done.returncode == 2
    assert "--distribute with the Keras backend tensorflow; expected jax: set KERAS_BACKEND=jax" in done.stderr


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
