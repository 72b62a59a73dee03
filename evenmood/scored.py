"""Tables with emotions: the columns that are added to the rows of a table, by the command and by the demo."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evenmood.errors import UsageError

if TYPE_CHECKING:
    from evenmood.chunk import Chunk
    from evenmood.classifier import EmotionClassifier
    from evenmood.prediction import Prediction

PREFIX = "emotion_"
"""What the names of added columns begin with."""
ADDED = tuple(f"{PREFIX}{name}" for name in ("labels", "probabilities", "fallback"))
"""The columns that are always added."""


def columns_of(prediction: "Prediction", flat: bool) -> dict[str, Any]:
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
) -> list[dict[str, Any]]:
    """The rows with the added columns; `flat` joins lists with semicolons."""
    columns = [classifier.labels.index(label) for label in chosen]
    probabilities = classifier.predict_proba(texts)
    results = []
    for row, values, prediction in zip(
        rows, probabilities[:, columns].tolist(), classifier.decide(probabilities, only=chosen), strict=True
    ):
        more = columns_of(prediction, flat)
        if proba:
            more |= {f"{PREFIX}{label}": round(value, 4) for label, value in zip(chosen, values, strict=True)}
        results.append(row | more)
    return results


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
    kinds = (pyarrow.list_(pyarrow.string()), pyarrow.list_(pyarrow.float64()), pyarrow.bool_())
    for name in added:
        schema = schema.append(pyarrow.field(name, dict(zip(ADDED, kinds, strict=True)).get(name, pyarrow.float64())))
    return schema
