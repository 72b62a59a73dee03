"""Load test of the demo: start time, tables, visitors, memory: `python -m benchmarks.demo results/demo.json`."""

import json
import platform
import socket
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.arguments import benchmark, results_file
from docs.screenshot import ROOT, running_process

SENTENCE = "Thanks for explaining, but I'm still confused."
STARTS = 5
VISITORS = 10
TABLE_ROWS = 50_000
CLIENTS = 50
REQUESTS = 200
WARM_UP = 2_200
"""Requests before the memory measurement; Gradio caches the messages of 2,000 sessions."""
MEASURED = 2_000
"""Requests during the memory measurement."""
PHRASES = (
    "thank you so much i am happy sad angry about this day it was the best worst thing ever why did they do that lol"
)
WORDS = PHRASES.split()


@contextmanager
def run_demo() -> Iterator[tuple[str, int, float]]:
    """Start the demo; yield its URL, process id, and the seconds from start to first prediction."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, ROOT / "space" / "app.py", "--no-browser", "--port", str(port)]
    started = time.monotonic()
    with running_process(command, url, {"EVENMOOD_FEEDBACK": ""}) as process:
        call(url, "analyze", [SENTENCE])
        yield url, process.pid, time.monotonic() - started


def call(url: str, name: str, data: list[Any], visitor: str | None = None) -> Any:
    """Call an endpoint or an event of the page, and return its last result; `visitor` is the session."""
    body = json.dumps({"data": data, **({"session_hash": visitor} if visitor else {})}).encode()
    request = urllib.request.Request(f"{url}/gradio_api/call/{name}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        event = json.load(response)["event_id"]
    with urllib.request.urlopen(f"{url}/gradio_api/call/{name}/{event}", timeout=600) as stream:
        *_, event_line, data_line = (line for line in stream.read().decode().splitlines() if line)
    if event_line != "event: complete":
        raise RuntimeError(f"{name}: {event_line} {data_line[:200]}")
    return json.loads(data_line.removeprefix("data: "))


def time_prediction(url: str, visitor: str | None = None) -> float:
    """Measure the seconds until a visitor sees the prediction for a text (the Analyze button)."""
    started = time.monotonic()
    result, *_ = call(url, "show", [SENTENCE, "default", "attention"], visitor)
    if "gratitude" not in result:
        raise RuntimeError(f"unexpected prediction: {result[:200]}")
    return time.monotonic() - started


def upload(url: str, size: int = TABLE_ROWS) -> dict[str, Any]:
    """Upload a table as the page does."""
    rows = (f"{n}," + " ".join(WORDS[(n * 7 + k * (n % 11 + 1)) % len(WORDS)] for k in range(14)) for n in range(size))
    content = "id,text\n" + "\n".join(rows)
    head = '--edge\r\nContent-Disposition: form-data; name="files"; filename="table.csv"\r\n\r\n'
    body = f"{head}{content}\r\n--edge--\r\n".encode()
    kind = {"Content-Type": "multipart/form-data; boundary=edge"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/gradio_api/upload", body, kind)) as response:
        (path,) = json.load(response)
    return {"path": path, "orig_name": "table.csv", "meta": {"_type": "gradio.FileData"}}


def resident_memory(pid: int) -> float:
    """Return the resident memory of a process, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def measure_during_scoring(url: str) -> dict[str, Any]:
    """Measure response times for ten visitors while a table of 50,000 rows is scored."""
    file = upload(url)
    finished = threading.Event()
    waits: list[float] = []

    def table() -> float:
        started = time.monotonic()
        try:
            call(url, "score", [file, "", "default", "text", ""])
            return time.monotonic() - started
        finally:
            finished.set()

    def visit(visitor: str) -> None:
        while not finished.is_set():
            waits.append(time_prediction(url, visitor))

    alone = measure_seconds(lambda: call(url, "score", [file, "", "default", "text", ""]))
    with ThreadPoolExecutor(VISITORS + 1) as pool:
        job = pool.submit(table)
        visitors = [pool.submit(visit, f"visitor{number}") for number in range(VISITORS)]
        for visitor in visitors:
            visitor.result()
    waits.sort()
    return {
        "table_rows": TABLE_ROWS,
        "table_seconds_alone": round(alone, 1),
        "table_seconds_beside_visitors": round(job.result(), 1),
        "visitors": VISITORS,
        "predictions": len(waits),
        "p50_seconds": round(statistics.median(waits), 3),
        "p95_seconds": round(waits[int(0.95 * len(waits))], 3),
        "longest_seconds": round(waits[-1], 3),
    }


def measure_seconds(job: Callable[[], Any]) -> float:
    """Measure the duration of a call, in seconds."""
    started = time.monotonic()
    job()
    return time.monotonic() - started


def concurrent_clients(url: str) -> dict[str, Any]:
    """Send 200 requests from 50 concurrent clients, each in a new session."""
    errors = 0
    waits: list[float] = []

    def send(_: int) -> None:
        nonlocal errors
        try:
            waits.append(time_prediction(url))
        except (OSError, RuntimeError):
            errors += 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(send, range(REQUESTS)))
    return {"clients": CLIENTS, "requests": REQUESTS, "errors": errors, "longest_seconds": round(max(waits), 2)}


def memory(url: str, pid: int) -> dict[str, Any]:
    """Measure memory after 2,200 requests, and after 2,000 more, each in a new session."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: time_prediction(url), range(WARM_UP)))
        before = resident_memory(pid)
        list(pool.map(lambda _: time_prediction(url), range(MEASURED)))
    return {"requests": MEASURED, "before_mib": round(before), "after_mib": round(resident_memory(pid))}


def main() -> None:
    """Run the benchmark."""
    out = results_file(__doc__)
    starts = []
    for _ in range(STARTS):
        with run_demo() as (_, _, seconds):
            starts.append(seconds)
    with run_demo() as (url, pid, _):
        results = {
            "start_to_first_prediction_seconds": round(statistics.median(starts), 2),
            "beside_a_table": measure_during_scoring(url),
            "concurrent_clients": concurrent_clients(url),
            "memory": memory(url, pid),
            "machine": f"{platform.machine()}, Python {platform.python_version()}",
        }
    text = json.dumps(results, indent=1) + "\n"
    out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    benchmark(main)
