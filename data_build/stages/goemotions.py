"""Stage `goemotions`: import the official GoEmotions splits, checked and unchanged."""

from pathlib import Path

import pyarrow

from data_build.stage import Log, open_stage
from evenmood.data.splits import OFFICIAL_DIGESTS, SPLITS, Split, load_split
from evenmood.errors import DataError

STAGE = "goemotions"
SIZES = {"train": 43_410, "validation": 5_426, "test": 5_427}
"""Texts in the official splits, whose ratio is 8:1:1 (https://arxiv.org/abs/2005.00547)."""
SPLIT_RATIO = "8.0:1.0:1.0"
SCHEMA = pyarrow.schema(
    [("text", pyarrow.string()), ("labels", pyarrow.list_(pyarrow.int64())), ("id", pyarrow.string())]
)


def run(
    build: Path, log: Log, source: str, *, any_size: bool = False, limit: int | None = None, restart: bool = False
) -> None:
    """Write the shards `train`, `validation` and `test` with the columns text, labels and id.

    Args:
        build: Build folder.
        log: Called with each progress message.
        source: As in `evenmood.data.splits.load_split`.
        any_size: Accept splits that differ in size from the official ones: a sample, or your own data.
        limit: Maximum number of training texts to read; validation and test get an eighth of it each, rounded up. By
            default, all texts are read.
        restart: Discard the output of an earlier run.

    Raises:
        DataError: The sizes differ from the official ones, or two texts share an id.
    """
    splits = {name: load_split(source, name) for name in SPLITS}
    if limit is not None:
        splits = {
            name: _truncate_split(split, limit if name == "train" else -(-limit // 8)) for name, split in splits.items()
        }
        any_size = True
    digests = {name: split.digest() for name, split in splits.items()}
    split_of_id: dict[str, str] = {}
    for name, split in splits.items():
        if not any_size and len(split) != SIZES[name]:
            raise DataError(
                f"{source}: {len(split):,} {name} texts; expected {SIZES[name]:,} as in GoEmotions; "
                "use --any-size for other data"
            )
        for source_id in filter(None, split.ids):
            if source_id in split_of_id:
                raise DataError(
                    f"{source}: duplicate id {source_id!r}, in {split_of_id[source_id]} and {name}; make ids unique"
                )
            split_of_id[source_id] = name
    split_ratio = ":".join(
        f"{10 * len(split) / max(1, sum(map(len, splits.values()))):.1f}" for split in splits.values()
    )
    options = {"limit": limit, "source": Path(source).name if Path(source).is_dir() else source}
    with open_stage(build, STAGE, digests, options, log, restart) as stage:
        if stage.finished:
            return
        for name, split in splits.items():
            match = "identical to" if digests[name] == OFFICIAL_DIGESTS[name] else "different from"
            log(f"{STAGE}: {len(split):,} {name} texts, {match} the official split")
            stage.write(name, _table(split), {"in": len(split)})
        log(
            f"{STAGE}: train:validation:test is {split_ratio}"
            + ("" if split_ratio == SPLIT_RATIO else f"; expected {SPLIT_RATIO}")
        )
        stage.finish(
            split_ratio=split_ratio, is_official={name: digests[name] == OFFICIAL_DIGESTS[name] for name in SPLITS}
        )


def _truncate_split(split: Split, rows: int) -> Split:
    return Split(split.texts[:rows], split.labels[:rows], split.ids[:rows])


def _table(split: Split) -> pyarrow.Table:
    labels = [row.nonzero()[0].tolist() for row in split.labels]
    return pyarrow.table({"text": split.texts, "labels": labels, "id": split.ids}, SCHEMA)
