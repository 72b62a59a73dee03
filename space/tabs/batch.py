"""Tab Batch: upload, paste or try a sample table; progress, charts, rows and downloads."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from space.components import samples
from space.components.errors import convert_page_errors, page_error
from space.components.labels import NOTE, note
from space.components.texts import label_choices, language_of, localize, translate
from space.server.models import Models
from space.server.storage import RETENTION_SECONDS, Storage, visitor_of
from space.table import scoring, sources
from space.table.results import FILE_ORDER, ORDERS, build_results, progress_bar, progress_html, rows_html
from space.table.uploads import Upload, inspect_upload

CONCURRENCY_LIMIT = 1
"""Number of tables scored at the same time; others wait in the queue, while single texts are processed."""
INSPECTION_CONCURRENCY_LIMIT = 2
"""Number of uploads inspected at the same time."""


def tab(models: Models, storage: Storage, model: gr.Dropdown) -> None:
    """Create the tab; `storage` stores the results, and `model` is the dropdown with the current model."""

    def remove_result(result: list[str]) -> None:
        """Remove a replaced or expired result."""
        if result:
            storage.remove(Path(result[0]))

    with gr.Row(elem_classes="sides"):
        with gr.Column(min_width=280, elem_classes="side"):
            file = gr.File(label=localize("file"), file_types=[*sources.KINDS], elem_id="batch-file", height=150)
            gr.HTML(NOTE.format(localize("file_limits")), padding=False)
        with gr.Column(min_width=280, elem_classes="side"):
            pasted = gr.Textbox(label=localize("pasted"), lines=5, max_lines=8, elem_id="batch-pasted", buttons=[])
    with gr.Row(visible=False, elem_id="batch-columns") as columns:
        # Allow custom values, because expired sessions have only the initial choices, not those of the upload.
        custom: dict[str, Any] = {"allow_custom_value": True}
        column = gr.Dropdown([], label=localize("column"), elem_id="batch-column", **custom)
        no_dates = [(localize("no_dates"), "")]
        date = gr.Dropdown(no_dates, value="", label=localize("date_column"), elem_id="batch-date", **custom)
    with gr.Row(elem_classes="actions"):
        run = gr.Button(localize("run"), variant="primary", elem_classes="go", elem_id="batch-run")
        sample = gr.Button(localize("sample_table"), elem_id="batch-sample")
        stop = gr.Button(localize("stop"), visible=False, elem_id="batch-stop")
    progress = gr.HTML(elem_id="batch-progress")
    with gr.Column(visible=False, elem_id="batch-results", elem_classes="card") as results:
        with gr.Row(elem_classes="downloads"):
            as_report = gr.DownloadButton(localize("download_report"), elem_id="batch-report", size="sm")
            as_csv = gr.DownloadButton(localize("download_csv"), elem_id="batch-csv", size="sm")
            as_parquet = gr.DownloadButton(localize("download_parquet"), elem_id="batch-parquet", size="sm")
        gr.HTML(NOTE.format(localize("download_note")), padding=False)
        distribution = gr.HTML(elem_id="batch-distribution")
        timeline = gr.HTML(elem_id="batch-timeline")
        heat = gr.HTML(elem_id="batch-heat")
        gr.Markdown(f"## {localize('table')}")
        choices = [(localize("all_labels"), ""), *label_choices(models.default.labels)]
        with gr.Row():
            with_label = gr.Dropdown(choices, value="", label=localize("show_label"), elem_id="batch-label")
            orders = [(localize(f"sort_{by}"), by) for by in ORDERS]
            order = gr.Dropdown(orders, value=FILE_ORDER, label=localize("sort"), elem_id="batch-order")
            search = gr.Textbox(label=localize("search"), elem_id="batch-search", max_lines=1)
        rows = gr.HTML(elem_id="batch-rows")
        rows_note = gr.HTML()
    result = gr.State([], time_to_live=RETENTION_SECONDS, delete_callback=remove_result)
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
        result,
    ]

    def inspect(path: str | None, request: gr.Request) -> list[Any]:
        """List an upload's columns, and select those that probably contain texts and dates."""
        language = language_of(request)
        no_dates = (translate(language, "no_dates"), "")
        if not path:
            return [gr.Row(visible=False), gr.Dropdown([], value=None), gr.Dropdown([no_dates], value=""), ""]
        with convert_page_errors(), storage.in_use(Path(path)), tempfile.TemporaryDirectory() as work_folder:
            upload = inspect_upload(Path(path), Path(path).name, Path(work_folder))
        source = upload.source
        dates = [no_dates, *((name, name) for name in source.columns)]
        names = ", ".join(source.columns[:20]) + (" …" if len(source.columns) > 20 else "")
        return [
            gr.Row(visible=True),
            gr.Dropdown(source.columns, value=upload.text_column),
            gr.Dropdown(dates, value=upload.date_column or ""),
            note(language, "batch_ready", name=source.name, columns=names),
        ]

    def load_sample() -> str:
        return str(samples.TABLE)

    def score(
        path: str | None, lines: str, name: str, texts: str | None, dates: str, previous: list[str], request: gr.Request
    ) -> Iterator[list[Any]]:
        language = language_of(request)
        unchanged = [gr.skip()] * (len(outputs) - 3)
        if not path and not str(lines or "").strip():
            raise page_error(translate(language, "batch_empty"))
        work_folder = storage.new_folder(visitor_of(request.client.host if request.client else None, request.headers))
        complete = False
        try:
            with convert_page_errors(), storage.in_use(work_folder, Path(path) if path else None):
                waiting = progress_bar(0.0, translate(language, "batch_waiting"))
                yield [waiting, gr.Column(visible=False), gr.Button(visible=True), *unchanged]
                remove_result(previous)
                classifier = models.get(name)
                upload = (
                    inspect_upload(Path(path), Path(path).name, work_folder)
                    if path
                    else _store_pasted_text(lines, work_folder)
                )
                source = upload.source
                text_column = texts if path and texts else upload.text_column
                date_column = dates if path else ""
                progress = scoring.Progress()
                for progress in scoring.score_in_process(
                    source, text_column, classifier.folder, work_folder, date_column or None
                ):
                    yield [progress_html(language, progress), gr.skip(), gr.skip(), *unchanged]
                html = build_results(language, classifier, source, date_column, progress, work_folder)
                table = rows_html(language, work_folder / scoring.PARQUET_FILE, text_column)
            complete = True
            storage.clean()
            yield [
                html.summary,
                gr.Column(visible=True),
                gr.Button(visible=False),
                gr.DownloadButton(value=work_folder / scoring.REPORT_FILE),
                gr.DownloadButton(value=work_folder / scoring.CSV_FILE),
                gr.DownloadButton(value=work_folder / scoring.PARQUET_FILE),
                gr.Dropdown(value=""),
                gr.Dropdown(value=FILE_ORDER),
                "",
                *table,
                html.distribution,
                html.timeline,
                html.co_occurrence,
                [str(work_folder), text_column],
            ]
        except gr.Error:
            yield ["", gr.skip(), gr.Button(visible=False), *unchanged]  # removes the progress bar
            raise
        finally:
            if not complete:
                storage.remove(work_folder)

    def sorted_rows(label: str, by: str, query: str, result: list[str], request: gr.Request) -> list[Any]:
        """Filter and sort the rows of the last table."""
        if not result:
            return [gr.skip(), gr.skip()]
        parquet = Path(result[0]) / scoring.PARQUET_FILE
        if not parquet.is_file():
            raise page_error(translate(language_of(request), "batch_expired"))
        return list(rows_html(language_of(request), parquet, result[1], label, by, str(query or "")))

    def stopped(request: gr.Request) -> list[Any]:
        return [note(language_of(request), "stopped"), gr.Button(visible=False)]

    hidden_event: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    job: dict[str, Any] = {
        "concurrency_limit": CONCURRENCY_LIMIT,
        "concurrency_id": "tables",
        "trigger_mode": "once",
        **hidden_event,
    }
    upload_outputs = [columns, column, date, progress]
    inputs = [file, pasted, model, column, date, result]
    for event in (file.upload, file.clear):
        event(inspect, file, upload_outputs, concurrency_limit=INSPECTION_CONCURRENCY_LIMIT, **hidden_event)
    by_button = run.click(score, inputs, outputs, **job)
    sample_loaded = sample.click(load_sample, None, file, **hidden_event)
    by_sample = sample_loaded.then(
        inspect, file, upload_outputs, concurrency_limit=INSPECTION_CONCURRENCY_LIMIT, **hidden_event
    ).then(score, inputs, outputs, api_name="score_sample", **job)
    stop.click(stopped, None, [progress, stop], cancels=[by_button, by_sample], **hidden_event)
    for event in (with_label.input, order.input, search.submit, search.blur):
        event(sorted_rows, [with_label, order, search, result], [rows, rows_note], **hidden_event)


def _store_pasted_text(lines: str, work_folder: Path) -> Upload:
    """Convert pasted lines to an upload with the column `text`."""
    sources.check_rows(lines.count("\n"), "pasted lines")
    return Upload(sources.open_pasted_text(lines, work_folder), "text", None)
