"""Many machines: `predict` on a Ray cluster, as actors that load the model once (https://docs.ray.io/en/latest/data/)."""

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
from evenmood.tables import scored
from evenmood.tables.chunk import Chunk, has_column, once_each
from evenmood.tables.parquet_tables import damaged
from evenmood.tables.table_files import open_input, whole_file

SHARE = 0.5
"""Of a processor that an actor asks for; there is one actor for each. So those of a lost node find room elsewhere."""
PIECE_ROWS = 10_000
"""Rows of a piece, which an actor predicts at a time; it holds the whole row group that the piece lies in."""
CONNECT_SECONDS = 5
DAMAGED = f"{DataError.__module__}.{DataError.__name__}: "
"""How the text of Ray's error names what a node found wrong with a file."""


@contextmanager
def joined(address: str | None, packages: Sequence[Path] = ()) -> Iterator[Any]:
    """Join a Ray cluster, or start one of this machine alone; gives the module.

    Args:
        address: Of the cluster; None starts one.
        packages: Folders of Python packages that the nodes need, beside this one.

    Raises:
        EvenmoodError: There is no cluster at the address, or none of its nodes can do what is asked of it.
    """
    import ray.data

    _check_address(address)
    for handler in logging.getLogger("ray.data").handlers:  # how Ray goes about it is not what was asked for
        if type(handler).__name__ == "PlainRayHandler":  # the one that writes to the terminal
            handler.setLevel(logging.CRITICAL)
    own = Path(evenmood.__file__).parent
    try:
        ray.init(
            address=address or "local",  # else Ray would join whatever cluster it finds
            runtime_env={"py_modules": [str(own), *map(str, packages)]},
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if address else {"include_dashboard": False}),
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EvenmoodError(
            f"no Ray cluster at {address!r} that lets this process in: {str(error).splitlines()[0]} "
            "(where it was started with a token, set RAY_AUTH_MODE=token, and the token as Ray says)"
        ) from None
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray
    except ray.exceptions.RayError as error:
        said = str(error).strip().splitlines()  # with the traceback of what went wrong there, and advice of Ray's own
        reason = next((line for line in reversed(said) if re.match(r"[\w.]+Error: ", line)), said[-1])
        if reason.startswith(DAMAGED):
            raise DataError(reason.removeprefix(DAMAGED)) from error
        raise EvenmoodError(
            f"a node of the Ray cluster failed ({reason}); "
            "files and models have to lie under the same path on every node"
        ) from error
    finally:
        ray.shutdown()


def _check_address(address: str | None) -> None:
    """Refuse what is no address, and raise `EvenmoodError` where nobody answers: Ray would ask for ever."""
    if (address or "").startswith("ray://"):
        raise UsageError(f"{address}: Ray Client cannot do this; run it on a node, with --ray-address HOST:PORT")
    host, _, port = (address or "").rpartition(":")
    if not (host and port.isdecimal()):  # `auto`, or none
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise EvenmoodError(
            f"no Ray cluster at {address} ({error}); give the address that `ray start --head` prints"
        ) from None


def one_for_each_processor(ray: Any, pieces: int, gpu: bool) -> dict[str, Any]:
    """What a step of Ray Data is to be told so that there is one actor for each core, or each GPU where there are some.

    Args:
        ray: The module.
        pieces: Pieces of work; there are no more actors than that.
        gpu: Whether the actors can use one.

    Raises:
        EvenmoodError: The cluster has neither.
    """
    held = ray.cluster_resources()
    kind = "GPU" if gpu and held.get("GPU") else "CPU"
    count = int(held.get(kind, 0))
    if not count:
        raise EvenmoodError("the Ray cluster has no processor to compute on; start a node without --num-cpus=0")
    return {"compute": ray.data.ActorPoolStrategy(size=max(1, min(count, pieces))), f"num_{kind.lower()}s": SHARE}


def predict_file(
    source: str,
    column: str,
    added: Sequence[str],
    arguments: dict[str, Any],
    address: str | None,
    kept: Sequence[str] | None = None,
) -> Iterator[tuple[Any, float]]:
    """A Parquet file with emotions, piece by piece, in its order, and the share of it that is done.

    Pieces that a node had when it was lost are read and predicted again elsewhere. Source and model have to be where
    every node sees them: under the same path, or on the Hub.

    Args:
        source: Parquet file.
        column: Column of strings.
        added: Names of the columns that are added.
        arguments: Of `Predictor`.
        address: Of a cluster; one of this machine alone is started if left out.
        kept: Columns of the file that are written before the added ones; None writes all.

    Yields:
        Arrow tables with the kept columns and the added ones, which are null where the text is.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with open_input(source) as file:
            about = parquet.read_metadata(file)
    except EvenmoodError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise damaged(source, error) from None
    schema = about.schema.to_arrow_schema()
    once_each(schema.names, source)
    for name in (column, *(kept or ())):
        has_column(name, schema.names, source)
    scored.check_free(source, schema.names if kept is None else kept, added)
    kind = schema.field(column).type
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    if kind not in (pyarrow.string(), pyarrow.large_string(), pyarrow.string_view(), pyarrow.null()):
        raise DataError(f"{source}: {column!r} holds {kind}, not strings")
    wanted = scored.schema_with(Chunk(schema.names, [], schema), "parquet", added, kept)
    if about.num_rows == 0:
        yield wanted.empty_table(), 1.0
        return
    done = 0
    with joined(address) as ray:
        ray.data.DataContext.get_current().execution_options.preserve_order = True
        pieces = [
            ray.put(pyarrow.table({"group": [group], "first": [first]}))
            for group in range(about.num_row_groups)
            for first in range(0, about.row_group(group).num_rows, PIECE_ROWS)
        ]
        predicted = ray.data.from_arrow_refs(pieces).map_batches(
            Predictor,
            fn_constructor_kwargs=arguments | {"source": str(Path(source).resolve()), "kept": kept},
            fn_kwargs={"column": column, "schema": wanted, "size": PIECE_ROWS},
            batch_size=None,
            batch_format="pyarrow",
            **one_for_each_processor(ray, len(pieces), gpu=False),
        )
        for piece in predicted.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            done += piece.num_rows
            yield piece.cast(wanted), done / about.num_rows


class Predictor:
    """An actor: it loads the model once, and gives piece after piece of a table its emotions.

    It loads it when it has a first piece: what fails then reaches the caller, where Ray would create the actor again.
    """

    def __init__(
        self,
        source: str,
        model: str | None,
        revision: str | None,
        chosen: Sequence[str],
        proba: bool,
        kept: Sequence[str] | None,
    ) -> None:
        """Note what to load.

        Args:
            source: Parquet file.
            model: As in `EmotionClassifier.from_pretrained`.
            revision: As there.
            chosen: Labels to choose from.
            proba: Whether each label's probability is added too.
            kept: As in `predict_file`.
        """
        import pyarrow

        self._classifier: EmotionClassifier | None = None
        self._model, self._revision = model, revision
        self._chosen, self._proba, self._kept = list(chosen), proba, kept
        self._source, self._group, self._rows = source, -1, pyarrow.table({})

    def __call__(self, pieces: Any, column: str, schema: Any, size: int) -> Any:
        """The kept and added columns of pieces of the file; the added ones are null where the text is."""
        import pyarrow

        found = [self._predict(piece, column, schema, size) for piece in pieces.to_pylist()]
        return pyarrow.concat_tables(found)

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
                raise damaged(self._source, error) from None
        rows = self._rows.slice(piece["first"], size)
        found, _ = scored.arrow_with_emotions(self._classifier, rows, column, self._chosen, self._proba, self._kept)
        return found.cast(schema)


def write_file(
    pieces: Iterator[tuple[Any, float]],
    target: str,
    column: str,
    source: str,
    on_bad: Callable[[str], None],
    advance: Callable[[int, float | None], None],
    overwrite: bool,
    strict: bool = False,
) -> tuple[int, int]:
    """Write the pieces as one Parquet file, whole or not at all; gives the rows written, and those without a text.

    Args:
        pieces: As `predict_file` gives them.
        target: File to write.
        column: Column of the texts, for messages.
        source: The file they came from, for messages.
        on_bad: Called with what is wrong with a row, and where; if it returns, the row is left out.
        advance: Called with the rows done and the share of them.
        overwrite: Replace a file that exists.
        strict: Whether a row without a text is a bad row.
    """
    from pyarrow import parquet

    number = written = missing = 0
    writer: Any = None
    with whole_file(target, overwrite) as file:
        try:
            for piece, done in pieces:
                writer = writer or parquet.ParquetWriter(file, piece.schema)
                emotions = piece[scored.ADDED[0]]  # null where the text is, and always written
                if strict and emotions.null_count:
                    for row, null in enumerate(emotions.is_null().to_pylist(), number + 1):
                        if null:
                            on_bad(f"{source}, row {row}: {column!r} is None, not a string")
                number += piece.num_rows
                piece = piece.filter(emotions.is_valid()) if strict and emotions.null_count else piece
                writer.write_table(piece)
                written += piece.num_rows
                missing += piece[scored.ADDED[0]].null_count
                advance(number, done)
        finally:
            if writer:
                writer.close()
    return written, missing
