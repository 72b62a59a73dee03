"""Reports on many texts: memory, page size and speed."""

import time
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from evenmood import LABELS
from evenmood.report.counts import ScoredTexts
from evenmood.report.write import write_report
from tests.evenmood.report.batches import ABOUT, HALF

ROWS, BATCH = 100_000, 5000


def batches(rows: int) -> Iterator[ScoredTexts]:
    rng = np.random.default_rng(0)
    for start in range(0, rows, BATCH):
        probabilities = rng.beta(0.2, 4, (BATCH, len(LABELS))).astype(np.float32)
        texts = [f"text {start + i} {'long ' * (i % 200)}" for i in range(BATCH)]
        times = [datetime(2020, 1, 1) + timedelta(hours=int(i)) for i in rng.integers(0, 60_000, BATCH)]
        groups = [f"group {i}" for i in rng.integers(0, 20_000, BATCH)]
        yield ScoredTexts(texts, probabilities, np.ones(BATCH), times, groups)


def peak_memory(rows: int, target: Path) -> int:
    tracemalloc.start()
    try:
        statistics = write_report(str(target), batches(rows), HALF, ABOUT)
        assert statistics.texts == rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_depend_on_the_number_of_rows(tmp_path: Path) -> None:
    small = peak_memory(20_000, tmp_path / "small.html")
    large = peak_memory(ROWS, tmp_path / "large.html")
    assert large < small + 2_000_000
    assert (tmp_path / "large.html").stat().st_size < 600_000


def test_speed(tmp_path: Path) -> None:
    scored_texts = list(batches(50_000))
    start = time.perf_counter()
    write_report(str(tmp_path / "out.html"), scored_texts, HALF, ABOUT)
    assert time.perf_counter() - start < 20  # about 2 s on an idle machine
