"""Comparative sections of the report page: emotions over time, and groups."""

import numpy as np

from evenmood.report import charts
from evenmood.report.charts import escape
from evenmood.report.counts import MAX_GROUPS, MOODS, NEUTRAL
from evenmood.report.sections import section, table
from evenmood.report.statistics import MIN_GROUP_TEXTS, SHOWN_GROUPS, Contrast, Group, Statistics
from evenmood.report.wording import (
    MOOD_NAMES,
    OTHER_VALUES,
    SENTIMENT_NAMES,
    UNNAMED,
    comparative,
    format_texts,
    percent,
    period_name,
    points,
    with_interval,
)

SHOWN_CONTRASTS = 16
SMALL_CHARTS = 6
"""Number of emotions with a separate chart over time."""


def over_time(statistics: Statistics) -> str:
    """Render the section on emotions over time."""
    undated = f" {format_texts(statistics.undated)} have no valid date." if statistics.undated else ""
    date_note = f" Dates are read as {escape(statistics.date_format)}." if statistics.date_format else ""
    if statistics.date_format_ambiguous:
        date_note += " Day and month are ambiguous: set the format with <code>--time-format</code>."
    timeline = statistics.timeline
    if timeline is None:
        problem = "All dates fall into one period" if statistics.dated else "No text has a valid date"
        return section("time", "Over time", f"{problem}, so nothing can be shown over time.{undated}{date_note}")
    values = np.array([period.counts for period in timeline.periods], float)
    column = {name: index for index, name in enumerate(statistics.measures, 1)}
    texts, with_emotion = values[:, 0], values[:, column["emotion"]]
    names = [period_name(period.start, timeline.unit) for period in timeline.periods]
    sentiments = [name for name in statistics.sentiments if name != NEUTRAL]
    lines = {name: charts.smooth(name, values[:, column[f"group:{name}"]], with_emotion) for name in sentiments}
    present = [emotion for emotion in statistics.emotions if emotion.label != NEUTRAL and emotion.share.count]
    most_frequent = sorted(present, key=lambda emotion: -emotion.share.count)[:SMALL_CHARTS]
    small = {
        emotion.label: charts.smooth(emotion.sentiment, values[:, column[emotion.label]], with_emotion)
        for sentiment in statistics.sentiments
        for emotion in most_frequent
        if emotion.sentiment == sentiment
    }
    largest = _round_up(max([float(np.nanmax(line.high)) for line in small.values()], default=0.1))
    title = "Sentiments, share of texts with an emotion"
    main_chart = _chart(title, list(lines.values()), 1.0, 200, names, legend=True)
    volume = (
        f'<div class="chart"><h3>Texts per {escape(timeline.unit)} '
        f'<span class="range">up to {int(texts.max()):,}</span></h3>'
        f"{charts.columns(texts, 40)}</div>"
    )
    multiples = "".join(_chart(label.capitalize(), [line], largest, 90, names) for label, line in small.items())
    if NEUTRAL in column:
        line = charts.smooth(NEUTRAL, values[:, column[NEUTRAL]], texts)
        top = _round_up(float(np.nanmax(line.high)))
        multiples += _chart("Neutral, share of all texts", [line], top, 90, names, apart=True)
    shown_names = [*sentiments, *small]
    rows = [
        (
            name,
            f"{int(texts[index]):,}",
            *(
                percent(values[index, column.get(f"group:{key}", column.get(key, 0))] / with_emotion[index])
                if with_emotion[index]
                else "–"
                for key in shown_names
            ),
            percent(values[index, column[NEUTRAL]] / texts[index]) if NEUTRAL in column and texts[index] else "–",
        )
        for index, name in enumerate(names)
    ]
    outlying = (
        f" {format_texts(timeline.outliers)} dated far before or after all others are not shown."
        if timeline.outliers
        else ""
    )
    lead = (
        f"Share of each emotion among the texts with an emotion, by {timeline.unit}; neutral is shown separately. "
        f"Lines are moving averages, bands are 95% intervals, dots are single periods.{outlying}{undated}{date_note}"
    )
    changes = "".join(
        f"<li><b>{escape(change.what)}</b> {points(change.change.difference)} points "
        f'<span class="range">{percent(change.before.share)} → {percent(change.after.share)}</span></li>'
        for change in statistics.changes[:8]
    )
    summary = (
        f'<p class="note">Significant changes from the first third of the texts to the last:</p><ul class="changes">'
        f"{changes}</ul>"
        if changes
        else '<p class="note">No emotion changed significantly from the first third of the texts to the last.</p>'
    )
    return section(
        "time",
        "Over time",
        lead,
        f'<figure class="timeline" aria-label="Emotions over time">{main_chart}{volume}'
        f'<div class="multiples">{multiples}</div></figure>',
        summary,
        table(
            "Emotions over time, as a table",
            (
                f"{timeline.unit.capitalize()} from",
                "Texts",
                *(SENTIMENT_NAMES.get(name, name) for name in shown_names),
                "Neutral",
            ),
            rows,
        ),
    )


def _round_up(value: float) -> float:
    """Round a share up to the next axis limit."""
    return next((top for top in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8) if value <= top), 1.0)


def _chart(
    title: str,
    lines: list[charts.Line],
    largest: float,
    height: int,
    names: list[str],
    legend: bool = False,
    apart: bool = False,
) -> str:
    keys = "".join(
        f'<span class="key">{charts.swatch(line.kind)}{SENTIMENT_NAMES[line.kind]} <b>{percent(_last(line))}</b></span>'
        for line in lines
    )
    latest = (
        f'<span class="keys">{keys}</span>'
        if legend
        else f'<span class="range">latest {percent(_last(lines[0]))}</span>'
    )
    grid = (0.0, largest / 2, largest)
    marks = "".join(f"<span>{percent(value)}</span>" for value in reversed(grid))
    return (
        f'<div class="chart{" apart" if apart else ""}"><h3>{escape(title)} {latest}</h3>'
        f'<div class="plot"><div class="axis" aria-hidden="true">{marks}</div>'
        f"{charts.line_chart(lines, largest, height, grid)}</div>{_ends(names)}</div>"
    )


def _last(line: charts.Line) -> float:
    valid = line.shares[~np.isnan(line.shares)]
    return float(valid[-1]) if len(valid) else 0.0


def _ends(names: list[str]) -> str:
    return f'<div class="ends" aria-hidden="true"><span>{escape(names[0])}</span><span>{escape(names[-1])}</span></div>'


def groups(statistics: Statistics, column: str) -> str:
    """Render the section on groups, and how each differs from all other texts."""
    name = escape(column)
    if not statistics.groups:
        return section("groups", f"By {name}", "No text has a value in this column.")
    rows = "".join(_group_row(group) for group in statistics.groups)
    legend = "".join(
        f"<li>{charts.swatch(mood)}{MOOD_NAMES[mood]}</li>" for mood in MOODS if statistics.moods[mood].count
    )
    limit_note = ""
    if statistics.group_count > SHOWN_GROUPS:
        values = f"more than {MAX_GROUPS:,}" if statistics.more_groups else f"{statistics.group_count:,}"
        limit_note = (
            f" There are {values} values; the {SHOWN_GROUPS} most frequent are shown, and all others as one group."
        )
    lead = (
        f"Moods of the texts of each <i>{name}</i>, and how it differs from all other texts.{limit_note} "
        f"Groups of fewer than {MIN_GROUP_TEXTS} texts are not compared."
    )
    shown_contrasts = statistics.contrasts[:SHOWN_CONTRASTS]
    largest = max(
        (max(abs(contrast.difference.low), abs(contrast.difference.high)) for contrast in shown_contrasts), default=1
    )
    items = "".join(_contrast_row(contrast, largest) for contrast in shown_contrasts)
    count = f"{statistics.comparisons:,}"
    if items:
        more = (
            f"; the {SHOWN_CONTRASTS} largest of {len(statistics.contrasts)}"
            if len(statistics.contrasts) > len(shown_contrasts)
            else ""
        )
        differences = (
            '<h3>Significant differences</h3><p class="note">Percentage points compared with all other texts'
            f"{more}. {count} differences were tested; intervals are Bonferroni-corrected to 95% for all of them."
            f'</p><figure aria-label="Significant differences"><ul class="contrasts">{items}</ul></figure>'
        )
    elif statistics.comparisons:
        differences = (
            f'<p class="note">None of the {count} differences between a group and all other texts is statistically '
            "significant.</p>"
        )
    else:
        differences = '<p class="note">There is nothing to compare: fewer than two groups are large enough.</p>'
    return section(
        "groups",
        f"By {name}",
        lead,
        f'<figure aria-label="Moods by group"><ul class="legend">{legend}</ul><ul class="groups">{rows}</ul></figure>',
        differences,
        _contrast_table(statistics) if statistics.contrasts else "",
        _group_table(statistics),
    )


def _group_name(group: Group) -> str:
    return OTHER_VALUES if group.name is None else group.name or UNNAMED


def _group_row(group: Group) -> str:
    parts = [(mood, group.moods[mood].share) for mood in MOODS]
    return (
        f'<li><span class="name">{escape(_group_name(group))}</span>{charts.stacked(parts, 22)}'
        f'<span class="value">{format_texts(group.texts)}</span></li>'
    )


def _contrast_row(contrast: Contrast, largest: float) -> str:
    change = contrast.difference
    return (
        f'<li><span class="who"><b>{escape(contrast.group)}</b> {comparative(contrast)} {escape(contrast.what)}</span>'
        f"{charts.difference(change.difference, change.low, change.high, largest)}"
        f'<span class="value">{points(change.difference)}</span><span class="range">'
        f"{percent(contrast.inside.share)} here, {percent(contrast.outside.share)} elsewhere</span></li>"
    )


def _contrast_table(statistics: Statistics) -> str:
    rows = [
        (
            contrast.group,
            contrast.what,
            percent(contrast.inside.share),
            percent(contrast.outside.share),
            points(contrast.difference.difference),
            f"{points(contrast.difference.low)} to {points(contrast.difference.high)}",
        )
        for contrast in statistics.contrasts
    ]
    header = ("Group", "Emotion", "Here", "Elsewhere", "Points", "95% interval, simultaneous")
    return table("Significant differences, as a table", header, rows)


def _group_table(statistics: Statistics) -> str:
    ranked = sorted(statistics.emotions, key=lambda emotion: -emotion.share.count)
    header = ("Group", "Texts", *(MOOD_NAMES[mood] for mood in MOODS), *(emotion.label for emotion in ranked))
    rows = [
        (
            _group_name(group),
            f"{group.texts:,}",
            *(percent(group.moods[mood].share) for mood in MOODS),
            *(with_interval(group.emotions[emotion.label]) for emotion in ranked),
        )
        for group in statistics.groups
    ]
    return table("All shares of each group, as a table", header, rows)
