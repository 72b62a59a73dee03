"""Convert the labels of a data set with a mapping."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from evenmood.errors import DataError
from evenmood.labels import LABELS
from train.transfer.columns import is_number
from train.transfer.labeled import LabeledSet, read_labeled
from train.transfer.mapping import LabelMapping


@dataclass
class Targets:
    """A data set in the labels of a mapping.

    Attributes:
        name: Name for messages.
        texts: n texts.
        truth: bool of shape (n, labels of the mapping).
        read_as: Description of the format.
        notes: Notes on skipped rows and labels.
        counts: Numbers of skipped rows and labels.
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
    """Read a labeled data set and convert its labels with a mapping.

    Raises:
        DataError: The mapping does not mention a label, or label indices have no names.
    """
    rows = read_labeled(data, split, rules.is_label, text_column, label_column)
    label_counts = Counter(label for labels in rows.labels for label in labels)
    if not label_counts:
        raise DataError(f"{data}: no row has a label ({rows.read_as}); use --label-column")
    goemotions = (
        rows.goemotions or labels_are == "goemotions" or _numbers_of_goemotions(rows, label_counts, rules, data)
    )
    goemotions = goemotions and labels_are != "mapping"
    meanings = {label: _meaning(label, rows, rules, goemotions) for label in label_counts}
    unknown = [label for label, meaning in meanings.items() if meaning is None]
    if unknown:
        frequent = sorted(unknown, key=lambda label: -label_counts[label])[:10]
        names = ", ".join(f"{label!r} ({label_counts[label]:,})" for label in frequent)
        raise DataError(
            f"{data}: labels missing from mapping {rules.name}: {names}"
            f'{f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""}; add each to its "labels", '
            f'"names" or "ignore" ({rows.read_as})'
        )
    columns = {name: column for column, name in enumerate(rules.labels)}
    truth = np.zeros((len(rows.texts), len(columns)), bool)
    for index, labels in enumerate(rows.labels):
        for label in labels:
            truth[index, [columns[name] for name in meanings[label] or ()]] = True
    read_as = rows.read_as + ("; labels are GoEmotions', and are mapped too" if goemotions else "")
    targets = Targets(rows.name, rows.texts, truth, read_as, counts={"rows_read": len(rows.texts) + rows.without_text})
    _note(targets, "without_text", rows.without_text, "without a text were skipped")
    ignored = sum(label_counts[label] for label, meaning in meanings.items() if not meaning)
    _note(targets, "labels_ignored", ignored, "labels were ignored, as set in the mapping", "")
    return targets


def _numbers_of_goemotions(rows: LabeledSet, label_counts: Mapping[str, int], rules: LabelMapping, data: str) -> bool:
    """Return whether numbers without names are GoEmotions label indices, because the mapping has fewer labels."""
    nameless = [x for x in label_counts if is_number(x) and x not in rows.names and rules.find(x) is None]
    nameless = [label for label in nameless if not rules.ignores(label)]
    if not nameless:
        return False
    in_range = all(is_number(label) and 0 <= int(label) < len(LABELS) for label in label_counts)
    if in_range and len(label_counts) > len(rules.labels):
        return True
    raise DataError(
        f"{data}: label indices {', '.join(sorted(nameless, key=int)[:10])} have no names ({rows.read_as}); add names "
        f'to the mapping, such as {{"names": {{"{min(nameless, key=int)}": "{next(iter(rules.labels))}"}}}}, '
        "or use --labels-are goemotions"
    )


def _meaning(label: str, rows: LabeledSet, rules: LabelMapping, goemotions: bool) -> list[str] | None:
    """Return the mapping's labels for a label of the data: empty if it is ignored, None if it is not mapped."""
    if goemotions:
        name = LABELS[int(label)] if is_number(label) and 0 <= int(label) < len(LABELS) else label
        return rules.from_goemotions(name) or ([] if rules.ignores(name) else None)
    name = rows.names.get(label, label)
    label_in_mapping = rules.find(name)
    if label_in_mapping is not None:
        return [label_in_mapping]
    return [] if rules.ignores(name) else (rules.from_goemotions(name) or None)


def only_scorable(targets: Targets, multi_label: bool) -> Targets:
    """Select rows that can be scored (in single-label data, those with one label), and note the others."""
    label_counts = targets.truth.sum(axis=1)
    if multi_label:
        _note(
            targets,
            "without_label",
            int((label_counts == 0).sum()),
            "have none of the mapping's labels, and are scored without labels",
        )
        return targets
    _note(
        targets, "without_label", int((label_counts == 0).sum()), "have none of the mapping's labels and were skipped"
    )
    _note(
        targets,
        "several_labels",
        int((label_counts > 1).sum()),
        'have several labels and were skipped; set "multi_label": true in the mapping to include them',
    )
    rows = np.flatnonzero(label_counts == 1)
    targets.texts, targets.truth = [targets.texts[row] for row in rows], targets.truth[rows]
    return targets


def _note(targets: Targets, key: str, count: int, message: str, unit: str = " rows") -> None:
    if count:
        targets.counts[key] = count
        targets.notes.append(f"{count:,}{unit} {message}")
