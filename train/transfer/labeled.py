"""Read labeled data sets in many formats."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest
from pathlib import Path

from evenmood.data import build_folder
from evenmood.data.splits import ALIASES, load_hub_split, load_split
from evenmood.errors import DataError
from evenmood.labels import LABELS
from evenmood.system.paths import expand_home
from evenmood.tables.streams import CHUNK_ROWS, read_chunks
from evenmood.tables.table_files import FORMATS
from train.transfer.columns import Columns, IsLabel, choose_columns, detect_layout
from train.transfer.label_studio import Row, flatten_tasks, is_task

LocatedRow = tuple[str, Row]
"""Location of a row, for error messages, and the row."""
SPLIT_NAMES = {"train": ("train", "training"), "validation": (*ALIASES["validation"], "val"), "test": ("test",)}
"""Names of each split in data sets."""
EXTENSIONS = (*FORMATS, ".json", ".txt")
"""Extensions of files that are read as tables."""
GOEMOTIONS_LINE = re.compile(r"[^\t]*\t\d+(,\d+)*(\t\w*)?\r?\n?")
"""A line of GoEmotions' TSV files, which have no header: text, label indices, comment id."""


@dataclass
class LabeledSet:
    """Texts with their original labels.

    Attributes:
        name: Name for messages.
        texts: n texts.
        labels: Labels of each text: names, or numbers as digits.
        names: Names of label indices in the data.
        goemotions: Whether the names and numbers are known to be those of GoEmotions.
        read_as: Description of the format.
        without_text: Number of rows skipped because their text is empty.
    """

    name: str
    texts: list[str] = field(default_factory=list)
    labels: list[list[str]] = field(default_factory=list)
    names: Mapping[str, str] = field(default_factory=dict)
    goemotions: bool = False
    read_as: str = ""
    without_text: int = 0

    def add(self, text: str, labels: list[str]) -> None:
        """Add a row, or count it if the text is empty."""
        if text.strip():
            self.texts.append(text)
            self.labels.append(labels)
        else:
            self.without_text += 1


def read_labeled(
    source: str,
    split: str,
    is_label: IsLabel,
    text_column: str | None = None,
    label_column: str | None = None,
) -> LabeledSet:
    """Read labeled texts.

    Args:
        source: One of: a CSV, TSV, JSON, JSON Lines, Parquet or delimited `.txt` file, including the JSON, JSON-MIN and
            CSV exports of Label Studio; a folder with such files named by split; a folder in TweetEval's format
            (`test_text.txt`, `test_labels.txt` and, optionally, `mapping.txt`); a GoEmotions data set, as in
            `load_split`; or a data set on the Hub.
        split: `train`, `validation` or `test`; a single file is read completely.
        is_label: Predicate for names that can be labels, to detect columns and parse cells such as "no emotion".
        text_column: Column with the texts; detected by default. A file without a header has columns 1, 2, ….
        label_column: Column with the labels, or several columns of 0 and 1, separated by commas; detected by default.

    Raises:
        DataError: The data does not exist or cannot be read, or a cell of labels cannot be parsed.
        UsageError: A requested column does not exist.
    """
    label_columns = None if label_column is None else [name.strip() for name in label_column.split(",")]
    path = expand_home(source)
    build = source.rpartition(":")[0]
    if build_folder.is_build(path) or (build and build_folder.is_build(expand_home(build))):
        return _goemotions(source, split)
    if path.is_file():
        return _read_tables([path], path.name, is_label, text_column, label_columns)
    if not path.is_dir() and (path.suffix.lower() in EXTENSIONS or path.is_absolute() or source[:1] in ".~"):
        raise DataError(f"{source}: no such file or folder")
    if not path.is_dir():
        return _read_hub(source, split, is_label, text_column, label_columns)
    for name in SPLIT_NAMES[split]:
        if (path / f"{name}_text.txt").is_file():
            return _read_tweeteval(path, name)
    files = _files(path, split)
    if files[0].suffix == ".tsv" and GOEMOTIONS_LINE.fullmatch(_first_line(files[0])):
        return _goemotions(source, split)
    return _read_tables(files, f"{path.name}, {split}", is_label, text_column, label_columns)


def _goemotions(source: str, split: str) -> LabeledSet:
    rows = load_split(source, split)
    data_set = LabeledSet(f"{Path(source).name}, {split}", goemotions=True, read_as="GoEmotions' format")
    for text, row in zip(rows.texts, rows.labels, strict=True):
        data_set.add(text, [LABELS[column] for column in row.nonzero()[0]])
    return data_set


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        return file.readline().decode("utf-8", "replace")


def _files(folder: Path, split: str) -> list[Path]:
    """Find the files of a split: their names are the split, begin with it, or contain it as a word."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file())
    names = "|".join(SPLIT_NAMES[split])
    for pattern in (rf"({names})", rf"({names})[^a-z].*", rf".*[^a-z]({names})([^a-z].*)?"):
        matching = [path for path in files if re.fullmatch(pattern, path.stem, re.IGNORECASE)]
        kinds = sorted(
            {
                (path.parent, re.sub(r"[-_.]?(?<!\d)\d++(?:-of-\d++.*)?$", "", path.stem), path.suffix)
                for path in matching
            }
        )
        if len(kinds) > 1:
            several = ", ".join(str(path.relative_to(folder)) for path in matching[:8])
            raise DataError(f"{folder}: several candidates for the {split} split ({several}); pass the file")
        if matching:
            return matching
    content = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "no files"
    raise DataError(
        f"{folder}: no {split} split; expected {split}_text.txt with {split}_labels.txt, or {split} with one of "
        f"{', '.join(EXTENSIONS)}; the folder contains {content}; choose another --split, or pass the file"
    )


def _read_tweeteval(folder: Path, name: str) -> LabeledSet:
    """Read TweetEval's format: a file with a text per line, a file with label indices, and a file with label names."""
    data_set = LabeledSet(
        f"{folder.name}, {name}", names=_read_label_names(folder / "mapping.txt"), read_as="TweetEval's format"
    )
    labels_file = folder / f"{name}_labels.txt"
    texts, labels = _lines(folder / f"{name}_text.txt"), _lines(labels_file)
    for number, (text, label) in enumerate(zip_longest(texts, labels), 1):
        if text is None or label is None:
            raise DataError(f"{labels_file}: {len(labels)} lines; expected {len(texts)}, as in {name}_text.txt")
        if not label.strip():
            raise DataError(f"{labels_file}, line {number}: empty; expected a label")
        parts = [part for part in re.split(r"[,;\s]+", label.strip()) if part]
        if not parts:
            raise DataError(f"{labels_file}, line {number}: {label.strip()[:40]!r}; expected a label")
        data_set.add(text, parts)
    return data_set


def _read_label_names(path: Path) -> dict[str, str]:
    """Read label names by index from lines such as `0<tab>anger`."""
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
        raise DataError(f"{path}: no such file; expected it with the other files of its split") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; convert the file, for instance with iconv") from None
    return [line.rstrip("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


def _read_tables(
    files: list[Path], name: str, is_label: IsLabel, text_column: str | None, label_columns: list[str] | None
) -> LabeledSet:
    names: dict[str, dict[str, str]] = {}
    rows = (
        (f"{path}, row {number}", row) for path in files for number, row in enumerate(_rows(path, is_label, names), 1)
    )
    return _collect(flatten_tasks(rows), str(files[0]), name, names, is_label, text_column, label_columns)


def _rows(path: Path, is_label: IsLabel, names: dict[str, dict[str, str]]) -> Iterator[Row]:
    """Yield the rows of a file, and add the names of label indices in its metadata to `names`."""
    suffix = path.suffix.lower()
    if suffix not in EXTENSIONS:
        raise DataError(f"{path}: unknown file extension; expected one of: {', '.join(EXTENSIONS)}")
    if suffix == ".json":
        array = _read_json(path)
        if array is not None:
            yield from array
            return
    kind = {".json": "jsonl", ".txt": "csv"}.get(suffix) or FORMATS[suffix]
    delimiter, header = detect_layout(path, is_label) if kind in ("csv", "tsv") else (",", None)
    kind = "csv" if kind == "tsv" else kind  # CSV with a tab as the delimiter is TSV
    for chunk in read_chunks(str(path), kind, None, delimiter=delimiter, header=header, encoding=None):
        if chunk.schema is not None:
            names |= _class_names((chunk.schema.metadata or {}).get(b"huggingface"))
        yield from chunk.rows


def _read_json(path: Path) -> list[Row] | None:
    """Read a JSON array of objects, or an object with one such array; return None for JSON Lines."""
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
        raise DataError(f"{path}: not an array of objects; expected objects with a text and labels")
    return content


def _class_names(metadata: bytes | None) -> dict[str, dict[str, str]]:
    """Return the names of label indices by column, from the metadata that the `datasets` library writes to Parquet."""
    class_names = {}
    features = json.loads(metadata or b"{}").get("info", {}).get("features", {})
    for column, feature in features.items() if isinstance(features, dict) else ():
        inner = feature.get("feature", feature) if isinstance(feature, dict) else {}
        if isinstance(inner, dict) and isinstance(inner.get("names"), list):
            class_names[column] = {str(number): str(name) for number, name in enumerate(inner["names"])}
    return class_names


def _read_hub(
    source: str, split: str, is_label: IsLabel, text_column: str | None, label_columns: list[str] | None
) -> LabeledSet:
    rows = load_hub_split(source, split, f"file or folder {source!r}")
    names = {}
    for column, feature in rows.features.items():
        class_names = getattr(getattr(feature, "feature", feature), "names", None)
        names[column] = {str(number): name for number, name in enumerate(class_names or [])}
    located_rows = ((f"{source}, row {number}", row) for number, row in enumerate(rows, 1))
    return _collect(located_rows, source, f"{source}, {split}", names, is_label, text_column, label_columns)


def _collect(
    rows: Iterable[LocatedRow],
    where: str,
    name: str,
    names: Mapping[str, Mapping[str, str]],
    is_label: IsLabel,
    text_column: str | None,
    label_columns: list[str] | None,
) -> LabeledSet:
    """Choose columns by the first rows, then collect texts and labels of all rows."""
    stream = iter(rows)
    first = list(islice(stream, CHUNK_ROWS))
    if not first:
        raise DataError(f"{where}: no rows; expected rows with a text and labels")
    columns: Columns = choose_columns([row for _, row in first], where, is_label, text_column, label_columns)
    data_set = LabeledSet(name, read_as=columns.described)
    for location, row in chain(first, stream):
        text = row.get(columns.text)
        if text is not None and not isinstance(text, str):
            raise DataError(f"{location}: {columns.text!r} is {text!r:.40}, not a string; use --text-column")
        data_set.add(text or "", columns.labels_of(row, location))
    data_set.names = names.get(columns.label or "", {})
    if columns.indicators:  # columns with other values than 0 and 1 are not labels
        data_set.labels = [columns.only_labels(labels) for labels in data_set.labels]
    return data_set
