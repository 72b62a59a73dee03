"""Rows of Label Studio's full JSON export, in the form of its short one, JSON-MIN."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evenmood.errors import DataError

Row = Mapping[str, Any]
CHOICES = "choices"
"""Key of the labels that an annotator chose for a text."""


def is_task(row: Row) -> bool:
    """Whether a row is a task of the full export: `{"data": {…}, "annotations": […]}`."""
    return isinstance(row.get("data"), Mapping) and isinstance(row.get("annotations"), list)


def without_annotations(rows: Iterable[tuple[str, Row]]) -> Iterator[tuple[str, Row]]:
    """Replace each task by its data and a cell for each question that was answered; other rows stay as they are.

    Skipped annotations do not count; a task without any has no labels.

    Args:
        rows: Where each row is, for messages, and the row.

    Raises:
        DataError: A task has annotations of several people, or one of another shape.
    """
    for where, row in rows:
        if not is_task(row):
            yield where, row
            continue
        kept = [one for one in row["annotations"] if not (isinstance(one, Mapping) and one.get("was_cancelled"))]
        if len(kept) > 1:
            raise DataError(
                f"{where}: {len(kept)} annotations; export one for each text, or the votes of `data_build review`"
            )
        yield where, {**row["data"], **(_answers(kept[0], where) if kept else {})}


def _answers(annotation: Any, where: str) -> dict[str, Any]:
    """The answer to each question, by its name; a question of choices may be answered in several results."""
    results = annotation.get("result") if isinstance(annotation, Mapping) else None
    if not isinstance(results, list):
        raise DataError(f"{where}: an annotation without a list of results")
    found: dict[str, Any] = {}
    for result in results:
        value = result.get("value") if isinstance(result, Mapping) else None
        name = result.get("from_name", CHOICES) if isinstance(result, Mapping) else None
        if not isinstance(value, Mapping) or not isinstance(name, str):
            raise DataError(f"{where}: a result is {str(result)[:60]!r}; expected an object with a value")
        choices = value.get(CHOICES)
        if not isinstance(choices, list):
            found[name] = dict(value)  # another kind of question: refused if its column is the one of the labels
        elif isinstance(found.get(name, []), list):
            found[name] = [*found.get(name, []), *choices]
    return found
