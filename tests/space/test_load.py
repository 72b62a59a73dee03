"""The demo under load: no errors with many visitors, and texts are analyzed while a table is scored."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.demo import call, time_prediction, upload

ROWS = 15_000
MAX_WAIT = 10.0
"""Seconds, on a busy machine; see results/demo.json for an idle one."""


def test_many_concurrent_visitors(demo: str) -> None:
    with ThreadPoolExecutor(50) as pool:
        waits = list(pool.map(lambda _: time_prediction(demo), range(150)))
    assert len(waits) == 150  # an error would have been raised


@pytest.mark.slow
def test_texts_are_analyzed_while_a_table_is_scored(demo: str) -> None:
    file, finished, waits = upload(demo, ROWS), threading.Event(), []

    def score_table() -> None:
        try:
            summary, *_ = call(demo, "score", [file, "", "default", "text", ""])
            assert f"{ROWS:,} rows in" in summary
        finally:
            finished.set()

    with ThreadPoolExecutor(4) as pool:
        job = pool.submit(score_table)
        while not finished.is_set():
            waits += list(pool.map(lambda number: time_prediction(demo, f"visitor{number}"), range(3)))
        job.result()
    assert len(waits) >= 6
    assert max(waits) < MAX_WAIT
