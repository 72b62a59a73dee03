"""First stage: GoEmotions' official split, checked and kept as it is."""

from pathlib import Path

import pyarrow

from data_build.stage import Say, open_stage
from evenmood.data.splits import OFFICIAL_DIGESTS, SPLITS, Split, load_split
from evenmood.errors import DataError

STAGE = "goemotions"
SIZES = {"train": 43_410, "validation": 5_426, "test": 5_427}
"""Of the official split, which is 8:1:1 (https://arxiv.org/abs/2005.00547)."""
SHAPE = "8.0:1.0:1.0"
SCHEMA = pyarrow.schema(
    [("text", pyarrow.string()), ("labels", pyarrow.list_(pyarrow.int64())), ("id", pyarrow.string())]
)


def run(
    build: Path, say: Say, source: str, *, any_size: bool = False, limit: int | None = None, restart: bool = False
) -> None:
    """Write the shards `train`, `validation` and `test` of text, labels and id.

    Args:
        build: Build folder.
        say: Receives progress, a line at a time.
        source: As in `evenmood.data.splits.load_split`.
        any_size: Take a data set of other sizes: a sample, or one of your own.
        limit: Training texts to take, and an eighth as many of validation and test; all of them if left out.
        restart: Forget what an earlier run wrote.

    Raises:
        DataError: The sizes are not the official ones, or an id appears twice.
    """
    splits = {name: load_split(source, name) for name in SPLITS}
    if limit is not None:
        splits = {name: _first(split, limit if name == "train" else -(-limit // 8)) for name, split in splits.items()}
        any_size = True
    digests = {name: split.digest() for name, split in splits.items()}
    seen: dict[str, str] = {}
    for name, split in splits.items():
        if not any_size and len(split) != SIZES[name]:
            raise DataError(
                f"{source}: {len(split):,} {name} texts, not the official {SIZES[name]:,}; "
                "--any-size takes a data set of other sizes"
            )
        for own_id in filter(None, split.ids):
            if own_id in seen:
                raise DataError(f"{source}: id {own_id!r} appears twice, in {seen[own_id]} and in {name}")
            seen[own_id] = name
    shape = ":".join(f"{10 * len(split) / max(1, sum(map(len, splits.values()))):.1f}" for split in splits.values())
    options = {"limit": limit, "source": Path(source).name if Path(source).is_dir() else source}
    with open_stage(build, STAGE, digests, options, say, restart) as stage:
        if stage.finished:
            return
        for name, split in splits.items():
            same = "the official ones" if digests[name] == OFFICIAL_DIGESTS[name] else "not the official ones"
            say(f"{STAGE}: {len(split):,} {name} texts, {same}")
            stage.write(name, _table(split), {"in": len(split)})
        say(f"{STAGE}: train, validation and test are {shape}" + ("" if shape == SHAPE else f", not {SHAPE}"))
        stage.finish(shape=shape, official={name: digests[name] == OFFICIAL_DIGESTS[name] for name in SPLITS})


def _first(split: Split, rows: int) -> Split:
    return Split(split.texts[:rows], split.labels[:rows], split.ids[:rows])


def _table(split: Split) -> pyarrow.Table:
    labels = [row.nonzero()[0].tolist() for row in split.labels]
    return pyarrow.table({"text": split.texts, "labels": labels, "id": split.ids}, SCHEMA)
