"""One peer in a process of its own: `python -m benchmarks.run_peer NAME FOLDER TEXTS STARTED` prints what it took."""

import json
import statistics
import sys
import time
from pathlib import Path

from benchmarks.peers import PEERS

FIRST = "Thanks for explaining, but I'm still confused."
WARM_UP = 64


def main() -> None:
    """Answer one text, then all of them, then one at a time."""
    name, folder, file, started = sys.argv[1:]
    peer = PEERS[name]
    predict = peer.load(Path(folder))
    predict([FIRST])
    start = time.time() - float(started)
    texts = json.loads(Path(file).read_text(encoding="utf-8"))
    predict([f"{FIRST} {number}" for number in range(WARM_UP)])  # buffers and threads, but no word of the texts
    before = time.perf_counter()
    predict(texts)
    bulk = time.perf_counter() - before
    peak = peak_memory()
    singles = []
    for text in texts[: peer.single]:
        before = time.perf_counter()
        predict([text])
        singles.append(time.perf_counter() - before)
    content = {
        "start_seconds": start,
        "texts_a_second": len(texts) / bulk,
        "p50_ms": 1e3 * statistics.median(singles),
        "p99_ms": 1e3 * statistics.quantiles(singles, n=100)[98],
        "peak_memory_mb": peak,
    }
    print(json.dumps(content))


def peak_memory() -> float:
    """The most memory that this process has held, in MB (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


if __name__ == "__main__":
    main()
