"""Which inputs are texts: a string, or a collection that iterates over strings in a fixed order."""

from collections.abc import Iterable, Mapping, Sequence, Set
from numbers import Number
from typing import Any

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
