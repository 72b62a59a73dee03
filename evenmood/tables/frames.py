"""Add predictions to pandas and polars frames, Arrow tables and lists of texts."""

from typing import TYPE_CHECKING, Any

import numpy as np

from evenmood.errors import UsageError
from evenmood.inputs import check_texts
from evenmood.tables.emotion_columns import (
    PREDICTION_COLUMNS,
    arrow_with_emotions,
    check_no_conflict,
    output_columns_of,
    predict_columns,
)

if TYPE_CHECKING:
    from evenmood.classifier import EmotionClassifier

EMOTIONS, PROBABILITIES, FALLBACK = PREDICTION_COLUMNS


def with_emotions(
    classifier: "EmotionClassifier",
    data: Any,
    column: str,
    selected_labels: list[str],
    proba: bool,
    show_progress_bar: bool = False,
) -> Any:
    """Add the output columns to a frame; see `EmotionClassifier.predict_frame`."""
    library, kind = type(data).__module__.split(".")[0], type(data).__name__
    if isinstance(data, (list, tuple)):
        data, library = _pandas().DataFrame({column: list(data)}, dtype=object), "pandas"
    elif kind == "Series" and library in ("pandas", "polars"):
        column = data.name or column
        data = data.to_frame(column)
    elif kind == "LazyFrame":
        raise TypeError("data is a LazyFrame; expected a DataFrame; call collect() first")
    elif (library, kind) not in (("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table")):
        raise TypeError(
            f"data is of type {kind}; expected a pandas or polars frame or series, an Arrow table or a list"
        )
    names = [str(name) for name in (data.schema.names if library == "pyarrow" else data.columns)]
    if names.count(column) != 1:
        if column in names:
            raise UsageError(f"duplicate column {column!r}; rename one of them")
        raise UsageError(f"no column {column!r}; the columns are {', '.join(names):.400}")
    check_no_conflict("the frame", names, output_columns_of(selected_labels, proba))
    if library == "pyarrow":
        return arrow_with_emotions(classifier, data, column, selected_labels, proba)[0]
    texts = check_texts(data[column].to_list())
    rows = predict_columns(
        classifier, texts, selected_labels, proba, join_lists=False, show_progress_bar=show_progress_bar
    ).rows
    values = {name: [row[name] for row in rows] for name in output_columns_of(selected_labels, proba)}
    return _polars(data, values) if library == "polars" else _with_pandas(data, values)


def _with_pandas(data: Any, values: dict[str, list[Any]]) -> Any:
    pandas = _pandas()
    columns = {}
    for name, cells in values.items():
        if name in (EMOTIONS, PROBABILITIES):
            columns[name] = np.empty(len(cells), object)
            columns[name][:] = cells
        else:
            columns[name] = pandas.array(cells, "boolean" if name == FALLBACK else "Float64")
    return data.assign(**columns)


def _polars(data: Any, values: dict[str, list[Any]]) -> Any:
    import polars

    kinds: dict[str, Any] = {
        EMOTIONS: polars.List(polars.String),
        PROBABILITIES: polars.List(polars.Float64),
        FALLBACK: polars.Boolean,
    }
    series = [polars.Series(name, cells, kinds.get(name, polars.Float64)) for name, cells in values.items()]
    return data.with_columns(series)


def _pandas() -> Any:
    try:
        import pandas
    except ModuleNotFoundError:
        raise ModuleNotFoundError("a list of texts requires pandas; install it, or pass a polars frame") from None
    return pandas
