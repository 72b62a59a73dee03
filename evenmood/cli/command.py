"""Exit codes and one-line error messages shared by all commands."""

import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper, UnsupportedOperation
from pathlib import Path
from typing import Any, NoReturn

from evenmood.errors import EvenmoodError, UsageError
from evenmood.system import proxies
from evenmood.system.redaction import redact_stream
from evenmood.system.signals import exit_on_termination

DEBUG_FLAG = "--debug"
EXIT_INTERRUPTED = 130
"""Exit code of a command interrupted by Ctrl+C."""
EXTRAS = {"openpyxl": "xlsx", "pyarrow": "parquet", "ray": "ray", "sklearn": "eval"}
"""Extra that installs each module."""
DEPENDENCY_GROUPS = {
    "train": ("datasets", "evaluate", "fasttext", "jinja2", "keras", "matplotlib", "onnx", "pandas"),
    "data": (
        *("datasketch", "filelock", "ftfy", "krippendorff", "openai", "py3langid", "statsmodels", "torch"),
        "transformers",
    ),
    "space": ("anyio", "fastapi", "gradio", "mcp", "pydantic", "sentencex"),
}
"""Modules installed by each dependency group of the checkout."""


OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
TRUE_VALUES = ("1", "ON", "YES", "TRUE")
"""Values that huggingface_hub and related libraries treat as true."""


def prepare_streams() -> None:
    """Make printing safe: replace characters that a terminal cannot show, and redact secrets on standard error.

    Standard output may contain the user's data and is not redacted. A closed stream (`>&-`) is replaced with the null
    device; otherwise the next opened file would get its number and receive the output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the whole process
    if sys.stdout is None:
        # Read-only: the first print fails, which `exit_code_and_message` reports.
        sys.stdout = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    redact_stream(sys.stderr)


def can_print(text: str) -> bool:
    """Return whether standard output can encode a text."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def print_json(content: Any) -> None:
    """Print JSON, escaped if standard output cannot encode it."""
    text = json.dumps(content, ensure_ascii=False, indent=1)
    print(text if can_print(text) else json.dumps(content, indent=1))


def as_utf8(argument: str) -> str:
    """Decode an argument as UTF-8 if Python did not: in the C locale, it decodes only ASCII."""
    if any("\udc80" <= char <= "\udcff" for char in argument):
        return os.fsencode(argument).decode("utf-8", "replace")
    return argument


def run(app: Callable[..., Any], prog_name: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a typer app and exit with code 0, 1 (failure), 2 (invalid usage) or 130 (interrupted).

    `--debug`, anywhere on the command line, shows the traceback instead of the one-line error.
    """
    command_line = sys.argv[1:] if arguments is None else list(arguments)
    debug = DEBUG_FLAG in command_line
    code, message = 0, ""
    prepare_streams()
    proxies.exempt_loopback()
    if any(os.environ.get(name, "").upper() in TRUE_VALUES for name in OFFLINE_VARIABLES):
        proxies.disable_invalid()
    with exit_on_termination():
        try:
            app([argument for argument in command_line if argument != DEBUG_FLAG], prog_name=prog_name)
        except SystemExit as stop:  # raised by typer
            code = stop.code if isinstance(stop.code, int) else 0
            message = "interrupted" if code == EXIT_INTERRUPTED else ""
        except KeyboardInterrupt:
            code, message = EXIT_INTERRUPTED, "interrupted"
        except Exception as error:
            if debug:
                raise
            code, message = (1, "") if is_closed_pipe(error) else exit_code_and_message(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        if code == 0 and not is_closed_pipe(error):
            code, message = exit_code_and_message(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # prevent another flush at exit
    if message:
        print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def is_closed_pipe(error: Exception) -> bool:
    """Return whether an error means that the reader closed the pipe; Windows reports EINVAL without a file name."""
    if isinstance(error, BrokenPipeError):
        return True
    invalid = isinstance(error, OSError) and error.errno == errno.EINVAL and error.filename is None
    return sys.platform == "win32" and invalid


def exit_code_and_message(error: Exception) -> tuple[int, str]:
    """Return the exit code and one-line message of an error."""
    if isinstance(error, EvenmoodError):
        return 2 if isinstance(error, UsageError) else 1, " ".join(str(error).split())
    if isinstance(error, UnsupportedOperation) and sys.__stdout__ is None:
        return 1, "standard output is closed; there is nowhere to print to"
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.split(".")[0]
        return 1, f"{module} is not installed; install it with: {install_command(module)}"
    if isinstance(error, OSError) and error.strerror:
        return 1, f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if "proxy" in str(error).lower() and (problem := proxies.find_problem()):
        return 1, f"the network cannot be reached: {problem}"
    return 1, f"{type(error).__name__}: {' '.join(str(error).split())} (unexpected; {DEBUG_FLAG} shows the traceback)"


def install_command(module: str) -> str:
    """Return the command that installs a missing module."""
    if module in EXTRAS:
        return f'pip install "evenmood[{EXTRAS[module]}]"'
    group = next((name for name, modules in DEPENDENCY_GROUPS.items() if module in modules), None)
    return f"pip install --group {group}" if group else f"pip install {module}"
