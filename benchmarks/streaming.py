"""Memory of `evenmood predict` on ten million rows: `python -m benchmarks.streaming results/streaming.json`."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from benchmarks.arguments import benchmark, results_file
from benchmarks.bench import environment, machine, write
from benchmarks.texts import endless_texts

ROWS = 10_000_000
MARKS = (100_000, 1_000_000, 5_000_000, ROWS - 50_000)
"""Numbers of rows after which memory is measured."""


def lines() -> Iterator[bytes]:
    """Yield the lines of a CSV table; each text contains its row number, a word that never occurred before."""
    yield b"id,text\n"
    for number, text in zip(range(ROWS), endless_texts(), strict=False):
        yield f'{number},"{text.replace(chr(34), "")} {number}"\n'.encode()


def feed(pipe: IO[bytes]) -> None:
    """Write the table to the standard input of the command."""
    with pipe:
        for line in lines():
            pipe.write(line)


def memory_mb(pid: int, name: str) -> float:
    """Return a memory statistic of a process, in MB (Linux)."""
    rows = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith(name)) * 1024 / 1e6


def main() -> None:
    """Send the table, count the output rows, and measure memory in between."""
    out = results_file(__doc__)
    command = [sys.executable, "-m", "evenmood", "predict", "-", "--input-format", "csv", "--quiet"]
    started = time.monotonic()
    marks: list[dict[str, Any]] = []
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=2**20
    ) as process:
        assert process.stdin
        assert process.stdout
        threading.Thread(target=feed, args=(process.stdin,), daemon=True).start()
        count = -1  # header
        peak = 0.0
        for _ in process.stdout:
            count += 1
            if count % 50_000 == 0 and count < ROWS:
                peak = memory_mb(process.pid, "VmHWM")
            if count in MARKS:
                seconds = time.monotonic() - started
                marks.append(
                    {"rows": count, "resident_mb": memory_mb(process.pid, "VmRSS"), "seconds": round(seconds, 1)}
                )
                print(json.dumps(marks[-1]), file=sys.stderr)
        if process.wait() or count != ROWS:
            sys.exit(f"error: the command wrote {count:,} rows; expected {ROWS:,}")
    content = {
        "rows": ROWS,
        "seconds": round(time.monotonic() - started, 1),
        "rows_per_second": round(ROWS / (time.monotonic() - started)),
        "marks": marks,
        "peak_memory_mb": peak,
        "cores": os.cpu_count(),
        "machine": machine(),
    }
    write(out, content)


if __name__ == "__main__":
    benchmark(main)
