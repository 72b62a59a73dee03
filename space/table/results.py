"""What the page shows of a table: progress, then a sentence, charts, rows and downloads."""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from evenmood import GROUPS, EmotionClassifier
from evenmood.tables import scored
from space.components import charts, labels, tables
from space.components.texts import label_name, listed, say, say_html
from space.table import counts, scoring, sources

SHOWN_ROWS = 1000
"""Rows in the table on the page; the downloads hold all of them."""
SHOWN_CHARACTERS = 300
MOST_NAMED = 3
"""Labels that the sentence names."""
ORDERS = FILE_ORDER, HIGH_FIRST, LOW_FIRST = "file", "high", "low"


@dataclass(frozen=True)
class Results:
    """HTML of a scored table: the sentence and remarks, and the charts."""

    summary: str
    distribution: str
    timeline: str
    together: str


def progress_html(language: str, progress: scoring.Progress) -> str:
    """Rows so far, share, rate and time left."""
    rate = progress.rows / max(progress.seconds, 1e-3)
    left = "?" if not progress.done else duration(progress.seconds * (1 - progress.done) / progress.done)
    share = "?" if progress.done is None else f"{progress.done:.0%}"
    line = say(language, "batch_progress", done=f"{progress.rows:,}", share=share, rate=f"{rate:,.0f}", left=left)
    return progress_bar(progress.done, line)


def progress_bar(share: float | None, line: str) -> str:
    """A progress bar with a line below it; None for an unknown share."""
    value = "" if share is None else f' value="{min(share, 1.0):.3f}"'
    spoken = escape(line)
    return f'<progress max="1"{value} aria-label="{spoken}"></progress>{labels.NOTE.format(spoken)}'


def duration(seconds: float) -> str:
    """Seconds to read: `42 s`, `3 min 5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def results_of(
    language: str,
    classifier: EmotionClassifier,
    source: sources.Source,
    date_column: str,
    progress: scoring.Progress,
    work: Path,
) -> Results:
    """Everything but the rows that the page shows of a table that has been read."""
    parquet = work / scoring.PARQUET_FILE
    given = counts.given_labels(parquet, classifier.labels)
    together = counts.co_occurrence(given)
    of_label = dict(zip(classifier.labels, np.diag(together).tolist(), strict=True))
    over_time = None
    if date_column in source.columns:
        over_time = counts.timeline(given, column_of(parquet, date_column), classifier.labels)
    remarks = _remarks(language, source, progress)
    if date_column and over_time is None:
        remarks += labels.note(language, "timeline_none", column=date_column)
    bars = charts.count_bars(language, of_label, len(given))
    pairs = together - np.diag(np.diag(together))
    return Results(
        _sentence(language, classifier, given, of_label) + remarks,
        _section(language, "distribution", charts.label_groups(language, bars)) if bars else "",
        "" if over_time is None else _section(language, "timeline", timeline(language, over_time)),
        _section(
            language,
            "co_occurrence",
            charts.heat_map(language, classifier.labels, together) + labels.note(language, "co_occurrence_note"),
        )
        if pairs.any()
        else "",
    )


def timeline(language: str, table: Any) -> str:
    """A small panel for each label of a timeline, all under one scale, with the same figures as a table below."""
    times = sorted(table["time"].unique())
    names = [
        f"{time:%Y-%m-%d %H:%M}" if times[-1] - times[0] < np.timedelta64(3, "D") else f"{time:%Y-%m-%d}"
        for time in times
    ]
    length = (times[-1] - times[0]) or 1
    places = [float((time - times[0]) / length) for time in times]
    shown, rows = [], []
    for label in dict.fromkeys(table["label"]):
        part = table[table["label"] == label].sort_values("time")
        shares, sizes = part["share"].tolist(), part["rows"].tolist()
        mean = float(np.average(shares, weights=sizes))
        titles = [f"{name}: {share:.0%}" for name, share in zip(names, shares, strict=True)]
        name = label_name(language, label)
        shown.append(charts.Panel(name, labels.group_of(label), shares, f"{mean:.0%}", titles, places))
        rows.append([name, *(f"{share:.0%}" for share in shares)])
    top = max(max(panel.values) for panel in shown)
    head = [say(language, "label"), *names]
    return (
        charts.panels(shown, top, (names[0], names[-1]))
        + labels.note(language, "timeline_note", top=f"{top:.0%}")
        + f"<details><summary>{say_html(language, 'as_table')}</summary>"
        + tables.figures_table([head, *rows], say(language, "timeline"))
        + "</details>"
    )


def column_of(parquet: Path, name: str) -> list[str]:
    """The cells of a column of a result."""
    from pyarrow import parquet as files

    cells: list[str] = files.read_table(parquet, columns=[name])[name].to_pylist()
    return cells


def rows_of(
    language: str, parquet: Path, column: str, label: str = "", order: str = FILE_ORDER, search: str = ""
) -> tuple[str, str]:
    """The first rows of a result as HTML, and a line with how many there are.

    Args:
        language: Language of the head and the labels' names.
        parquet: The result.
        column: Column of the texts.
        label: Show only rows with this label, and its probability; if empty, all rows and the highest probability. A
            fallback does not count as a row's label.
        order: One of `ORDERS`; the most certain rows are those with the highest of these probabilities.
        search: Show only rows whose text contains this, in upper or lower case.
    """
    import pyarrow.compute as pc
    from pyarrow import parquet as files

    names_column, probabilities, fallback = scored.ADDED
    found = files.read_table(parquet, columns=[column, names_column, probabilities, fallback])
    if search.strip():
        found = found.filter(pc.match_substring(pc.fill_null(found[column], ""), search.strip(), ignore_case=True))
    found = found.combine_chunks()
    names, values = (found[name].combine_chunks() for name in (names_column, probabilities))
    strength = pc.list_element(values, 0) if found.num_rows else pc.list_flatten(values)  # the highest one is first
    if label:
        below = pc.fill_null(found[fallback].combine_chunks(), False).take(pc.list_parent_indices(names))
        carried = pc.and_(pc.equal(pc.list_flatten(names), label), pc.invert(below))
        found = found.take(pc.list_parent_indices(names).filter(carried))
        strength = pc.list_flatten(values).filter(carried)
    total = found.num_rows
    if order != FILE_ORDER:
        places = pc.array_sort_indices(strength, order="descending" if order == HIGH_FIRST else "ascending")
        found, strength = found.take(places), strength.take(places)
    rows = [
        (_cut(row[column] or ""), row[names_column] or (), bool(row[fallback]), value)
        for row, value in zip(found.slice(0, SHOWN_ROWS).to_pylist(), strength.to_pylist(), strict=False)
    ]
    line = labels.note(language, "table_note", shown=f"{len(rows):,}", rows=f"{total:,}")
    return (tables.rows_table(language, rows) if rows else ""), line


def _sentence(language: str, classifier: EmotionClassifier, given: np.ndarray, of_label: dict[str, int]) -> str:
    """The table in a sentence: the most frequent emotions, and how many rows have a positive or a negative one."""
    rows = max(len(given), 1)
    order = sorted(
        (label for label in of_label if label != "neutral" and of_label[label]), key=lambda label: -of_label[label]
    )
    if not order:
        return f'<p class="sentence">{say_html(language, "table_sentence_none", rows=f"{len(given):,}")}</p>'
    names = [f"{label_name(language, label)} ({of_label[label] / rows:.0%})" for label in order[:MOST_NAMED]]
    shares = {
        group: given[:, [label in GROUPS[group] for label in classifier.labels]].any(axis=1).mean()
        for group in ("positive", "negative")
    }
    return (
        '<p class="sentence">'
        + say_html(
            language,
            "table_sentence",
            rows=f"{len(given):,}",
            labels=listed(language, names),
            positive=f"{shares['positive']:.0%}",
            negative=f"{shares['negative']:.0%}",
        )
        + "</p>"
    )


def _remarks(language: str, source: sources.Source, progress: scoring.Progress) -> str:
    """How long it took, and what was cut, left out or read in another encoding."""
    rate = f"{progress.rows / max(progress.seconds, 1e-3):,.0f}"
    lines = [
        labels.note(language, "batch_done", rows=f"{progress.rows:,}", seconds=f"{progress.seconds:.1f}", rate=rate)
    ]
    if source.encoding:
        lines.append(labels.note(language, "batch_encoding", encoding=source.encoding))
    if progress.bad:
        lines.append(labels.note(language, "batch_bad", count=f"{progress.bad:,}", first=progress.first_bad))
    for key, count in (
        ("batch_cut", progress.cut),
        ("batch_fallback", progress.fallbacks),
        ("batch_missing", progress.missing),
    ):
        if count:
            lines.append(labels.note(language, key, count=f"{count:,}"))
    return "".join(lines)


def _section(language: str, title: str, content: str) -> str:
    return f"<h2>{say_html(language, title)}</h2>{content}"


def _cut(text: str) -> str:
    return text[:SHOWN_CHARACTERS] + ("…" if len(text) > SHOWN_CHARACTERS else "")
