"""Mapping files: what the labels of another data set mean in terms of GoEmotions' 28."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from evenmood.errors import DataError
from evenmood.labels import LABELS
from evenmood.system.paths import expanded

FOLDER = Path(__file__).with_name("mappings")
"""Mappings that are named without a path."""
COMBINE = ("maximum", "noisy-or")
KEYS = ("about", "labels", "multi_label", "combine", "names", "ignore", "thresholds")


@dataclass(frozen=True)
class LabelMapping:
    """A mapping file, which is a JSON object.

    Attributes:
        name: The file's, without its ending.
        labels: Each label of the data set with the GoEmotions labels that it comprises. Their order is the columns'.
        multi_label: Whether a text may carry several labels; None, the default, where the data tells: it may if any
            text does. Of single-label data one label is chosen for each text.
        combine: How the scores of a label's GoEmotions labels become one: `maximum`, the default, or `noisy-or`, the
            probability that at least one of them holds if they were independent: 1 - (1 - a)(1 - b)…
        names: What else the data may call a label: numbers (`"0": "anger"`) and other names (`"happy": "joy"`). A list
            of labels names the numbers from 0 on.
        ignore: Labels of the data that count as none.
        thresholds: Combined score, from 0 to 1, from which on a label is given; 0.5 for those it leaves out, which is
            where the model's own thresholds are (see `transfer.combined`).
    """

    name: str
    labels: Mapping[str, tuple[str, ...]]
    multi_label: bool | None = None
    combine: str = "maximum"
    names: Mapping[str, str] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def find(self, name: str) -> str | None:
        """The label that a name of the data means, if any; "Happy " is "happy"."""
        return self._names.get(plain(name))

    def knows(self, name: str) -> bool:
        """Whether a name can be a label of the data: one of the mapping's, an ignored one, or one of GoEmotions'."""
        return plain(name) in self._names or plain(name) in self._ignored or plain(name) in LABELS

    def ignores(self, name: str) -> bool:
        """Whether the data's label counts as none."""
        return plain(name) in self._ignored

    def from_goemotions(self, name: str) -> list[str]:
        """The labels that comprise one of GoEmotions'."""
        return [label for label, members in self.labels.items() if plain(name) in members]

    @cached_property
    def _names(self) -> dict[str, str]:
        return {plain(label): label for label in self.labels} | {plain(n): label for n, label in self.names.items()}

    @cached_property
    def _ignored(self) -> set[str]:
        return {plain(name) for name in self.ignore}


def plain(name: str) -> str:
    """A label's name as it is compared: without blanks around it, whatever its case."""
    return name.strip().casefold()


def read_mapping(source: str) -> LabelMapping:
    """Read and check a mapping file.

    Args:
        source: A file, or the name of one in `train/transfer/mappings`: `ekman`, `sentiment`, `tweet_emotion`.

    Raises:
        DataError: No such file, not JSON, or an entry that makes no sense; the message names it.
    """
    shipped = sorted(path.stem for path in FOLDER.glob("*.json"))
    path = FOLDER / f"{source}.json" if source in shipped else expanded(source)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except (FileNotFoundError, IsADirectoryError):
        raise DataError(f"{source}: no such mapping file; write one, or name one of {', '.join(shipped)}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from None
    return _checked(path, content)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys stand there once: json keeps the last of two, silently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} stands there twice")
    return found


def _checked(path: Path, content: Any) -> LabelMapping:
    def need(right: bool, message: str) -> None:
        if not right:
            raise DataError(f"{path}: {message}")

    need(isinstance(content, dict), f"a mapping is a JSON object, not {type(content).__name__}")
    unknown = [key for key in content if key not in KEYS]
    need(not unknown, f"unknown entry {unknown[:1]}; the entries are {', '.join(KEYS)}")
    labels = content.get("labels")
    need(
        isinstance(labels, dict) and len(labels) > 0,
        '"labels" must be an object of label to list of GoEmotions labels, such as {"anger": ["anger", "annoyance"]}',
    )
    for label, members in labels.items():
        need(plain(label) != "", "a label's name is empty")
        need(
            _strings(members) and len(members) > 0,
            f'{label!r} needs a list of GoEmotions labels; a label that none of them fits goes under "ignore"',
        )
        wrong = [member for member in members if member not in LABELS]
        need(not wrong, f"{label!r} lists {wrong[:1]}, which is no GoEmotions label; they are {', '.join(LABELS)}")
    multi_label, combine = content.get("multi_label"), content.get("combine", COMBINE[0])
    need(multi_label in (None, True, False), f'"multi_label" is {multi_label!r}; it must be true or false, or left out')
    need(combine in COMBINE, f'"combine" is {combine!r}; it must be {" or ".join(COMBINE)}')
    names, ignore = content.get("names", {}), content.get("ignore", [])
    if _strings(names):
        names = {str(number): label for number, label in enumerate(names)}
    need(
        isinstance(names, dict) and _strings(list(names.values())),
        '"names" must be an object of name to label, or a list',
    )
    need(_strings(ignore), '"ignore" must be a list of names')
    thresholds = content.get("thresholds", {})
    need(isinstance(thresholds, dict), '"thresholds" must be an object of label to number')
    for entry, used in (("names", names.values()), ("thresholds", thresholds)):
        strange = [label for label in used if label not in labels]
        need(not strange, f'"{entry}" speaks of {strange[:1]}, which is not under "labels"')
    for label, value in thresholds.items():
        right = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1
        need(right, f"the threshold of {label!r} is {value!r}; it must be a number between 0 and 1")
    both = {plain(name) for name in ignore} & {plain(name) for name in (*labels, *names)}
    need(not both, f"{sorted(both)[:1]} is a label and ignored as well")
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
