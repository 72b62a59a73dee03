"""Which columns of a table hold the texts and the labels, and what labels a cell holds."""

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
from evenmood.tables.table_form import decoded_lines, read_form
from train.transfer.label_studio import CHOICES, Row

TEXT_NAMES = (
    *("text", "tweet", "sentence", "content", "comment", "utterance", "message", "body", "comment_text", "tweet_text"),
    *("post", "review", "document", "texts", "sentences", "tweets", "phrase", "situation", "input", "title"),
)
"""Columns that hold texts, the surest first; case does not matter."""
LABEL_NAMES = (
    *("label_text", "label_name", "labels", "label", "emotions", "emotion", "sentiment", "sentiments", "class"),
    *("category", "target", "gold_label", "gold", "affect", "mood", "polarity", "tags", "tag", "y", "annotation"),
    *("choices", "choice"),
)
"""Columns that hold labels, the surest first."""
SAMPLE = 200
"""Rows that columns are judged by."""
HALF = 0.5
"""Share of a column's cells that must look like labels."""
_NUMBERS = re.compile(r"\[?\s*\d+(\s*[,;\s]\s*\d+)*\s*\]?")
Knows = Callable[[str], bool]
"""Whether a name can be a label."""
MISSING = frozenset({"na", "n/a", "nan", "null"})
"""Strings that tables have where there is no value."""
YES = ("1", "1.0", "true", "True", "TRUE")
NO = ("0", "0.0", "false", "False", "FALSE", "")
SHOWN = 60
"""Characters of a cell in a message."""
LISTS = (list, tuple, set, frozenset)
_NUMBER = re.compile(r"[+-]?\d+(\.0*)?")


@dataclass
class Columns:
    """Where texts and labels stand.

    Attributes:
        text: Column of the texts.
        label: Column of the labels, where one holds them all.
        spread: Columns with 0 or 1 for a label each, where there are such.
        certain: Those of them that must hold 0 or 1, because their name is a label's.
        knows: Whether a name can be a label.
        broken: Columns of `spread` that turned out to hold something else.
    """

    text: str
    label: str | None
    spread: list[str]
    certain: frozenset[str]
    knows: Knows
    broken: set[str] = field(default_factory=set)

    @property
    def described(self) -> str:
        """In words."""
        labels = f"labels in {self.label!r}" if self.label else "labels as columns of 0 and 1"
        return f"text in {self.text!r}, {labels}"

    def labels_of(self, row: Row, where: str) -> list[str]:
        """Labels of a row: names, or numbers as digits.

        Raises:
            DataError: A cell has a form that is not understood.
        """
        if self.label is not None:
            try:
                return cell_labels(row.get(self.label), self.knows)
            except LabelCellError as error:
                raise DataError(f"{where}: {self.label!r} is {error}") from None
        found = []
        for column in self.spread:
            if column in self.broken:
                continue
            value = "" if row.get(column) is None else str(row[column]).strip()
            if value in YES:
                found.append(column)
            elif value not in NO:
                if column in self.certain:
                    raise DataError(f"{where}: {column!r} is {value[:40]!r}, neither 0 nor 1")
                self.broken.add(column)
        return found

    def only_labels(self, labels: list[str]) -> list[str]:
        """Labels without the columns that are none."""
        return [label for label in labels if label not in self.broken]


def choose_columns(
    rows: Sequence[Row],
    where: str,
    knows: Knows,
    text: str | None = None,
    labels: Sequence[str] | None = None,
) -> Columns:
    """Choose the columns by their names and, where that does not tell, by what the first rows hold.

    Raises:
        UsageError: A column that was asked for is not there.
        DataError: No column looks like the texts, or none like the labels.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    held = f"the columns are {', '.join(map(repr, names[:40]))}"
    for asked in (*([] if text is None else [text]), *(labels or ())):
        if asked not in names:
            raise UsageError(f"{where}: no column {asked!r}; {held}")
    sample = rows[:SAMPLE]
    text = text or _by_name(names, TEXT_NAMES, labels or ()) or _longest(sample, names, labels or ())
    if text is None and len(names) == 2 and not labels:  # short texts: the one that holds no labels
        without = [name for name in names if _fit(sample, name, knows)[0] <= HALF]
        text = without[0] if len(without) == 1 else None
    if text is None:
        raise DataError(f"{where}: no column of texts found; {held}. Name it with --text-column")
    others = [name for name in names if name != text]
    if labels:
        spread = [] if len(labels) == 1 else list(labels)
        return Columns(text, labels[0] if len(labels) == 1 else None, spread, frozenset(spread), knows)
    named = [name for wanted in LABEL_NAMES for name in others if name.casefold() == wanted]
    fits = {name: _fit(sample, name, knows) for name in others}
    label = max(named, key=lambda name: fits[name], default=None)
    headless = all(name.isdecimal() for name in names)
    spread = [] if headless else [name for name in others if knows(name)]
    if spread and (label is None or fits[label][0] < HALF):
        return Columns(text, None, others, frozenset(spread), knows)
    if label is None:  # numbers may be anything, unless there is no header that would say so
        share = 0 if headless else 1
        label = max((name for name in others if fits[name][share] > HALF), key=lambda name: fits[name], default=None)
    if label is None:
        raise DataError(
            f"{where}: no column of labels found; {held}. Name it with --label-column (several columns of 0 and 1: "
            "with commas between them)"
        )
    return Columns(text, label, [], frozenset(), knows)


def _by_name(names: Sequence[str], wanted: Iterable[str], taken: Sequence[str]) -> str | None:
    free = {name.casefold(): name for name in reversed(names) if name not in taken}
    return next((free[name] for name in wanted if name in free), None)


def _longest(rows: Sequence[Row], names: Sequence[str], taken: Sequence[str]) -> str | None:
    """The column with the longest strings, if they have three words or more on average."""
    words = {
        name: sum(len(value.split()) for row in rows if isinstance(value := row.get(name), str)) / len(rows)
        for name in names
        if name not in taken
    }
    best = max(words, key=lambda name: words[name], default=None)
    return best if best is not None and words[best] >= 3 else None


def _fit(rows: Sequence[Row], name: str, knows: Knows) -> tuple[float, float, int]:
    """How well a column fits as the one of the labels: known cells, names among them, few different values."""
    cells = [_understood(row.get(name), knows) for row in rows]
    known = sum(any(knows(label) for label in labels) for labels in cells)
    numbers = sum(all(is_number(label) for label in labels) for labels in cells if labels)
    return (known + numbers) / len(rows), known / len(rows), -len({tuple(labels) for labels in cells})


def layout_of(path: Path, knows: Knows) -> tuple[str, list[str] | None]:
    """Delimiter of a text table, and names for its columns, "1", "2", …, where its first line is a row already.

    It is taken for one if no cell is the name of a column of texts, and a cell of the first line and the one below are
    both labels, or both label numbers.
    """
    with path.open("rb") as file:
        form, rest = read_form(file, str(path), "csv", None, None, [])
        text = decoded_lines(rest, form, any_line_end=True)
        lines = [line.rstrip("\r\n") for line in islice(text, 2)]
        text.detach()
    order = "\t,;|" if path.suffix.lower() == ".tsv" else ",\t;|"
    order = form.delimiter if form.sep_line else order

    def fits(mark: str) -> tuple[bool, bool, bool]:
        rows = [_cells(line, mark) for line in lines if line]
        several = bool(rows) and len(rows[0]) > 1
        cells = {cell.strip().casefold() for cell in (rows[0] if rows else ())}
        telling = bool(cells & {*TEXT_NAMES, *LABEL_NAMES}) or any(knows(cell) or is_number(cell) for cell in cells)
        return several, several and telling, several and len({len(row) for row in rows}) == 1

    delimiter = max(order, key=fits)
    rows = [_cells(line, delimiter) for line in lines if line]
    if not rows or {cell.strip().casefold() for cell in rows[0]} & set(TEXT_NAMES):
        return delimiter, None
    for column in zip(*rows, strict=False):
        if all(_is_label(cell, knows) for cell in column) or all(_NUMBERS.fullmatch(cell.strip()) for cell in column):
            return delimiter, [str(number) for number in range(1, len(rows[0]) + 1)]
    return delimiter, None


def _cells(line: str, mark: str) -> list[str]:
    try:
        return next(
            csv.reader([line], delimiter=mark, quoting=csv.QUOTE_NONE if mark == "\t" else csv.QUOTE_MINIMAL), []
        )
    except csv.Error:
        return []


def _understood(cell: Any, knows: Knows) -> list[str]:
    """Labels of a cell; none where its form is not understood, as in columns that hold something else."""
    try:
        return cell_labels(cell, knows)
    except LabelCellError:
        return []


def _is_label(cell: str, knows: Knows) -> bool:
    labels = _understood(cell, knows)
    return bool(labels) and all(knows(label) for label in labels)


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
    given = {str(label): "" if cell is None else str(cell).strip() for label, cell in value.items()}
    if not set(given.values()) <= {*YES, *NO}:
        raise LabelCellError(dict(value), expected=f"0 or 1 for each label, or {CHOICES!r} alone")
    return [label for label, cell in given.items() if cell in YES]


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
