"""A visitor's table through the model, in a process of its own: read in a stream, counted, written as CSV and Parquet.

A process of its own leaves the page's to those who ask for a sentence, and takes its memory along when it ends.
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
from evenmood.report.page import About
from evenmood.report.write import finished
from evenmood.tables import scored
from evenmood.tables import streams as tables
from evenmood.tables.chunk import Chunk, JsonRow
from space.components.answers import LONGEST_TEXT
from space.table import apart
from space.table.formulas import defused
from space.table.sources import Source, check_rows

CHUNK_ROWS = 1000
"""Rows between two looks at the clock."""
EVERY_SECONDS = 0.5
"""Between two lines of progress."""
CSV_FILE, PARQUET_FILE, REPORT_FILE = "emotions.csv", "emotions.parquet", "report.html"


@dataclass
class Progress:
    """How far a table is.

    Attributes:
        rows, cut, missing: Rows; texts of which only the beginning was read; rows without a text.
        fallbacks: Rows in which no label reaches its threshold.
        bad, first_bad: Broken rows that were left out, and what was wrong with the first.
        done: Share of the input that has been read; None where unknown.
        seconds: Since the model was loaded.
    """

    rows: int = 0
    cut: int = 0
    missing: int = 0
    fallbacks: int = 0
    bad: int = 0
    first_bad: str = ""
    done: float | None = 0.0
    seconds: float = 0.0


def score_apart(
    source: Source, column: str, model: Path, out: Path, dates: str | None = None
) -> Generator[Progress, None, None]:
    """`score` in a process of its own, which ends when this iterator is closed.

    Args:
        source: The table.
        column: Where its texts are.
        model: Folder of the model.
        out: Folder to write to.
        dates: Column of dates, for the report's timeline.

    Raises:
        DataError: The table cannot be read.
        UsageError: No such column, or too many rows.
    """
    given = vars(source) | {"path": str(source.path), "rows": []}
    order = {"source": given, "column": column, "model": str(model), "out": str(out), "dates": dates}
    order["name"] = source.name
    reports = apart.run("space.table.scoring", order, source.name)
    with closing(reports):
        for report in reports:
            yield Progress(**report)


def _score(order: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Score the table that is ordered, and report now and then."""
    source = Source(**order["source"] | {"path": Path(order["source"]["path"])})
    told_at, told_rows = 0.0, 0
    progress = Progress()
    classifier = EmotionClassifier(Path(order["model"]))
    for progress in score(source, order["column"], classifier, Path(order["out"]), order["dates"]):
        if time.monotonic() - told_at > EVERY_SECONDS:
            told_at, told_rows = time.monotonic(), progress.rows
            yield asdict(progress)
    if progress.rows > told_rows:
        yield asdict(progress)


def score(
    source: Source, column: str, classifier: EmotionClassifier, out: Path, dates: str | None = None
) -> Iterator[Progress]:
    """Write `emotions.csv` and `emotions.parquet` into `out`, with all columns of the table and the emotions' after.

    `report.html` is the report of `evenmood report`; with a column of `dates` it has a timeline.

    Every cell of the table stays as it is in the Parquet file, as text; in the CSV those that a spreadsheet would take
    for a formula begin with an apostrophe. Yields how far it is, after every thousand rows.

    Raises:
        DataError: The table cannot be read.
        UsageError: No such column, or too many rows.
    """
    import pyarrow

    names = [*source.columns, *scored.ADDED]
    taken = [name for name in scored.ADDED if name in source.columns]
    if taken:
        raise UsageError(f"{source.name}: has a column {taken[0]!r} already; rename or drop it first")
    schema = scored.schema_with(Chunk(source.columns, []), "csv")
    progress, started = Progress(), time.monotonic()
    counts = StreamCounts(list(classifier.labels), list(classifier.thresholds.values()))

    def skip(message: str) -> None:
        progress.first_bad = progress.first_bad or message.replace(str(source.path), source.name)
        progress.bad += 1

    try:
        with (
            tables.write_rows(str(out / CSV_FILE), "csv", list(map(defused, names))) as write_csv,
            tables.write_rows(str(out / PARQUET_FILE), "parquet", names, schema) as write_parquet,
        ):
            chunks = tables.read_chunks(
                str(source.path), source.kind, column, skip, CHUNK_ROWS, delimiter=source.delimiter, allow_null=True
            )
            for chunk in chunks:
                check_rows(progress.rows + progress.bad + len(chunk.rows), source.name)
                found = _score_chunk(chunk, source, column, classifier, write_csv, write_parquet, progress)
                times = [row.get(dates) for row in chunk.rows] if dates in source.columns else None
                counts.add(replace(found, times=times))
                progress.done, progress.seconds = chunk.done, time.monotonic() - started
                yield progress
    except (DataError, UsageError) as error:
        raise type(error)(str(error).replace(str(source.path), source.name)) from None
    except pyarrow.ArrowException as error:
        raise DataError(f"{source.name}: {str(error).splitlines()[0]}") from None
    name = next((name for name, folder in BUNDLED.items() if folder == classifier.folder.name), classifier.folder.name)
    about = About(source.name, name, __version__, column, day=date.today(), metrics=classifier.info.metrics)
    (out / REPORT_FILE).write_text(finished(counts, about)[1], encoding="utf-8")
    if not progress.rows:
        raise DataError(f"{source.name}: no row could be read" + (f"; {progress.first_bad}" if progress.bad else ""))


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
    if source.kind != "jsonl":  # which has null; elsewhere an empty cell is a missing text, as in `evenmood predict`
        texts = [text or None for text in texts]
    progress.cut += sum(len(text or "") > LONGEST_TEXT for text in texts)
    progress.missing += texts.count(None)
    texts = [text and text[:LONGEST_TEXT] for text in texts]
    read = classifier.read(texts)
    predictions = classifier.apply_thresholds(read.probabilities)
    progress.fallbacks += sum(prediction.fallback for prediction in predictions)
    cells = [row.cells() if isinstance(row, JsonRow) else row for row in chunk.rows]
    rows = [{name: tables.cell(row.get(name)) for name in source.columns} for row in cells]
    write_parquet([row | scored.columns_of(one, flat=False) for row, one in zip(rows, predictions, strict=True)])
    write_csv(
        [
            {defused(name): defused(value) for name, value in (row | scored.columns_of(one, flat=True)).items()}
            for row, one in zip(rows, predictions, strict=True)
        ]
    )
    progress.rows += len(texts)
    return ScoredTexts(texts, read.probabilities, read.windows)


if __name__ == "__main__":
    apart.serve(_score)
