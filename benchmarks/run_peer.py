"""One peer in a process of its own: `python -m benchmarks.run_peer NAME FOLDER TEXTS STARTED` prints what it took."""

import json
import statistics
import sys
import time
from pathlib import Path

from benchmarks.peers import PEERS, Predict

FIRST = "Thanks for explaining, but I'm still confused."
WARM_UP_SECONDS = 1
WARM_UP_TEXTS = 64
SINGLE_TEXTS = 200


def main() -> None:
    """Answer one text, then others to warm up, then all of them, then one at a time."""
    name, folder, file, started = sys.argv[1:]
    predict = PEERS[name].load(Path(folder))
    predict([FIRST])
    start = time.time() - float(started)
    content = json.loads(Path(file).read_text(encoding="utf-8"))
    texts, others = content["texts"], content["warm_up"]
    # A second of other texts, as many as that may be: every peer is measured as in a process that has been running.
    rate = WARM_UP_TEXTS / timed(predict, others[:WARM_UP_TEXTS])
    count = min(len(others), int(rate * WARM_UP_SECONDS))
    first_pass = count / timed(predict, others[:count]) if count else rate
    bulk = timed(predict, texts)
    peak = peak_memory()
    singles = [timed(predict, [text]) for text in texts[:SINGLE_TEXTS]]
    figures = {
        "start_seconds": start,
        "texts_a_second": len(texts) / bulk,
        "texts_a_second_first_pass": first_pass,
        "p50_ms": 1e3 * statistics.median(singles),
        "p99_ms": 1e3 * statistics.quantiles(singles, n=100, method="inclusive")[98],
        "peak_memory_mb": peak,
    }
    print(json.dumps(figures))


def timed(predict: Predict, texts: list[str]) -> float:
    """Seconds that a call takes."""
    before = time.perf_counter()
    predict(texts)
    return time.perf_counter() - before


def peak_memory() -> float:
    """The most memory that this process has held, in MB (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


if __name__ == "__main__":
    main()
