"""Training targets: labels, a teacher's probabilities (soft targets), or a blend of both."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

from evenmood.data.leakage import LeakageFilter
from evenmood.data.rows import symbol_hash
from evenmood.data.splits import Split, load_split
from evenmood.errors import DataError
from evenmood.labels import LABELS
from evenmood.model.hub_files import local_path
from evenmood.model.model_folder import write_text
from train.config import TrainConfig
from train.evaluation.everyday import load_everyday
from train.release.card import SOFT_TARGETS_FILE

RECORD = b"evenmood.label"
"""Metadata key of the record in a file of soft targets: teachers, and rows written and dropped per source."""


@dataclass(frozen=True)
class TrainingTexts:
    """Training texts and their targets.

    Attributes:
        texts: n original texts, those of the training split first.
        targets: Target probabilities: float32 of shape (n, 28).
        frequencies: Mean target of each label over the training split: shape (28,). Additional data, which
            over-represents rare labels, is not included.
    """

    texts: list[str]
    targets: np.ndarray
    frequencies: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)


def training_texts(
    config: TrainConfig, train: Split, extra: Split | None, held_out: Sequence[Split], log: Callable[[str], None]
) -> TrainingTexts:
    """Blend labels with soft targets for the same texts, and add the other texts with soft targets.

    The target of a labeled text with soft targets is `label_share` times its labels plus the teacher's probabilities
    with the remaining weight (Hinton et al. 2015, https://arxiv.org/abs/1503.02531); that of an unlabeled text is the
    teacher's probabilities.

    Args:
        config: Files of soft targets, label weights and repetitions.
        train: The training split.
        extra: Additional labeled texts, already checked for leakage.
        held_out: Validation and test splits, whose texts are excluded from the unlabeled texts. (The command `label`
            also excludes near-duplicates.)
        log: Called with the numbers of texts.

    Raises:
        DataError: A file is missing, is not a Parquet file, or has invalid probabilities.
    """
    labeled = [(train, config.label_share, config.repeats)]
    if extra:
        labeled.append((extra, config.extra_label_share, config.extra_repeats))
    texts, soft, row_of = read_unique_soft_targets([local_path(name) for name in config.soft_targets])
    seen_hashes = {symbol_hash(text) for split in held_out for text in split.texts}
    excluded = len(seen_hashes.intersection(row_of))
    all_texts, all_targets = list[str](), list[np.ndarray]()
    for split, share, repeats in labeled:
        targets = split.labels.copy()
        hashes = [symbol_hash(text) for text in split.texts]
        rows = [row for row, text_hash in enumerate(hashes) if text_hash in row_of]
        targets[rows] = share * targets[rows] + (1 - share) * soft[[row_of[hashes[row]] for row in rows]]
        all_texts += split.texts * repeats
        all_targets += [targets] * repeats
        seen_hashes.update(hashes)
        if config.soft_targets:
            log(f"soft targets: {len(rows):,} of {len(split):,} labeled texts")
    unlabeled = [row for text_hash, row in row_of.items() if text_hash not in seen_hashes]
    if config.soft_targets:
        log(f"soft targets: {len(unlabeled):,} unlabeled texts ({excluded:,} validation or test texts excluded)")
    return TrainingTexts(
        [*all_texts, *(texts[row] for row in unlabeled)],
        np.concatenate([*all_targets, soft[unlabeled]]),
        all_targets[0].mean(axis=0),
    )


def load_extra(source: str, data: str, log: Callable[[str], None]) -> Split:
    """Load additional labeled training texts, without duplicates and near-duplicates of held-out texts.

    Args:
        source: Data set with the training split, as in `load_split`.
        data: Data set whose validation and test splits are held out, as is the everyday benchmark.
        log: Called with the numbers of texts.
    """
    extra = load_split(source, "train")
    rows = allowed_rows(extra.texts, source, data, log)
    return Split([extra.texts[row] for row in rows], extra.labels[rows], [extra.ids[row] for row in rows])


def allowed_rows(texts: Sequence[str], source: str, data: str, log: Callable[[str], None]) -> list[int]:
    """Return the indices of texts that neither duplicate nor nearly duplicate a held-out text.

    Args:
        texts: Training texts.
        source: Name of their source, for the message.
        data: As in `load_extra`.
        log: Called with the numbers of texts.
    """
    held_out = [load_split(data, "validation"), *(load_everyday(split).split for split in ("validation", "test"))]
    try:
        held_out.append(load_split(data, "test"))
    except DataError:
        log(f"{data} has no test split to exclude")
    leakage = LeakageFilter(text for split in held_out for text in split.texts)
    rows = [row for row, text in enumerate(texts) if not leakage.rejection_reason(text)]
    log(
        f"{len(rows):,} of {len(texts):,} texts of {source}; the others are duplicates or near-duplicates of "
        "held-out texts"
    )
    return rows


def check_soft_targets(config: TrainConfig) -> None:
    """Raise `DataError` if a file of soft targets is missing, before reading any data."""
    for name in config.soft_targets:
        if not local_path(name).exists():
            raise _missing(local_path(name))


def _missing(path: Path) -> DataError:
    return DataError(f"{path}: no such file; write it with: python -m train label")


def read_unique_soft_targets(paths: Sequence[Path]) -> tuple[list[str], np.ndarray, dict[str, int]]:
    """Read several files of soft targets; of equal texts, the first has precedence.

    Returns:
        All texts; their probabilities, float32 of shape (n, 28); and the first row of each text, by its `symbol_hash`.

    Raises:
        DataError: As `read_soft_targets`.
    """
    files = [read_soft_targets(path) for path in paths]
    texts = [text for part, _ in files for text in part]
    row_of: dict[str, int] = {}
    for row, text in enumerate(texts):
        row_of.setdefault(symbol_hash(text), row)
    return texts, np.concatenate([np.empty((0, len(LABELS)), np.float32), *(part for _, part in files)]), row_of


def read_soft_targets(path: Path) -> tuple[list[str], np.ndarray]:
    """Read texts and probabilities, float32 of shape (n, 28), from a Parquet file with these two columns.

    Raises:
        DataError: The file is missing, is not a Parquet file, or has invalid columns or values.
    """
    try:
        table = parquet.read_table(path, columns=["text", "probabilities"])
    except FileNotFoundError:
        raise _missing(path) from None
    except (pyarrow.ArrowInvalid, pyarrow.ArrowKeyError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not a Parquet file with text and probabilities ({reason})") from None
    if set(table.schema.names) != {"text", "probabilities"}:
        raise DataError(f"{path}: columns {', '.join(table.schema.names)}; expected text and probabilities")
    values = np.asarray(table["probabilities"].combine_chunks().flatten(), np.float32)
    if len(values) != table.num_rows * len(LABELS) or table["text"].null_count:
        raise DataError(f"{path}: missing values; expected a text and {len(LABELS)} probabilities in each row")
    if not ((values >= 0) & (values <= 1)).all():
        raise DataError(f"{path}: a probability is outside 0 to 1; expected probabilities, not logits")
    return table["text"].to_pylist(), values.reshape(-1, len(LABELS))


def record_soft_targets(config: TrainConfig, training: Path) -> None:
    """Record the sources and teachers of a model's soft targets in its training folder."""
    files = []
    for name in config.soft_targets:
        path = local_path(name)
        record = (parquet.read_schema(path).metadata or {}).get(RECORD)
        files.append({"file": path.name, **(json.loads(record) if record else {})})
    write_text(training / SOFT_TARGETS_FILE, json.dumps(files, indent=1) + "\n")
