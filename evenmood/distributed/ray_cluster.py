"""Predict on a Ray cluster, with actors that load the model once (https://docs.ray.io/en/latest/data/)."""

import logging
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import evenmood
from evenmood.classifier import EmotionClassifier
from evenmood.errors import DataError, EvenmoodError, UsageError
from evenmood.tables import emotion_columns
from evenmood.tables.chunk import Chunk, check_column, check_distinct
from evenmood.tables.parquet_tables import corrupt_file_error
from evenmood.tables.table_files import atomic_file, open_input

ACTOR_SHARE = 0.5
"""Share of a core or GPU requested by each actor, so that the actors of a lost node fit on other nodes."""
PIECE_ROWS = 10_000
"""Number of rows that an actor predicts at a time; it keeps the whole row group of its piece in memory."""
CONNECT_SECONDS = 5
DATA_ERROR_PREFIX = f"{DataError.__module__}.{DataError.__name__}: "
"""Prefix of a `DataError` in the text of a Ray error."""


@contextmanager
def connect(address: str | None, packages: Sequence[Path] = ()) -> Iterator[Any]:
    """Join a Ray cluster, or start one on this machine; yields the module `ray`.

    Args:
        address: Address of the cluster; None starts a local one.
        packages: Folders of Python packages that the nodes need in addition to evenmood.

    Raises:
        UsageError: The address is a Ray Client address.
        EvenmoodError: There is no cluster at the address, or a node failed.
        DataError: A node found a corrupt file.
    """
    import ray.data

    _check_address(address)
    for handler in logging.getLogger("ray.data").handlers:  # no execution plans on the terminal
        if type(handler).__name__ == "PlainRayHandler":
            handler.setLevel(logging.CRITICAL)
    own_package = Path(evenmood.__file__).parent
    try:
        ray.init(
            address=address or "local",  # without an address, Ray would join any cluster it finds
            runtime_env={"py_modules": [str(own_package), *map(str, packages)]},
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if address else {"include_dashboard": False}),
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        target = f"join the Ray cluster at {address!r}" if address else "start a local Ray cluster"
        hint = " (if it requires a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN)" if address else ""
        raise EvenmoodError(f"cannot {target}: {str(error).splitlines()[0]}{hint}") from None
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines()  # includes the remote traceback and hints by Ray
        reason = next((line for line in reversed(lines) if re.match(r"[\w.]+Error: ", line)), lines[-1])
        if reason.startswith(DATA_ERROR_PREFIX):
            raise DataError(reason.removeprefix(DATA_ERROR_PREFIX)) from error
        raise EvenmoodError(
            f"a node of the Ray cluster failed ({reason}); "
            "files and models must be available under the same path on every node"
        ) from error
    finally:
        ray.shutdown()


def _check_address(address: str | None) -> None:
    """Raise an error for an unsupported or unreachable address, which Ray would retry forever."""
    if (address or "").startswith("ray://"):
        raise UsageError(
            f"{address}: Ray Client is not supported; run the command on a node, with --ray-address HOST:PORT"
        )
    host, _, port = (address or "").rpartition(":")
    if not (host and port.isdecimal()):  # `auto` or None
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise EvenmoodError(
            f"no Ray cluster at {address} ({error}); expected the address that `ray start --head` prints"
        ) from None


def one_actor_per_processor(ray: Any, pieces: int, gpu: bool) -> dict[str, Any]:
    """Return `map_batches` arguments for one actor per core, or per GPU if the cluster has any.

    Args:
        ray: The module `ray`.
        pieces: Number of pieces of work: the maximum number of actors.
        gpu: Whether the actors can use a GPU.

    Raises:
        EvenmoodError: The cluster has neither cores nor GPUs.
    """
    resources = ray.cluster_resources()
    kind = "GPU" if gpu and resources.get("GPU") else "CPU"
    count = int(resources.get(kind, 0))
    if not count:
        raise EvenmoodError("the Ray cluster has no CPUs; start a node without --num-cpus=0")
    return {"compute": ray.data.ActorPoolStrategy(size=max(1, min(count, pieces))), f"num_{kind.lower()}s": ACTOR_SHARE}


def predict_file(
    source: str,
    column: str,
    output_columns: Sequence[str],
    arguments: dict[str, Any],
    address: str | None,
    input_columns: Sequence[str] | None = None,
) -> Iterator[tuple[Any, float]]:
    """Predict the emotions of a Parquet file, in order; yields Arrow tables and the share of rows predicted.

    Pieces of a lost node are predicted again on another one. The file, and the model unless it is on the Hub, must be
    available under the same path on every node.

    Args:
        source: Parquet file.
        column: Column with the texts.
        output_columns: Names of the output columns.
        arguments: Arguments of `Predictor`.
        address: Address of the cluster; None starts a local one.
        input_columns: Input columns to write before the output columns; by default, all of them.

    Yields:
        Arrow tables with the input and the output columns, which are null for a null text, and the share
        of rows predicted so far.

    Raises:
        DataError: The file is corrupt, or the column does not contain strings.
        UsageError: The file has no such column, or already has an output column.
        EvenmoodError: The cluster cannot be used.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with open_input(source) as file:
            metadata = parquet.read_metadata(file)
    except EvenmoodError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise corrupt_file_error(source, error) from None
    schema = metadata.schema.to_arrow_schema()
    check_distinct(schema.names, source)
    for name in (column, *(input_columns or ())):
        check_column(name, schema.names, source)
    emotion_columns.check_no_conflict(source, schema.names if input_columns is None else input_columns, output_columns)
    kind = schema.field(column).type
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    if kind not in (pyarrow.string(), pyarrow.large_string(), pyarrow.string_view(), pyarrow.null()):
        raise DataError(f"{source}: column {column!r} has type {kind}; expected strings")
    output_schema = emotion_columns.schema_with(
        Chunk(schema.names, [], schema), "parquet", output_columns, input_columns
    )
    if metadata.num_rows == 0:
        yield output_schema.empty_table(), 1.0
        return
    rows_predicted = 0
    with connect(address) as ray:
        ray.data.DataContext.get_current().execution_options.preserve_order = True
        pieces = [
            ray.put(pyarrow.table({"group": [group], "first": [first]}))
            for group in range(metadata.num_row_groups)
            for first in range(0, metadata.row_group(group).num_rows, PIECE_ROWS)
        ]
        predicted = ray.data.from_arrow_refs(pieces).map_batches(
            Predictor,
            fn_constructor_kwargs=arguments | {"source": str(Path(source).resolve()), "input_columns": input_columns},
            fn_kwargs={"column": column, "schema": output_schema, "size": PIECE_ROWS},
            batch_size=None,
            batch_format="pyarrow",
            **one_actor_per_processor(ray, len(pieces), gpu=False),
        )
        for piece in predicted.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            rows_predicted += piece.num_rows
            yield piece.cast(output_schema), rows_predicted / metadata.num_rows


class Predictor:
    """Ray actor that loads the model once and predicts pieces of a table.

    The model is loaded with the first piece, not in the constructor: Ray would retry a failing constructor, whereas an
    exception of a call reaches the caller.
    """

    def __init__(
        self,
        source: str,
        model: str | None,
        revision: str | None,
        selected_labels: Sequence[str],
        proba: bool,
        input_columns: Sequence[str] | None,
    ) -> None:
        """Store the arguments.

        Args:
            source: Parquet file.
            model: As in `EmotionClassifier.from_pretrained`.
            revision: As in `EmotionClassifier.from_pretrained`.
            selected_labels: Labels to choose from.
            proba: Whether to add the probability of each label.
            input_columns: As in `predict_file`.
        """
        import pyarrow

        self._classifier: EmotionClassifier | None = None
        self._model, self._revision = model, revision
        self._selected_labels, self._proba, self._input_columns = list(selected_labels), proba, input_columns
        self._source, self._group, self._rows = source, -1, pyarrow.table({})

    def __call__(self, pieces: Any, column: str, schema: Any, size: int) -> Any:
        """Return the input and output columns of pieces of the file."""
        import pyarrow

        return pyarrow.concat_tables([self._predict(piece, column, schema, size) for piece in pieces.to_pylist()])

    def _predict(self, piece: dict[str, int], column: str, schema: Any, size: int) -> Any:
        import pyarrow
        from pyarrow import parquet

        if self._classifier is None:
            self._classifier = EmotionClassifier.from_pretrained(self._model, revision=self._revision)
        if self._group != piece["group"]:
            file = parquet.ParquetFile(self._source)
            try:
                self._group, self._rows = piece["group"], file.read_row_group(piece["group"])
            except (pyarrow.ArrowException, OSError, ValueError) as error:
                raise corrupt_file_error(self._source, error) from None
        rows = self._rows.slice(piece["first"], size)
        predicted, _ = emotion_columns.arrow_with_emotions(
            self._classifier, rows, column, self._selected_labels, self._proba, self._input_columns
        )
        return predicted.cast(schema)


def write_file(
    pieces: Iterator[tuple[Any, float]],
    target: str,
    column: str,
    source: str,
    on_invalid: Callable[[str], None],
    advance: Callable[[int, float | None], None],
    overwrite: bool,
    strict: bool = False,
) -> tuple[int, int]:
    """Write pieces to one Parquet file, atomically.

    Args:
        pieces: The result of `predict_file`.
        target: Output file.
        column: Column with the texts.
        source: Input file, for error messages.
        on_invalid: Called with an error message for each invalid row; if it returns, the row is skipped.
        advance: Called with the number and the share of rows processed.
        overwrite: Whether to replace an existing file.
        strict: Whether a row without a text is invalid.

    Returns:
        The number of rows written, and the number of those without a text.
    """
    from pyarrow import parquet

    number = rows_written = missing = 0
    writer: Any = None
    with atomic_file(target, overwrite) as file:
        try:
            for piece, share in pieces:
                writer = writer or parquet.ParquetWriter(file, piece.schema)
                emotions = piece[emotion_columns.PREDICTION_COLUMNS[0]]  # null where the text is, and always written
                if strict and emotions.null_count:
                    for row, null in enumerate(emotions.is_null().to_pylist(), number + 1):
                        if null:
                            on_invalid(f"{source}, row {row}: {column!r} is None, not a string")
                number += piece.num_rows
                piece = piece.filter(emotions.is_valid()) if strict and emotions.null_count else piece
                writer.write_table(piece)
                rows_written += piece.num_rows
                missing += piece[emotion_columns.PREDICTION_COLUMNS[0]].null_count
                advance(number, share)
        finally:
            if writer:
                writer.close()
    return rows_written, missing
