"""Write a report about scored texts: `write_report`."""

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
from evenmood.tables.table_files import whole_file


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
    """Write an HTML report about scored texts, however many; memory does not grow with their number.

    Args:
        target: HTML file to write, or `-` for standard output; it appears whole, or not at all.
        batches: The texts; some thousand in each batch are fast.
        thresholds: Threshold of each label, in the order of the columns of the probabilities.
        about: Title, model, version and measured figures shown on the page.
        json_target: JSON file for the figures; None writes none.
        time_format: Form of the dates as `strptime` has it; None detects it.
        overwrite: Replace files that exist.

    Returns:
        The figures.

    Raises:
        UsageError: A file exists and `overwrite` is false, or `time_format` is none.
    """
    counts = StreamCounts(list(thresholds), list(thresholds.values()), time_format)
    with ExitStack() as stack:  # a file that cannot be written is found before the work
        html = stack.enter_context(whole_file(target, overwrite))
        numbers = stack.enter_context(whole_file(json_target, overwrite)) if json_target else None
        for batch in batches:
            counts.add(batch)
        figures, text = finished(counts, about)
        html.write(text.encode())
        if numbers:
            content = json.dumps(report_dict(figures, about), ensure_ascii=True, indent=1)
            numbers.write(content.encode() + b"\n")
    return figures


def finished(counts: StreamCounts, about: About) -> tuple[Figures, str]:
    """Figures and HTML page of what was counted."""
    figures = figures_of(counts, about.metrics.get("test", {}).get("per_label", {}))
    return figures, page(figures, about)


def report_dict(figures: Figures, about: About) -> dict[str, Any]:
    """The figures, ready for JSON."""
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
