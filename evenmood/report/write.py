"""Write a report about scored texts."""

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import numpy as np

from evenmood.report.counts import ScoredTexts, StreamCounts
from evenmood.report.page import ReportMetadata, page
from evenmood.report.statistics import Statistics, compute_statistics
from evenmood.report.wording import findings, summary, verdict
from evenmood.tables.table_files import atomic_file


def write_report(
    target: str,
    batches: Iterable[ScoredTexts],
    thresholds: Mapping[str, float],
    about: ReportMetadata,
    *,
    json_target: str | None = None,
    time_format: str | None = None,
    overwrite: bool = False,
) -> Statistics:
    """Write an HTML report about a stream of scored texts, with memory independent of their number.

    Args:
        target: HTML file, written atomically, or `-` for standard output.
        batches: Scored texts; batches of a few thousand are fastest.
        thresholds: Threshold of each label, in the order of the probabilities' columns.
        about: Metadata shown on the page.
        json_target: JSON file for the statistics; by default, none is written.
        time_format: `strptime` format of the dates; by default, it is detected.
        overwrite: Whether to replace existing files.

    Returns:
        The statistics of the report.

    Raises:
        UsageError: A file exists and `overwrite` is false, or `time_format` is invalid.
    """
    counts = StreamCounts(list(thresholds), list(thresholds.values()), time_format)
    with ExitStack() as stack:  # open the files first: fail before scoring if they cannot be written
        html_file = stack.enter_context(atomic_file(target, overwrite))
        json_file = stack.enter_context(atomic_file(json_target, overwrite)) if json_target else None
        for batch in batches:
            counts.add(batch)
        statistics, page_html = render_report(counts, about)
        html_file.write(page_html.encode())
        if json_file:
            content = json.dumps(report_dict(statistics, about), ensure_ascii=True, indent=1)
            json_file.write(content.encode() + b"\n")
    return statistics


def render_report(counts: StreamCounts, about: ReportMetadata) -> tuple[Statistics, str]:
    """Compute the statistics and render the HTML page."""
    statistics = compute_statistics(counts, about.metrics.get("test", {}).get("per_label", {}))
    return statistics, page(statistics, about)


def report_dict(statistics: Statistics, about: ReportMetadata) -> dict[str, Any]:
    """Convert the statistics to a dictionary for JSON."""
    content = asdict(statistics)
    del content["measures"]
    if statistics.timeline:
        content["timeline"]["periods"] = [
            {
                "start": period.start.isoformat(),
                "texts": int(period.counts[0]),
                **_by_measure(statistics, period.counts[1:]),
            }
            for period in statistics.timeline.periods
        ]
    return {
        "title": about.title,
        "evenmood": about.version,
        "model": about.model,
        "verdict": verdict(statistics),
        "summary": summary(statistics),
        "findings": [finding.text for finding in findings(statistics)],
        **content,
    }


def _by_measure(statistics: Statistics, counts: np.ndarray) -> dict[str, int]:
    return dict(zip(statistics.measures, counts.tolist(), strict=True))
