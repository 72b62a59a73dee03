"""The Hub that all tests of one run share, and Python processes that see it; imported before any client of the Hub."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fakes.hub_server import HubServer

TOKEN = "hf_theTokenThatNobodyMaySee"
"""May write; the tests look for it in everything that is printed and written."""
READER = "hf_aTokenThatMayOnlyRead"
HUB = HubServer(tokens=[TOKEN], readers=[READER])
HOME = tempfile.mkdtemp(prefix="evenmood-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
REAL_TOKEN = os.environ.get("HF_TOKEN")
"""For the tests that are asked to visit the real Hub."""
for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]:
    del os.environ[name]
if "huggingface_hub" in sys.modules:
    raise RuntimeError("the Hub's client was imported before its settings were made")
# It reads these when it is imported: no test can reach the real Hub, or a login of this machine's.
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
    """Run `python -m …`; whatever comes of it, no token may be seen."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
        timeout=300,
    )
    assert TOKEN not in done.stdout + done.stderr
    assert READER not in done.stdout + done.stderr
    return done
