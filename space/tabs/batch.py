"""The tab for a table: upload, paste or try the sample, choose the column, watch, stop; charts, rows and downloads."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from space.components import samples
from space.components.errors import page_error, page_errors
from space.components.labels import NOTE, note
from space.components.texts import label_choices, language_of, say
from space.components.texts import shown as text_of
from space.server.models import Models
from space.server.storage import KEPT_SECONDS, Storage, visitor_of
from space.table import scoring, sources
from space.table.results import FILE_ORDER, ORDERS, progress_bar, progress_html, results_of, rows_of
from space.table.uploads import Upload, open_apart

AT_ONCE = 1
"""Tables that are read at the same time: the next ones wait in the queue, and sentences are answered in between."""
LOOKED_AT_ONCE = 2
"""Uploads whose columns are detected at the same time."""


def tab(models: Models, storage: Storage, model: gr.Dropdown) -> None:
    """Draw the tab and connect it; `storage` holds the results, and `model` is the page's choice of a model."""

    def forget(kept: list[str]) -> None:
        """Remove a result that is replaced, or too old."""
        if kept:
            storage.remove(Path(kept[0]))

    with gr.Row(elem_classes="sides"):
        with gr.Column(min_width=280, elem_classes="side"):
            file = gr.File(label=text_of("file"), file_types=[*sources.KINDS], elem_id="batch-file", height=150)
            gr.HTML(NOTE.format(text_of("file_limits")), padding=False)
        with gr.Column(min_width=280, elem_classes="side"):
            pasted = gr.Textbox(label=text_of("pasted"), lines=5, max_lines=8, elem_id="batch-pasted", buttons=[])
    with gr.Row(visible=False, elem_id="batch-columns") as columns:
        # The choices come with the upload; a session that the server has forgotten knows the first ones alone.
        late: dict[str, Any] = {"allow_custom_value": True}
        column = gr.Dropdown([], label=text_of("column"), elem_id="batch-column", **late)
        no_dates = [(text_of("no_dates"), "")]
        date = gr.Dropdown(no_dates, value="", label=text_of("date_column"), elem_id="batch-date", **late)
    with gr.Row(elem_classes="actions"):
        run = gr.Button(text_of("run"), variant="primary", elem_classes="go", elem_id="batch-run")
        sample = gr.Button(text_of("sample_table"), elem_id="batch-sample")
        stop = gr.Button(text_of("stop"), visible=False, elem_id="batch-stop")
    progress = gr.HTML(elem_id="batch-progress")
    with gr.Column(visible=False, elem_id="batch-results", elem_classes="card") as results:
        with gr.Row(elem_classes="downloads"):
            as_report = gr.DownloadButton(text_of("download_report"), elem_id="batch-report", size="sm")
            as_csv = gr.DownloadButton(text_of("download_csv"), elem_id="batch-csv", size="sm")
            as_parquet = gr.DownloadButton(text_of("download_parquet"), elem_id="batch-parquet", size="sm")
        gr.HTML(NOTE.format(text_of("download_note")), padding=False)
        distribution = gr.HTML(elem_id="batch-distribution")
        timeline = gr.HTML(elem_id="batch-timeline")
        heat = gr.HTML(elem_id="batch-heat")
        gr.Markdown(f"## {text_of('table')}")
        choices = [(text_of("all_labels"), ""), *label_choices(models.default.labels)]
        with gr.Row():
            with_label = gr.Dropdown(choices, value="", label=text_of("show_label"), elem_id="batch-label")
            orders = [(text_of(f"sort_{by}"), by) for by in ORDERS]
            order = gr.Dropdown(orders, value=FILE_ORDER, label=text_of("sort"), elem_id="batch-order")
            search = gr.Textbox(label=text_of("search"), elem_id="batch-search", max_lines=1)
        rows = gr.HTML(elem_id="batch-rows")
        rows_note = gr.HTML()
    kept = gr.State([], time_to_live=KEPT_SECONDS, delete_callback=forget)
    charts = [distribution, timeline, heat]
    outputs = [
        progress,
        results,
        stop,
        as_report,
        as_csv,
        as_parquet,
        with_label,
        order,
        search,
        rows,
        rows_note,
        *charts,
        kept,
    ]

    def look(path: str | None, request: gr.Request) -> list[Any]:
        """List an upload's columns, and select those that probably hold texts and dates."""
        language = language_of(request)
        nothing = (say(language, "no_dates"), "")
        if not path:
            return [gr.Row(visible=False), gr.Dropdown([], value=None), gr.Dropdown([nothing], value=""), ""]
        with page_errors(), storage.in_use(Path(path)), tempfile.TemporaryDirectory() as work:
            upload = open_apart(Path(path), Path(path).name, Path(work))
        source = upload.source
        dates = [nothing, *((name, name) for name in source.columns)]
        named = ", ".join(source.columns[:20]) + (" …" if len(source.columns) > 20 else "")
        return [
            gr.Row(visible=True),
            gr.Dropdown(source.columns, value=upload.text_column),
            gr.Dropdown(dates, value=upload.date_column or ""),
            note(language, "batch_ready", name=source.name, columns=named),
        ]

    def load_sample() -> str:
        return str(samples.TABLE)

    def score(
        path: str | None, lines: str, name: str, texts: str | None, dates: str, old: list[str], request: gr.Request
    ) -> Iterator[list[Any]]:
        language = language_of(request)
        nothing = [gr.skip()] * (len(outputs) - 3)
        if not path and not str(lines or "").strip():
            raise page_error(say(language, "batch_empty"))
        work = storage.new_folder(visitor_of(request.client.host if request.client else None, request.headers))
        whole = False
        try:
            with page_errors(), storage.in_use(work, Path(path) if path else None):
                waiting = progress_bar(0.0, say(language, "batch_waiting"))
                yield [waiting, gr.Column(visible=False), gr.Button(visible=True), *nothing]
                forget(old)
                classifier = models.get(name)
                upload = open_apart(Path(path), Path(path).name, work) if path else _pasted(lines, work)
                source = upload.source
                read = texts if path and texts else upload.text_column
                progress = scoring.Progress()
                for progress in scoring.score_apart(source, read, classifier.folder, work, dates if path else None):
                    yield [progress_html(language, progress), gr.skip(), gr.skip(), *nothing]
                found = results_of(language, classifier, source, dates if path else "", progress, work)
                table = rows_of(language, work / scoring.PARQUET_FILE, read)
            whole = True
            storage.clean()
            yield [
                found.summary,
                gr.Column(visible=True),
                gr.Button(visible=False),
                gr.DownloadButton(value=work / scoring.REPORT_FILE),
                gr.DownloadButton(value=work / scoring.CSV_FILE),
                gr.DownloadButton(value=work / scoring.PARQUET_FILE),
                gr.Dropdown(value=""),
                gr.Dropdown(value=FILE_ORDER),
                "",
                *table,
                found.distribution,
                found.timeline,
                found.together,
                [str(work), read],
            ]
        except gr.Error:
            yield ["", gr.skip(), gr.Button(visible=False), *nothing]  # no bar beside the message
            raise
        finally:
            if not whole:
                storage.remove(work)

    def sorted_rows(label: str, by: str, wanted: str, kept: list[str], request: gr.Request) -> list[Any]:
        """The rows with a label and a word, in an order, out of all rows of the last table."""
        if not kept:
            return [gr.skip(), gr.skip()]
        parquet = Path(kept[0]) / scoring.PARQUET_FILE
        if not parquet.is_file():
            raise page_error("the results are no longer kept; analyse the rows again")
        return list(rows_of(language_of(request), parquet, kept[1], label, by, str(wanted or "")))

    def stopped(request: gr.Request) -> list[Any]:
        return [note(language_of(request), "stopped"), gr.Button(visible=False)]

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    job: dict[str, Any] = {"concurrency_limit": AT_ONCE, "concurrency_id": "tables", "trigger_mode": "once", **quiet}
    looked = [columns, column, date, progress]
    inputs = [file, pasted, model, column, date, kept]
    for event in (file.upload, file.clear):
        event(look, file, looked, concurrency_limit=LOOKED_AT_ONCE, **quiet)
    by_button = run.click(score, inputs, outputs, **job)
    loaded = sample.click(load_sample, None, file, **quiet)
    by_sample = loaded.then(look, file, looked, concurrency_limit=LOOKED_AT_ONCE, **quiet).then(
        score, inputs, outputs, api_name="score_sample", **job
    )
    stop.click(stopped, None, [progress, stop], cancels=[by_button, by_sample], **quiet)
    for event in (with_label.input, order.input, search.submit, search.blur):
        event(sorted_rows, [with_label, order, search, kept], [rows, rows_note], **quiet)


def _pasted(lines: str, work: Path) -> Upload:
    """Lines of text as a table with the column `text`."""
    sources.check_rows(lines.count("\n"), "pasted lines")
    return Upload(sources.pasted(lines, work), "text", None)
