"""Command line shared by the benchmarks: a results file, which is checked before the measurement."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from evenmood.errors import EvenmoodError


def results_file(description: str | None) -> Path:
    """Parse the path of the results file from the command line.

    Args:
        description: Docstring of the module, whose first line appears in `--help`.
    """
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="results file (JSON) to write")
    out: Path = parser.parse_args().out
    check_out(parser, out)
    return out


def check_out(parser: argparse.ArgumentParser, out: Path) -> None:
    """Exit with a usage error if the results file cannot be written."""
    if out.is_dir():
        parser.error(f"{out} is a folder; expected a file name")
    if not out.absolute().parent.is_dir():
        parser.error(f"{out}: the folder {out.parent} does not exist; create it first")


def benchmark(main: Callable[[], None]) -> None:
    """Run a benchmark, and report expected errors in one line."""
    try:
        main()
    except EvenmoodError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit(130)
