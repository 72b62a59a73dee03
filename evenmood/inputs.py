"""Validate texts and labels passed by the caller."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from numbers import Number
from typing import Any

import numpy as np

from evenmood.errors import UsageError

MISSING_TYPES = ("NAType", "NaTType", "MaskedConstant")
"""Types of missing values in pandas and numpy, besides None and NaN."""


def is_missing(value: Any) -> bool:
    """Return whether a value is missing: None, NaN, `pandas.NA`, `pandas.NaT`, `numpy.ma.masked`."""
    if value is None or type(value).__name__ in MISSING_TYPES:
        return True
    return isinstance(value, Number) and bool(value != value)


def check_texts(texts: Any, first: int = 0) -> Sequence[str | None]:
    """Validate texts and return them, with None for missing ones.

    Args:
        texts: Strings and missing values, in a list or another sequence.
        first: Index of the first text in the caller's input, for error messages.

    Raises:
        TypeError: An item is neither a string nor missing; the message gives its index.
    """
    check_rows(texts)
    if isinstance(texts, Iterator):
        kind = type(texts).__name__
        raise TypeError(f"expected a list of strings, not {kind}; use predict_stream for iterators")
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
    """Raise `TypeError` for a collection whose iteration does not yield its rows in order."""
    kind = type(texts).__name__
    if hasattr(texts, "columns"):  # iterating over a data frame or Arrow table yields names or columns
        raise TypeError(f'expected a list of strings, not {kind}; pass the column of texts: df["text"]')
    if isinstance(texts, Set):
        raise TypeError(f"expected a list of strings, not {kind}, which has no order; pass a list")
    if getattr(texts, "ndim", 1) != 1:
        raise TypeError(f"expected a list of strings, not {kind} with {texts.ndim} dimensions; pass one column of it")


def multi_hot(labels: Any, names: Sequence[str], rows: int) -> np.ndarray:
    """Convert the labels of texts to a multi-hot array.

    Args:
        labels: One or several label names per text, or an array of 0 and 1.
        names: Label of each column.
        rows: Number of texts.

    Returns:
        bool of shape (rows, labels).

    Raises:
        UsageError: The number of labels or the shape does not match, or a label is unknown.
    """
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "biuf":
        if labels.shape != (rows, len(names)):
            raise UsageError(f"labels: the array has shape {labels.shape}; expected ({rows}, {len(names)})")
        if not np.isin(labels, (0, 1)).all():
            raise UsageError("labels: the array has values other than 0 and 1; expected a multi-hot array")
        return labels.astype(bool)
    cells = list(labels)
    if len(cells) != rows:
        items, texts = ("item" if len(cells) == 1 else "items"), ("text" if rows == 1 else "texts")
        raise UsageError(f"labels: {len(cells):,} {items} for {rows:,} {texts}; expected one item per text")
    columns = {name: column for column, name in enumerate(names)}
    array = np.zeros((rows, len(names)), bool)
    for row, cell in enumerate(cells):
        for name in [cell] if isinstance(cell, str) else cell:
            if name not in columns:
                raise UsageError(f"labels, text {row}: unknown label {name!r:.60}; expected one of: {', '.join(names)}")
            array[row, columns[name]] = True
    return array
