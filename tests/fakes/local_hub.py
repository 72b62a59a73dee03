"""The fake Hub shared by all tests, and processes that use it; import this before any client of the Hub."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fakes.hub_server import HubServer

TOKEN = "hf_theTokenThatNobodyMaySee"
"""Token with write access; the tests check that it is never printed or written."""
READER = "hf_aTokenThatMayOnlyRead"
HUB = HubServer(tokens=[TOKEN], readers=[READER])
HOME = tempfile.mkdtemp(prefix="evenmood-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
REAL_TOKEN = os.environ.get("HF_TOKEN")
"""Token for tests against the real Hub."""
for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]:
    del os.environ[name]
if "huggingface_hub" in sys.modules:
    raise RuntimeError("huggingface_hub was imported before HF_ENDPOINT was set; import tests.fakes.local_hub first")
# The client reads these when it is imported, so no test reaches the real Hub or uses a stored login.
HUB_ENVIRONMENT = {
    "HF_ENDPOINT": HUB.url,
    "HF_HOME": HOME,
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "NO_PROXY": "127.0.0.1",
}
os.environ.update(HUB_ENVIRONMENT)
HUB.__enter__()
atexit.register(HUB.__exit__, None, None, None)


def run_module(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m …`, and check that no token is printed."""
    result = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
        timeout=300,
    )
    assert TOKEN not in result.stdout + result.stderr
    assert READER not in result.stdout + result.stderr
    return result
