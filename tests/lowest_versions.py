"""Run the library's tests with the lowest versions that pyproject.toml allows: `make test-lowest`.

They are installed in a separate environment in `build/`, with the latest versions of the other packages that the
tests need.
"""

import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / "build" / "lowest"
TEST_PACKAGES = ("pandas<3", "playwright", "polars", "pytest", "sentencex")
"""Further packages that the tests import; pandas 3 requires a newer numpy than the library."""
TESTS = (
    *("text", "tables", "model/test_hub.py", "test_classifier.py", "test_cli.py", "test_labels.py"),
    *("test_leave_one_out.py", "test_prediction.py", "test_tune_thresholds.py"),
)


def lowest_requirements() -> list[str]:
    """Return the requirements of the library and the extras `parquet`, `eval` and `xlsx` at their lower bounds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    optional = [line for name in ("parquet", "eval", "xlsx") for line in extras[name]]
    return [re.sub(r">=", "==", line) for line in (*project["dependencies"], *optional)]


def main() -> None:
    """Install the requirements, print them, and run the tests."""
    venv.create(ENVIRONMENT, clear=True, with_pip=True)
    python = str(ENVIRONMENT / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    install = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*install, *lowest_requirements(), *TEST_PACKAGES], check=True)
    subprocess.run([*install, "--no-deps", "--editable", str(ROOT)], check=True)
    print(*lowest_requirements(), sep="\n")
    tests = [str(ROOT / "tests" / "evenmood" / name) for name in TESTS]
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", *tests]
    sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
