"""What labels a cell of a table holds."""

import ast
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from train.transfer.label_studio import CHOICES

MISSING = frozenset({"na", "n/a", "nan", "null"})
"""Strings that tables have where there is no value."""
YES = ("1", "1.0", "true", "True", "TRUE")
NO = ("0", "0.0", "false", "False", "FALSE", "")
SHOWN = 60
"""Characters of a cell in a message."""
LISTS = (list, tuple, set, frozenset)
_NUMBER = re.compile(r"[+-]?\d+(\.0*)?")
Knows = Callable[[str], bool]
"""Whether a name can be a label."""


class LabelCellError(ValueError):
    """A cell of labels in a form that is not understood; the message shows it in one line."""

    def __init__(self, value: Any, kind: str = "", expected: str = "labels") -> None:
        """Take the cell, what it is, and what it should hold."""
        shown = repr(value)
        shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"
        super().__init__(f"{shown}{', ' if kind else ''}{kind}; expected {expected}")


def is_number(label: str) -> bool:
    """Whether a label is a number."""
    return _NUMBER.fullmatch(label) is not None


def cell_labels(value: Any, knows: Knows) -> list[str]:
    """Labels of a cell: a list, an object, a number, or a string.

    An object holds 0 or 1 for each label, or the list `choices`, as Label Studio exports several. Labels of a string
    have commas, semicolons, bars or blanks between them. A string that is a label as a whole stays one ("no emotion");
    `['joy', 'love']`, `[ 3 27]` and `{"choices": ["joy"]}` are lists and objects that were written as strings. NaN, an
    empty cell, list or object and `MISSING` hold no label.

    Raises:
        LabelCellError: Anything else.
    """
    if isinstance(value, Mapping):
        return _object_labels(value, knows)
    if isinstance(value, LISTS):
        return [label for entry in value for label in _entry_labels(entry, value, knows)]
    if value is None or value != value:
        return []
    if isinstance(value, str):
        return _string_labels(value, knows)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise LabelCellError(value, type(value).__name__)
    return [_plain_number(str(value))]


def _object_labels(value: Mapping[Any, Any], knows: Knows) -> list[str]:
    """Labels of `{"choices": […]}`, or of an object of label to 0 or 1; null is 0: Arrow has it for absent keys."""
    choices = value.get(CHOICES)
    if set(value) == {CHOICES} and (choices is None or isinstance(choices, (str, *LISTS))):
        return cell_labels(choices, knows)
    given = {str(label): "" if held is None else str(held).strip() for label, held in value.items()}
    if not set(given.values()) <= {*YES, *NO}:
        raise LabelCellError(dict(value), expected=f"0 or 1 for each label, or {CHOICES!r} alone")
    return [label for label, held in given.items() if held in YES]


def _entry_labels(entry: Any, whole: Any, knows: Knows) -> list[str]:
    """Labels of an entry of a list, which names one or more."""
    if isinstance(entry, LISTS):
        raise LabelCellError(whole, "a list of lists")
    labels = cell_labels(entry, knows)
    if not labels:
        raise LabelCellError(whole, "a list with an empty entry")
    return labels


def _string_labels(value: str, knows: Knows) -> list[str]:
    text = value.strip()
    if not text or (text.casefold() in MISSING and not knows(text)):
        return []
    if not knows(text):
        read = _parsed(text)
        if read is not None:
            return cell_labels(read, knows)
        if text[0] == "{":
            raise LabelCellError(value)
        if text[0] == "[" and text[-1] == "]":
            text = text[1:-1].strip()
            if not text:
                return []
            if set(text) & set("[]{}"):
                raise LabelCellError(value)
    labels = _split(text, knows)
    if not labels:
        raise LabelCellError(value)
    return labels


def _parsed(text: str) -> Any:
    """A list or object written as JSON, or an object as Python prints it; None of anything else.

    Lists as Python and numpy print them are for the caller to split: to Python, `['joy' 'love']` is one string.
    """
    readers = {"{": (json.loads, ast.literal_eval), "[": (json.loads,)}
    for read in readers.get(text[0], ()):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


def _split(text: str, knows: Knows) -> list[str]:
    found = []
    for part in [text] if knows(_bare(text)) else re.split(r"[,;|]", text):
        name = _bare(part)
        pieces = [name] if knows(name) else [_bare(piece) for piece in name.split()]
        # Words that are no labels are one unknown label, to be reported as it is: "not applicable".
        whole = len(pieces) > 1 and not all(knows(piece) or is_number(piece) for piece in pieces)
        found += [name] if whole else pieces
    return [_plain_number(label) for label in found if label]


def _plain_number(label: str) -> str:
    """The digits of a whole number, and any other label as it is."""
    return re.sub(r"\.0*$", "", label) if is_number(label) else label


def _bare(text: str) -> str:
    return text.strip().strip("'\"").strip()
