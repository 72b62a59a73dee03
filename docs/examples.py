"""Run the examples in a document and capture their output."""

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def python_output(before: str) -> str:
    """Output of the last Python example in a text."""
    code = re.findall(r"```python\n(.*?)```", before, re.DOTALL)[-1]
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(compile(code, "example", "exec"), {})  # noqa: S102 - our own documents
    return _block(printed.getvalue())


def shell_output(before: str) -> str:
    """Output of the last shell example in a text."""
    code = re.findall(r"```bash\n(.*?)```", before, re.DOTALL)[-1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["bash", "-ec", code], cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False
        )
    if done.returncode:
        sys.exit(f"error: an example in the documents failed: {done.stderr.strip()}")
    return _block(done.stdout)


def _block(printed: str) -> str:
    lines = "\n".join(line.rstrip() for line in printed.splitlines())
    return f"```text\n{lines}\n```"
