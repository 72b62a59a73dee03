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
NOWHERE = {"HF_ENDPOINT": "http://127.0.0.1:9", "http_proxy": "", "https_proxy": ""}
TOLD = f"error: --vectors {FASTTEXT} is a download of 7.24 GB; confirm it with --yes, or train vectors on the"


def refused(*arguments: str | Path) -> None:
    result = run_command("train", *arguments)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert result.stderr.startswith(TOLD)
    assert "--vectors self" in result.stderr


def test_every_command_that_starts_with_it_refuses(hub: HubServer, small_data: Path, tmp_path: Path) -> None:
    """No request is needed to know."""
    refused("fit", "--out", tmp_path / "m")
    refused("fit", "--data", small_data, "--out", tmp_path / "m", "--epochs", "1")
    refused("vectors", "--data", small_data, "--out", tmp_path / "v.vec")
    refused("ablate", "--build", tmp_path / "build", "--out", tmp_path / "models")
    assert not hub.requests
    assert not list(tmp_path.iterdir())


def test_run_with_saved_vectors_resumes(hub: HubServer, small_data: Path, tmp_path: Path) -> None:
    """What is told then is that its options differ, which is found out later."""
    partial = tmp_path / "m.partial"
    partial.mkdir()
    (partial / "options.json").write_text('{"seed": 5}')
    (partial / "vectors.npy").touch()
    result = run_command("train", "fit", "--data", small_data, "--out", tmp_path / "m")
    assert "unfinished run with other" in result.stderr
    refused("fit", "--data", small_data, "--out", tmp_path / "m", "--restart")
    assert not hub.requests
    assert (partial / "vectors.npy").exists()


def test_with_yes_the_download_is_tried(small_data: Path, tmp_path: Path) -> None:
    options: list[str | Path] = ["fit", "--data", small_data, "--out", tmp_path / "m", "--yes"]
    result = run_module("train", *options, HF_HUB_OFFLINE="1")
    assert result.returncode == 1
    assert f"vectors '{FASTTEXT}': neither a local .bin or .vec file nor a Hub repository" in result.stderr


def test_what_is_in_the_cache_is_not_asked_about(small_data: Path, tmp_path: Path) -> None:
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


def test_remote_refuses_before_it_trains(hub: HubServer, token: str, small_data: Path, tmp_path: Path) -> None:
    result = run_command("train", "remote", "you/moods", "--data", small_data, "--out", tmp_path / "m")
    assert result.returncode == 2
    assert result.stderr.startswith(TOLD)


def test_a_job_is_not_asked(hub: HubServer, token: str) -> None:
    result = run_command("train", "job", "you/moods")
    assert result.returncode == 0, result.stderr
    assert "--yes" in hub.jobs[0]["command"]


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"])
def test_a_terminal_is_asked(small_data: Path, tmp_path: Path, answer: str) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "train", "fit", "--data", str(small_data), "--out", str(tmp_path / "m")]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **NOWHERE}, start_new_session=True
    )
    os.close(theirs)
    shown, deadline = "", time.monotonic() + 120
    while "[y/N]" not in shown and time.monotonic() < deadline:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                shown += os.read(ours, 4096).decode()
            except OSError:  # the process has ended
                break
    assert f"--vectors {FASTTEXT} is a download of 7.24 GB (--vectors self requires none). Start it? [y/N]" in shown
    os.write(ours, answer.encode())
    assert process.wait(60) == 1
    os.close(ours)
    assert not list(tmp_path.iterdir())
