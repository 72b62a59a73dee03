"""A labelled set in the labels of a mapping."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from evenmood import LABELS
from evenmood.errors import DataError
from train.transfer.label_cells import is_number
from train.transfer.labelled import LabelledSet, read_labelled
from train.transfer.mapping import LabelMapping


@dataclass
class Targets:
    """A labelled set in the mapping's labels.

    Attributes:
        name: What it is called in messages.
        texts: n texts.
        truth: bool of shape (n, labels of the mapping).
        read_as: How labels were read, in words.
        notes: What was left out, in words.
        counts: The same, as numbers.
    """

    name: str
    texts: list[str]
    truth: np.ndarray
    read_as: str
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def read_targets(
    data: str,
    split: str,
    rules: LabelMapping,
    labels_are: str = "auto",
    text_column: str | None = None,
    label_column: str | None = None,
) -> Targets:
    """Read a labelled set and say each row's labels in those of the mapping.

    Raises:
        DataError: A label that the mapping neither has, names nor ignores; or numbers without names.
    """
    rows = read_labelled(data, split, rules.knows, text_column, label_column)
    counted = Counter(label for labels in rows.labels for label in labels)
    if not counted:
        raise DataError(f"{data}: no row has a label ({rows.read_as})")
    goemotions = rows.goemotions or labels_are == "goemotions" or _numbers_of_goemotions(rows, counted, rules, data)
    goemotions = goemotions and labels_are != "mapping"
    meanings = {label: _meaning(label, rows, rules, goemotions) for label in counted}
    unknown = [label for label, meaning in meanings.items() if meaning is None]
    if unknown:
        told = ", ".join(f"{label!r} ({counted[label]:,})" for label in sorted(unknown, key=lambda x: -counted[x])[:10])
        raise DataError(
            f"{data}: mapping {rules.name} says nothing of the labels {told}"
            f'{f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""}; add each to its "labels", '
            f'"names" or "ignore" ({rows.read_as})'
        )
    columns = {name: column for column, name in enumerate(rules.labels)}
    truth = np.zeros((len(rows.texts), len(columns)), bool)
    for index, labels in enumerate(rows.labels):
        for label in labels:
            truth[index, [columns[name] for name in meanings[label] or ()]] = True
    read_as = rows.read_as + ("; labels are GoEmotions', and are mapped too" if goemotions else "")
    found = Targets(rows.name, rows.texts, truth, read_as, counts={"rows_read": len(rows.texts) + rows.without_text})
    _note(found, "without_text", rows.without_text, "without a text are left out")
    ignored = sum(counted[label] for label, meaning in meanings.items() if not meaning)
    _note(found, "labels_ignored", ignored, "labels are ignored, as the mapping says", "")
    return found


def _numbers_of_goemotions(rows: LabelledSet, counted: Mapping[str, int], rules: LabelMapping, data: str) -> bool:
    """Whether nameless numbers are GoEmotions', told by there being more of them than labels of the mapping."""
    nameless = [x for x in counted if is_number(x) and x not in rows.names and rules.find(x) is None]
    nameless = [label for label in nameless if not rules.ignores(label)]
    if not nameless:
        return False
    inside = all(is_number(label) and 0 <= int(label) < len(LABELS) for label in counted)
    if inside and len(counted) > len(rules.labels):
        return True
    raise DataError(
        f"{data}: label numbers {', '.join(sorted(nameless, key=int)[:10])} have no names ({rows.read_as}); name them "
        f'under "names" of the mapping, as {{"names": {{"{min(nameless, key=int)}": "{next(iter(rules.labels))}"}}}}, '
        "or say --labels-are goemotions"
    )


def _meaning(label: str, rows: LabelledSet, rules: LabelMapping, goemotions: bool) -> list[str] | None:
    """The mapping's labels that one of the data's means: none where it is ignored, None where nothing is said of it."""
    if goemotions:
        name = LABELS[int(label)] if is_number(label) and 0 <= int(label) < len(LABELS) else label
        return rules.from_goemotions(name) or ([] if rules.ignores(name) else None)
    name = rows.names.get(label, label)
    own = rules.find(name)
    if own is not None:
        return [own]
    return [] if rules.ignores(name) else (rules.from_goemotions(name) or None)


def only_scorable(found: Targets, rules: LabelMapping, multi_label: bool) -> Targets:
    """The rows that can be scored; of single-label data those with one label. What is left out is counted and said."""
    each = found.truth.sum(axis=1)
    if multi_label:
        _note(found, "without_label", int((each == 0).sum()), "have none of the mapping's labels, and are scored so")
        return found
    _note(found, "without_label", int((each == 0).sum()), "have none of the mapping's labels and are left out")
    _note(
        found,
        "several_labels",
        int((each > 1).sum()),
        'have several labels and are left out; "multi_label": true in the mapping scores them',
    )
    rows = np.flatnonzero(each == 1)
    found.texts, found.truth = [found.texts[row] for row in rows], found.truth[rows]
    return found


def _note(found: Targets, key: str, count: int, what: str, of: str = " rows") -> None:
    if count:
        found.counts[key] = count
        found.notes.append(f"{count:,}{of} {what}")
