"""Render the report page: one self-contained HTML file without scripts."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib import resources
from typing import Any

from evenmood.report import charts
from evenmood.report.charts import escape
from evenmood.report.comparisons import groups, over_time
from evenmood.report.counts import NEAR_MARGIN, NEUTRAL
from evenmood.report.examples import MAX_EXAMPLE_CHARS, Example
from evenmood.report.sections import co_occurrence, emotions, mood_bar, section, table, uncertain_predictions
from evenmood.report.statistics import Emotion, Statistics
from evenmood.report.wording import findings, format_texts, percent, period_name, summary, verdict

OPEN_EMOTIONS = 6
"""Number of emotions whose example texts are expanded."""


@dataclass(frozen=True)
class ReportMetadata:
    """Metadata shown on the page.

    Attributes:
        title: Title of the page, such as the file name.
        model: Name of the model.
        version: evenmood version.
        text_column: Column with the texts, if the input has columns.
        group_column: Column by which texts are grouped, if any.
        note: Notice at the top of the page.
        day: Date of the report; by default, none is shown.
        metrics: Metrics of the model, as in `ModelInfo.metrics`.
    """

    title: str
    model: str
    version: str
    text_column: str | None = None
    group_column: str | None = None
    note: str | None = None
    day: date | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)


def page(statistics: Statistics, about: ReportMetadata) -> str:
    """Render a report as HTML."""
    style = resources.files("evenmood.report").joinpath("style.css").read_text(encoding="utf-8")
    fingerprint = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{fingerprint}'; base-uri 'none'; form-action 'none'"
    parts = []
    if statistics.texts:
        parts = [emotions(statistics)]
        if statistics.has_times:
            parts.append(over_time(statistics))
        if statistics.has_groups:
            parts.append(groups(statistics, about.group_column or "group"))
        parts += [co_occurrence(statistics), _examples(statistics), uncertain_predictions(statistics)]
    content = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f'<meta name="generator" content="evenmood {escape(about.version)}">\n'
        f"<title>{escape(about.title)} – emotions</title>\n<style>{style}</style>\n</head>\n<body>\n{charts.PATTERNS}\n"
        f"{_header(statistics, about)}\n<main>\n{content}\n</main>\n"
        f"{_footer(statistics, about)}\n</body>\n</html>\n"
    )


def _header(statistics: Statistics, about: ReportMetadata) -> str:
    facts = [format_texts(statistics.texts)]
    if statistics.timeline:
        first, last = (statistics.timeline.periods[index].start for index in (0, -1))
        facts.append(" to ".join(period_name(time, statistics.timeline.unit) for time in (first, last)))
    if statistics.group_count:
        prefix = "more than " if statistics.more_groups else ""
        facts.append(f"{prefix}{statistics.group_count:,} values of {about.group_column or 'group'}")
    if about.day:
        facts.append(f"reported {about.day:%B} {about.day.day}, {about.day.year}")
    note = f'<p class="notice">{escape(about.note)}</p>' if about.note else ""
    items = "".join(
        f'<li><a href="#{finding.section}">{escape(finding.text)}</a></li>' for finding in findings(statistics)
    )
    moods = mood_bar(statistics) if statistics.texts else ""
    list_of_findings = f'<ul class="findings">{items}</ul>' if items else ""
    return (
        f'<header><p class="source"><b dir="auto">{escape(about.title)}</b><span>{escape(" · ".join(facts))}</span></p>'
        f"<h1>{escape(verdict(statistics))}</h1>"
        f'<p class="summary">{escape(summary(statistics))}</p>{moods}{list_of_findings}{note}</header>'
    )


def _examples(statistics: Statistics) -> str:
    ranked = sorted(statistics.emotions, key=lambda emotion: (emotion.label == NEUTRAL, -emotion.share.count))
    with_examples = [emotion for emotion in ranked if emotion.typical]
    items = "".join(_emotion_texts(emotion, index < OPEN_EMOTIONS) for index, emotion in enumerate(with_examples))
    lead = (
        "For each emotion, texts that express it most clearly, and texts that express it together with another one. "
        f"Numbers are probabilities; texts are truncated to {MAX_EXAMPLE_CHARS} characters."
    )
    return section("texts", "Typical and mixed texts", lead, f'<div class="voices">{items}</div>')


def _emotion_texts(emotion: Emotion, expanded: bool) -> str:
    mixed = f"<h3>Mixed</h3>{_quotes(emotion.mixed)}" if emotion.mixed else ""
    name = f"{charts.swatch(emotion.sentiment)}{escape(emotion.label.capitalize())}"
    return (
        f"<details{' open' if expanded else ''}><summary>{name} "
        f'<span class="range">{percent(emotion.share.share)}</span></summary>'
        f'<div class="both"><div><h3>Typical</h3>{_quotes(emotion.typical)}</div><div>{mixed}</div></div></details>'
    )


def _quotes(examples: list[Example]) -> str:
    return f'<ul class="quotes">{"".join(map(_quote, examples))}</ul>'


def _quote(example: Example) -> str:
    labels = escape(", ".join(f"{label} {value:.2f}" for label, value in example.labels))
    return f'<li><blockquote dir="auto">{escape(example.text)}</blockquote><span class="range">{labels}</span></li>'


def _footer(statistics: Statistics, about: ReportMetadata) -> str:
    macro_f1 = about.metrics.get("test", {}).get("macro_f1", {})
    quality = (
        f" Its macro-F1 on its test set (Reddit comments) is {macro_f1['value']:.2f}."
        if isinstance(macro_f1, Mapping) and "value" in macro_f1 and about.model == "bundled model"
        else ""
    )
    column = f" Texts are read from the column <b>{escape(about.text_column)}</b>." if about.text_column else ""
    rows = [(emotion.label, f"{emotion.threshold:.2f}") for emotion in statistics.emotions]
    return (
        "<footer><h2>How to read this report</h2><ul>"
        f"<li>A text has an emotion if the model’s probability reaches the emotion’s threshold.{column}</li>"
        "<li>Intervals are 95% Wilson score intervals: they show sampling variation as if the texts were a random "
        "sample, and do not include the model’s errors.</li>"
        "<li>The model is for English texts. It misses irony and context, is uncertain near its thresholds "
        f"(within {NEAR_MARGIN}), and can be wrong about any single text.</li>"
        "<li>It detects emotions expressed in texts, not what people feel. Do not use it to judge people.</li>"
        f"</ul><p>evenmood {escape(about.version)} · model: {escape(about.model)}.{escape(quality)}</p>"
        f"{table('Thresholds', ('Emotion', 'Threshold'), rows)}</footer>"
    )
