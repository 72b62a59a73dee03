"""Mapping files, which define the labels of another data set in terms of the 28 GoEmotions labels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from evenmood.errors import DataError
from evenmood.labels import LABELS
from evenmood.system.paths import expand_home

FOLDER = Path(__file__).with_name("mappings")
"""Folder of the mappings that are available by name."""
COMBINE = ("maximum", "noisy-or")
KEYS = ("about", "labels", "multi_label", "combine", "names", "ignore", "thresholds")


@dataclass(frozen=True)
class LabelMapping:
    """Content of a mapping file, a JSON object.

    Attributes:
        name: Name of the file without its extension.
        labels: GoEmotions labels that each label of the data set comprises, in the order of the columns.
        multi_label: Whether texts may have several labels; by default, detected from the data.
        combine: How to combine the scores of a label's GoEmotions labels: `maximum` (the default), or `noisy-or`, the
            probability that at least one applies if they are independent: 1 - (1 - a)(1 - b)…
        names: Aliases of labels in the data: numbers (`"0": "anger"`) and other names (`"happy": "joy"`). A list names
            the numbers from 0.
        ignore: Labels of the data to ignore.
        thresholds: Threshold of the combined score of each label, from 0 to 1; the default of 0.5 corresponds to the
            model's thresholds (see `evaluation.combine_probabilities`).
    """

    name: str
    labels: Mapping[str, tuple[str, ...]]
    multi_label: bool | None = None
    combine: str = "maximum"
    names: Mapping[str, str] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def find(self, name: str) -> str | None:
        """Return the label for a name in the data, ignoring case and surrounding spaces, or None if it is unknown."""
        return self._names.get(plain(name))

    def is_label(self, name: str) -> bool:
        """Return whether a name can be a label of the data: in the mapping, ignored, or in GoEmotions."""
        return plain(name) in self._names or plain(name) in self._ignored or plain(name) in LABELS

    def ignores(self, name: str) -> bool:
        """Return whether a label of the data is ignored."""
        return plain(name) in self._ignored

    def from_goemotions(self, name: str) -> list[str]:
        """Return the labels that comprise a GoEmotions label."""
        return [label for label, members in self.labels.items() if plain(name) in members]

    @cached_property
    def _names(self) -> dict[str, str]:
        return {plain(label): label for label in self.labels} | {plain(n): label for n, label in self.names.items()}

    @cached_property
    def _ignored(self) -> set[str]:
        return {plain(name) for name in self.ignore}


def plain(name: str) -> str:
    """Normalize a label name for comparison: strip spaces and ignore case."""
    return name.strip().casefold()


def read_mapping(source: str) -> LabelMapping:
    """Read and validate a mapping file.

    Args:
        source: File, or name of a mapping in `train/transfer/mappings`: `ekman`, `sentiment`, `tweet_emotion`.

    Raises:
        DataError: The file does not exist, is not JSON, or has an invalid entry.
    """
    available = sorted(path.stem for path in FOLDER.glob("*.json"))
    path = FOLDER / f"{source}.json" if source in available else expand_home(source)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique_keys)
    except (FileNotFoundError, IsADirectoryError):
        raise DataError(f"{source}: no such mapping file; expected a file or one of: {', '.join(available)}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from None
    return _validate(path, content)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object from key-value pairs, rejecting duplicate keys; `json` silently keeps the last one."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"duplicate key {next(key for key in keys if keys.count(key) > 1)!r}")
    return content


def _validate(path: Path, content: Any) -> LabelMapping:
    def require(valid: bool, message: str) -> None:
        if not valid:
            raise DataError(f"{path}: {message}")

    require(isinstance(content, dict), f"{type(content).__name__}; expected a JSON object")
    unknown = [key for key in content if key not in KEYS]
    require(not unknown, f"unknown entry {next(iter(unknown), None)!r}; expected one of: {', '.join(KEYS)}")
    labels = content.get("labels")
    require(
        isinstance(labels, dict) and len(labels) > 0,
        '"labels" must map labels to lists of GoEmotions labels, such as {"anger": ["anger", "annoyance"]}',
    )
    for label, members in labels.items():
        require(plain(label) != "", "a label has an empty name")
        require(
            _strings(members) and len(members) > 0,
            f'{label!r} requires a list of GoEmotions labels; list labels without a counterpart under "ignore"',
        )
        unknown_members = [member for member in members if member not in LABELS]
        require(
            not unknown_members,
            f"{label!r} has the unknown GoEmotions label {next(iter(unknown_members), None)!r}; "
            f"expected any of: {', '.join(LABELS)}",
        )
    multi_label, combine = content.get("multi_label"), content.get("combine", COMBINE[0])
    require(multi_label in (None, True, False), f'"multi_label" is {multi_label!r}; expected true, false or no entry')
    require(combine in COMBINE, f'"combine" is {combine!r}; expected {" or ".join(COMBINE)}')
    names, ignore = content.get("names", {}), content.get("ignore", [])
    if _strings(names):
        names = {str(number): label for number, label in enumerate(names)}
    require(
        isinstance(names, dict) and _strings(list(names.values())),
        '"names" must map names to labels, or be a list of labels',
    )
    require(_strings(ignore), '"ignore" must be a list of names')
    thresholds = content.get("thresholds", {})
    require(isinstance(thresholds, dict), '"thresholds" must map labels to numbers')
    for entry, entry_labels in (("names", names.values()), ("thresholds", thresholds)):
        unknown_labels = [label for label in entry_labels if label not in labels]
        require(not unknown_labels, f'"{entry}" has {next(iter(unknown_labels), None)!r}, which is not in "labels"')
    for label, value in thresholds.items():
        valid = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1
        require(valid, f"the threshold of {label!r} is {value!r}; expected a number between 0 and 1")
    conflicts = {plain(name) for name in ignore} & {plain(name) for name in (*labels, *names)}
    require(not conflicts, f"{min(conflicts, default=None)!r} is both a label and ignored; remove one")
    return LabelMapping(
        path.stem,
        {label: tuple(dict.fromkeys(members)) for label, members in labels.items()},
        multi_label,
        combine,
        names,
        frozenset(ignore),
        {label: float(value) for label, value in thresholds.items()},
    )


def _strings(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str) and all(isinstance(v, str) for v in values)
