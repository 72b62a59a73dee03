"""First stage: GoEmotions' official split, checked and kept as it is."""

from collections.abc import Callable
from pathlib import Path

from evenmood.errors import DataError
from evenmood.model_folder import whole_folder
from evenmood.splits import OFFICIAL_DIGESTS, SPLITS, Split, load_split

STAGE = "goemotions"
SIZES = {"train": 43_410, "validation": 5_426, "test": 5_427}
"""Of the official split, which is 8:1:1 (https://arxiv.org/abs/2005.00547)."""


def run(source: str, build: Path, say: Callable[[str], None], *, any_size: bool = False) -> Path:
    """Write `BUILD/goemotions/{train,validation,test}.parquet` of text, labels and id.

    Args:
        source: As in `evenmood.splits.load_split`.
        build: Build folder.
        say: Receives progress, a line at a time.
        any_size: Take a data set of other sizes: a sample, or one of your own.

    Raises:
        DataError: The sizes are not the official ones, or an id appears twice.
    """
    splits = {name: load_split(source, name) for name in SPLITS}
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
        same = "the official ones" if split.digest() == OFFICIAL_DIGESTS[name] else "not the official ones"
        say(f"{STAGE}: {len(split):,} {name} texts, {same}")
    with whole_folder(build / STAGE, overwrite=True) as work:
        for name, split in splits.items():
            _write(work / f"{name}.parquet", split)
    return build / STAGE


def _write(path: Path, split: Split) -> None:
    import pyarrow
    from pyarrow import parquet

    labels = [row.nonzero()[0].tolist() for row in split.labels]
    columns = {"text": split.texts, "labels": labels, "id": split.ids}
    kinds = [("text", pyarrow.string()), ("labels", pyarrow.list_(pyarrow.int64())), ("id", pyarrow.string())]
    parquet.write_table(pyarrow.table(columns, pyarrow.schema(kinds)), path)
