"""Write a report about scored texts."""

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import numpy as np

from evenmood.report.counts import ScoredTexts, StreamCounts
from evenmood.report.figures import Figures, figures_of
from evenmood.report.page import About, page
from evenmood.report.wording import findings, summary, verdict
from evenmood.tables.table_files import atomic_file


def write_report(
    target: str,
    batches: Iterable[ScoredTexts],
    thresholds: Mapping[str, float],
    about: About,
    *,
    json_target: str | None = None,
    time_format: str | None = None,
    overwrite: bool = False,
) -> Figures:
    """Write an HTML report about a stream of scored texts, with memory independent of their number.

    Args:
        target: HTML file, written atomically, or `-` for standard output.
        batches: Scored texts; batches of a few thousand are fastest.
        thresholds: Threshold of each label, in the order of the probabilities' columns.
        about: Metadata shown on the page.
        json_target: JSON file for the figures; None for none.
        time_format: `strptime` format of the dates; None detects it.
        overwrite: Whether to replace existing files.

    Returns:
        The figures.

    Raises:
        UsageError: A file exists and `overwrite` is false, or `time_format` is invalid.
    """
    counts = StreamCounts(list(thresholds), list(thresholds.values()), time_format)
    with ExitStack() as stack:  # open the files first: fail before scoring if they cannot be written
        html = stack.enter_context(atomic_file(target, overwrite))
        numbers = stack.enter_context(atomic_file(json_target, overwrite)) if json_target else None
        for batch in batches:
            counts.add(batch)
        figures, text = finished(counts, about)
        html.write(text.encode())
        if numbers:
            content = json.dumps(report_dict(figures, about), ensure_ascii=True, indent=1)
            numbers.write(content.encode() + b"\n")
    return figures


def finished(counts: StreamCounts, about: About) -> tuple[Figures, str]:
    """Compute the figures and render the HTML page."""
    figures = figures_of(counts, about.metrics.get("test", {}).get("per_label", {}))
    return figures, page(figures, about)


def report_dict(figures: Figures, about: About) -> dict[str, Any]:
    """Convert the figures to a dictionary for JSON."""
    content = asdict(figures)
    del content["measures"]
    if figures.timeline:
        content["timeline"]["periods"] = [
            {"start": period.start.isoformat(), "texts": int(period.counts[0]), **_named(figures, period.counts[1:])}
            for period in figures.timeline.periods
        ]
    return {
        "title": about.title,
        "evenmood": about.version,
        "model": about.model,
        "verdict": verdict(figures),
        "summary": summary(figures),
        "findings": [one.text for one in findings(figures)],
        **content,
    }


def _named(figures: Figures, counts: np.ndarray) -> dict[str, int]:
    return dict(zip(figures.measures, counts.tolist(), strict=True))
