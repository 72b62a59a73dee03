"""Run the project's commands in this process, as `python -m …` would."""

import os
import subprocess
import sys
import traceback
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

from typer.testing import CliRunner

from evenmood.system import proxies, redaction
from tests.fakes.local_hub import READER, TOKEN


def run_command(
    *arguments: str | Path, stdin: str | bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a module, the first argument, with the other arguments; check that no token is printed.

    Tests that need a separate process (signals, environment variables read at import, closed or broken streams) use
    `tests.fakes.local_hub.run_module`.
    """
    assert not {name for name in environment if name.startswith("HF_")} - {"HF_TOKEN"}, "read at import"
    command = [str(argument) for argument in arguments]
    main = import_module(command[0] if "." in command[0] else f"{command[0]}.__main__").main
    with (
        patch.dict(os.environ, environment),
        patch.object(sys, "argv", command),
        patch.object(redaction, "_registered", set()),  # forget the secrets of other tests
        patch.dict(proxies._disabled),
        CliRunner().isolation(stdin) as (stdout, stderr, _),
    ):
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except Exception:  # with `--debug`
            traceback.print_exc()
            code = 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
        output, errors = (stream.getvalue().decode() for stream in (stdout, stderr))
    assert TOKEN not in output + errors
    assert READER not in output + errors
    return subprocess.CompletedProcess(command, code, output, errors)
