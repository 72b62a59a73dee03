"""What the network is to learn: labels, a teacher's probabilities, or a mix of both."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

from evenmood.data.leakage import Leakage
from evenmood.data.rows import symbol_hash
from evenmood.data.splits import Split, load_split
from evenmood.errors import DataError
from evenmood.labels import LABELS
from evenmood.model.hub_files import located
from evenmood.model.model_folder import write_text
from train.config import TrainConfig
from train.evaluation.everyday import load_everyday
from train.release.card import SOFT_TARGETS_FILE

RECORD = b"evenmood.label"
"""Key, in the metadata of a file of soft targets, of its teachers and of what was taken and dropped of each source."""


@dataclass(frozen=True)
class TrainingTexts:
    """Texts, and the probabilities that the network is to give them.

    Attributes:
        texts: n texts, not cleaned; those of the training split first.
        targets: float32 of shape (n, 28), each in [0, 1].
        frequencies: Mean target of each label over the training split alone, shape (28,): further texts are chosen for
            rare labels, and do not make these less rare where the model is used.
    """

    texts: list[str]
    targets: np.ndarray
    frequencies: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)


def training_texts(
    config: TrainConfig, train: Split, extra: Split | None, held: Sequence[Split], log: Callable[[str], None]
) -> TrainingTexts:
    """Mix labels with the soft targets of the same texts, and add the other texts of these.

    A labelled text that has soft targets gets `label_share` of its labels and the rest of the teacher's probabilities
    (Hinton et al. 2015, https://arxiv.org/abs/1503.02531); a text without labels gets the probabilities.

    Args:
        config: Files and shares.
        train: The training split.
        extra: Further labelled texts, checked for leakage already.
        held: Validation and test: texts of soft targets that equal one of theirs are left out. (`label`, which writes
            the files, leaves out near duplicates too.)
        log: Receives a line about what was found.

    Raises:
        DataError: A file is missing, is no Parquet file, or its probabilities are none.
    """
    labelled = [(train, config.label_share, config.repeats)]
    if extra:
        labelled.append((extra, config.extra_label_share, config.extra_repeats))
    read = [read_soft_targets(located(name)) for name in config.soft_targets]
    texts = [text for part, _ in read for text in part]
    soft = np.concatenate([np.empty((0, len(LABELS)), np.float32), *(part for _, part in read)])
    places: dict[str, int] = {}
    for place, text in enumerate(texts):
        places.setdefault(symbol_hash(text), place)
    used = {symbol_hash(text) for split in held for text in split.texts}
    closed = len(used.intersection(places))
    all_texts, all_targets = list[str](), list[np.ndarray]()
    for split, share, repeats in labelled:
        targets = split.labels.copy()
        own = [symbol_hash(text) for text in split.texts]
        rows = [row for row, name in enumerate(own) if name in places]
        targets[rows] = share * targets[rows] + (1 - share) * soft[[places[own[row]] for row in rows]]
        all_texts += split.texts * repeats
        all_targets += [targets] * repeats
        used.update(own)
        if config.soft_targets:
            log(f"soft targets: {len(rows):,} of {len(split):,} labelled texts")
    more = [place for name, place in places.items() if name not in used]
    if config.soft_targets:
        log(f"soft targets: {len(more):,} texts without labels ({closed:,} are validation or test texts)")
    return TrainingTexts(
        [*all_texts, *(texts[place] for place in more)],
        np.concatenate([*all_targets, soft[more]]),
        all_targets[0].mean(axis=0),
    )


def load_extra(source: str, data: str, log: Callable[[str], None]) -> Split:
    """Further labelled training texts, without those that equal or nearly equal a held-out text of `data` or ours.

    Args:
        source: Data set as in `load_split`, whose training split is read.
        data: Data set whose validation and test are held out; the everyday texts are too.
        log: Receives a line about what was left out.
    """
    extra = load_split(source, "train")
    held = [load_split(data, "validation"), *(load_everyday(split).split for split in ("validation", "test"))]
    try:
        held.append(load_split(data, "test"))
    except DataError:
        log(f"extra: {data} has no test split to keep out of them")
    leakage = Leakage(text for split in held for text in split.texts)
    rows = [row for row, text in enumerate(extra.texts) if not leakage.reason(text)]
    log(f"extra: {len(rows):,} of {len(extra):,} texts of {source}; the others are near held-out texts")
    return Split([extra.texts[row] for row in rows], extra.labels[rows], [extra.ids[row] for row in rows])


def check_soft_targets(config: TrainConfig) -> None:
    """Raise `DataError` if a file of soft targets is missing, before anything large is read."""
    for name in config.soft_targets:
        if not located(name).exists():
            raise _missing(located(name))


def _missing(path: Path) -> DataError:
    return DataError(f"{path}: no such file; write it with: python -m train label")


def read_soft_targets(path: Path) -> tuple[list[str], np.ndarray]:
    """Texts and probabilities, float32 of shape (n, 28), of a Parquet file with these two columns."""
    try:
        table = parquet.read_table(path, columns=["text", "probabilities"])
    except FileNotFoundError:
        raise _missing(path) from None
    except (pyarrow.ArrowInvalid, pyarrow.ArrowKeyError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not a Parquet file with text and probabilities ({reason})") from None
    if set(table.schema.names) != {"text", "probabilities"}:
        raise DataError(f"{path}: needs the columns text and probabilities")
    values = np.asarray(table["probabilities"].combine_chunks().flatten(), np.float32)
    if len(values) != table.num_rows * len(LABELS) or table["text"].null_count:
        raise DataError(f"{path}: needs a text and {len(LABELS)} probabilities in each row")
    if not ((values >= 0) & (values <= 1)).all():
        raise DataError(f"{path}: a probability is not from 0 to 1")
    return table["text"].to_pylist(), values.reshape(-1, len(LABELS))


def record_soft_targets(config: TrainConfig, training: Path) -> None:
    """Keep, beside the model, which texts its soft targets were of and whose they were."""
    files = []
    for name in config.soft_targets:
        path = located(name)
        known = (parquet.read_schema(path).metadata or {}).get(RECORD)
        files.append({"file": path.name, **(json.loads(known) if known else {})})
    write_text(training / SOFT_TARGETS_FILE, json.dumps(files, indent=1) + "\n")
