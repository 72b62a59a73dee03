"""Memory and throughput of the stage sentiment140: `python -m benchmarks.tweets results/tweets.json`."""

import csv
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.arguments import benchmark, results_file
from evenmood import LABELS
from evenmood.data.build_folder import read_manifest

ROWS = 1_600_000
"""Number of rows in Sentiment140."""
WORDS = (  # noqa: SIM905
    "so really i you we they it this that is was not my your today tomorrow again work school home song game phone "
    "weather coffee monday friday night morning sleep time people friend family movie never always just still wish"
).split()


def write_tweets(path: Path, rows: int) -> None:
    """Write synthetic tweets in the six columns of Sentiment140, in Latin-1; one percent are duplicates."""
    rng = random.Random(0)
    previous = ""
    with path.open("w", newline="", encoding="latin-1") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        for row in range(rows):
            words = rng.choices(WORDS, k=rng.randint(3, 20)) + rng.choices(LABELS, k=1) + [str(rng.randrange(10**6))]
            text = previous if row % 100 == 99 else f"@user{row} {' '.join(words)} &amp; caf\xe9 http://t.co/{row}"
            writer.writerow(["0", str(row), "Mon Apr 06 22:19:45 PDT 2009", "NO_QUERY", "user", text])
            previous = text


def main() -> None:
    """Generate tweets, run the stage in its own process, and write the results."""
    out = results_file(__doc__)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_tweets(folder / "tweets.csv", ROWS)
        started = time.monotonic()
        command = ["-m", "data_build", "sentiment140", str(folder / "build"), "--tweets", str(folder / "tweets.csv")]
        subprocess.run([sys.executable, *command], check=True)
        seconds = time.monotonic() - started
        manifest = read_manifest(folder / "build", "sentiment140")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # kilobytes on Linux
    content = {
        "rows": ROWS,
        "accepted": manifest["rows_out"],
        "seconds": round(seconds, 1),
        "rows_per_second": round(ROWS / seconds),
        "peak_memory_bytes": peak,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content))


if __name__ == "__main__":
    benchmark(main)
