"""HTML of a table's progress and results: a sentence, notes, charts and rows."""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from evenmood import GROUPS, EmotionClassifier
from evenmood.tables import emotion_columns
from space.components import charts, labels, tables
from space.components.texts import join_names, label_name, translate, translate_html
from space.table import counts, scoring, sources

MAX_SHOWN_ROWS = 1000
"""Maximum number of rows on the page; the downloads contain all rows."""
MAX_SHOWN_CHARS = 300
MAX_NAMED_LABELS = 3
"""Maximum number of labels in the sentence."""
ORDERS = FILE_ORDER, HIGH_FIRST, LOW_FIRST = "file", "high", "low"


@dataclass(frozen=True)
class Results:
    """HTML of a scored table: the sentence with notes, and the charts."""

    summary: str
    distribution: str
    timeline: str
    co_occurrence: str


def progress_html(language: str, progress: scoring.Progress) -> str:
    """Render the rows processed, share, rate and remaining time."""
    rate = progress.rows / max(progress.seconds, 1e-3)
    share_read = progress.share_read
    remaining = duration(progress.seconds * (1 - share_read) / share_read) if share_read else "?"
    share = "?" if share_read is None else f"{share_read:.0%}"
    line = translate(
        language, "batch_progress", done=f"{progress.rows:,}", share=share, rate=f"{rate:,.0f}", left=remaining
    )
    return progress_bar(share_read, line)


def progress_bar(share: float | None, line: str) -> str:
    """Render a progress bar with a line of text below; `share` is None if it is unknown."""
    value = "" if share is None else f' value="{min(share, 1.0):.3f}"'
    text = escape(line)
    return f'<progress max="1"{value} aria-label="{text}"></progress>{labels.NOTE.format(text)}'


def duration(seconds: float) -> str:
    """Format a duration: `42 s`, `3 min 5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def build_results(
    language: str,
    classifier: EmotionClassifier,
    source: sources.Source,
    date_column: str,
    progress: scoring.Progress,
    work_folder: Path,
) -> Results:
    """Render a scored table, except its rows.

    Args:
        language: Language of the page.
        classifier: Model that scored the table.
        source: The table.
        date_column: Column of dates; empty for no timeline.
        progress: Final progress of the scoring.
        work_folder: Folder with the results.
    """
    parquet = work_folder / scoring.PARQUET_FILE
    matrix = counts.label_matrix(parquet, classifier.labels)
    co_occurrence = counts.co_occurrence(matrix)
    label_counts = dict(zip(classifier.labels, np.diag(co_occurrence).tolist(), strict=True))
    over_time = None
    if date_column in source.columns:
        over_time = counts.timeline(matrix, read_column(parquet, date_column), classifier.labels)
    notes = _notes(language, source, progress)
    if date_column and over_time is None:
        notes += labels.note(language, "timeline_none", column=date_column)
    bars = charts.count_bars(language, label_counts, len(matrix))
    pairs = co_occurrence - np.diag(np.diag(co_occurrence))
    return Results(
        _sentence(language, classifier, matrix, label_counts) + notes,
        _section(language, "distribution", charts.label_groups(language, bars)) if bars else "",
        "" if over_time is None else _section(language, "timeline", timeline(language, over_time)),
        _section(
            language,
            "co_occurrence",
            charts.heat_map(language, classifier.labels, co_occurrence) + labels.note(language, "co_occurrence_note"),
        )
        if pairs.any()
        else "",
    )


def timeline(language: str, table: Any) -> str:
    """Render a chart for each label of a timeline, with the same scale, and a table with the same values."""
    times = sorted(table["time"].unique())
    names = [
        f"{time:%Y-%m-%d %H:%M}" if times[-1] - times[0] < np.timedelta64(3, "D") else f"{time:%Y-%m-%d}"
        for time in times
    ]
    length = (times[-1] - times[0]) or 1
    positions = [float((time - times[0]) / length) for time in times]
    panels, rows = [], []
    for label in dict.fromkeys(table["label"]):
        part = table[table["label"] == label].sort_values("time")
        shares, sizes = part["share"].tolist(), part["rows"].tolist()
        mean = float(np.average(shares, weights=sizes))
        tooltips = [f"{name}: {share:.0%}" for name, share in zip(names, shares, strict=True)]
        name = label_name(language, label)
        panels.append(charts.Panel(name, labels.group_of(label), shares, f"{mean:.0%}", tooltips, positions))
        rows.append([name, *(f"{share:.0%}" for share in shares)])
    top = max(max(panel.values) for panel in panels)
    head = [translate(language, "label"), *names]
    return (
        charts.panel_row(panels, top, (names[0], names[-1]))
        + labels.note(language, "timeline_note", top=f"{top:.0%}")
        + f"<details><summary>{translate_html(language, 'as_table')}</summary>"
        + tables.values_table([head, *rows], translate(language, "timeline"))
        + "</details>"
    )


def read_column(parquet: Path, name: str) -> list[str]:
    """Read the cells of a column of a result."""
    from pyarrow import parquet as files

    cells: list[str] = files.read_table(parquet, columns=[name])[name].to_pylist()
    return cells


def rows_html(
    language: str, parquet: Path, column: str, label: str = "", order: str = FILE_ORDER, search: str = ""
) -> tuple[str, str]:
    """Render the first rows of a result, and a note with their number.

    Args:
        language: Language of the page.
        parquet: The result.
        column: Text column.
        label: Show only rows with this label, and its probability; if empty, show all rows with their highest
            probability. Fallbacks do not count as labels.
        order: One of `ORDERS`, by the probability shown.
        search: Show only rows whose text contains this, ignoring case.
    """
    import pyarrow.compute as pc
    from pyarrow import parquet as files

    names_column, probabilities, fallback = emotion_columns.PREDICTION_COLUMNS
    result = files.read_table(parquet, columns=[column, names_column, probabilities, fallback])
    if search.strip():
        result = result.filter(pc.match_substring(pc.fill_null(result[column], ""), search.strip(), ignore_case=True))
    result = result.combine_chunks()
    names, values = (result[name].combine_chunks() for name in (names_column, probabilities))
    # The first probability is the highest.
    probability = pc.list_element(values, 0) if result.num_rows else pc.list_flatten(values)
    if label:
        is_fallback = pc.fill_null(result[fallback].combine_chunks(), False).take(pc.list_parent_indices(names))
        has_label = pc.and_(pc.equal(pc.list_flatten(names), label), pc.invert(is_fallback))
        result = result.take(pc.list_parent_indices(names).filter(has_label))
        probability = pc.list_flatten(values).filter(has_label)
    total = result.num_rows
    if order != FILE_ORDER:
        indices = pc.array_sort_indices(probability, order="descending" if order == HIGH_FIRST else "ascending")
        result, probability = result.take(indices), probability.take(indices)
    rows = [
        (_shorten(row[column] or ""), row[names_column] or (), bool(row[fallback]), value)
        for row, value in zip(result.slice(0, MAX_SHOWN_ROWS).to_pylist(), probability.to_pylist(), strict=False)
    ]
    line = labels.note(language, "table_note", shown=f"{len(rows):,}", rows=f"{total:,}")
    return (tables.rows_table(language, rows) if rows else ""), line


def _sentence(language: str, classifier: EmotionClassifier, matrix: np.ndarray, label_counts: dict[str, int]) -> str:
    """Summarize the most frequent emotions, and the shares of rows with a positive or negative one."""
    rows = max(len(matrix), 1)
    emotions = [label for label in label_counts if label != "neutral" and label_counts[label]]
    if not emotions:
        return f'<p class="sentence">{translate_html(language, "table_sentence_none", rows=f"{len(matrix):,}")}</p>'
    most_frequent = sorted(emotions, key=lambda label: -label_counts[label])[:MAX_NAMED_LABELS]
    names = [f"{label_name(language, label)} ({label_counts[label] / rows:.0%})" for label in most_frequent]
    shares = {
        group: matrix[:, [label in GROUPS[group] for label in classifier.labels]].any(axis=1).mean()
        for group in ("positive", "negative")
    }
    return (
        '<p class="sentence">'
        + translate_html(
            language,
            "table_sentence",
            rows=f"{len(matrix):,}",
            labels=join_names(language, names),
            positive=f"{shares['positive']:.0%}",
            negative=f"{shares['negative']:.0%}",
        )
        + "</p>"
    )


def _notes(language: str, source: sources.Source, progress: scoring.Progress) -> str:
    """Return notes on run time, encoding, skipped rows, truncated texts, fallbacks and missing texts."""
    rate = f"{progress.rows / max(progress.seconds, 1e-3):,.0f}"
    lines = [
        labels.note(language, "batch_done", rows=f"{progress.rows:,}", seconds=f"{progress.seconds:.1f}", rate=rate)
    ]
    if source.encoding:
        lines.append(labels.note(language, "batch_encoding", encoding=source.encoding))
    if progress.bad:
        lines.append(labels.note(language, "batch_bad", count=f"{progress.bad:,}", first=progress.first_bad))
    for key, count in (
        ("batch_truncated", progress.truncated),
        ("batch_fallback", progress.fallbacks),
        ("batch_missing", progress.missing),
    ):
        if count:
            lines.append(labels.note(language, key, count=f"{count:,}"))
    return "".join(lines)


def _section(language: str, title: str, content: str) -> str:
    return f"<h2>{translate_html(language, title)}</h2>{content}"


def _shorten(text: str) -> str:
    return text[:MAX_SHOWN_CHARS] + ("…" if len(text) > MAX_SHOWN_CHARS else "")
