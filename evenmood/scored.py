"""Tables with emotions: the columns that are added to the rows of a table, by the command and by the demo."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from evenmood import parquet_tables, tables
from evenmood.chunk import JsonRow
from evenmood.errors import UsageError
from evenmood.prediction import Prediction

if TYPE_CHECKING:
    from evenmood.chunk import Chunk
    from evenmood.classifier import EmotionClassifier

PREFIX = "emotion_"
"""What the names of added columns begin with."""
ADDED = tuple(f"{PREFIX}{name}" for name in ("labels", "probabilities", "fallback"))
"""The columns that are always added."""


def columns_of(prediction: Prediction, flat: bool) -> dict[str, Any]:
    """What a row gets in the columns `ADDED`; `flat` joins lists with semicolons, for formats that have none."""
    numbers = [round(score.probability, 4) for score in prediction.labels]
    labels: Any = ";".join(prediction.names) if flat else prediction.names
    return dict(
        zip(ADDED, (labels, ";".join(map(str, numbers)) if flat else numbers, prediction.fallback), strict=True)
    )


def with_emotions(
    classifier: "EmotionClassifier",
    rows: list[dict[str, Any]],
    texts: list[str],
    chosen: list[str],
    proba: bool,
    flat: bool,
) -> tuple[list[dict[str, Any]], int]:
    """The rows with the added columns, and how many texts were read in windows; `flat` gives text, without lists."""
    more, long_texts = emotions_of(classifier, texts, chosen, proba, flat)
    whole = [
        (row.cells() if flat and isinstance(row, JsonRow) else row) | added
        for row, added in zip(rows, more, strict=True)
    ]
    return whole, long_texts


@dataclass(frozen=True)
class Written:
    """What has been written of a table since the last time.

    Attributes:
        rows: Rows.
        done: Share of the input that has been read; None where its size is unknown.
        long_texts: Texts longer than the model reads at once, which were read in windows.
    """

    rows: int
    done: float | None
    long_texts: int


def emotions_of(
    classifier: "EmotionClassifier", texts: list[str], chosen: list[str], proba: bool, flat: bool
) -> tuple[list[dict[str, Any]], int]:
    """The added columns of each text, and how many texts were read in windows.

    If `chosen` is a subset of the labels and none of them reaches its threshold, the result is empty: a fallback
    chosen from a subset would be meaningless.

    Args:
        classifier: Predicts.
        texts: n texts.
        chosen: Labels to choose from.
        proba: Whether each label's probability is added too.
        flat: Join lists with semicolons, for formats that have none.
    """
    columns = [classifier.labels.index(label) for label in chosen]
    read = classifier.read(texts)
    results = []
    for values, prediction in zip(
        read.probabilities[:, columns].tolist(), classifier.decide(read.probabilities, only=chosen), strict=True
    ):
        if prediction.fallback and len(chosen) < len(classifier.labels):
            prediction = Prediction((), fallback=False)
        more = columns_of(prediction, flat)
        if proba:
            more |= {f"{PREFIX}{label}": round(value, 4) for label, value in zip(chosen, values, strict=True)}
        results.append(more)
    return results, int((read.windows > 1).sum())


def arrow_with_emotions(
    classifier: "EmotionClassifier", table: Any, column: str, chosen: list[str], proba: bool
) -> tuple[Any, int]:
    """An Arrow table with the added columns, all others as they are; a row without a text has nulls in them.

    Also gives how many texts were read in windows.
    """
    import pyarrow

    texts = table[column].to_pylist()
    given = [text for text in texts if text is not None]
    answers, long_texts = emotions_of(classifier, given, chosen, proba, flat=False)
    found = iter(answers)
    more = [next(found) if text is not None else {} for text in texts]
    for name in added_names(chosen, proba):
        values = pyarrow.array([row.get(name) for row in more], _arrow_type(name))
        table = table.append_column(name, values)
    return table, long_texts


def check_free(source: str, columns: Sequence[str], added: Sequence[str]) -> None:
    """Raise `UsageError` for a table that has one of the added columns already."""
    taken = [name for name in added if name in columns]
    if taken:
        raise UsageError(f"{source}: has a column {taken[0]!r} already; rename or drop it first")


def schema_with(chunk: "Chunk", kind: str, added: Sequence[str] = ADDED) -> Any:
    """The Parquet schema with the added columns; None, for JSON Lines, lets the writer find it from the rows."""
    import pyarrow

    if kind == "jsonl":
        return None
    schema = chunk.schema or pyarrow.schema([(name, pyarrow.string()) for name in chunk.columns])
    for name in added:
        schema = schema.append(pyarrow.field(name, _arrow_type(name)))
    return schema


def _arrow_type(name: str) -> Any:
    """Arrow type of an added column."""
    import pyarrow

    kinds = (pyarrow.list_(pyarrow.string()), pyarrow.list_(pyarrow.float64()), pyarrow.bool_())
    return dict(zip(ADDED, kinds, strict=True)).get(name, pyarrow.float64())


@dataclass(frozen=True)
class TableJob:
    """A table to add emotions to.

    Attributes:
        source: File to read, or `-`.
        source_format: As in `tables.read_chunks`.
        target: File to write, or `-`.
        target_format: As in `tables.write_rows`.
        column: Column that holds the texts.
        chosen: Labels to choose from.
        proba: Whether each label's probability is added too.
        on_bad: As in `tables.read_chunks`.
        overwrite: Replace a file that exists.
    """

    source: str
    source_format: str
    target: str
    target_format: str
    column: str
    chosen: list[str]
    proba: bool
    on_bad: Callable[[str], None]
    overwrite: bool

    @property
    def added(self) -> list[str]:
        """Names of the added columns."""
        return added_names(self.chosen, self.proba)


def predict_table(classifier: "EmotionClassifier", job: TableJob) -> Iterator[Written]:
    """Read a table, add the emotions and write it, in a stream; yields what has been written, chunk by chunk.

    From Parquet to Parquet the columns stay Arrow's, so that no type and no value changes.
    """
    both_parquet = job.source_format == job.target_format == "parquet"
    return (_predict_arrow if both_parquet else _predict_rows)(classifier, job)


def _predict_rows(classifier: "EmotionClassifier", job: TableJob) -> Iterator[Written]:
    flat = job.target_format in ("csv", "tsv")
    with ExitStack() as stack:
        write = None
        for chunk in tables.read_chunks(job.source, job.source_format, job.column, job.on_bad):
            check_free(job.source, chunk.columns, job.added)
            if write is None:
                schema = schema_with(chunk, job.source_format, job.added) if job.target_format == "parquet" else None
                names = [*chunk.columns, *job.added]
                write = stack.enter_context(
                    tables.write_rows(job.target, job.target_format, names, schema, job.overwrite, last=job.added)
                )
            texts = [row[job.column] for row in chunk.rows]
            if job.source_format == job.target_format == "jsonl":
                more, long_texts = emotions_of(classifier, texts, job.chosen, job.proba, flat)
                lines = cast(list[JsonRow], chunk.rows)
                write([JsonRow({}, row.extended(one)) for row, one in zip(lines, more, strict=True)])
            else:
                rows, long_texts = with_emotions(classifier, chunk.rows, texts, job.chosen, job.proba, flat)
                write(rows)
            yield Written(len(chunk.rows), chunk.done, long_texts)


def _predict_arrow(classifier: "EmotionClassifier", job: TableJob) -> Iterator[Written]:
    from pyarrow import parquet

    with ExitStack() as stack:
        file = stack.enter_context(tables.open_seekable(job.source))
        writer = None
        size = parquet_tables.GROUP_ROWS
        for table, done in parquet_tables.read_tables(job.source, file, job.column, job.on_bad, size):
            check_free(job.source, table.schema.names, job.added)
            result, long_texts = arrow_with_emotions(classifier, table, job.column, job.chosen, job.proba)
            if writer is None:
                output = stack.enter_context(tables.whole_file(job.target, job.overwrite))
                writer = stack.enter_context(parquet.ParquetWriter(output, result.schema))
            writer.write_table(result)
            yield Written(len(table), done, long_texts)


def added_names(chosen: Sequence[str], proba: bool) -> list[str]:
    """Names of the added columns."""
    return [*ADDED, *(f"{PREFIX}{label}" for label in chosen if proba)]
