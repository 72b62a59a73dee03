"""Fresh virtual environments for tests."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NETWORK_ERRORS = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ReadTimeoutError", "ProxyError")


def fresh_environment(folder: Path, *requirements: str | Path, constrained: bool = True) -> Path:
    """Create an environment and return its `bin` folder; skip the test if the package index cannot be reached."""
    venv.create(folder, with_pip=False)
    commands = folder / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", commands / "python", "--disable-pip-version-check", "install"]
    options = ["--no-compile", "--retries", "1"]
    if constrained:
        options += ["--constraint", str(ROOT / "constraints.txt")]
    command: list[str | Path] = [*map(str, pip), *options, *requirements]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode and any(error in result.stdout + result.stderr for error in NETWORK_ERRORS):
        pytest.skip("package index not reachable")
    assert result.returncode == 0, result.stderr
    return commands
