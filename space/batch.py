"""The tab for a table: upload or paste, choose the column, watch, stop; rows, figures and downloads."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from evenmood import EmotionClassifier, scored
from evenmood.errors import UsageError
from space import counts, scoring, sources, views
from space.models import BUNDLED, Models
from space.texts import label_choices, label_name, language_of, say, shown
from space.told import refusal, told

SHOWN_ROWS = 1000
"""Rows in the table on the page; the downloads hold all of them."""
SHOWN_CHARACTERS = 200
AT_ONCE = 1
"""Tables that are read at the same time: the next ones wait in the queue, and sentences are answered in between."""


def tab(models: Models) -> list[gr.Dropdown]:
    """Draw the tab and connect it; its list of models is filled anew at each visit."""
    with gr.Row():
        with gr.Column():
            file = gr.File(label=shown("file"), file_types=[*sources.KINDS], elem_id="batch-file", height=140)
            pasted = gr.Textbox(label=shown("pasted"), lines=3, max_lines=8, elem_id="batch-pasted", buttons=[])
        with gr.Column():
            model = gr.Dropdown(
                models.titles(), value=BUNDLED, label=shown("model"), allow_custom_value=True, elem_id="batch-model"
            )
            with gr.Row():
                # The choices come with the upload; a session that the server has forgotten knows the first ones alone.
                late: dict[str, Any] = {"allow_custom_value": True}
                column = gr.Dropdown([], label=shown("column"), elem_id="batch-column", **late)
                date = gr.Dropdown(
                    [(shown("no_dates"), "")], value="", label=shown("date_column"), elem_id="batch-date"
                )
            with gr.Row():
                run = gr.Button(shown("run"), variant="primary", elem_classes="go", elem_id="batch-run")
                stop = gr.Button(shown("stop"), elem_id="batch-stop")
    progress = gr.HTML(elem_id="batch-progress")
    with gr.Column(visible=False, elem_id="batch-results") as results:
        with gr.Row():
            as_csv = gr.DownloadButton(shown("download_csv"), elem_id="batch-csv")
            as_parquet = gr.DownloadButton(shown("download_parquet"), elem_id="batch-parquet")
        gr.Markdown(shown("download_note"), elem_classes="note")
        choices = [(shown("all_labels"), ""), *label_choices(models.default.labels)]
        with_label = gr.Dropdown(choices, value="", label=shown("show_label"), elem_id="batch-label")
        rows = gr.Dataframe(
            label=shown("table"),
            datatype="str",
            interactive=False,
            show_search="filter",
            wrap=True,
            max_height=420,
            buttons=["fullscreen"],
            elem_id="batch-rows",
        )
        rows_note = gr.HTML()
        distribution = gr.BarPlot(
            x="label",
            y="rows",
            color="group",
            sort="-y",
            x_label_angle=-45,
            label=shown("distribution"),
            x_title="",
            color_title="",
            tooltip=["label", "rows"],
            buttons=[],
        )
        timeline = gr.LinePlot(
            x="time",
            y="share",
            color="label",
            label=shown("timeline"),
            x_title="",
            color_title="",
            y_axis_format=".0%",
            y_lim=[0, None],
            tooltip=["time", "label", "share", "rows"],
            visible=False,
            buttons=[],
        )
        gr.Markdown(f"### {shown('co_occurrence')}")
        heat = gr.HTML(elem_id="batch-heat")
    outputs = [progress, results, as_csv, as_parquet, with_label, rows, rows_note, distribution, timeline, heat]

    def look(path: str | None, request: gr.Request) -> list[Any]:
        """After an upload: which columns there are, and the likeliest ones."""
        nothing = (say(language_of(request), "no_dates"), "")
        if not path:
            return [gr.Dropdown([], value=None), gr.Dropdown([nothing], value=""), ""]
        with told(), tempfile.TemporaryDirectory() as work:
            source = sources.open_source(Path(path), Path(path).name, Path(work))
        dates = [nothing, *((name, name) for name in source.columns)]
        named = ", ".join(source.columns[:20]) + (" …" if len(source.columns) > 20 else "")
        return [
            gr.Dropdown(source.columns, value=sources.text_column(source)),
            gr.Dropdown(dates, value=sources.date_column(source) or ""),
            views.note(language_of(request), "batch_ready", name=source.name, columns=named),
        ]

    def score(
        path: str | None, lines: str, name: str, texts: str | None, dates: str, request: gr.Request
    ) -> Iterator[list[Any]]:
        language = language_of(request)
        with told(), tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            if not path and not lines.strip():
                raise refusal(say(language, "batch_empty"))
            classifier = models.get(name)
            source = sources.open_source(Path(path), Path(path).name, work) if path else sources.pasted(lines, work)
            yield [views.progress_bar(0.0, say(language, "batch_waiting")), *[gr.skip()] * 9]
            read = texts if path and texts else sources.text_column(source)
            progress = scoring.Progress()
            for progress in scoring.score_apart(source, read, classifier.folder, work):
                yield [progress_html(language, progress), *[gr.skip()] * 9]
            yield results_of(language, classifier, source, read, dates if path else "", progress, work)
            # What stands behind this line runs after the files were copied to where they are downloaded from.

    def filtered(label: str, parquet: str | None, texts: str | None, request: gr.Request) -> list[Any]:
        """The rows with a label, the most probable first, out of all rows."""
        if not parquet:
            return [gr.skip(), gr.skip()]
        return rows_of(language_of(request), Path(parquet), label, texts)

    def stopped(request: gr.Request) -> str:
        return views.note(language_of(request), "stopped")

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    file.change(look, file, [column, date, progress], **quiet)
    job = run.click(
        score,
        [file, pasted, model, column, date],
        outputs,
        concurrency_limit=AT_ONCE,
        concurrency_id="tables",
        trigger_mode="once",
        **quiet,
    )
    stop.click(stopped, None, progress, cancels=[job], **quiet)
    with_label.input(filtered, [with_label, as_parquet, column], [rows, rows_note], **quiet)
    return [model]


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
    table, note = rows_of(language, parquet, "", column)
    return [
        "".join(told_lines),
        gr.Column(visible=True),
        gr.DownloadButton(value=work / scoring.CSV_FILE),
        gr.DownloadButton(value=parquet),
        gr.Dropdown(value=""),
        table,
        note,
        gr.BarPlot(frame[frame["rows"] > 0], color_map=views.colour_map(language), y_title=say(language, "rows")),
        gr.LinePlot(over_time, visible=over_time is not None, y_title=say(language, "share_axis")),
        views.heat_map(language, classifier.labels, together) + views.note(language, "co_occurrence_note"),
    ]


def column_of(parquet: Path, name: str) -> list[str]:
    """The cells of a column of a result."""
    from pyarrow import parquet as files

    cells: list[str] = files.read_table(parquet, columns=[name])[name].to_pylist()
    return cells


def rows_of(language: str, parquet: Path, label: str, column: str | None) -> list[Any]:
    """The first rows of a result, or those with a label, the most probable first; and a line that says how many."""
    import pyarrow.compute as pc
    from pyarrow import parquet as files

    try:
        found = files.read_table(parquet)
    except OSError:
        raise refusal(str(UsageError("the results are no longer kept; analyse the rows again"))) from None
    labels, probabilities, _ = scored.ADDED
    if column not in found.column_names:  # chosen anew since, or lines were pasted
        column = found.column_names[0]
    strength = None
    if label:
        names, values = (found[name].combine_chunks() for name in (labels, probabilities))
        carried = pc.equal(pc.list_flatten(names), label)
        at = pc.list_parent_indices(names).filter(carried)
        strength = pc.list_flatten(values).filter(carried)
        order = pc.array_sort_indices(strength, order="descending")
        at, strength = at.take(order), strength.take(order)
        found = found.take(at)
    total = found.num_rows
    found = found.slice(0, SHOWN_ROWS).select([column, labels, probabilities]).to_pylist()
    rows = [
        [
            row[column][:SHOWN_CHARACTERS] + ("…" if len(row[column]) > SHOWN_CHARACTERS else ""),
            ", ".join(label_name(language, name) for name in row[labels]),
            f"{max(row[probabilities]) if strength is None else strength[index].as_py():.2f}",
        ]
        for index, row in enumerate(found)
    ]
    head = [say(language, "text"), say(language, "labels"), say(language, "probability")]
    told_line = views.note(language, "table_note", shown=f"{len(rows):,}", rows=f"{total:,}")
    return [gr.Dataframe({"headers": head, "data": rows}), told_line]
