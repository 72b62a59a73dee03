"""Convert Label Studio's JSON export to the format of JSON-MIN."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evenmood.errors import DataError

Row = Mapping[str, Any]
CHOICES = "choices"
"""Key of the chosen labels."""


def is_task(row: Row) -> bool:
    """Return whether a row is a task of the JSON export: `{"data": {…}, "annotations": […]}`."""
    return isinstance(row.get("data"), Mapping) and isinstance(row.get("annotations"), list)


def flatten_tasks(rows: Iterable[tuple[str, Row]]) -> Iterator[tuple[str, Row]]:
    """Replace each task with a row of its data and one cell per answered question; other rows are unchanged.

    Cancelled annotations are ignored; a task without annotations has no labels.

    Args:
        rows: Rows with their locations, for error messages.

    Raises:
        DataError: A task has several annotations, or a malformed one.
    """
    for where, row in rows:
        if not is_task(row):
            yield where, row
            continue
        annotations = [a for a in row["annotations"] if not (isinstance(a, Mapping) and a.get("was_cancelled"))]
        if len(annotations) > 1:
            raise DataError(
                f"{where}: {len(annotations)} annotations; expected one per text: export one annotation per task, or "
                "collect votes with data_build review"
            )
        yield where, {**row["data"], **(_answers(annotations[0], where) if annotations else {})}


def _answers(annotation: Any, where: str) -> dict[str, Any]:
    """Return the answers by question name; the choices of several results are merged."""
    results = annotation.get("result") if isinstance(annotation, Mapping) else None
    if not isinstance(results, list):
        raise DataError(f"{where}: an annotation has no list of results; expected Label Studio's JSON export")
    answers: dict[str, Any] = {}
    for result in results:
        value = result.get("value") if isinstance(result, Mapping) else None
        name = result.get("from_name", CHOICES) if isinstance(result, Mapping) else None
        if not isinstance(value, Mapping) or not isinstance(name, str):
            raise DataError(f"{where}: a result is {str(result)[:60]!r}; expected an object with a value")
        choices = value.get(CHOICES)
        if not isinstance(choices, list):
            answers[name] = dict(value)  # another type of question, rejected if it is the label column
        elif isinstance(answers.get(name, []), list):
            answers[name] = [*answers.get(name, []), *choices]
    return answers
