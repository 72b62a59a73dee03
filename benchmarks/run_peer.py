"""Measure one peer in this process: `python -m benchmarks.run_peer NAME FOLDER TEXTS START_TIME`."""

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
    """Predict one text, warm-up texts, all texts, and texts one by one; print the measurements."""
    name, folder, file, start_time = sys.argv[1:]
    predict = PEERS[name].load(Path(folder))
    predict([FIRST])
    start = time.time() - float(start_time)
    content = json.loads(Path(file).read_text(encoding="utf-8"))
    texts, warm_up = content["texts"], content["warm_up"]
    # Warm up for about one second.
    rate = WARM_UP_TEXTS / timed(predict, warm_up[:WARM_UP_TEXTS])
    count = min(len(warm_up), int(rate * WARM_UP_SECONDS))
    first_pass = count / timed(predict, warm_up[:count]) if count else rate
    bulk = timed(predict, texts)
    peak = peak_memory()
    singles = [timed(predict, [text]) for text in texts[:SINGLE_TEXTS]]
    measurements = {
        "start_seconds": start,
        "texts_per_second": len(texts) / bulk,
        "texts_per_second_first_pass": first_pass,
        "p50_ms": 1e3 * statistics.median(singles),
        "p99_ms": 1e3 * statistics.quantiles(singles, n=100, method="inclusive")[98],
        "peak_memory_mb": peak,
    }
    print(json.dumps(measurements))


def timed(predict: Predict, texts: list[str]) -> float:
    """Measure the duration of a call, in seconds."""
    started = time.perf_counter()
    predict(texts)
    return time.perf_counter() - started


def peak_memory() -> float:
    """Return the peak memory of this process, in MB (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


if __name__ == "__main__":
    main()
