"""Detect the columns of texts and labels in a table, and parse the cells of labels."""

import ast
import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from evenmood.errors import DataError, UsageError
from evenmood.tables.text_format import decode_lines, detect_format
from train.transfer.label_studio import CHOICES, Row

TEXT_NAMES = (
    *("text", "tweet", "sentence", "content", "comment", "utterance", "message", "body", "comment_text", "tweet_text"),
    *("post", "review", "document", "texts", "sentences", "tweets", "phrase", "situation", "input", "title"),
)
"""Names of text columns, most certain first, ignoring case."""
LABEL_NAMES = (
    *("label_text", "label_name", "labels", "label", "emotions", "emotion", "sentiment", "sentiments", "class"),
    *("category", "target", "gold_label", "gold", "affect", "mood", "polarity", "tags", "tag", "y", "annotation"),
    *("choices", "choice"),
)
"""Names of label columns, most certain first, ignoring case."""
SAMPLE = 200
"""Number of rows to detect columns from."""
MIN_LABEL_SHARE = 0.5
"""Minimum share of a column's cells that must look like labels."""
_NUMBERS = re.compile(r"\[?\s*\d+(\s*[,;\s]\s*\d+)*\s*\]?")
IsLabel = Callable[[str], bool]
"""Predicate for names that can be labels."""
MISSING = frozenset({"na", "n/a", "nan", "null"})
"""Strings for missing values."""
YES = ("1", "1.0", "true", "True", "TRUE")
NO = ("0", "0.0", "false", "False", "FALSE", "")
MAX_CELL_CHARS = 60
"""Maximum length of a cell in an error message, in characters."""
LISTS = (list, tuple, set, frozenset)
_NUMBER = re.compile(r"[+-]?\d+(\.0*)?")


@dataclass
class Columns:
    """Columns of texts and labels.

    Attributes:
        text: Column with the texts.
        label: Column with all labels, or None if there is a column per label.
        indicators: Columns of 0 and 1, one per label.
        required_indicators: Those of `indicators` that must contain 0 or 1, because their name is a label.
        is_label: Predicate for names that can be labels.
        not_indicators: Columns of `indicators` that contain other values.
    """

    text: str
    label: str | None
    indicators: list[str]
    required_indicators: frozenset[str]
    is_label: IsLabel
    not_indicators: set[str] = field(default_factory=set)

    @property
    def described(self) -> str:
        """Description for reports."""
        labels = f"labels in {self.label!r}" if self.label else "labels as columns of 0 and 1"
        return f"text in {self.text!r}, {labels}"

    def labels_of(self, row: Row, where: str) -> list[str]:
        """Parse the labels of a row: names, or numbers as digits.

        Raises:
            DataError: A cell cannot be parsed.
        """
        if self.label is not None:
            try:
                return cell_labels(row.get(self.label), self.is_label)
            except LabelCellError as error:
                raise DataError(f"{where}: {self.label!r} is {error}") from None
        labels = []
        for column in self.indicators:
            if column in self.not_indicators:
                continue
            value = "" if row.get(column) is None else str(row[column]).strip()
            if value in YES:
                labels.append(column)
            elif value not in NO:
                if column in self.required_indicators:
                    raise DataError(f"{where}: {column!r} is {value[:40]!r}; expected 0 or 1")
                self.not_indicators.add(column)
        return labels

    def only_labels(self, labels: list[str]) -> list[str]:
        """Remove columns that are not labels."""
        return [label for label in labels if label not in self.not_indicators]


def choose_columns(
    rows: Sequence[Row],
    where: str,
    is_label: IsLabel,
    text: str | None = None,
    labels: Sequence[str] | None = None,
) -> Columns:
    """Choose the columns by name, or else by the content of the first rows.

    Raises:
        UsageError: A requested column does not exist.
        DataError: No column looks like texts or like labels.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = f"the columns are {', '.join(map(repr, names[:40]))}"
    for requested in (*([] if text is None else [text]), *(labels or ())):
        if requested not in names:
            raise UsageError(f"{where}: no column {requested!r}; {columns}")
    sample = rows[:SAMPLE]
    text = text or _by_name(names, TEXT_NAMES, labels or ()) or _longest(sample, names, labels or ())
    if text is None and len(names) == 2 and not labels:  # short texts: the column without labels
        text_columns = [name for name in names if _fit(sample, name, is_label)[0] <= MIN_LABEL_SHARE]
        text = text_columns[0] if len(text_columns) == 1 else None
    if text is None:
        raise DataError(f"{where}: no text column found; {columns}; use --text-column")
    others = [name for name in names if name != text]
    if labels:
        indicators = [] if len(labels) == 1 else list(labels)
        return Columns(text, labels[0] if len(labels) == 1 else None, indicators, frozenset(indicators), is_label)
    named = [name for candidate in LABEL_NAMES for name in others if name.casefold() == candidate]
    fits = {name: _fit(sample, name, is_label) for name in others}
    label = max(named, key=lambda name: fits[name], default=None)
    has_no_header = all(name.isdecimal() for name in names)
    indicators = [] if has_no_header else [name for name in others if is_label(name)]
    if indicators and (label is None or fits[label][0] < MIN_LABEL_SHARE):
        return Columns(text, None, others, frozenset(indicators), is_label)
    if label is None:  # a column of numbers may be anything if it has a name
        share = 0 if has_no_header else 1
        label = max(
            (name for name in others if fits[name][share] > MIN_LABEL_SHARE), key=lambda name: fits[name], default=None
        )
    if label is None:
        raise DataError(
            f"{where}: no label column found; {columns}; use --label-column (a,b,c for several columns of 0 and 1)"
        )
    return Columns(text, label, [], frozenset(), is_label)


def _by_name(names: Sequence[str], candidates: Iterable[str], excluded: Sequence[str]) -> str | None:
    free = {name.casefold(): name for name in reversed(names) if name not in excluded}
    return next((free[name] for name in candidates if name in free), None)


def _longest(rows: Sequence[Row], names: Sequence[str], excluded: Sequence[str]) -> str | None:
    """Return the column with the longest strings, if they have at least three words on average."""
    words = {
        name: sum(len(value.split()) for row in rows if isinstance(value := row.get(name), str)) / len(rows)
        for name in names
        if name not in excluded
    }
    best = max(words, key=lambda name: words[name], default=None)
    return best if best is not None and words[best] >= 3 else None


def _fit(rows: Sequence[Row], name: str, is_label: IsLabel) -> tuple[float, float, int]:
    """Rate a label column: share of valid cells, share of cells with names, and negative number of distinct values."""
    cells = [_labels_or_empty(row.get(name), is_label) for row in rows]
    known = sum(any(is_label(label) for label in labels) for labels in cells)
    numbers = sum(all(is_number(label) for label in labels) for labels in cells if labels)
    return (known + numbers) / len(rows), known / len(rows), -len({tuple(labels) for labels in cells})


def detect_layout(path: Path, is_label: IsLabel) -> tuple[str, list[str] | None]:
    """Detect the delimiter of a text table, and return column names "1", "2", … if it has no header.

    The first line is a row rather than a header if no cell is the name of a text column, and a column has labels or
    label indices in both of the first two lines.
    """
    with path.open("rb") as file:
        form, remaining = detect_format(file, str(path), "csv", None, None, [])
        text = decode_lines(remaining, form, any_line_end=True)
        lines = [line.rstrip("\r\n") for line in islice(text, 2)]
        text.detach()
    order = "\t,;|" if path.suffix.lower() == ".tsv" else ",\t;|"
    order = form.delimiter if form.sep_line else order

    def fits(delimiter: str) -> tuple[bool, bool, bool]:
        rows = [_cells(line, delimiter) for line in lines if line]
        several = bool(rows) and len(rows[0]) > 1
        cells = {cell.strip().casefold() for cell in (rows[0] if rows else ())}
        meaningful = bool(cells & {*TEXT_NAMES, *LABEL_NAMES}) or any(
            is_label(cell) or is_number(cell) for cell in cells
        )
        return several, several and meaningful, several and len({len(row) for row in rows}) == 1

    delimiter = max(order, key=fits)
    rows = [_cells(line, delimiter) for line in lines if line]
    if not rows or {cell.strip().casefold() for cell in rows[0]} & set(TEXT_NAMES):
        return delimiter, None
    for column in zip(*rows, strict=False):
        if all(_is_label(cell, is_label) for cell in column) or all(
            _NUMBERS.fullmatch(cell.strip()) for cell in column
        ):
            return delimiter, [str(number) for number in range(1, len(rows[0]) + 1)]
    return delimiter, None


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(
            csv.reader([line], delimiter=delimiter, quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL),
            [],
        )
    except csv.Error:
        return []


def _labels_or_empty(cell: Any, is_label: IsLabel) -> list[str]:
    """Return the labels of a cell; empty if it cannot be parsed, as in columns without labels."""
    try:
        return cell_labels(cell, is_label)
    except LabelCellError:
        return []


def _is_label(cell: str, is_label: IsLabel) -> bool:
    labels = _labels_or_empty(cell, is_label)
    return bool(labels) and all(is_label(label) for label in labels)


class LabelCellError(ValueError):
    """A label cell cannot be parsed; the message shows it on one line."""

    def __init__(self, value: Any, kind: str = "", expected: str = "labels") -> None:
        """Create the error from the cell, its type, and the expected content."""
        shown = repr(value)
        shown = shown if len(shown) <= MAX_CELL_CHARS else f"{shown[:MAX_CELL_CHARS]}…"
        super().__init__(f"{shown}{', ' if kind else ''}{kind}; expected {expected}")


def is_number(label: str) -> bool:
    """Return whether a label is a number."""
    return _NUMBER.fullmatch(label) is not None


def cell_labels(value: Any, is_label: IsLabel) -> list[str]:
    """Parse the labels of a cell: a list, an object, a number, or a string.

    An object has 0 or 1 for each label, or the list `choices`, as in exports of Label Studio. Labels in a string are
    separated by commas, semicolons, bars or spaces, unless the whole string is a label ("no emotion"). Lists and
    objects may be written as strings: `['joy', 'love']`, `[ 3 27]`, `{"choices": ["joy"]}`. NaN, `MISSING`, and an
    empty cell, list or object have no labels.

    Raises:
        LabelCellError: The cell has any other content.
    """
    if isinstance(value, Mapping):
        return _object_labels(value, is_label)
    if isinstance(value, LISTS):
        return [label for entry in value for label in _entry_labels(entry, value, is_label)]
    if value is None or value != value:
        return []
    if isinstance(value, str):
        return _string_labels(value, is_label)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise LabelCellError(value, type(value).__name__)
    return [_plain_number(str(value))]


def _object_labels(value: Mapping[Any, Any], is_label: IsLabel) -> list[str]:
    """Read labels of `{"choices": […]}`, or of an object with 0 or 1 per label; null (an absent key in Arrow) is 0."""
    choices = value.get(CHOICES)
    if set(value) == {CHOICES} and (choices is None or isinstance(choices, (str, *LISTS))):
        return cell_labels(choices, is_label)
    cells = {str(label): "" if cell is None else str(cell).strip() for label, cell in value.items()}
    if not set(cells.values()) <= {*YES, *NO}:
        raise LabelCellError(dict(value), expected=f"0 or 1 for each label, or only {CHOICES!r}")
    return [label for label, cell in cells.items() if cell in YES]


def _entry_labels(entry: Any, whole: Any, is_label: IsLabel) -> list[str]:
    """Return the labels of a list entry; every entry must have at least one."""
    if isinstance(entry, LISTS):
        raise LabelCellError(whole, "a list of lists")
    labels = cell_labels(entry, is_label)
    if not labels:
        raise LabelCellError(whole, "a list with an empty entry")
    return labels


def _string_labels(value: str, is_label: IsLabel) -> list[str]:
    text = value.strip()
    if not text or (text.casefold() in MISSING and not is_label(text)):
        return []
    if not is_label(text):
        parsed = _parse(text)
        if parsed is not None:
            return cell_labels(parsed, is_label)
        if text[0] == "{":
            raise LabelCellError(value)
        if text[0] == "[" and text[-1] == "]":
            text = text[1:-1].strip()
            if not text:
                return []
            if set(text) & set("[]{}"):
                raise LabelCellError(value)
    labels = _split(text, is_label)
    if not labels:
        raise LabelCellError(value)
    return labels


def _parse(text: str) -> Any:
    """Parse a list or object in JSON, or an object in Python syntax; None for anything else.

    Lists in Python or numpy syntax are parsed by the caller, because `['joy' 'love']` is one string in Python.
    """
    readers = {"{": (json.loads, ast.literal_eval), "[": (json.loads,)}
    for read in readers.get(text[0], ()):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


def _split(text: str, is_label: IsLabel) -> list[str]:
    labels = []
    for part in [text] if is_label(_bare(text)) else re.split(r"[,;|]", text):
        name = _bare(part)
        pieces = [name] if is_label(name) else [_bare(piece) for piece in name.split()]
        # Several words that are not labels form one unknown label, such as "not applicable".
        whole = len(pieces) > 1 and not all(is_label(piece) or is_number(piece) for piece in pieces)
        labels += [name] if whole else pieces
    return [_plain_number(label) for label in labels if label]


def _plain_number(label: str) -> str:
    """Convert a whole number to digits; other labels are returned unchanged."""
    return re.sub(r"\.0*$", "", label) if is_number(label) else label


def _bare(text: str) -> str:
    return text.strip().strip("'\"").strip()
