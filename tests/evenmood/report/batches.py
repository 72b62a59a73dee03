"""Scored texts with given probabilities, for the tests of reports."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenmood import LABELS
from evenmood.report.counts import ScoredTexts, StreamCounts
from evenmood.report.page import ReportMetadata
from evenmood.report.statistics import Statistics, compute_statistics

HALF = dict.fromkeys(LABELS, 0.5)
ABOUT = ReportMetadata(title="comments.csv", model="bundled model", version="1.2.3", text_column="text")


def batch(
    rows: Sequence[dict[str, float] | None],
    texts: Sequence[str] | None = None,
    times: Sequence[Any] | None = None,
    groups: Sequence[Any] | None = None,
    windows: Sequence[int] | None = None,
) -> ScoredTexts:
    """Build a batch with these probabilities, and 0.01 for all other labels; None is a missing text."""
    probabilities = np.full((len(rows), len(LABELS)), 0.01, np.float32)
    for i, row in enumerate(rows):
        if row is None:
            probabilities[i] = np.nan
        else:
            for label, value in row.items():
                probabilities[i, LABELS.index(label)] = value
    words = texts or [f"text {i}" for i in range(len(rows))]
    batch_texts = [None if row is None else text for row, text in zip(rows, words, strict=True)]
    return ScoredTexts(batch_texts, probabilities, None if windows is None else np.array(windows), times, groups)


def report_statistics(*batches: ScoredTexts, time_format: str | None = None) -> Statistics:
    """Compute the statistics of batches with thresholds of 0.5."""
    counts = StreamCounts(LABELS, list(HALF.values()), time_format)
    for scored_texts in batches:
        counts.add(scored_texts)
    return compute_statistics(counts, {})
