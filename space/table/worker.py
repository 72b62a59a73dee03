"""Worker processes for visitors' tables: low priority, with resource limits, and ended with the server."""

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
except ModuleNotFoundError:  # not available on Windows
    resource = None  # type: ignore[assignment]

ROOT = Path(__file__).resolve().parents[2]
NICENESS = 10
"""Niceness of workers, so that single texts are processed first."""
MAX_RESULT_BYTES = 100_000_000
"""Maximum size of a file written by a worker."""
MAX_CPU_SECONDS = 3600
"""Maximum CPU time of a worker."""
_running: set["subprocess.Popen[str]"] = set()


def run(module: str, job: dict[str, Any], name: str) -> Generator[dict[str, Any], None, None]:
    """Run a job in a worker and yield its reports; closing the iterator ends the worker.

    Args:
        module: Module to run as a program, which calls `serve`.
        job: JSON-serializable arguments.
        name: Name of the table, for error messages.

    Raises:
        DataError: The table cannot be read, or the worker fails, runs out of memory, or exceeds the CPU-time or
            file-size limit.
        UsageError: The table is too large, or a column is missing.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with subprocess.Popen(  # noqa: S603 - a module of this package
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
            stdin.write(json.dumps(job) + "\n")
            stdin.flush()  # stays open: when it is closed, the worker ends
            for line in stdout:
                report = json.loads(line)
                if "error" in report:
                    raise (UsageError if report["usage"] else DataError)(report["error"])
                yield report
            if process.wait():
                raise DataError(
                    f"{name}: the worker process failed (exit code {process.returncode}), perhaps because the table "
                    "exceeds this server's limits; try a smaller table"
                )
        except BrokenPipeError:
            raise DataError(f"{name}: the worker process could not be started; try again later") from None
        finally:
            process.kill()
            _running.discard(process)


def stop_all() -> None:
    """Kill all workers, and wait until they have ended."""
    for process in list(_running):
        process.kill()
        process.wait()


def serve(run_job: Callable[[dict[str, Any]], Iterator[dict[str, Any]]]) -> None:
    """Read a job from standard input, and write its reports to standard output, one JSON object per line."""
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _limit()
    try:
        for report in run_job(job):
            _write(report)
    except EvenmoodError as error:
        _write({"error": str(error), "usage": isinstance(error, UsageError)})
    except OSError as error:
        _write({"error": f"{job['name']}: cannot write the results ({error.strerror})", "usage": False})
    except MemoryError:
        _write({"error": f"{job['name']}: not enough memory for this table; use a smaller one", "usage": False})


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _limit() -> None:
    """Lower the priority, and set the resource limits."""
    if not resource:
        return
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_RESULT_BYTES, MAX_RESULT_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))


def _write(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
