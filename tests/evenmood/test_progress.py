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


def shown(*arguments: str | Path) -> str:
    """What a command shows on a terminal of 100 columns, without the codes that move the cursor."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "evenmood", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # Linux; elsewhere a closed terminal reads as empty
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert process.wait(timeout=60) == 0, seen
    return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", seen.decode())


@pytest.mark.parametrize("command", ["predict", "report"])
def test_rows_and_rate_are_shown_on_a_terminal(command: str, table: Path, tmp_path: Path) -> None:
    text = shown(command, table, tmp_path / f"out.{'csv' if command == 'predict' else 'html'}")
    counts = re.findall(r"([\d,]+) rows, ([\d,]+) rows/s [^\r]*\d:\d\d:\d\d", text)
    rows, rate = (int(number.replace(",", "")) for number in counts[-1])
    assert rows == ROWS
    assert rate > 100


def test_quiet_and_files_show_none(table: Path, tmp_path: Path) -> None:
    assert shown("predict", table, tmp_path / "out.csv", "--quiet") == ""
    done = subprocess.run([sys.executable, "-m", "evenmood", "predict", table], capture_output=True, check=True)
    assert done.stderr == b""
