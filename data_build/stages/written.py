"""Stage `written`: everyday texts that language models wrote and annotated, or published sets of the same kind."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from data_build.annotation.majority import is_label
from data_build.stage import Say, Stage, input_hashes, open_stage
from data_build.stages import goemotions
from evenmood import LABELS
from evenmood.data.build_folder import MANIFEST_FILE, read_rows, sha256
from evenmood.data.leakage import Leakage
from evenmood.data.rows import symbol_hash, table, text_hash
from evenmood.errors import DataError
from evenmood.model import hub

STAGE = "written"
ROWS = Path(__file__).parents[1] / "written" / "train.parquet"
"""The texts written for this project, CC BY 4.0; `written_votes.py` makes the file."""
EVERYDAY = Path(__file__).parents[2] / "train" / "evaluation" / "everyday"
"""The everyday benchmark, whose texts stay out of training."""
SHARD_ROWS = 20_000


@dataclass(frozen=True)
class Extra:
    """A published data set of the same kind, and where its texts and labels are.

    Attributes:
        source: Hub id (`namespace/name` or `namespace/name:configuration`), or Parquet file.
        text: Column of the texts.
        labels: Column of the labels: a name, a list of names, or numbers in GoEmotions' order.
    """

    source: str
    text: str = "text"
    labels: str = "labels"


def run(
    build: Path,
    say: Say,
    rows: Path = ROWS,
    *,
    extra: Extra | None = None,
    limit: int | None = None,
    restart: bool = False,
) -> None:
    """Write the texts, each once, without those that equal or nearly equal a held-out text.

    Args:
        build: Build folder.
        say: Receives progress, a line at a time.
        rows: Parquet file as `written_votes.resolve` writes it.
        extra: A published data set to add.
        limit: Rows to read of each source; all of them if left out.
        restart: Forget what an earlier run wrote.

    Raises:
        DataError: A source cannot be read, lacks a column, or has an unknown label.
    """
    inputs = {**input_hashes(build, goemotions.STAGE), "rows": sha256(_existing(rows))}
    options = {"extra": vars(extra) if extra else None, "limit": limit}
    with open_stage(build, STAGE, inputs, options, say, restart) as stage:
        if stage.finished:
            return
        held = [
            text
            for split in ("validation", "test")
            for text in read_rows(build, goemotions.STAGE, split)["text"].to_pylist()
        ]
        leakage = Leakage([*held, *everyday_texts()])
        seen = {symbol_hash(text) for text in read_rows(build, goemotions.STAGE, "train")["text"].to_pylist()}
        sources = [("written", read_file(rows).slice(0, limit))]
        if extra:
            sources.append(("extra", _renamed(_read(extra.source, say).slice(0, limit), extra)))
        for name, source in sources:
            _write(stage, name, source, leakage, seen)
        stage.finish()


def stages(build: Path) -> tuple[str, ...]:
    """This stage's name, where it has been run."""
    return (STAGE,) if (build / STAGE / MANIFEST_FILE).exists() else ()


def everyday_texts() -> list[str]:
    """All texts of the everyday benchmark.

    Raises:
        DataError: The benchmark files are missing, so leakage into training cannot be checked.
    """
    files = sorted(EVERYDAY.glob("*.jsonl"))
    if not files:
        raise DataError(f"{EVERYDAY}: no everyday texts found; restore this folder from the repository")
    return [json.loads(line)["text"] for path in files for line in path.read_bytes().split(b"\n") if line.strip()]


def _write(stage: Stage, name: str, source: pyarrow.Table, leakage: Leakage, seen: set[str]) -> None:
    done = 0
    for number, start in enumerate(range(0, max(source.num_rows, 1), SHARD_ROWS)):
        part = source.slice(start, SHARD_ROWS)
        shard = f"{name}-{number:05}"
        texts, hashes = part["text"].to_pylist(), []
        counts, kept = Counter({"in": part.num_rows}), list[int]()
        for row, text in enumerate(texts):
            hashes.append(text_hash(text))
            own = symbol_hash(text)
            reason = "empty" if not text.strip() else "repeats a text" if own in seen else leakage.reason(text)
            if reason:
                counts[reason] += 1
                continue
            seen.add(own)
            kept.append(row)
        done += part.num_rows
        if not stage.has(shard):
            stage.write(
                shard,
                _rows(
                    name, start, part.take(pyarrow.array(kept, pyarrow.int64())), [hashes[row] for row in kept], kept
                ),
                counts,
            )
        stage.progress(part.num_rows, done, source.num_rows)


def _rows(name: str, start: int, part: pyarrow.Table, hashes: Sequence[str], kept: Sequence[int]) -> pyarrow.Table:
    """Rows of the data build, with who wrote a text, of what domain, and what annotators said."""
    given = {column: part[column].to_pylist() for column in part.schema.names}
    count, nothing = part.num_rows, [None] * part.num_rows
    votes = given.get("votes", nothing)
    domains = given.get("domain", nothing)
    try:
        return table(
            id=[f"{STAGE}:{own}" for own in given.get("id", [f"{name}-{start + row}" for row in kept])],
            text=given["text"],
            text_hash=list(hashes),
            labels=[
                label_numbers(labels, f"{name}, row {start + row + 1}")
                for labels, row in zip(given["labels"], kept, strict=True)
            ],
            source=[STAGE] * count,
            generator=given.get("writer", nothing),
            prompt_id=[
                None if domain is None else json.dumps({"domain": domain}, ensure_ascii=False) for domain in domains
            ],
            votes=votes,
            reviewed_by=["model" if vote else None for vote in votes],
            resolution=given.get("resolution", nothing),
        )
    except (pyarrow.ArrowException, TypeError) as error:  # a column of another type than `resolve` writes
        raise DataError(f"{name}, rows {start + 1} to {start + count}: {' '.join(str(error).split())[:200]}") from None


def label_numbers(labels: Any, where: str, *, ordered: bool = False) -> list[int]:
    """Label numbers of a cell of names or numbers, each once; ascending, or in their order in the cell.

    Raises:
        DataError: A label is unknown, or there is none.
    """
    given = labels if isinstance(labels, list) else [labels]
    found = []
    for label in given:
        number = LABELS.index(label) if label in LABELS else label
        if not is_label(number):
            raise DataError(f"{where}: unknown label {label!r}; expected a label's name or a number from 0 to 27")
        found.append(number)
    if not found:
        raise DataError(f"{where}: no label")
    return list(dict.fromkeys(found)) if ordered else sorted(set(found))


def read_file(path: Path, columns: Sequence[str] = ("text", "labels")) -> pyarrow.Table:
    """A Parquet file of texts and labels.

    Raises:
        DataError: There is no such file, it is damaged, it lacks a column, a text is null, or two rows share an id.
    """
    try:
        rows = parquet.read_table(_existing(path))
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        reason = " ".join(str(error).split())[:200] if path.stat().st_size else "the file is empty"
        raise DataError(f"{path}: not a Parquet file, or damaged ({reason})") from None
    check_columns(rows, columns, str(path))
    if "id" in rows.schema.names:
        repeated = [name for name, count in Counter(rows["id"].to_pylist()).items() if count > 1]
        if repeated:
            raise DataError(f"{path}: id {repeated[0]!r} appears more than once")
    return rows


def check_columns(rows: pyarrow.Table, columns: Sequence[str], source: str) -> None:
    """Raise `DataError` where a column is absent, or a text is not a string."""
    if absent := [name for name in columns if name not in rows.schema.names]:
        raise DataError(f"{source}: no column {absent[0]!r}; there are {', '.join(rows.schema.names)}")
    kind = rows.schema.field("text").type
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or pyarrow.types.is_null(kind)):
        raise DataError(f"{source}: the texts are {kind}; expected strings")
    if rows["text"].null_count:
        row = rows["text"].to_pylist().index(None) + 1
        raise DataError(f"{source}, row {row}: no text")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected a Parquet file of written texts")
    return path


def _read(source: str, say: Say) -> pyarrow.Table:
    if Path(source).suffix == ".parquet":
        return read_file(Path(source), ())
    import datasets

    from evenmood.data.splits import explained

    repository, _, configuration = source.partition(":")
    with explained(f"file {source!r}"):
        rows = hub.retrying(lambda: datasets.load_dataset(repository, configuration or None, split="train"))
    say(f"{source}: {len(rows):,} rows")
    found: pyarrow.Table = rows.with_format("arrow")[:]
    return _named_labels(found, rows.features)


def _named_labels(found: pyarrow.Table, features: Any) -> pyarrow.Table:
    """Numbers of a data set with label names of its own become these names."""
    for column, feature in features.items():
        names = getattr(getattr(feature, "feature", feature), "names", None)
        if names:
            cells = [
                [names[number] for number in (cell if isinstance(cell, list) else [cell])]
                for cell in found[column].to_pylist()
            ]
            found = found.set_column(found.schema.get_field_index(column), column, pyarrow.array(cells))
    return found


def _renamed(found: pyarrow.Table, extra: Extra) -> pyarrow.Table:
    absent = [name for name in (extra.text, extra.labels) if name not in found.schema.names]
    if absent:
        raise DataError(f"{extra.source}: no column {absent[0]!r}; there are {', '.join(found.schema.names)}")
    labels: Iterable[Any] = found[extra.labels].to_pylist()
    renamed = pyarrow.table(
        {"text": found[extra.text], "labels": [cell if isinstance(cell, list) else [cell] for cell in labels]}
    )
    check_columns(renamed, (), extra.source)
    return renamed
