"""Load the splits of a labeled data set from the Hub, a build folder, or a folder of TSV or Parquet files."""

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
from evenmood.system.paths import expand_home
from evenmood.text.normalization import clean

GOEMOTIONS = "google-research-datasets/go_emotions:simplified"
SPLITS = ("train", "validation", "test")
ALIASES = {"validation": ("validation", "dev", "valid")}
"""Accepted file names of a split; in the GoEmotions release, the validation file is `dev.tsv`."""
SHARD = re.compile(r"[-_.]\d+(?:-of-(?P<count>\d+))?(?:-[0-9a-f]+)?$")
"""Suffix after the split name in the file names of a split with several files."""
OFFICIAL_DIGESTS = {
    "train": "f43b2e7f52e149b0a35b766a2944c3c9eed2473f5e79f7f4116d0e3867b35633",
    "validation": "7131a663631b06dda27fcc114a94ce25637701edbf4d47017db3c297370fa1e1",
    "test": "eb4d6a86c2a81b7679f3e95d63c09869421c969238f2928bb21f150183e264b1",
}
"""`Split.digest` of the official GoEmotions splits, to recognize them independently of the source's name."""


Row = tuple[str, list[int], str | None]
"""Text, label indices, id."""


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Attributes:
        texts: n original texts.
        labels: Multi-hot matrix: float32 of shape (n, 28).
        ids: The source's id of each text, or None.
    """

    texts: list[str]
    labels: np.ndarray
    ids: list[str | None]

    def __len__(self) -> int:
        return len(self.texts)

    def digest(self) -> str:
        """Compute the SHA-256 of texts and labels, independent of row order and source format."""
        rows = (
            json.dumps([text, row.nonzero()[0].tolist()]) for text, row in zip(self.texts, self.labels, strict=True)
        )
        return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()

    def without(self, others: Iterable["Split"]) -> "Split":
        """Return the rows whose cleaned text does not occur in the other splits."""
        other_texts = {clean(text) for split in others for text in split.texts}
        rows = [row for row, text in enumerate(self.texts) if clean(text) not in other_texts]
        return Split([self.texts[row] for row in rows], self.labels[rows], [self.ids[row] for row in rows])


def load_split(source: str, split: str) -> Split:
    """Load one split; files of the other splits are not read.

    Args:
        source: One of:
            a Hub id, `namespace/name` or `namespace/name:configuration`;
            a build folder, `BUILD` for the balanced or `BUILD:unbalanced` for all training rows, both with the official
            validation and test splits;
            a folder with `train.tsv`, `validation.tsv` (or `dev.tsv`) and `test.tsv`, whose columns are text,
            comma-separated label indices and comment id;
            a folder with Parquet files named after the splits, with the columns `text`, `labels` (indices or names)
            and, optionally, `id`.
        split: `train`, `validation` or `test`.

    Raises:
        DataError: There is no data set, more than one, or an invalid row; the message names the file and line.
    """
    if split not in SPLITS:
        raise DataError(f"unknown split {split!r}; expected one of: {', '.join(SPLITS)}")
    folder = expand_home(source)
    build, _, configuration = source.rpartition(":")
    if build_folder.is_build(folder):
        split_rows = _read_build(folder, "balanced", split)
    elif build and build_folder.is_build(expand_home(build)):
        split_rows = _read_build(expand_home(build), configuration, split)
    elif folder.is_dir():
        split_rows = _read_folder(folder, split)
    elif folder.is_file():
        raise DataError(f"{source} is a file; expected a data set folder or a Hub id")
    else:
        split_rows = _read_hub(source, split)
    texts, rows, ids = [], [], []
    for text, row, row_id in split_rows:
        texts.append(text)
        rows.append(row)
        ids.append(row_id)
    if not texts:
        raise DataError(f"{source}: the {split} split is empty")
    labels = np.zeros((len(rows), len(LABELS)), np.float32)
    for index, row in enumerate(rows):
        labels[index, row] = 1
    return Split(texts, labels, ids)


def _read_build(build: Path, configuration: str, split: str) -> Iterator[Row]:
    """Yield the training rows of a configuration; validation and test are the official ones in every configuration."""
    stages = build_folder.CONFIGURATIONS
    if configuration not in stages:
        expected = " or ".join(f"{build}:{name}" for name in stages)
        raise DataError(f"{build}: unknown configuration {configuration!r}; expected {expected}")
    training = stages[configuration]
    build_folder.check_current(build, training)
    stage, prefix = (training, "train") if split == "train" else (build_folder.OFFICIAL_STAGE, split)
    for name, rows in build_folder.read_shards(build, stage, prefix):
        for number, row in enumerate(rows.select(["text", "labels", "id"]).to_pylist(), 1):
            yield _row(row, f"{build / stage / name}.parquet, row {number}")


def _read_folder(folder: Path, split: str) -> Iterator[Row]:
    names = ALIASES.get(split, (split,))
    tsv_files = [path for name in names if (path := folder / f"{name}.tsv").is_file()]
    # A set, because "valid*" also matches "validation*".
    parquet_files = sorted({path for name in names for path in folder.rglob(f"{name}*.parquet")})
    data_sets = sorted({(path.parent, SHARD.sub("", path.stem)) for path in parquet_files})
    if len(tsv_files) + len(data_sets) > 1:
        candidates = [path.name for path in tsv_files]
        candidates += [f"{(parent / name).relative_to(folder)}*.parquet" for parent, name in data_sets]
        raise DataError(
            f"{folder}: several candidates for the {split} split ({', '.join(candidates)}); name the folder of one "
            f"data set, or {folder}:CONFIGURATION if its card lists configurations"
        )
    if tsv_files:
        return _read_tsv(tsv_files[0])
    if parquet_files:
        counts = {
            int(match["count"] or len(parquet_files)) for path in parquet_files if (match := SHARD.search(path.stem))
        }
        if counts - {len(parquet_files)}:
            raise DataError(
                f"{folder}: the {split} split has {len(parquet_files)} files; expected {max(counts)} by their names"
            )
        return (row for path in parquet_files for row in _read_parquet(path))
    content = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "no files"
    raise DataError(f"{folder}: no {names[0]}.tsv or {names[0]}*.parquet; the folder contains {content}")


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
                raise DataError(f"{where}: only one field; expected text, label indices and comment id, tab-separated")
            row_id = fields[2] if len(fields) > 2 else None
            yield fields[0], _label_indices(fields[1].split(","), where), row_id


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        missing = {"text", "labels"} - set(file.schema_arrow.names)
        if missing:
            column_names = ", ".join(file.schema.names)
            raise DataError(f"{path}: no column {' and '.join(sorted(missing))}; the columns are {column_names}")
        number = 0
        columns = [name for name in ("text", "labels", "id", "text_hash") if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield _row(row, f"{path}, row {number}")
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{path}: not a Parquet file ({error})") from None


def load_hub_split(source: str, split: str, missing: str) -> Any:
    """Load `namespace/name` or `namespace/name:configuration` as a `datasets.Dataset`.

    Raises:
        DataError: The data set cannot be read; `missing` is as in `convert_hub_errors`.
    """
    import datasets

    repository, _, configuration = source.partition(":")
    with convert_hub_errors(missing):
        return hub.retry(lambda: datasets.load_dataset(repository, configuration or None, split=split))


def _read_hub(source: str, split: str) -> Iterator[Row]:
    rows = load_hub_split(source, split, f"folder {source!r}")
    names = getattr(getattr(rows.features.get("labels"), "feature", None), "names", None)
    for number, row in enumerate(rows, 1):
        if names is not None and row.get("labels") is not None:
            row = {**row, "labels": [names[label] for label in row["labels"]]}
        yield _row(row, f"{source}, {split} row {number}")


@contextmanager
def convert_hub_errors(missing: str) -> Iterator[None]:
    """Convert exceptions raised while reading a Hub data set into one-line `DataError`s.

    Args:
        missing: The local path that the name could also refer to, and that does not exist, such as `folder 'x'`.
    """
    import datasets
    from huggingface_hub import errors as hub_errors

    try:
        yield
    except Exception as error:
        expected = (
            datasets.exceptions.DatasetsError,
            hub_errors.HfHubHTTPError,
            hub_errors.HFValidationError,
            FileNotFoundError,
            ConnectionError,
            ValueError,
        )
        if not isinstance(error, expected) and not hub.is_transport_error(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"no local {missing}, and the Hub data set cannot be read: {reason}") from None


def _row(row: dict[str, Any], where: str) -> Row:
    if row.get("text") is None and row.get("text_hash"):
        raise DataError(
            f"{where}: the text is withheld; fill it in from your own copy of the tweets with: "
            "python -m data_build hydrate DATA --tweets FILE --out FOLDER"
        )
    if not isinstance(row.get("text"), str):
        raise DataError(f"{where}: text is {row.get('text')!r}, not a string")
    if not isinstance(row.get("labels"), list):
        raise DataError(f"{where}: labels is {row.get('labels')!r}, not a list")
    row_id = row.get("id")
    return row["text"], _label_indices(row["labels"], where), None if row_id is None else str(row_id)


def _label_indices(values: list[Any], where: str) -> list[int]:
    """Convert label indices or names to indices."""
    indices = []
    for value in values:
        if value in LABELS:
            indices.append(LABELS.index(value))
            continue
        is_integer = type(value) is int or (isinstance(value, str) and value.strip().isdecimal())  # no float, no bool
        index = int(value) if is_integer else -1
        if not 0 <= index < len(LABELS):
            raise DataError(f"{where}: unknown label {value!r}; expected 0 to {len(LABELS) - 1} or a label name")
        indices.append(index)
    return indices
