"""Labelled texts in a mapping's labels: from tables, folders of them, TweetEval's and GoEmotions' files, the Hub."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest
from pathlib import Path

import numpy as np

from evenmood.data import build_folder
from evenmood.data.splits import ALIASES, load_hub_split, load_split
from evenmood.errors import DataError
from evenmood.labels import LABELS
from evenmood.system.paths import expanded
from evenmood.tables.streams import CHUNK_ROWS, read_chunks
from evenmood.tables.table_files import FORMATS
from train.transfer.columns import Columns, Knows, choose_columns, is_number, layout_of
from train.transfer.label_studio import Row, is_task, without_annotations
from train.transfer.mapping import LabelMapping

Placed = tuple[str, Row]
"""Where a row is, for messages, and the row."""
SPLIT_NAMES = {"train": ("train", "training"), "validation": (*ALIASES["validation"], "val"), "test": ("test",)}
"""What data sets call a split."""
ENDINGS = (*FORMATS, ".json", ".txt")
"""Files that are read as tables."""
GOEMOTIONS_LINE = re.compile(r"[^\t]*\t\d+(,\d+)*(\t\w*)?\r?\n?")
"""A line of GoEmotions' own files, which have no header: text, label numbers, comment id."""


@dataclass
class LabelledSet:
    """Texts with labels as the data writes them.

    Attributes:
        name: What it is called in messages.
        texts: n texts.
        labels: For each text its labels: names, or numbers as digits; empty where it has none.
        names: What the data itself calls its numbers.
        goemotions: Whether names and numbers are known to be GoEmotions'.
        read_as: How it was read, in words.
        without_text: Rows left out because their text is empty.
    """

    name: str
    texts: list[str] = field(default_factory=list)
    labels: list[list[str]] = field(default_factory=list)
    names: Mapping[str, str] = field(default_factory=dict)
    goemotions: bool = False
    read_as: str = ""
    without_text: int = 0

    def add(self, text: str, labels: list[str]) -> None:
        """Add a row, or count it where the text is empty."""
        if text.strip():
            self.texts.append(text)
            self.labels.append(labels)
        else:
            self.without_text += 1


def read_labelled(
    source: str,
    split: str,
    knows: Knows,
    text_column: str | None = None,
    label_column: str | None = None,
) -> LabelledSet:
    """Read labelled texts.

    Args:
        source: A CSV, TSV, JSON, JSON Lines, Parquet or delimited `.txt` file, Label Studio's JSON, JSON-MIN and CSV
            exports among them; a folder with such files named by split;
            a folder of TweetEval's form (`test_text.txt`, `test_labels.txt`, perhaps `mapping.txt`); a data set that
            `load_split` reads, whose labels are GoEmotions'; or a data set on the Hub.
        split: `train`, `validation` or `test`; a single file is read whole.
        knows: Whether a name can be a label: it tells labels from other columns, and "no emotion" from two labels.
        text_column: Column of the texts; found by its name if left out. A file without a header has columns 1, 2, ….
        label_column: Column of the labels; or several, comma-separated, with 0 or 1 in each; found if left out.

    Raises:
        DataError: Nothing there, or it cannot be read; the message says what was looked for. Or a cell of labels has a
            form that is not understood; the message names its row.
    """
    wanted = None if label_column is None else [name.strip() for name in label_column.split(",")]
    path = expanded(source)
    build = source.rpartition(":")[0]
    if build_folder.is_build(path) or (build and build_folder.is_build(expanded(build))):
        return _goemotions(source, split)
    if path.is_file():
        return _read_tables([path], path.name, knows, text_column, wanted)
    if not path.is_dir() and (path.suffix.lower() in ENDINGS or path.is_absolute() or source[:1] in ".~"):
        raise DataError(f"{source}: no such file or folder")
    if not path.is_dir():
        return _read_hub(source, split, knows, text_column, wanted)
    for name in SPLIT_NAMES[split]:
        if (path / f"{name}_text.txt").is_file():
            return _read_tweeteval(path, name)
    files = _files(path, split)
    if files[0].suffix == ".tsv" and GOEMOTIONS_LINE.fullmatch(_first_line(files[0])):
        return _goemotions(source, split)
    return _read_tables(files, f"{path.name}, {split}", knows, text_column, wanted)


def _goemotions(source: str, split: str) -> LabelledSet:
    rows = load_split(source, split)
    found = LabelledSet(f"{Path(source).name}, {split}", goemotions=True, read_as="GoEmotions' form")
    for text, row in zip(rows.texts, rows.labels, strict=True):
        found.add(text, [LABELS[column] for column in row.nonzero()[0]])
    return found


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        return file.readline().decode("utf-8", "replace")


def _files(folder: Path, split: str) -> list[Path]:
    """Files of a split: those whose names begin with it, else those that have it in their name between other words."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    names = "|".join(SPLIT_NAMES[split])
    for pattern in (rf"({names})", rf"({names})[^a-z].*", rf".*[^a-z]({names})([^a-z].*)?"):
        found = [path for path in files if re.fullmatch(pattern, path.stem, re.IGNORECASE)]
        kinds = sorted(
            {(path.parent, re.sub(r"[-_.]?(?<!\d)\d++(?:-of-\d++.*)?$", "", path.stem), path.suffix) for path in found}
        )
        if len(kinds) > 1:
            several = ", ".join(str(path.relative_to(folder)) for path in found[:8])
            raise DataError(f"{folder}: the {split} split may be {several}; give the file itself")
        if found:
            return found
    held = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise DataError(
        f"{folder}: no {split} split, which would be {split}_text.txt with {split}_labels.txt, or {split} and one of "
        f"{', '.join(ENDINGS)}; the folder holds {held}. Choose another --split, or give the file itself"
    )


def _read_tweeteval(folder: Path, name: str) -> LabelledSet:
    """TweetEval's form: a text a line, a label number a line, and the numbers' names."""
    found = LabelledSet(f"{folder.name}, {name}", names=_numbered(folder / "mapping.txt"), read_as="TweetEval's form")
    labels_file = folder / f"{name}_labels.txt"
    texts, labels = _lines(folder / f"{name}_text.txt"), _lines(labels_file)
    for number, (text, label) in enumerate(zip_longest(texts, labels), 1):
        if text is None or label is None:
            raise DataError(f"{labels_file}: {len(labels)} lines for the {len(texts)} of {name}_text.txt")
        if not label.strip():
            raise DataError(f"{labels_file}, line {number}: empty; expected a label")
        parts = [part for part in re.split(r"[,;\s]+", label.strip()) if part]
        if not parts:
            raise DataError(f"{labels_file}, line {number}: {label.strip()[:40]!r}; expected a label")
        found.add(text, parts)
    return found


def _numbered(path: Path) -> dict[str, str]:
    """Names of numbers: `0<tab>anger` a line."""
    names = {}
    for line in _lines(path) if path.is_file() else []:
        number, _, name = line.partition("\t") if "\t" in line else line.partition(" ")
        if line.strip():
            names[number.strip()] = name.strip()
    return names


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file beside the others of its split") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; convert the file, for instance with iconv") from None
    return [line.rstrip("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


def _read_tables(
    files: list[Path], name: str, knows: Knows, text_column: str | None, wanted: list[str] | None
) -> LabelledSet:
    names: dict[str, dict[str, str]] = {}
    rows = ((f"{path}, row {number}", row) for path in files for number, row in enumerate(_rows(path, knows, names), 1))
    return _collect(without_annotations(rows), str(files[0]), name, names, knows, text_column, wanted)


def _rows(path: Path, knows: Knows, names: dict[str, dict[str, str]]) -> Iterator[Row]:
    """Rows of one file; `names` gets what the file calls the numbers of a column."""
    suffix = path.suffix.lower()
    if suffix not in ENDINGS:
        raise DataError(f"{path}: the name does not tell the format; it must end in one of {', '.join(ENDINGS)}")
    if suffix == ".json":
        array = _read_json(path)
        if array is not None:
            yield from array
            return
    kind = {".json": "jsonl", ".txt": "csv"}.get(suffix) or FORMATS[suffix]
    delimiter, header = layout_of(path, knows) if kind in ("csv", "tsv") else (",", None)
    kind = "csv" if kind == "tsv" else kind  # a delimiter of tab reads as TSV
    for chunk in read_chunks(str(path), kind, None, delimiter=delimiter, header=header, encoding=None):
        if chunk.schema is not None:
            names |= _class_names((chunk.schema.metadata or {}).get(b"huggingface"))
        yield from chunk.rows


def _read_json(path: Path) -> list[Row] | None:
    """The rows of a JSON array of objects, or of the one array in an object; None for one object a line."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; convert the file, for instance with iconv") from None
    except (ValueError, RecursionError):
        return None
    if isinstance(content, dict) and is_task(content):
        return [content]
    arrays = [value for value in content.values() if isinstance(value, list)] if isinstance(content, dict) else []
    content = arrays[0] if len(arrays) == 1 and all(isinstance(row, dict) for row in arrays[0]) else content
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise DataError(f"{path}: expected an array of objects, each with a text and labels")
    return content


def _class_names(metadata: bytes | None) -> dict[str, dict[str, str]]:
    """Names of a column's label numbers, which the `datasets` library keeps in Parquet files."""
    found = {}
    features = json.loads(metadata or b"{}").get("info", {}).get("features", {})
    for column, feature in features.items() if isinstance(features, dict) else ():
        inner = feature.get("feature", feature) if isinstance(feature, dict) else {}
        if isinstance(inner, dict) and isinstance(inner.get("names"), list):
            found[column] = {str(number): str(name) for number, name in enumerate(inner["names"])}
    return found


def _read_hub(source: str, split: str, knows: Knows, text_column: str | None, wanted: list[str] | None) -> LabelledSet:
    rows = load_hub_split(source, split, f"file or folder {source!r}")
    names = {}
    for column, feature in rows.features.items():
        held = getattr(getattr(feature, "feature", feature), "names", None)
        names[column] = {str(number): name for number, name in enumerate(held or [])}
    placed = ((f"{source}, row {number}", row) for number, row in enumerate(rows, 1))
    return _collect(placed, source, f"{source}, {split}", names, knows, text_column, wanted)


def _collect(
    rows: Iterable[Placed],
    where: str,
    name: str,
    names: Mapping[str, Mapping[str, str]],
    knows: Knows,
    text_column: str | None,
    wanted: list[str] | None,
) -> LabelledSet:
    """Choose columns by the first rows, then take text and labels of all."""
    stream = iter(rows)
    first = list(islice(stream, CHUNK_ROWS))
    if not first:
        raise DataError(f"{where}: no rows")
    columns: Columns = choose_columns([row for _, row in first], where, knows, text_column, wanted)
    found = LabelledSet(name, read_as=columns.described)
    for place, row in chain(first, stream):
        text = row.get(columns.text)
        if text is not None and not isinstance(text, str):
            raise DataError(f"{place}: {columns.text!r} is {text!r:.40}, not a string")
        found.add(text or "", columns.labels_of(row, place))
    found.names = names.get(columns.label or "", {})
    if columns.spread:  # columns that held something else than 0 and 1 are no labels
        found.labels = [columns.only_labels(labels) for labels in found.labels]
    return found


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
        frequent = sorted(unknown, key=lambda label: -counted[label])[:10]
        names = ", ".join(f"{label!r} ({counted[label]:,})" for label in frequent)
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
    found = Targets(rows.name, rows.texts, truth, read_as, counts={"rows_read": len(rows.texts) + rows.without_text})
    _note(found, "without_text", rows.without_text, "without a text are left out")
    ignored = sum(counted[label] for label, meaning in meanings.items() if not meaning)
    _note(found, "labels_ignored", ignored, "labels are ignored, as the mapping says", "")
    return found


def _numbers_of_goemotions(rows: LabelledSet, counted: Mapping[str, int], rules: LabelMapping, data: str) -> bool:
    """Whether numbers without names are GoEmotions label ids: there are more of them than labels in the mapping."""
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


def only_scorable(found: Targets, multi_label: bool) -> Targets:
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
