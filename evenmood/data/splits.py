"""Reading a labelled data set: a Hub id, a build folder, or a folder of GoEmotions' TSV files or of Parquet files."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evenmood.data import build_folder
from evenmood.errors import DataError
from evenmood.labels import LABELS
from evenmood.model import hub
from evenmood.system.paths import expanded
from evenmood.text.normalization import clean

GOEMOTIONS = "google-research-datasets/go_emotions:simplified"
SPLITS = ("train", "validation", "test")
ALIASES = {"validation": ("validation", "dev", "valid")}
"""GoEmotions' own release calls the validation file `dev.tsv`."""
SHARD = re.compile(r"[-_.]\d+(?:-of-(?P<count>\d+))?(?:-[0-9a-f]+)?$")
"""What a file's name has after the split's, where the split lies in several files."""
OFFICIAL_DIGESTS = {
    "train": "f43b2e7f52e149b0a35b766a2944c3c9eed2473f5e79f7f4116d0e3867b35633",
    "validation": "7131a663631b06dda27fcc114a94ce25637701edbf4d47017db3c297370fa1e1",
    "test": "eb4d6a86c2a81b7679f3e95d63c09869421c969238f2928bb21f150183e264b1",
}
"""`Split.digest` of GoEmotions' official splits: a card can tell them from a folder that only has their name."""


Row = tuple[str, list[int], str | None]
"""Text, label numbers, id."""


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Attributes:
        texts: n texts, not cleaned.
        labels: float32 of shape (n, 28), 1 where the text has the label.
        ids: The source's own id of each text, None where it gives none.
    """

    texts: list[str]
    labels: np.ndarray
    ids: list[str | None]

    def __len__(self) -> int:
        return len(self.texts)

    def digest(self) -> str:
        """SHA-256 over the rows, whatever their order: the same for the same texts and labels from any source."""
        rows = (
            json.dumps([text, row.nonzero()[0].tolist()]) for text, row in zip(self.texts, self.labels, strict=True)
        )
        return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()

    def without(self, others: Iterable["Split"]) -> "Split":
        """Return the rows whose cleaned text is in none of the other splits."""
        seen = {clean(text) for other in others for text in other.texts}
        rows = [row for row, text in enumerate(self.texts) if clean(text) not in seen]
        return Split([self.texts[row] for row in rows], self.labels[rows], [self.ids[row] for row in rows])


def load_split(source: str, split: str) -> Split:
    """Read one split and no other.

    Args:
        source: `namespace/name` or `namespace/name:configuration` on the Hub; a build folder (its balanced training
            rows), or `BUILD:unbalanced` (all rows there were to choose from), both with the official validation and
            test; a folder with `train.tsv`, `validation.tsv` (or `dev.tsv`) and `test.tsv` of text, comma-separated
            label numbers and comment id; or a folder with Parquet files named by split, of `text`, `labels` (numbers or
            names) and, if it likes, `id`.
        split: `train`, `validation` or `test`.

    Raises:
        DataError: Nothing there, more than one data set, or a row is broken; the message names file and line.
    """
    if split not in SPLITS:
        raise DataError(f"no split {split!r}; the splits are {', '.join(SPLITS)}")
    folder = expanded(source)
    build, _, configuration = source.rpartition(":")
    if build_folder.is_build(folder):
        read = _read_build(folder, "balanced", split)
    elif build and build_folder.is_build(expanded(build)):
        read = _read_build(expanded(build), configuration, split)
    elif folder.is_dir():
        read = _read_folder(folder, split)
    elif folder.is_file():
        raise DataError(f"{source} is a file; give the folder that holds it")
    else:
        read = _read_hub(source, split)
    texts, rows, ids = [], [], []
    for text, row, own_id in read:
        texts.append(text)
        rows.append(row)
        ids.append(own_id)
    if not texts:
        raise DataError(f"{source}: the {split} split is empty")
    labels = np.zeros((len(rows), len(LABELS)), np.float32)
    for index, row in enumerate(rows):
        labels[index, row] = 1
    return Split(texts, labels, ids)


def _read_build(build: Path, configuration: str, split: str) -> Iterator[Row]:
    """The training rows of a configuration, or the official validation and test, which both have."""
    stages = build_folder.CONFIGURATIONS
    if configuration not in stages:
        raise DataError(f"{build} is a build folder: write {' or '.join(f'{build}:{name}' for name in stages)}")
    training = stages[configuration]
    build_folder.check_current(build, training)
    stage, prefix = (training, "train") if split == "train" else (build_folder.OFFICIAL, split)
    for name, rows in build_folder.read_shards(build, stage, prefix):
        for number, row in enumerate(rows.select(["text", "labels", "id"]).to_pylist(), 1):
            yield _row(row, f"{build / stage / name}.parquet, row {number}")


def _read_folder(folder: Path, split: str) -> Iterator[Row]:
    names = ALIASES.get(split, (split,))
    tables = [path for name in names if (path := folder / f"{name}.tsv").is_file()]
    files = sorted({path for name in names for path in folder.rglob(f"{name}*.parquet")})  # "valid" finds both
    kinds = sorted({(path.parent, SHARD.sub("", path.stem)) for path in files})
    if len(tables) + len(kinds) > 1:
        found = [path.name for path in tables]
        found += [f"{(parent / name).relative_to(folder)}*.parquet" for parent, name in kinds]
        raise DataError(
            f"{folder}: the {split} split may be {', '.join(found)}; name the folder of one data set, or, for one with "
            f"a card that lists configurations, {folder}:CONFIGURATION"
        )
    if tables:
        return _read_tsv(tables[0])
    if files:
        counts = {int(match["count"] or len(files)) for path in files if (match := SHARD.search(path.stem))}
        if counts - {len(files)}:
            raise DataError(f"{folder}: {len(files)} files of the {split} split, whose names say {max(counts)}")
        return (row for path in files for row in _read_parquet(path))
    held = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise DataError(f"{folder}: no {names[0]}.tsv and no {names[0]}*.parquet; the folder holds {held}")


def _read_tsv(path: Path) -> Iterator[Row]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path}, line {number}"
            try:
                fields = line.decode("utf-8").rstrip("\r\n").split("\t")
            except UnicodeDecodeError as error:
                raise DataError(f"{where}: not UTF-8 at byte {error.start}") from None
            if fields == [""]:
                continue
            if len(fields) < 2:
                raise DataError(f"{where}: expected text, label numbers and comment id between tabs, found one field")
            own_id = fields[2] if len(fields) > 2 else None
            yield fields[0], _label_numbers(fields[1].split(","), where), own_id


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        absent = {"text", "labels"} - set(file.schema_arrow.names)
        if absent:
            raise DataError(f"{path}: no column {' and '.join(sorted(absent))}; it has {', '.join(file.schema.names)}")
        number = 0
        columns = [name for name in ("text", "labels", "id", "text_hash") if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield _row(row, f"{path}, row {number}")
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{path}: not a Parquet file ({error})") from None


def load_hub_split(source: str, split: str, missing: str) -> Any:
    """Load `namespace/name` or `namespace/name:configuration` as a `datasets.Dataset`; `missing` as in `explained`."""
    import datasets

    repository, _, configuration = source.partition(":")
    with explained(missing):
        return hub.retrying(lambda: datasets.load_dataset(repository, configuration or None, split=split))


def _read_hub(source: str, split: str) -> Iterator[Row]:
    rows = load_hub_split(source, split, f"folder {source!r}")
    names = getattr(getattr(rows.features.get("labels"), "feature", None), "names", None)
    for number, row in enumerate(rows, 1):
        if names is not None and row.get("labels") is not None:
            row = {**row, "labels": [names[label] for label in row["labels"]]}
        yield _row(row, f"{source}, {split} row {number}")


@contextmanager
def explained(missing: str) -> Iterator[None]:
    """Turn what reading a Hub data set raises into one line, a `DataError`; `missing` is what is not here either."""
    import datasets
    from huggingface_hub import errors as hub_errors

    try:
        yield
    except Exception as error:
        known = (
            datasets.exceptions.DatasetsError,
            hub_errors.HfHubHTTPError,
            hub_errors.HFValidationError,
            FileNotFoundError,
            ConnectionError,
            ValueError,
        )
        if not isinstance(error, known) and not hub.of_transport(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"no {missing} here, and the Hub's data set cannot be read: {reason}") from None


def _row(row: dict[str, Any], where: str) -> Row:
    if row.get("text") is None and row.get("text_hash"):
        raise DataError(
            f"{where}: the text is withheld; join it from your own copy with: "
            "python -m data_build hydrate DATA --tweets FILE --out FOLDER"
        )
    if not isinstance(row.get("text"), str):
        raise DataError(f"{where}: text is {row.get('text')!r}, not a string")
    if not isinstance(row.get("labels"), list):
        raise DataError(f"{where}: labels is {row.get('labels')!r}, not a list")
    own_id = row.get("id")
    return row["text"], _label_numbers(row["labels"], where), None if own_id is None else str(own_id)


def _label_numbers(values: list[Any], where: str) -> list[int]:
    """Label numbers of a row, given as numbers or as names."""
    numbers = []
    for value in values:
        if value in LABELS:
            numbers.append(LABELS.index(value))
            continue
        whole = type(value) is int or (isinstance(value, str) and value.strip().isdecimal())  # not 3.9, not true
        number = int(value) if whole else -1
        if not 0 <= number < len(LABELS):
            raise DataError(f"{where}: unknown label {value!r}; expected 0 to {len(LABELS) - 1} or a label's name")
        numbers.append(number)
    return numbers
