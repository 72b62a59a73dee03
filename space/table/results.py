"""What the page shows of a table: how far it is, then its rows, figures and downloads."""

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from evenmood import EmotionClassifier
from evenmood.tables import scored
from space.components import views
from space.components.texts import label_name, say
from space.table import counts, scoring, sources

SHOWN_ROWS = 1000
"""Rows in the table on the page; the downloads hold all of them."""
SHOWN_CHARACTERS = 200
ORDERS = FILE_ORDER, HIGH_FIRST, LOW_FIRST = "file", "high", "low"


def progress_html(language: str, progress: scoring.Progress) -> str:
    """How far a table is: rows, share, rate, time left."""
    rate = progress.rows / max(progress.seconds, 1e-3)
    left = "?" if not progress.done else duration(progress.seconds * (1 - progress.done) / progress.done)
    share = "?" if progress.done is None else f"{progress.done:.0%}"
    line = say(language, "batch_progress", done=f"{progress.rows:,}", share=share, rate=f"{rate:,.0f}", left=left)
    return views.progress_bar(progress.done, line)


def duration(seconds: float) -> str:
    """Seconds to read: `42 s`, `3 min 5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def results_of(
    language: str,
    classifier: EmotionClassifier,
    source: sources.Source,
    column: str,
    date_column: str,
    progress: scoring.Progress,
    work: Path,
) -> list[Any]:
    """Everything that the page shows of a table that has been read."""
    import pandas as pd

    told_lines = [
        views.note(
            language,
            "batch_done",
            rows=f"{progress.rows:,}",
            seconds=f"{progress.seconds:.1f}",
            rate=f"{progress.rows / max(progress.seconds, 1e-3):,.0f}",
        )
    ]
    if source.encoding:
        told_lines.append(views.note(language, "batch_encoding", encoding=source.encoding))
    if progress.bad:
        told_lines.append(views.note(language, "batch_bad", count=f"{progress.bad:,}", first=progress.first_bad))
    if progress.cut:
        told_lines.append(views.note(language, "batch_cut", count=f"{progress.cut:,}"))
    parquet = work / scoring.PARQUET_FILE
    given = counts.given_labels(parquet, classifier.labels)
    over_time = None
    if date_column in source.columns:
        over_time = counts.timeline(given, column_of(parquet, date_column), classifier.labels)
    if date_column and over_time is None:
        told_lines.append(views.note(language, "timeline_none", column=date_column))
    elif over_time is not None:
        over_time["label"] = [label_name(language, label) for label in over_time["label"]]
    together = counts.co_occurrence(given)
    frame = pd.DataFrame(
        {
            "label": [label_name(language, label) for label in classifier.labels],
            "rows": np.diag(together),
            "group": [views.group_name(language, label) for label in classifier.labels],
        }
    )
    table, note = rows_of(language, parquet, column)
    return [
        "".join(told_lines),
        gr.Column(visible=True),
        gr.DownloadButton(value=work / scoring.CSV_FILE),
        gr.DownloadButton(value=parquet),
        gr.Dropdown(value=""),
        gr.Dropdown(value=FILE_ORDER),
        table,
        note,
        gr.BarPlot(
            frame[frame["rows"] > 0],
            color_map=views.colour_map(language),
            x_title=say(language, "label"),
            y_title=say(language, "rows"),
        ),
        gr.LinePlot(
            over_time,
            visible=over_time is not None,
            x_title=say(language, "time"),
            y_title=say(language, "share_axis"),
        ),
        views.heat_map(language, classifier.labels, together) + views.note(language, "co_occurrence_note"),
    ]


def column_of(parquet: Path, name: str) -> list[str]:
    """The cells of a column of a result."""
    from pyarrow import parquet as files

    cells: list[str] = files.read_table(parquet, columns=[name])[name].to_pylist()
    return cells


def rows_of(language: str, parquet: Path, column: str, label: str = "", order: str = FILE_ORDER) -> list[Any]:
    """The first rows of a result, in an order; and a line that says how many there are.

    Args:
        language: Of the heads and the labels' names.
        parquet: The result.
        column: Where the texts are.
        label: Show rows with this label alone, and its probability; with any label, and the highest one, if empty. A
            label that does not reach its threshold is no row's.
        order: One of `ORDERS`; the most certain rows are those with the highest of these probabilities.
    """
    import pyarrow.compute as pc
    from pyarrow import parquet as files

    labels, probabilities, fallback = scored.ADDED
    found = files.read_table(parquet, columns=[column, labels, probabilities, fallback]).combine_chunks()
    names, values = (found[name].combine_chunks() for name in (labels, probabilities))
    strength = pc.list_element(values, 0) if found.num_rows else pc.list_flatten(values)  # the highest one stands first
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
        [
            _cut(row[column] or ""),
            views.below_threshold(language, shown) if row[fallback] else shown,
            "" if value is None else f"{value:.2f}",  # a row without a text
        ]
        for row, value in zip(found.slice(0, SHOWN_ROWS).to_pylist(), strength.to_pylist(), strict=False)
        for shown in [", ".join(label_name(language, name) for name in row[labels] or ())]
    ]
    head = [say(language, "text"), say(language, "labels"), say(language, "probability")]
    told_line = views.note(language, "table_note", shown=f"{len(rows):,}", rows=f"{total:,}")
    return [gr.Dataframe({"headers": head, "data": rows}), told_line]


def _cut(text: str) -> str:
    return text[:SHOWN_CHARACTERS] + ("…" if len(text) > SHOWN_CHARACTERS else "")
