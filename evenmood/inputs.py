"""Which inputs are texts: a string, or a collection that iterates over strings in a fixed order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from numbers import Number
from typing import Any

import numpy as np

from evenmood.errors import UsageError

MISSING_TYPES = ("NAType", "NaTType", "MaskedConstant")
"""What pandas and numpy put where a value is missing, beside None and NaN."""


def is_missing(value: Any) -> bool:
    """Whether a value is missing: None, NaN, `pandas.NA`, `pandas.NaT`, `numpy.ma.masked`."""
    if value is None or type(value).__name__ in MISSING_TYPES:
        return True
    return isinstance(value, Number) and bool(value != value)


def checked_texts(texts: Any, first: int = 0) -> Sequence[str | None]:
    """Return the texts, None for each missing one; `first` is the index of the first one in the caller's input.

    Raises:
        TypeError: Something is neither a string nor missing; the message gives its index.
    """
    check_rows(texts)
    if isinstance(texts, Iterator):
        kind = type(texts).__name__
        raise TypeError(f"expected a list of strings, not {kind}, which can be read once only; use predict_stream")
    if isinstance(texts, (bytes, bytearray, Mapping)) or not isinstance(texts, Iterable):
        hint = "; decode it first" if isinstance(texts, (bytes, bytearray)) else ""
        raise TypeError(f"expected a string or a list of strings, not {type(texts).__name__}{hint}")
    rows = texts if isinstance(texts, (list, tuple)) else list(texts)
    missing = False
    for index, text in enumerate(rows):
        if isinstance(text, str):
            continue
        if not is_missing(text):
            raise TypeError(f"text {first + index} is {text!r:.40} ({type(text).__name__}), not a string")
        missing = True
    return [text if isinstance(text, str) else None for text in rows] if missing else rows


def check_rows(texts: Any) -> None:
    """Raise `TypeError` for a collection that does not iterate over its rows in order."""
    kind = type(texts).__name__
    if hasattr(texts, "columns"):  # a frame of pandas or polars, an Arrow table: iterating gives names or columns
        raise TypeError(f'expected a list of strings, not {kind}; pass the column of texts: df["text"]')
    if isinstance(texts, Set):
        raise TypeError(f"expected a list of strings, not {kind}, which has no order; pass a list")
    if getattr(texts, "ndim", 1) != 1:
        raise TypeError(f"expected a list of strings, not {kind} of {texts.ndim} dimensions; pass one column of it")


def multi_hot(labels: Any, names: Sequence[str], rows: int) -> np.ndarray:
    """Labels of texts as an array.

    Args:
        labels: For each text a label, or several; or an array of 0 and 1.
        names: Label of each column.
        rows: Texts that the labels belong to.

    Returns:
        bool of shape (rows, labels).

    Raises:
        UsageError: Another number of texts, an unknown label, or an array of another form.
    """
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "biuf":
        if labels.shape != (rows, len(names)) or not np.isin(labels, (0, 1)).all():
            raise UsageError(f"labels: expected 0 or 1 in shape ({rows}, {len(names)}), not shape {labels.shape}")
        return labels.astype(bool)
    given = list(labels)
    if len(given) != rows:
        raise UsageError(f"labels: {len(given):,} for {rows:,} texts; expected those of each text")
    columns = {name: column for column, name in enumerate(names)}
    found = np.zeros((rows, len(names)), bool)
    for row, cell in enumerate(given):
        for name in [cell] if isinstance(cell, str) else cell:
            if name not in columns:
                raise UsageError(f"labels, text {row}: unknown label {name!r:.60}; the labels are {', '.join(names)}")
            found[row, columns[name]] = True
    return found
