"""The tab for a table: upload or paste, choose the column, watch, stop; rows, figures and downloads."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from space.components import views
from space.components.texts import label_choices, language_of, say
from space.components.texts import shown as text_of
from space.components.told import refusal, told
from space.server.models import BUNDLED, Models
from space.server.storage import KEPT_SECONDS, Storage, visitor_of
from space.table import scoring, sources
from space.table.results import FILE_ORDER, ORDERS, progress_html, results_of, rows_of
from space.table.uploads import Upload, open_apart

AT_ONCE = 1
"""Tables that are read at the same time: the next ones wait in the queue, and sentences are answered in between."""


LOOKED_AT_ONCE = 2
"""Uploads whose columns are looked for at the same time."""


def tab(models: Models, storage: Storage) -> list[gr.Dropdown]:
    """Draw the tab and connect it; its list of models is refreshed on each visit, and `storage` holds the results."""

    def forget(held: list[str]) -> None:
        """Remove a result that is no longer wanted, or too old."""
        if held:
            storage.remove(Path(held[0]))

    with gr.Row():
        with gr.Column():
            file = gr.File(label=text_of("file"), file_types=[*sources.KINDS], elem_id="batch-file", height=140)
            pasted = gr.Textbox(label=text_of("pasted"), lines=3, max_lines=8, elem_id="batch-pasted", buttons=[])
        with gr.Column():
            model = gr.Dropdown(
                models.titles(), value=BUNDLED, label=text_of("model"), allow_custom_value=True, elem_id="batch-model"
            )
            with gr.Row():
                # The choices come with the upload; a session that the server has forgotten knows the first ones alone.
                late: dict[str, Any] = {"allow_custom_value": True}
                column = gr.Dropdown([], label=text_of("column"), elem_id="batch-column", **late)
                date = gr.Dropdown(
                    [(text_of("no_dates"), "")],
                    value="",
                    label=text_of("date_column"),
                    elem_id="batch-date",
                    **late,
                )
            with gr.Row():
                run = gr.Button(text_of("run"), variant="primary", elem_classes="go", elem_id="batch-run")
                stop = gr.Button(text_of("stop"), elem_id="batch-stop")
    progress = gr.HTML(elem_id="batch-progress")
    with gr.Column(visible=False, elem_id="batch-results") as results:
        with gr.Row():
            as_csv = gr.DownloadButton(text_of("download_csv"), elem_id="batch-csv")
            as_parquet = gr.DownloadButton(text_of("download_parquet"), elem_id="batch-parquet")
        gr.Markdown(text_of("download_note"), elem_classes="note")
        choices = [(text_of("all_labels"), ""), *label_choices(models.default.labels)]
        with gr.Row():
            with_label = gr.Dropdown(choices, value="", label=text_of("show_label"), elem_id="batch-label")
            orders = [(text_of(f"sort_{by}"), by) for by in ORDERS]
            order = gr.Dropdown(orders, value=FILE_ORDER, label=text_of("sort"), elem_id="batch-order")
        rows = gr.Dataframe(
            label=text_of("table"),
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
            label=text_of("distribution"),
            color_title="",
            tooltip=["label", "rows"],
            buttons=[],
        )
        timeline = gr.LinePlot(
            x="time",
            y="share",
            color="label",
            label=text_of("timeline"),
            color_title="",
            y_axis_format=".0%",
            y_lim=[0, None],
            tooltip=["time", "label", "share", "rows"],
            visible=False,
            buttons=[],
        )
        gr.Markdown(f"### {text_of('co_occurrence')}")
        heat = gr.HTML(elem_id="batch-heat")
    kept = gr.State([], time_to_live=KEPT_SECONDS, delete_callback=forget)
    shown = [progress, results, as_csv, as_parquet, with_label, order, rows, rows_note, distribution, timeline, heat]

    def look(path: str | None, request: gr.Request) -> list[Any]:
        """After an upload: which columns there are, and the likeliest ones."""
        nothing = (say(language_of(request), "no_dates"), "")
        if not path:
            return [gr.Dropdown([], value=None), gr.Dropdown([nothing], value=""), ""]
        with told(), storage.in_use(Path(path)), tempfile.TemporaryDirectory() as work:
            upload = open_apart(Path(path), Path(path).name, Path(work))
        source = upload.source
        dates = [nothing, *((name, name) for name in source.columns)]
        named = ", ".join(source.columns[:20]) + (" …" if len(source.columns) > 20 else "")
        return [
            gr.Dropdown(source.columns, value=upload.text_column),
            gr.Dropdown(dates, value=upload.date_column or ""),
            views.note(language_of(request), "batch_ready", name=source.name, columns=named),
        ]

    def score(
        path: str | None, lines: str, name: str, texts: str | None, dates: str, old: list[str], request: gr.Request
    ) -> Iterator[list[Any]]:
        language = language_of(request)
        nothing = [gr.skip()] * (len(shown) - 1)
        if not path and not str(lines or "").strip():
            raise refusal(say(language, "batch_empty"))
        work = storage.new_folder(visitor_of(request.client.host if request.client else None, request.headers))
        whole = False
        try:
            with told(), storage.in_use(work, Path(path) if path else None):
                yield [views.progress_bar(0.0, say(language, "batch_waiting")), gr.Column(visible=False), *nothing]
                forget(old)
                classifier = models.get(name)
                upload = open_apart(Path(path), Path(path).name, work) if path else _pasted(lines, work)
                source = upload.source
                read = texts if path and texts else upload.text_column
                progress = scoring.Progress()
                for progress in scoring.score_apart(source, read, classifier.folder, work):
                    yield [progress_html(language, progress), *nothing, gr.skip()]
                told_lines, *more = results_of(
                    language, classifier, source, read, dates if path else "", progress, work
                )
            whole = True
            storage.clean()
            yield [told_lines + _not_labelled(language, progress), *more, [str(work), read]]
        except gr.Error:
            yield ["", *nothing, gr.skip()]  # no bar beside the message
            raise
        finally:
            if not whole:
                storage.remove(work)

    def sorted_rows(label: str, by: str, held: list[str], request: gr.Request) -> list[Any]:
        """The rows with a label, in an order, out of all rows of the last table."""
        if not held:
            return [gr.skip(), gr.skip()]
        parquet = Path(held[0]) / scoring.PARQUET_FILE
        if not parquet.is_file():
            raise refusal("the results are no longer kept; analyse the rows again")
        return rows_of(language_of(request), parquet, held[1], label, by)

    def stopped(request: gr.Request) -> str:
        return views.note(language_of(request), "stopped")

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    file.change(look, file, [column, date, progress], concurrency_limit=LOOKED_AT_ONCE, **quiet)
    job = run.click(
        score,
        [file, pasted, model, column, date, kept],
        [*shown, kept],
        concurrency_limit=AT_ONCE,
        concurrency_id="tables",
        trigger_mode="once",
        **quiet,
    )
    stop.click(stopped, None, progress, cancels=[job], **quiet)
    for chosen in (with_label, order):
        chosen.input(sorted_rows, [with_label, order, kept], [rows, rows_note], **quiet)
    return [model]


def _not_labelled(language: str, progress: scoring.Progress) -> str:
    """Lines about rows in which no label reaches its threshold, and rows without a text."""
    counts = {"batch_fallback": progress.fallbacks, "batch_missing": progress.missing}
    return "".join(views.note(language, key, count=f"{count:,}") for key, count in counts.items() if count)


def _pasted(lines: str, work: Path) -> Upload:
    """Lines of text as a table with the column `text`."""
    sources.check_rows(lines.count("\n"), "pasted lines")
    return Upload(sources.pasted(lines, work), "text", None)
