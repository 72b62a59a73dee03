"""The demo with many visitors: nobody is turned away with an error, and a table keeps nobody from a sentence."""

import threading
from concurrent.futures import ThreadPoolExecutor

from benchmarks.demo import ask, call, upload

ROWS = 15_000
LONGEST_WAIT = 10.0
"""Seconds, on a machine that does other things too; what an idle one needs stands in results/demo.json."""


def test_many_at_once(demo: str) -> None:
    with ThreadPoolExecutor(50) as pool:
        waits = list(pool.map(lambda _: ask(demo), range(150)))
    assert len(waits) == 150  # an error would have been raised


def test_sentences_are_answered_beside_a_table(demo: str) -> None:
    file, done, waits = upload(demo, ROWS), threading.Event(), []

    def table() -> None:
        try:
            told, *_ = call(demo, "score", [file, "", "default", "text", ""])
            assert f"{ROWS:,} rows in" in told
        finally:
            done.set()

    with ThreadPoolExecutor(4) as pool:
        job = pool.submit(table)
        while not done.is_set():
            waits += list(pool.map(lambda number: ask(demo, f"visitor{number}"), range(3)))
        job.result()
    assert len(waits) >= 6
    assert max(waits) < LONGEST_WAIT
