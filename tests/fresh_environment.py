"""Fresh virtual environments for tests."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_INDEX = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ReadTimeoutError", "ProxyError")


def fresh_environment(folder: Path, *requirements: str | Path, constrained: bool = True) -> Path:
    """Create an environment and return its folder of commands; skip the test if the index cannot be reached."""
    venv.create(folder, with_pip=False)
    commands = folder / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", commands / "python", "--disable-pip-version-check", "install"]
    options = ["--no-compile", "--retries", "1"]
    if constrained:
        options += ["--constraint", str(ROOT / "constraints.txt")]
    command: list[str | Path] = [*map(str, pip), *options, *requirements]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode and any(sign in result.stdout + result.stderr for sign in NO_INDEX):
        pytest.skip("the package index cannot be reached")
    assert result.returncode == 0, result.stderr
    return commands
