"""A visitor's table through the model: read in a stream, counted, and written as CSV and Parquet."""

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from evenmood import EmotionClassifier, scored, tables
from evenmood.errors import DataError, UsageError
from space.answers import LONGEST_TEXT

LARGEST_FILE = 20_000_000
"""Bytes of an upload."""
MOST_ROWS = 200_000
MOST_COLUMNS = 200
CHUNK_ROWS = 500
"""Rows between two looks at the clock; also how long a visitor with one sentence waits behind a table."""
KINDS = {name: kind for name, kind in tables.FORMATS.items() if kind != "parquet"}
TEXT_COLUMNS = ("text", "comment", "tweet", "message", "review", "content", "body", "sentence")
DATE_COLUMNS = ("date", "time", "datetime", "timestamp", "created_at", "created", "day")
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell may not begin with where a spreadsheet opens the file (OWASP, "CSV injection")."""
HEAD_BYTES = 1_000_000
LOOKED_AT = 50
"""Rows from which columns are guessed."""


@dataclass(frozen=True)
class Source:
    """A table that can be read: its file in UTF-8, and how.

    Attributes:
        name: As the visitor calls it.
        rows: The first rows, to guess columns from.
        encoding: What the file was converted from; None where it was UTF-8.
    """

    path: Path
    name: str
    kind: str
    columns: list[str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    delimiter: str = ","
    encoding: str | None = None


@dataclass
class Tally:
    """What is counted while a table is read.

    Attributes:
        rows, cut: Rows, and texts of which only the beginning was read.
        bad, first_bad: Broken rows that were left out, and what was wrong with the first.
        given: Which labels each chunk's rows got: bool of shape (n, 28).
        dates: The date column's cells, as they are.
        done: Share of the input that has been read; None where unknown.
    """

    rows: int = 0
    cut: int = 0
    bad: int = 0
    first_bad: str = ""
    given: list[np.ndarray] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    done: float | None = 0.0
    seconds: float = 0.0

    @property
    def matrix(self) -> np.ndarray:
        """Which labels each row got: bool of shape (rows, 28)."""
        return np.concatenate(self.given)


def open_source(path: Path, name: str, work: Path) -> Source:
    """Find out what an upload is: its format by its name, its encoding and delimiter by what it holds.

    Args:
        path: The upload.
        name: What the visitor calls it.
        work: Folder for a converted copy.

    Raises:
        UsageError: Not a format that is taken, or a Parquet file.
        DataError: Not what its name says.
    """
    kind = KINDS.get(Path(name).suffix.lower())
    if Path(name).suffix.lower() == ".parquet":
        raise UsageError("Parquet files are not read here: save it as CSV, or use: evenmood predict FILE.parquet")
    if kind is None:
        raise UsageError(f"{name}: CSV, TSV and JSON Lines are read (.csv, .tsv, .jsonl), told by the file's name")
    if path.stat().st_size > LARGEST_FILE:
        raise UsageError(
            f"{name}: at most {LARGEST_FILE // 10**6} MB are taken; cut the file, or use: evenmood predict"
        )
    content = path.read_bytes()
    if not content.strip():
        raise DataError(f"{name}: empty")
    text, encoding = _decoded(content, name)
    if encoding:
        path = work / f"source{Path(name).suffix.lower()}"
        path.write_text(text, encoding="utf-8", newline="")
    if kind == "jsonl":
        check_rows(text.count("\n"), name)
        keys, first = _keys(text, name)
        return Source(path, name, kind, keys, first, encoding=encoding)
    line = text[:HEAD_BYTES].lstrip("\ufeff").splitlines()[0] if text else ""
    delimiter = "\t" if kind == "tsv" else max(",;\t", key=lambda sign: (line.count(sign), sign == ","))
    try:
        columns = next(csv.reader([line], delimiter=delimiter))
    except (csv.Error, StopIteration):
        raise DataError(f"{name}, line 1: not a line of column names") from None
    if len(columns) > MOST_COLUMNS or max(map(len, columns), default=0) > 1000:
        raise DataError(f"{name}: the first line must hold the columns' names, at most {MOST_COLUMNS} short ones")
    if text.count("\n") > MOST_ROWS:  # as many rows, or line breaks within cells
        check_rows(sum(1 for _ in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) - 1, name)
    cells = csv.reader(io.StringIO(text[:HEAD_BYTES], newline=""), delimiter=delimiter)
    first = [dict(zip(columns, row, strict=False)) for row in islice(cells, 1, LOOKED_AT)]
    return Source(path, name, kind, columns, first, delimiter, encoding)


def pasted(lines: str, work: Path) -> Source:
    """Lines of text as a table with the column `text`.

    Raises:
        UsageError: Too many characters.
    """
    if len(lines.encode("utf-8", "replace")) > LARGEST_FILE:
        raise UsageError(f"at most {LARGEST_FILE // 10**6} MB are taken")
    path = work / "pasted.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for line in lines.splitlines():
            if line.strip():
                file.write(json.dumps({"text": line.strip()}) + "\n")
    return Source(path, "pasted lines", "jsonl", ["text"])


def _decoded(content: bytes, name: str) -> tuple[str, str | None]:
    """The text, and the encoding that is named to the visitor; None for UTF-8."""
    if b"\0" in content[:HEAD_BYTES] and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{name}: not a text file, whatever its name says")
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "windows-1252"):
        try:
            return content.decode(encoding), None if encoding == "utf-8-sig" else encoding.upper().title()
        except UnicodeDecodeError:
            continue
    raise DataError(f"{name}: neither UTF-8 nor Windows-1252 text; save it as UTF-8")


def _keys(text: str, name: str) -> tuple[list[str], list[dict[str, Any]]]:
    """All keys of JSON Lines and the first rows; broken lines are told when the rows are read."""
    keys: dict[str, None] = {}
    first: list[dict[str, Any]] = []
    for line in text.splitlines():
        try:
            row = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            keys.update(dict.fromkeys(row))
            first += [row] if len(first) < LOOKED_AT else []
        if len(keys) > MOST_COLUMNS:
            raise DataError(f"{name}: more than {MOST_COLUMNS} different keys")
    if not keys:
        raise DataError(f"{name}: no line holds a JSON object")
    return list(keys), first


def text_column(source: Source) -> str:
    """The column that likely holds the texts: by its name, or else the one with the longest cells."""

    def length(column: str) -> int:
        return sum(len(row[column]) for row in source.rows if isinstance(row.get(column), str))

    return _named(source.columns, TEXT_COLUMNS) or max(source.columns, key=length)


def date_column(source: Source) -> str | None:
    """The column that likely holds dates, by its name or its first cells; None where there is none."""

    def dated(column: str) -> bool:
        return all(ISO_DATE.match(str(row.get(column, ""))) for row in source.rows)

    found = next((column for column in source.columns if source.rows and dated(column)), None)
    return _named(source.columns, DATE_COLUMNS) or found


def _named(columns: list[str], wanted: tuple[str, ...]) -> str | None:
    names = {column.strip().lower(): column for column in columns}
    exact = next((names[name] for name in wanted if name in names), None)
    return exact or next((column for name, column in names.items() if any(part in name for part in wanted)), None)


def score(source: Source, column: str, dates: str | None, classifier: EmotionClassifier, out: Path) -> Iterator[Tally]:
    """Write `emotions.csv` and `emotions.parquet` into `out`, with all columns of the table and the emotions' after.

    Every cell of the table stays as it is in the Parquet file, as text; in the CSV those that a spreadsheet would take
    for a formula begin with an apostrophe. Yields what has been counted, after every few hundred rows.

    Raises:
        DataError: The table cannot be read.
        UsageError: No such column, or too many rows.
    """
    import pyarrow

    names = [*source.columns, *scored.ADDED]
    taken = [name for name in scored.ADDED if name in source.columns]
    if taken:
        raise UsageError(f"{source.name}: has a column {taken[0]!r} already; rename or drop it first")
    schema = scored.schema_with(tables.Chunk(source.columns, []), "csv")
    tally, started = Tally(), time.monotonic()

    def skip(message: str) -> None:
        tally.first_bad = tally.first_bad or message.replace(str(source.path), source.name)
        tally.bad += 1

    try:
        with (
            tables.write_rows(str(out / "emotions.csv"), "csv", list(map(defused, names))) as write_csv,
            tables.write_rows(str(out / "emotions.parquet"), "parquet", names, schema) as write_parquet,
        ):
            chunks = tables.read_chunks(
                str(source.path), source.kind, column, skip, CHUNK_ROWS, delimiter=source.delimiter
            )
            for chunk in chunks:
                check_rows(tally.rows + tally.bad + len(chunk.rows), source.name)
                _score_chunk(chunk, source, column, classifier, write_csv, write_parquet, tally)
                if dates:
                    tally.dates += [str(row.get(dates, "")) for row in chunk.rows]
                tally.done, tally.seconds = chunk.done, time.monotonic() - started
                yield tally
    except (DataError, UsageError) as error:
        raise type(error)(str(error).replace(str(source.path), source.name)) from None
    except pyarrow.ArrowException as error:
        raise DataError(f"{source.name}: {str(error).splitlines()[0]}") from None
    if not tally.rows:
        raise DataError(f"{source.name}: no row could be read" + (f"; {tally.first_bad}" if tally.bad else ""))


def check_rows(rows: int, name: str) -> None:
    """Refuse more rows than are taken."""
    if rows > MOST_ROWS:
        raise UsageError(f"{name}: more than {MOST_ROWS:,} rows; cut it, or use: evenmood predict")


def _score_chunk(
    chunk: tables.Chunk,
    source: Source,
    column: str,
    classifier: EmotionClassifier,
    write_csv: Any,
    write_parquet: Any,
    tally: Tally,
) -> None:
    texts = [row[column] for row in chunk.rows]
    tally.cut += sum(len(text) > LONGEST_TEXT for text in texts)
    probabilities = classifier.predict_proba([text[:LONGEST_TEXT] for text in texts])
    predictions = classifier.decide(probabilities)
    rows = [{name: tables.cell(row.get(name)) for name in source.columns} for row in chunk.rows]
    write_parquet([row | scored.columns_of(one, flat=False) for row, one in zip(rows, predictions, strict=True)])
    write_csv(
        [
            {defused(name): defused(value) for name, value in (row | scored.columns_of(one, flat=True)).items()}
            for row, one in zip(rows, predictions, strict=True)
        ]
    )
    given = np.zeros((len(texts), len(classifier.labels)), bool)
    columns = {label: index for index, label in enumerate(classifier.labels)}
    for row_given, prediction in zip(given, predictions, strict=True):
        row_given[[columns[name] for name in prediction.names]] = True
    tally.given.append(given)
    tally.rows += len(texts)


def defused(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def timeline(tally: Tally, labels: tuple[str, ...], most: int = 5) -> Any:
    """Share of rows with each of the most frequent labels by hour, day, week or month.

    Returns:
        A table with the columns time, label, share and rows; None where fewer than two dates can be read.
    """
    import pandas as pd

    times = _times(pd.Series(tally.dates, dtype=str))
    known = times.notna().to_numpy()
    if known.sum() < 2 or times[known].nunique() < 2:
        return None
    span = times.max() - times.min()
    unit = "h" if span.days <= 2 else "D" if span.days <= 90 else "W" if span.days <= 730 else "M"
    given = tally.matrix[known]
    top = np.argsort(-given.sum(axis=0), kind="stable")[:most]
    table = pd.DataFrame(given[:, top], columns=[labels[index] for index in top])
    table["time"] = times[known].dt.to_period(unit).dt.start_time.to_numpy()
    groups = table.groupby("time")
    long = groups.mean().reset_index().melt("time", var_name="label", value_name="share")
    return long.merge(groups.size().rename("rows").reset_index(), on="time")


def _times(cells: Any) -> Any:
    """Dates of cells, UTC without a zone; missing where a cell holds none."""
    import warnings

    import pandas as pd

    numbers = pd.to_numeric(cells, errors="coerce")
    if numbers.notna().mean() > 0.5:  # seconds or milliseconds since 1970; a year alone is neither
        years = numbers.between(1000, 3000).mean() > 0.5
        if not years:
            seconds = numbers.where(numbers.between(0, 1e14)) / (1000 if numbers.median() > 1e11 else 1)
            return pd.to_datetime(seconds, unit="s", errors="coerce")
    best = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "could not infer format": then the next way is tried
        for form in ("ISO8601", None):
            read = pd.to_datetime(cells, errors="coerce", utc=True, format=form).dt.tz_localize(None)
            best = read if best is None or read.notna().sum() > best.notna().sum() else best
    return best


def co_occurrence(tally: Tally) -> np.ndarray:
    """Rows that carry both labels, int of shape (28, 28); on the diagonal, the rows of each label."""
    given = tally.matrix.astype(np.int32)
    counts: np.ndarray = given.T @ given
    return counts
