"""The progress bar of `evenmood predict` and `report`: only on a terminal, with rows, rate and time."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="needs a POSIX terminal")
ROWS = 3_000


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("text\n" + "so happy to be here\n" * ROWS, encoding="utf-8")
    return path


def terminal_output(*arguments: str | Path) -> str:
    """Run a command on a terminal with 100 columns; return its output without escape sequences."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "evenmood", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(terminal)
    output = b""
    while True:
        try:
            chunk = os.read(controller, 1 << 16)
        except OSError:  # on Linux; other systems return b"" at the end
            break
        if not chunk:
            break
        output += chunk
    os.close(controller)
    assert process.wait(timeout=60) == 0, output
    return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", output.decode())


@pytest.mark.parametrize("command", ["predict", "report"])
def test_progress_bar_on_a_terminal(command: str, table: Path, tmp_path: Path) -> None:
    text = terminal_output(command, table, tmp_path / f"out.{'csv' if command == 'predict' else 'html'}")
    counts = re.findall(r"([\d,]+) rows, ([\d,]+) rows/s [^\r]*\d:\d\d:\d\d", text)
    rows, rate = (int(number.replace(",", "")) for number in counts[-1])
    assert rows == ROWS
    assert rate > 100


def test_no_progress_bar_with_quiet_or_without_a_terminal(table: Path, tmp_path: Path) -> None:
    assert terminal_output("predict", table, tmp_path / "out.csv", "--quiet") == ""
    result = subprocess.run([sys.executable, "-m", "evenmood", "predict", table], capture_output=True, check=True)
    assert result.stderr == b""
