"""The command line that most benchmarks share: one results file, checked before hours of measuring, not after them."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from evenmood.errors import EvenmoodError


def results_file(description: str | None) -> Path:
    """The file that the command line names.

    Args:
        description: The module's docstring; `--help` shows its first line.
    """
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="results file to write")
    out: Path = parser.parse_args().out
    check_out(parser, out)
    return out


def check_out(parser: argparse.ArgumentParser, out: Path) -> None:
    """Exit with usage where nothing could be written in the end."""
    if out.is_dir():
        parser.error(f"{out} is a folder; name a file")
    if not out.absolute().parent.is_dir():
        parser.error(f"{out}: there is no folder {out.parent}")


def benchmark(main: Callable[[], None]) -> None:
    """Run a benchmark; what its user can put right is told in one line."""
    try:
        main()
    except EvenmoodError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit(130)
