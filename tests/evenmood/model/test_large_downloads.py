"""Large downloads: commands ask for confirmation first, or fail without a terminal."""

import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import run_command
from tests.conftest import SMALL
from tests.fakes.hub_server import HubServer
from tests.fakes.local_hub import run_module
from train.config import FASTTEXT

pty = pytest.importorskip("pty", reason="needs a POSIX terminal")
WITHOUT_VECTORS = SMALL[2:]
OFFLINE = {"HF_ENDPOINT": "http://127.0.0.1:9", "http_proxy": "", "https_proxy": ""}
MESSAGE = f"error: --vectors {FASTTEXT} requires a 7.24 GB download; confirm it with --yes, or train vectors on the"


def check_rejected(*arguments: str | Path) -> None:
    result = run_command("train", *arguments)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert result.stderr.startswith(MESSAGE)
    assert "--vectors self" in result.stderr


def test_commands_require_confirmation(hub: HubServer, small_data: Path, tmp_path: Path) -> None:
    check_rejected("fit", "--out", tmp_path / "m")
    check_rejected("fit", "--data", small_data, "--out", tmp_path / "m", "--epochs", "1")
    check_rejected("vectors", "--data", small_data, "--out", tmp_path / "v.vec")
    check_rejected("ablate", "--build", tmp_path / "build", "--out", tmp_path / "models")
    assert not hub.requests
    assert not list(tmp_path.iterdir())


def test_run_with_saved_vectors_resumes(hub: HubServer, small_data: Path, tmp_path: Path) -> None:
    """A later check, of the options, fails instead."""
    partial = tmp_path / "m.partial"
    partial.mkdir()
    (partial / "options.json").write_text('{"seed": 5}')
    (partial / "vectors.npy").touch()
    result = run_command("train", "fit", "--data", small_data, "--out", tmp_path / "m")
    assert "an unfinished run has different options: " in result.stderr
    check_rejected("fit", "--data", small_data, "--out", tmp_path / "m", "--restart")
    assert not hub.requests
    assert (partial / "vectors.npy").exists()


@pytest.mark.slow
def test_yes_starts_the_download(small_data: Path, tmp_path: Path) -> None:
    options: list[str | Path] = ["fit", "--data", small_data, "--out", tmp_path / "m", "--yes"]
    result = run_module("train", *options, HF_HUB_OFFLINE="1")
    assert result.returncode == 1
    assert f"vectors '{FASTTEXT}': neither a local .bin or .vec file nor a Hub repository" in result.stderr


@pytest.mark.slow
def test_cached_vectors_need_no_confirmation(small_data: Path, tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "cache" / f"models--{FASTTEXT.replace('/', '--')}"
    for path, content in (
        (folder / "refs" / "main", commit),
        (folder / "snapshots" / commit / "model.bin", "not fastText at all" * 10),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(content)
    options: list[str | Path] = ["fit", "--data", small_data, "--out", tmp_path / "m"]
    result = run_module("train", *options, HF_HUB_CACHE=str(tmp_path / "cache"), HF_HUB_OFFLINE="1")
    assert "confirm it with --yes" not in result.stderr
    assert result.returncode == 1


def test_remote_requires_confirmation(hub: HubServer, token: str, small_data: Path, tmp_path: Path) -> None:
    result = run_command("train", "remote", "you/moods", "--data", small_data, "--out", tmp_path / "m")
    assert result.returncode == 2
    assert result.stderr.startswith(MESSAGE)


def test_job_confirms_the_download(hub: HubServer, token: str) -> None:
    result = run_command("train", "job", "you/moods")
    assert result.returncode == 0, result.stderr
    assert "--yes" in hub.jobs[0]["command"]


@pytest.mark.parametrize(
    "answer", ["\n", *(pytest.param(answer, marks=pytest.mark.slow) for answer in ("n\n", "\x04"))]
)
def test_declined_prompt_aborts(small_data: Path, tmp_path: Path, answer: str) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "train", "fit", "--data", str(small_data), "--out", str(tmp_path / "m")]
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env={**os.environ, **OFFLINE}, start_new_session=True
    )
    os.close(terminal)
    output, deadline = "", time.monotonic() + 120
    while "[y/N]" not in output and time.monotonic() < deadline:
        if select.select([controller], [], [], 0.2)[0]:
            try:
                output += os.read(controller, 4096).decode()
            except OSError:  # the process has ended
                break
    assert (
        f"--vectors {FASTTEXT} requires a 7.24 GB download (--vectors self requires none). Download now? [y/N]"
        in output
    )
    os.write(controller, answer.encode())
    assert process.wait(60) == 1
    os.close(controller)
    assert not list(tmp_path.iterdir())
