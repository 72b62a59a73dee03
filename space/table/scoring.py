"""Score a visitor's table in a worker process: read as a stream, written as CSV, Parquet and HTML report.

A separate process keeps the page responsive, and releases its memory when it ends.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from evenmood import EmotionClassifier, __version__
from evenmood.errors import DataError, UsageError
from evenmood.model.loading import BUNDLED
from evenmood.report.counts import ScoredTexts, StreamCounts
from evenmood.report.page import ReportMetadata
from evenmood.report.write import render_report
from evenmood.tables import emotion_columns
from evenmood.tables import streams as tables
from evenmood.tables.chunk import Chunk, JsonRow
from space.components.predictions import MAX_TEXT_CHARS
from space.table import worker
from space.table.formulas import escape_formula
from space.table.sources import Source, check_rows

CHUNK_ROWS = 1000
"""Rows per chunk; progress is checked after each chunk."""
PROGRESS_INTERVAL = 0.5
"""Minimum seconds between two progress reports."""
CSV_FILE, PARQUET_FILE, REPORT_FILE = "emotions.csv", "emotions.parquet", "report.html"


@dataclass
class Progress:
    """Progress of scoring a table.

    Attributes:
        rows: Scored rows.
        truncated: Rows with truncated texts.
        missing: Rows without text.
        fallbacks: Rows in which no label reaches its threshold.
        bad: Malformed rows, which are skipped.
        first_bad: Error of the first invalid row.
        share_read: Share of the input read so far, 0 to 1; None if unknown.
        seconds: Seconds since the model was loaded.
    """

    rows: int = 0
    truncated: int = 0
    missing: int = 0
    fallbacks: int = 0
    bad: int = 0
    first_bad: str = ""
    share_read: float | None = 0.0
    seconds: float = 0.0


def score_in_process(
    source: Source, column: str, model: Path, out: Path, dates: str | None = None
) -> Generator[Progress, None, None]:
    """Run `score` in a worker process; closing the iterator ends the worker.

    Args:
        source: The table.
        column: Text column.
        model: Folder of the model.
        out: Folder to write to.
        dates: Date column, for the report's timeline.

    Raises:
        DataError: The table cannot be read.
        UsageError: The column is missing, or there are too many rows.
    """
    fields = vars(source) | {"path": str(source.path), "rows": []}
    job = {"source": fields, "column": column, "model": str(model), "out": str(out), "dates": dates}
    job["name"] = source.name
    reports = worker.run("space.table.scoring", job, source.name)
    with closing(reports):
        for report in reports:
            yield Progress(**report)


def _score(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run a job, and yield progress reports."""
    source = Source(**job["source"] | {"path": Path(job["source"]["path"])})
    last_report, reported_rows = 0.0, 0
    progress = Progress()
    classifier = EmotionClassifier(Path(job["model"]))
    for progress in score(source, job["column"], classifier, Path(job["out"]), job["dates"]):
        if time.monotonic() - last_report > PROGRESS_INTERVAL:
            last_report, reported_rows = time.monotonic(), progress.rows
            yield asdict(progress)
    if progress.rows > reported_rows:
        yield asdict(progress)


def score(
    source: Source, column: str, classifier: EmotionClassifier, out: Path, dates: str | None = None
) -> Iterator[Progress]:
    """Write `emotions.csv`, `emotions.parquet` and `report.html` to `out`, and yield the progress after each chunk.

    The output columns are those of the table, followed by the emotions. The Parquet file has all cells unchanged, as
    strings; in the CSV, cells that a spreadsheet would run as a formula start with an apostrophe. The report is that of
    `evenmood report`, with a timeline if there are `dates`.

    Raises:
        DataError: The table cannot be read.
        UsageError: The column is missing, or there are too many rows.
    """
    import pyarrow

    names = [*source.columns, *emotion_columns.PREDICTION_COLUMNS]
    conflicts = [name for name in emotion_columns.PREDICTION_COLUMNS if name in source.columns]
    if conflicts:
        raise UsageError(f"{source.name} already has a column {conflicts[0]!r}; rename or remove it")
    schema = emotion_columns.schema_with(Chunk(source.columns, []), "csv")
    progress, started = Progress(), time.monotonic()
    counts = StreamCounts(list(classifier.labels), list(classifier.thresholds.values()))

    def skip(message: str) -> None:
        progress.first_bad = progress.first_bad or message.replace(str(source.path), source.name)
        progress.bad += 1

    try:
        with (
            tables.write_rows(str(out / CSV_FILE), "csv", list(map(escape_formula, names))) as write_csv,
            tables.write_rows(str(out / PARQUET_FILE), "parquet", names, schema) as write_parquet,
        ):
            chunks = tables.read_chunks(
                str(source.path), source.kind, column, skip, CHUNK_ROWS, delimiter=source.delimiter, allow_null=True
            )
            for chunk in chunks:
                check_rows(progress.rows + progress.bad + len(chunk.rows), source.name)
                scored_texts = _score_chunk(chunk, source, column, classifier, write_csv, write_parquet, progress)
                times = [row.get(dates) for row in chunk.rows] if dates in source.columns else None
                counts.add(replace(scored_texts, times=times))
                progress.share_read, progress.seconds = chunk.share_read, time.monotonic() - started
                yield progress
    except (DataError, UsageError) as error:
        raise type(error)(str(error).replace(str(source.path), source.name)) from None
    except pyarrow.ArrowException as error:
        raise DataError(f"{source.name}: {str(error).splitlines()[0]}") from None
    name = next((name for name, folder in BUNDLED.items() if folder == classifier.folder.name), classifier.folder.name)
    about = ReportMetadata(source.name, name, __version__, column, day=date.today(), metrics=classifier.info.metrics)
    (out / REPORT_FILE).write_text(render_report(counts, about)[1], encoding="utf-8")
    if not progress.rows:
        problem = f"; the first problem: {progress.first_bad}" if progress.bad else ""
        raise DataError(f"{source.name}: no row could be read{problem}")


def _score_chunk(
    chunk: Chunk,
    source: Source,
    column: str,
    classifier: EmotionClassifier,
    write_csv: Any,
    write_parquet: Any,
    progress: Progress,
) -> ScoredTexts:
    texts = [row[column] for row in chunk.rows]
    if source.kind != "jsonl":  # in formats without null, an empty cell is a missing text, as in `evenmood predict`
        texts = [text or None for text in texts]
    progress.truncated += sum(len(text or "") > MAX_TEXT_CHARS for text in texts)
    progress.missing += texts.count(None)
    texts = [text and text[:MAX_TEXT_CHARS] for text in texts]
    output = classifier.read(texts)
    predictions = classifier.apply_thresholds(output.probabilities)
    progress.fallbacks += sum(prediction.fallback for prediction in predictions)
    cells = [row.cells() if isinstance(row, JsonRow) else row for row in chunk.rows]
    rows = [{name: tables.cell(row.get(name)) for name in source.columns} for row in cells]
    pairs = list(zip(rows, predictions, strict=True))
    write_parquet([row | emotion_columns.prediction_values(prediction, join_lists=False) for row, prediction in pairs])
    write_csv(
        [
            {
                escape_formula(name): escape_formula(value)
                for name, value in (row | emotion_columns.prediction_values(prediction, join_lists=True)).items()
            }
            for row, prediction in pairs
        ]
    )
    progress.rows += len(texts)
    return ScoredTexts(texts, output.probabilities, output.windows)


if __name__ == "__main__":
    worker.serve(_score)
