"""Simulated differences of Windows and macOS; CI also runs the tests of the library on both."""

import errno
import os
import signal
import subprocess
import sys
from importlib import reload
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from evenmood import EmotionClassifier
from evenmood.cli import command
from evenmood.model import model_folder
from evenmood.onnx.inference import usable_cores
from evenmood.system import signals
from evenmood.tables import table_files
from tests.commands import run_command

WITHOUT_FCNTL = "import sys; sys.modules['fcntl'] = None; from evenmood.cli.commands import main; main()"
ENCODING_WARNINGS = ["-X", "warn_default_encoding", "-W", "error::EncodingWarning:evenmood"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_bytes(b"text\r\nThank you caf\xc3\xa9!\r\n")
    return path


def test_no_advisory_locks(table: Path, tmp_path: Path) -> None:
    (tmp_path / ".out.csv.999999999.part").write_bytes(b"x")  # left behind by a killed process
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_FCNTL, "predict", table, tmp_path / "out.csv"], capture_output=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert (tmp_path / "out.csv").read_bytes().startswith(b"text,emotions,")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_leftovers_are_kept_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, `os.kill` with signal 0 ends the process, so leftover files are kept."""
    part = tmp_path / ".out.csv.999999999.part"
    part.write_bytes(b"x")
    monkeypatch.setattr(table_files, "os", SimpleNamespace(name="nt"))  # without kill
    table_files.remove_leftovers(tmp_path / "out.csv")
    assert part.exists()


def test_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert usable_cores() == (os.cpu_count() or 1)


def test_no_hangup_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as windows:
        windows.delattr(signal, "SIGHUP", raising=False)
        assert reload(signals).SIGNALS == (signal.SIGTERM,)
        with signals.exit_on_termination():
            pass
    reload(signals)


def test_closed_pipe_is_not_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def app(arguments: list[str], prog_name: str) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    assert command.is_closed_pipe(BrokenPipeError())
    monkeypatch.setattr(sys, "platform", "linux")
    assert not command.is_closed_pipe(OSError(errno.EINVAL, "Invalid argument"))
    monkeypatch.setattr(sys, "platform", "win32")
    assert not command.is_closed_pipe(OSError(errno.EINVAL, "Invalid argument", "in.csv"))
    with pytest.raises(SystemExit) as stop:
        command.run(app, "evenmood", [])
    assert (stop.value.code, capsys.readouterr().err) == (1, "")


@pytest.mark.parametrize("failures", [3, model_folder.MAX_ATTEMPTS])
def test_saving_to_a_folder_in_use_is_retried(folder: Path, failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows cannot rename a folder with an open file."""
    rename, remaining_failures = Path.rename, [failures]
    info_before = (folder / "emotions.json").read_bytes()

    def rename_or_fail(path: Path, target: Path) -> Path:
        if path == folder and remaining_failures[0]:
            remaining_failures[0] -= 1
            raise PermissionError(errno.EACCES, "Access is denied", str(path))
        return rename(path, target)

    monkeypatch.setattr(model_folder, "RETRY_SECONDS", 0)
    classifier = EmotionClassifier.from_pretrained(folder)
    classifier.set_thresholds(joy=0.77)
    with patch.object(Path, "rename", rename_or_fail):
        if failures < model_folder.MAX_ATTEMPTS:
            classifier.save_pretrained(folder, overwrite=True)
        else:
            with pytest.raises(PermissionError):
                classifier.save_pretrained(folder, overwrite=True)
    assert ((folder / "emotions.json").read_bytes() == info_before) == (failures == model_folder.MAX_ATTEMPTS)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "utf-8"])
def test_files_are_utf8_regardless_of_the_locale(encoding: str, table: Path, tmp_path: Path) -> None:
    commands: list[list[str | Path]] = [
        ["info"],
        ["Thank you café!"],
        ["predict", table, tmp_path / "out.jsonl"],
        ["report", table, tmp_path / "out.html"],
    ]
    for arguments in commands:
        result = subprocess.run(
            [sys.executable, *ENCODING_WARNINGS, "-m", "evenmood", *arguments],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=False,
        )
        assert (result.returncode, result.stderr) == (0, b""), arguments
    assert "café" in (tmp_path / "out.jsonl").read_text(encoding="utf-8")


def test_line_endings_of_tables_are_kept(table: Path, tmp_path: Path) -> None:
    """Tables are written in binary mode, without newline translation."""
    assert run_command("evenmood", "predict", table, tmp_path / "out.csv").returncode == 0
    lines = (tmp_path / "out.csv").read_bytes().split(b"\n")
    assert [line[-1:] for line in lines] == [b"\r", b"\r", b""]
    assert b"\r\r" not in (tmp_path / "out.csv").read_bytes()
