"""The npm package, built once; skipped without Node 20 or later, or if its packages cannot be installed."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from playwright.sync_api import Browser

from docs.screenshot import chromium
from tests.conftest import made_once
from tests.web.reference import ROOT, main

WEB = ROOT / "web"
OLDEST_NODE = 20


@pytest.fixture(scope="session")
def web() -> Path:
    """The folder of the built package."""
    if shutil.which("npm") is None or node_version() < OLDEST_NODE:
        pytest.skip(f"Node {OLDEST_NODE} or later is not installed")
    with FileLock(WEB.parent / "build" / "web.lock"):
        install_result = subprocess.run(
            ["make", "web/node_modules/.package-lock.json"], cwd=ROOT, capture_output=True, text=True
        )
        if install_result.returncode:
            pytest.skip(f"npm cannot install the packages of web/: {install_result.stderr[-200:]}")
        build_result = subprocess.run(["make", "web"], cwd=ROOT, capture_output=True, text=True)
        assert build_result.returncode == 0, build_result.stdout + build_result.stderr
    return WEB


def node_version() -> int:
    """Return the major version of Node; 0 if it is not installed."""
    if shutil.which("node") is None:
        return 0
    result = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return int(result.stdout.removeprefix("v").split(".")[0])


@pytest.fixture(scope="session")
def reference_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the Python library, written once for all workers of a run."""
    return made_once("web-reference.json", main, tmp_path_factory)


@pytest.fixture(scope="session")
def reference(reference_file: Path) -> Any:
    """The content of the reference file."""
    return json.loads(reference_file.read_text("utf-8"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser
