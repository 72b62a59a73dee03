"""Add emotion columns to tables, for the command line and the demo."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from evenmood.errors import UsageError
from evenmood.inputs import is_missing
from evenmood.prediction import Prediction
from evenmood.tables import excel_tables, parquet_tables
from evenmood.tables import streams as tables
from evenmood.tables.chunk import JsonRow, Row, check_column, replace_name_surrogates
from evenmood.tables.table_files import atomic_file, open_seekable
from evenmood.tables.text_format import TextFormat, override_format

if TYPE_CHECKING:
    from evenmood.classifier import EmotionClassifier
    from evenmood.tables.chunk import Chunk

PREFIX = "emotion_"
"""Prefix of the names of output columns."""
PREDICTION_COLUMNS = ("emotions", f"{PREFIX}probabilities", f"{PREFIX}fallback")
"""Output columns that are always written."""


def prediction_values(prediction: Prediction, join_lists: bool) -> dict[str, Any]:
    """Return the values of `PREDICTION_COLUMNS` for a prediction; all are None for a missing text.

    Args:
        prediction: Prediction of a row.
        join_lists: Whether to join lists with semicolons, for formats without lists.
    """
    if prediction.missing:
        return dict.fromkeys(PREDICTION_COLUMNS)
    numbers = [round(score.probability, 4) for score in prediction.scores]
    labels: Any = ";".join(prediction.labels) if join_lists else prediction.labels
    return dict(
        zip(
            PREDICTION_COLUMNS,
            (labels, ";".join(map(str, numbers)) if join_lists else numbers, prediction.fallback),
            strict=True,
        )
    )


@dataclass(frozen=True)
class OutputRows:
    """Output columns of a batch of texts.

    Attributes:
        rows: Output columns of each text by name; the values are None for a missing text.
        long_texts: Number of texts that were split into windows.
        missing: Number of missing texts.
    """

    rows: list[dict[str, Any]]
    long_texts: int
    missing: int


@dataclass(frozen=True)
class ChunkProgress:
    """Progress after writing a chunk of a table.

    Attributes:
        rows: Number of rows in the chunk.
        share_read: Share of the input read so far; None if its size is unknown.
        long_texts: Number of texts that were split into windows.
        missing: Number of rows without a text.
        text_format: Encoding and layout of the input; only for text formats.
    """

    rows: int
    share_read: float | None
    long_texts: int
    missing: int
    text_format: TextFormat | None = None


def predict_columns(
    classifier: "EmotionClassifier",
    texts: Sequence[str | None],
    selected_labels: list[str],
    proba: bool,
    join_lists: bool,
    show_progress_bar: bool = False,
) -> OutputRows:
    """Predict the output columns of texts.

    If `selected_labels` is a subset of the labels and none of them reaches its threshold, the labels are empty: the
    most probable label of a subset would be meaningless as a fallback.

    Args:
        classifier: The classifier.
        texts: n texts; None for a missing text.
        selected_labels: Labels to predict.
        proba: Whether to add the probability of each label.
        join_lists: Whether to join lists with semicolons, for formats without lists.
        show_progress_bar: As in `EmotionClassifier.predict`.
    """
    columns = [classifier.labels.index(label) for label in selected_labels]
    network_output = classifier.read(texts, show_progress_bar)
    rows = []
    predictions = classifier.apply_thresholds(network_output.probabilities, only=selected_labels)
    for values, prediction in zip(network_output.probabilities[:, columns].tolist(), predictions, strict=True):
        if prediction.fallback and len(selected_labels) < len(classifier.labels):
            prediction = Prediction((), fallback=False)
        row = prediction_values(prediction, join_lists)
        if proba:
            rounded_values = [None if prediction.missing else round(value, 4) for value in values]
            row |= {f"{PREFIX}{label}": value for label, value in zip(selected_labels, rounded_values, strict=True)}
        rows.append(row)
    return OutputRows(rows, int((network_output.windows > 1).sum()), int((network_output.windows == 0).sum()))


def arrow_with_emotions(
    classifier: "EmotionClassifier",
    table: Any,
    column: str,
    selected_labels: list[str],
    proba: bool,
    input_columns: Sequence[str] | None = None,
) -> tuple[Any, OutputRows]:
    """Add the output columns to an Arrow table; they are null in rows without a text.

    `input_columns` are the input columns to write; by default, all of them.
    """
    import pyarrow

    texts = [None if is_missing(text) else text for text in table[column].to_pylist()]
    output = predict_columns(classifier, texts, selected_labels, proba, join_lists=False)
    if input_columns is not None:
        table = table.select(input_columns)
    for name in output_columns_of(selected_labels, proba):
        values = pyarrow.array([row[name] for row in output.rows], _arrow_type(name))
        table = table.append_column(name, values)
    return table, output


def check_no_conflict(source: str, columns: Sequence[str], output_columns: Sequence[str]) -> None:
    """Raise `UsageError` if a table already has an output column."""
    conflicts = [name for name in output_columns if name in columns]
    if conflicts:
        raise UsageError(f"{source} already has a column {conflicts[0]!r}; rename or remove it")


def schema_with(
    chunk: "Chunk",
    kind: str,
    output_columns: Sequence[str] = PREDICTION_COLUMNS,
    input_columns: Sequence[str] | None = None,
) -> Any:
    """Return the Parquet schema of the output; None for JSON Lines and Excel input, whose schema the writer infers.

    `input_columns` are the input columns to write; by default, all of them.
    """
    import pyarrow

    if kind in ("jsonl", "xlsx"):
        return None
    schema = chunk.schema or pyarrow.schema([(name, pyarrow.string()) for name in chunk.columns])
    if input_columns is not None:
        schema = pyarrow.schema([schema.field(name) for name in input_columns], metadata=schema.metadata)
    for name in output_columns:
        schema = schema.append(pyarrow.field(name, _arrow_type(name)))
    return schema


def _arrow_type(name: str) -> Any:
    """Return the Arrow type of an output column."""
    import pyarrow

    kinds = (pyarrow.list_(pyarrow.string()), pyarrow.list_(pyarrow.float64()), pyarrow.bool_())
    return dict(zip(PREDICTION_COLUMNS, kinds, strict=True)).get(name, pyarrow.float64())


@dataclass(frozen=True)
class TableJob:
    """Input, output and options of a table prediction.

    Attributes:
        source: Input file, or `-`.
        source_format: As in `tables.read_chunks`.
        target: Output file, or `-`.
        target_format: As in `tables.write_rows`.
        column: Column with the texts.
        selected_labels: Labels to predict.
        proba: Whether to add the probability of each label.
        on_invalid: As in `tables.read_chunks`.
        overwrite: Whether to replace an existing file.
        strict: Whether a row without a text is invalid; otherwise it gets an empty prediction.
        input_columns: Input columns to write before the output columns; by default, all of them.
        on_suspicious_row: As in `tables.read_chunks`.
        encoding, delimiter, sheet: As in `tables.read_chunks`.
        output_encoding, output_delimiter: For CSV and TSV; by default, those of an input of the same format.
    """

    source: str
    source_format: str
    target: str
    target_format: str
    column: str
    selected_labels: list[str]
    proba: bool
    on_invalid: Callable[[str], None]
    overwrite: bool = False
    strict: bool = False
    input_columns: Sequence[str] | None = None
    on_suspicious_row: Callable[[str], None] = tables.ignore
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    output_encoding: str | None = None
    output_delimiter: str | None = None

    @property
    def output_columns(self) -> list[str]:
        """Names of the output columns."""
        return output_columns_of(self.selected_labels, self.proba)

    def input_columns_of(self, columns: Sequence[str]) -> list[str]:
        """Return the input columns to write.

        Raises:
            UsageError: A column to keep does not exist, or has the name of an output column.
        """
        # Rows of JSON Lines may have different keys.
        if self.input_columns is not None and self.source_format != "jsonl":
            for name in self.input_columns:
                check_column(name, columns, self.source)
        names = [name for name in columns if self.input_columns is None or name in self.input_columns]
        check_no_conflict(self.source, names, self.output_columns)
        return names


def predict_table(classifier: "EmotionClassifier", job: TableJob) -> Iterator[ChunkProgress]:
    """Stream a table, adding emotion columns; yields the progress after each chunk.

    From Parquet to Parquet, columns remain Arrow arrays, so that types and values are unchanged.
    """
    both_parquet = job.source_format == job.target_format == "parquet"
    return (_predict_arrow if both_parquet else _predict_rows)(classifier, job)


def _predict_rows(classifier: "EmotionClassifier", job: TableJob) -> Iterator[ChunkProgress]:
    join_lists, as_text = job.target_format in ("csv", "tsv", "xlsx"), job.target_format in ("csv", "tsv")
    with ExitStack() as stack:
        write = None
        for chunk in tables.read_chunks(
            job.source,
            job.source_format,
            job.column,
            job.on_invalid,
            delimiter=job.delimiter,
            encoding=job.encoding,
            allow_null=not job.strict,
            allow_empty=not job.strict,
            on_suspicious_row=job.on_suspicious_row,
            sheet=job.sheet,
        ):
            names = job.input_columns_of(chunk.columns)
            if write is None:
                write = stack.enter_context(_writer(job, chunk, names))
            texts = texts_of(chunk, job.column, job.source_format)
            output = predict_columns(classifier, texts, job.selected_labels, job.proba, join_lists)
            if job.source_format == job.target_format == "jsonl" and job.input_columns is None:
                lines = cast(list[JsonRow], chunk.rows)
                write([JsonRow({}, row.extend(values)) for row, values in zip(lines, output.rows, strict=True)])
            else:
                rows = (row.cells() if as_text and isinstance(row, JsonRow) else row for row in chunk.rows)
                if job.input_columns is not None:
                    allowed_names = set(replace_name_surrogates(names)) | set(names)
                    rows = ({name: value for name, value in row.items() if name in allowed_names} for row in rows)
                write([{**row, **values} for row, values in zip(rows, output.rows, strict=True)])
            yield ChunkProgress(len(chunk.rows), chunk.share_read, output.long_texts, output.missing, chunk.text_format)


def texts_of(chunk: "Chunk", column: str, kind: str) -> list[str | None]:
    """Return the texts of a chunk; None for null, and for an empty cell in formats without null."""
    texts = [row[column] for row in chunk.rows]
    if kind in ("csv", "tsv", "txt"):
        return [text or None for text in texts]
    if kind == "xlsx":
        return [excel_tables.text_of(text) for text in texts]
    return [None if is_missing(text) else text for text in texts]


def _writer(
    job: TableJob, chunk: "Chunk", input_columns: Sequence[str]
) -> AbstractContextManager[Callable[[list[Row]], None]]:
    """Create the writer of a job, given its first chunk and the input columns to write."""
    names, schema, text_format = [*input_columns, *job.output_columns], None, None
    if job.target_format == "parquet":
        schema = schema_with(chunk, job.source_format, job.output_columns, input_columns)
    elif job.target_format == "xlsx":
        names = replace_name_surrogates(names)
    elif job.target_format in ("csv", "tsv"):
        text_format = chunk.text_format if job.source_format == job.target_format else None
        text_format = text_format or (tables.TSV_FORMAT if job.target_format == "tsv" else TextFormat())
        text_format = override_format(text_format, job.target_format, job.output_encoding, job.output_delimiter)
        names = replace_name_surrogates(names)
    return tables.write_rows(
        job.target, job.target_format, names, schema, job.overwrite, job.output_columns, text_format
    )


def _predict_arrow(classifier: "EmotionClassifier", job: TableJob) -> Iterator[ChunkProgress]:
    from pyarrow import parquet

    with ExitStack() as stack:
        file = stack.enter_context(open_seekable(job.source))
        writer = None
        size = parquet_tables.GROUP_ROWS
        for table, share_read in parquet_tables.read_tables(
            job.source, file, job.column, job.on_invalid, size, allow_null=not job.strict
        ):
            input_columns = job.input_columns_of(table.schema.names)
            result, output = arrow_with_emotions(
                classifier, table, job.column, job.selected_labels, job.proba, input_columns
            )
            if writer is None:
                output_file = stack.enter_context(atomic_file(job.target, job.overwrite))
                writer = stack.enter_context(parquet.ParquetWriter(output_file, result.schema))
            writer.write_table(result)
            yield ChunkProgress(len(table), share_read, output.long_texts, output.missing)


def output_columns_of(selected_labels: Sequence[str], proba: bool) -> list[str]:
    """Return the names of the output columns."""
    return [*PREDICTION_COLUMNS, *(f"{PREFIX}{label}" for label in selected_labels if proba)]
