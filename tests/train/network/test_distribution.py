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
"""Compile without optimizations: compilation takes longer than training here."""
DEVICES = "--xla_force_host_platform_device_count="


def read_losses(folder: Path) -> list[tuple[float, float]]:
    with (folder / "training" / "history.csv").open(encoding="utf-8") as file:
        return [(float(row["loss"]), float(row["val_loss"])) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def one_device(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that JAX trained on one device."""
    if find_spec("jax") is None:
        pytest.skip("jax is not installed")
    out = tmp_path_factory.mktemp("jax") / "model"
    options: list[str | Path] = ["--data", small_data, *SMALL, *QUICK, "--out", out]
    result = run_module("train", "fit", *options, KERAS_BACKEND="jax", XLA_FLAGS=XLA)
    assert result.returncode == 0, result.stderr
    return out


def test_onnx_export_matches_keras(one_device: Path) -> None:
    storage = json.loads((one_device / "training/storage.json").read_text())
    assert storage["largest_difference"] < 1e-5


@pytest.mark.slow
def test_four_devices_match_one_device(one_device: Path, small_data: Path, tmp_path: Path) -> None:
    options: list[str | Path] = ["--data", small_data, *SMALL, *QUICK, "--distribute", "--out", tmp_path / "four"]
    result = run_module("train", "fit", *options, KERAS_BACKEND="jax", XLA_FLAGS=f"{XLA} {DEVICES}4")
    assert result.returncode == 0, result.stderr
    assert "devices: 4, hosts: 1" in result.stderr
    np.testing.assert_allclose(read_losses(tmp_path / "four"), read_losses(one_device), rtol=3e-3)


def run_on_two_hosts(*commands: list[str]) -> tuple[list[int], list[str]]:
    """Run a command on each of two simulated hosts with two devices; return their exit codes and stderr."""
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
    stderrs = [host.communicate(timeout=300)[1] for host in hosts]
    return [host.returncode for host in hosts], stderrs


@pytest.mark.slow
def test_two_hosts_match_one_device(one_device: Path, small_data: Path, tmp_path: Path) -> None:
    options = ["-m", "train", "fit", "--data", str(small_data), *SMALL, *QUICK, "--distribute", "--out"]
    codes, stderrs = run_on_two_hosts(*([*options, str(tmp_path / f"host{host}")] for host in range(2)))
    assert codes == [0, 0], stderrs
    assert all("devices: 4, hosts: 2" in stderr for stderr in stderrs)
    assert read_losses(tmp_path / "host0") == read_losses(tmp_path / "host1")
    np.testing.assert_allclose(read_losses(tmp_path / "host0"), read_losses(one_device), rtol=3e-3)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed")
def test_checkpoints_of_different_epochs_are_rejected() -> None:
    script = (
        "import sys; from train.network.distribution import data_parallel, join_hosts\n"
        "join_hosts(True)\n"
        "with data_parallel(True) as devices:\n"
        "    devices.check_same_epoch(3)\n"
        "    devices.check_same_epoch(int(sys.argv[1]))"
    )
    codes, stderrs = run_on_two_hosts(*(["-c", script, epoch] for epoch in ("4", "5")))
    assert codes == [1, 1]
    for stderr in stderrs:
        assert "the hosts' checkpoints are at different epochs (4, 5); copy OUT.partial" in stderr


def test_other_backends_are_rejected(small_data: Path, tmp_path: Path) -> None:
    result = run_command("train", "fit", "--data", small_data, *SMALL, "--distribute", "--out", tmp_path / "m")
    assert result.returncode == 2
    assert "--distribute requires the JAX backend; found tensorflow: set KERAS_BACKEND=jax" in result.stderr


def test_uneven_batch_is_padded_with_weights() -> None:
    rows, weights = even_batch(np.array([7, 3, 9, 1]), 4)
    assert weights is None
    rows, weights = even_batch(np.array([7, 3, 9, 1, 5]), 4)
    assert weights is not None
    assert rows.tolist() == [7, 3, 9, 1, 5, 7, 3, 9]
    loss = np.array([1.0, 2, 3, 4, 5, 1, 2, 3])
    assert (loss * weights).mean() == pytest.approx(loss[:5].mean())
    rows, _ = even_batch(np.array([2]), 4)
    assert rows.tolist() == [2] * 4
