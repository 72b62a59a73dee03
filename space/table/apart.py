"""Work on a visitor's table in a process of its own: it stalls nobody, has limits, and ends with the server."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Any, cast

from evenmood.errors import DataError, EvenmoodError, UsageError

try:
    import resource
except ModuleNotFoundError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

ROOT = Path(__file__).resolve().parents[2]
NICENESS = 10
"""Of these processes: a sentence goes first."""
LARGEST_RESULT = 100_000_000
"""Bytes of a file that such a process may write."""
LONGEST_SECONDS = 3600
"""Processor time of such a process."""
_running: set["subprocess.Popen[str]"] = set()


def run(module: str, order: dict[str, Any], name: str) -> Generator[dict[str, Any], None, None]:
    """Run a module with an order and yield what it reports; the process ends when this iterator is closed.

    Args:
        module: Its main program calls `serve`.
        order: What `json` can write.
        name: The table's name, for error messages.

    Raises:
        DataError: The table cannot be read, or takes more memory, time or disk space than this server gives.
        UsageError: Too large a table, or no such column.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with subprocess.Popen(  # noqa: S603 - a module of ours
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        encoding="utf-8",
    ) as process:
        _running.add(process)
        stdin, stdout = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
        try:
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()  # and stays open: its end tells the process that this one is gone
            for line in stdout:
                report = json.loads(line)
                if "error" in report:
                    raise (UsageError if report["usage"] else DataError)(report["error"])
                yield report
            if process.wait():
                raise DataError(f"{name}: the table was too much for this server (exit code {process.returncode})")
        except BrokenPipeError:
            raise DataError(f"{name}: the process that reads tables could not be started") from None
        finally:
            process.kill()
            _running.discard(process)


def stop_all() -> None:
    """End every such process, and wait until it is gone."""
    for process in list(_running):
        process.kill()
        process.wait()


def serve(work: Callable[[dict[str, Any]], Iterator[dict[str, Any]]]) -> None:
    """Do the work that standard input orders, and report to standard output, a JSON object a line."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit()
    try:
        for report in work(order):
            _tell(report)
    except EvenmoodError as error:
        _tell({"error": str(error), "usage": isinstance(error, UsageError)})
    except OSError as error:
        _tell({"error": f"{order['name']}: the result cannot be written ({error.strerror})", "usage": False})
    except MemoryError:
        _tell({"error": f"{order['name']}: the table takes more memory than this server gives", "usage": False})


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _limit() -> None:
    """Give way to sentences, and bound what a table may cost."""
    if not resource:
        return
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_RESULT, LARGEST_RESULT))
    resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_SECONDS, LONGEST_SECONDS))


def _tell(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
