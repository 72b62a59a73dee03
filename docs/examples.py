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
    """Run the last Python example in a text; return its output as a code block."""
    code = re.findall(r"```python\n(.*?)```", before, re.DOTALL)[-1]
    output = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(output):
        exec(compile(code, "example", "exec"), {})  # noqa: S102 - code from our own documents
    return _block(output.getvalue())


def shell_output(before: str) -> str:
    """Run the last shell example in a text; return its output as a code block."""
    code = re.findall(r"```bash\n(.*?)```", before, re.DOTALL)[-1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            ["bash", "-ec", code], cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False
        )
    if result.returncode:
        sys.exit(f"error: an example in the documents failed: {result.stderr.strip()}")
    return _block(result.stdout)


def _block(output: str) -> str:
    lines = "\n".join(line.rstrip() for line in output.splitlines())
    return f"```text\n{lines}\n```"
