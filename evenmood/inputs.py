"""Which inputs are texts: a string, or a collection that iterates over strings in a fixed order."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any


def checked_texts(texts: Any, first: int = 0) -> Sequence[str]:
    """Return the texts if each is a string; `first` is the index of the first one in the caller's input."""
    check_rows(texts)
    if isinstance(texts, (bytes, bytearray, Mapping)) or not isinstance(texts, Iterable):
        hint = "; decode it first" if isinstance(texts, (bytes, bytearray)) else ""
        raise TypeError(f"expected a string or a list of strings, not {type(texts).__name__}{hint}")
    rows = texts if isinstance(texts, (list, tuple)) else list(texts)
    for index, text in enumerate(rows):
        if not isinstance(text, str):
            raise TypeError(f"text {first + index} is {text!r:.40} ({type(text).__name__}), not a string")
    return rows


def check_rows(texts: Any) -> None:
    """Raise `TypeError` for a collection that does not iterate over its rows in order."""
    kind = type(texts).__name__
    if hasattr(texts, "columns"):  # a frame of pandas or polars, an Arrow table: iterating gives names or columns
        raise TypeError(f'expected a list of strings, not {kind}; pass the column of texts: df["text"]')
    if isinstance(texts, Set):
        raise TypeError(f"expected a list of strings, not {kind}, which has no order; pass a list")
    if getattr(texts, "ndim", 1) != 1:
        raise TypeError(f"expected a list of strings, not {kind} of {texts.ndim} dimensions; pass one column of it")
