"""Write soft targets for distillation: the mean probabilities of one or more teachers for texts from any source."""

import functools
import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

from evenmood.data.leakage import LeakageFilter
from evenmood.data.rows import text_hash
from evenmood.data.splits import load_split
from evenmood.data.teacher import Runtime, Teacher, fingerprint
from evenmood.data.tweets import clean_tweet, read_tweets
from evenmood.errors import DataError, UsageError
from evenmood.labels import LABELS
from evenmood.model.model_folder import write_text
from evenmood.system.paths import expand_home
from train.distillation.probabilities import Array, mean, parse_array, read_array
from train.distillation.soft_targets import RECORD

Log = Callable[[str], None]
SCHEMA = pyarrow.schema([("text", pyarrow.string()), ("probabilities", pyarrow.list_(pyarrow.float32()))])
"""Original text (tweets without mentions and URLs), and its probabilities in GoEmotions order."""
COUNTS = b"evenmood.counts"
CHUNK_ROWS = 4096
"""Texts per chunk, within which a teacher sorts by length; an interrupted run repeats at most one chunk."""
EMPTY = text_hash("")
PLAN_FILE = "plan.json"
PROGRESS_INTERVAL = 5.0
"""Interval between progress messages, in seconds."""


@dataclass(frozen=True)
class Source:
    """A source of texts, with existing probabilities, if any.

    Attributes:
        name: File or data set, as on the command line.
        arrays: Arrays of probabilities with one row per text.
    """

    name: str
    arrays: tuple[Array, ...]

    @property
    def is_file(self) -> bool:
        """Whether the source is a file of tweets rather than a data set."""
        return expand_home(self.name).is_file()


def parse_source(argument: str) -> Source:
    """Parse `SOURCE`, or `SOURCE=FILE.npz:NAME`, with `+FILE.npz:NAME` for each additional array.

    Raises:
        UsageError: An array is malformed.
        DataError: A file does not exist.
    """
    name, equals, arrays = (argument, "", "") if expand_home(argument).exists() else argument.partition("=")
    path = expand_home(name)
    if not path.exists() and path.suffix in (".csv", ".txt"):
        raise DataError(f"{name}: no such file")  # it cannot be a Hub id
    return Source(name, tuple(map(parse_array, arrays.split("+"))) if equals else ())


def read_texts(source: Source, log: Log = print) -> list[str]:
    """Read all original texts: the training split of a data set, or one tweet per line of a text file or row of a CSV.

    Args:
        source: Data set or file.
        log: Called with a message about invalid rows of a CSV file, which are skipped.

    Raises:
        DataError: The source cannot be read, or is empty.
    """
    if not source.is_file:
        return load_split(source.name, "train").texts
    path = expand_home(source.name)
    if path.suffix.lower() == ".csv":
        broken: list[str] = []
        texts = [raw for _, raw in read_tweets(path, broken.append)]
        if broken:
            log(f"{path}: skipped {len(broken):,} invalid rows; the first: {broken[0]}")
    else:
        texts = []
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    texts.append(line.rstrip(b"\r\n").decode("utf-8"))
                except UnicodeDecodeError as error:
                    raise DataError(f"{path}, line {number}: not UTF-8 at byte {error.start}") from None
    if not texts:
        raise DataError(f"{source.name}: no texts")
    return texts


def label(
    sources: Sequence[Source],
    teachers: Sequence[str],
    out: Path,
    official: str,
    log: Log,
    *,
    runtime: Runtime = "torch",
    batch_size: int = 64,
    restart: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a Parquet file with `SCHEMA`: rows of data sets first, then tweets, each in the order of `sources`.

    Rows of the official training split are written unchanged. Other rows are dropped if they equal or nearly equal an
    official validation or test text, are empty after cleaning, or are duplicates after cleaning.

    Args:
        sources: Sources of texts, optionally with existing probabilities.
        teachers: Folders or Hub ids, as in `Teacher`; every teacher labels every source.
        out: Parquet file, written atomically; `OUT.partial` contains an unfinished run.
        official: Data set whose validation and test texts are excluded, as in `load_split`.
        log: Called with progress messages.
        runtime: As in `Teacher`.
        batch_size: As in `Teacher`.
        restart: Whether to discard an unfinished run.
        overwrite: Whether to replace an existing file.

    Returns:
        The record in the file's metadata: teachers, and rows read, written and dropped by reason per source.

    Raises:
        UsageError: `out` exists, a source has no probabilities, or an unfinished run has different options.
        DataError: A source, an array or a teacher cannot be read.
    """
    if out.exists() and (out.is_dir() or not overwrite):
        raise UsageError(f"{out} exists; choose another name, or use --overwrite")
    if not sources:
        raise UsageError("no texts; use --texts SOURCE")
    if unlabeled := [source.name for source in sources if not source.arrays and not teachers]:
        raise UsageError(
            f"{unlabeled[0]} has no probabilities; use --teacher, or add existing probabilities with "
            "--texts SOURCE=FILE.npz:NAME"
        )
    ordered = sorted(sources, key=lambda source: source.is_file)  # training texts take precedence over equal tweets
    texts = [read_texts(source, log) for source in ordered]
    existing = [
        [read_array(array, len(rows), source.name) for array in source.arrays]
        for source, rows in zip(ordered, texts, strict=True)
    ]
    record = {
        "official": official,
        "teachers": [{"name": _short(name), "fingerprint": fingerprint(name)} for name in teachers],
        "options": {"runtime": runtime, "batch_size": batch_size},
        "sources": [
            {"name": _short(source.name), "digest": _digest(rows), "arrays": [array.record for array in source.arrays]}
            for source, rows in zip(ordered, texts, strict=True)
        ],
    }
    partial = _open_partial(out, record, log, restart)
    text_filter = TextFilter(official)
    load = functools.cache(lambda name: Teacher(name, runtime=runtime, batch_size=batch_size))
    total, processed, labeled = sum(map(len, texts)), 0, 0
    started = last_message = time.monotonic()
    parts: list[Path] = []
    for number, (source, rows, arrays) in enumerate(zip(ordered, texts, existing, strict=True)):
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = rows[start : start + CHUNK_ROWS]
            processed += len(chunk)
            parts.append(partial / f"{number:03}-{start:09}.parquet")
            if parts[-1].exists():
                text_filter.add(parquet.read_table(parts[-1], columns=["text"])["text"].to_pylist())
                continue
            indices, accepted, counts = text_filter.select(chunk, tweets=source.is_file)
            probabilities = [array[start : start + CHUNK_ROWS][indices] for array in arrays]
            probabilities += [load(name).probabilities(accepted) for name in teachers]
            _write(parts[-1], accepted, mean(probabilities), counts)
            labeled += len(chunk)
            if (now := time.monotonic()) - last_message >= PROGRESS_INTERVAL:
                last_message, rate = now, labeled / (now - started)
                seconds = (total - processed) / rate
                log(f"{processed:,} of {total:,} texts, {rate:,.0f} per second, {seconds:,.0f} s left")
    complete = _join(parts, out, record)
    shutil.rmtree(partial)
    for entry in complete["sources"]:
        dropped = "".join(f"; {count:,} {reason}" for reason, count in entry["dropped"].items())
        log(f"{entry['name']}: {entry['written']:,} of {entry['read']:,} texts{dropped}")
    log(f"{out}: {complete['rows']:,} texts")
    return complete


class TextFilter:
    """Filter that drops empty texts, duplicates, and (near-)duplicates of official validation and test texts.

    Official training texts always pass.
    """

    def __init__(self, official: str) -> None:
        """Set the official data set: training texts pass, validation and test texts are excluded."""
        self._training = set(load_split(official, "train").texts)
        self._official = official
        self._written: set[str] = set()

    @functools.cached_property
    def _leakage(self) -> LeakageFilter:
        return LeakageFilter(
            text for split in ("validation", "test") for text in load_split(self._official, split).texts
        )

    def select(self, texts: Sequence[str], *, tweets: bool) -> tuple[list[int], list[str], Counter[str]]:
        """Return indices of the accepted texts, the accepted texts, and counts of dropped texts by reason."""
        indices, accepted, counts = [], [], Counter({"read": len(texts)})
        for index, raw in enumerate(texts):
            text = clean_tweet(raw) if tweets else raw
            digest = text_hash(text)
            reason = None if not tweets and raw in self._training else self._reason(text, digest)
            if reason:
                counts[reason] += 1
                continue
            self._written.add(digest)
            indices.append(index)
            accepted.append(text)
        return indices, accepted, counts

    def add(self, texts: Sequence[str]) -> None:
        """Register texts that were written by an earlier run."""
        self._written.update(map(text_hash, texts))

    def _reason(self, text: str, digest: str) -> str | None:
        if digest == EMPTY:
            return "empty after cleaning"
        return "duplicate" if digest in self._written else self._leakage.rejection_reason(text)


def _open_partial(out: Path, record: dict[str, Any], log: Log, restart: bool) -> Path:
    """Create the folder of the run, or open that of an unfinished run with the same options."""
    partial = out.with_name(f"{out.name}.partial")
    plan = json.dumps(record, indent=1, ensure_ascii=False)
    if restart:
        shutil.rmtree(partial, ignore_errors=True)
    if (partial / PLAN_FILE).exists():
        before = json.loads((partial / PLAN_FILE).read_text(encoding="utf-8"))
        changed = [name for name in record if before.get(name) != json.loads(plan)[name]]
        if changed:
            raise UsageError(
                f"{partial}: an unfinished run has different options: {', '.join(changed)}; repeat its options, or "
                "discard it with --restart"
            )
        log(f"resuming {partial}")
    else:
        partial.mkdir(parents=True, exist_ok=True)
        write_text(partial / PLAN_FILE, plan)
    return partial


def _write(path: Path, texts: list[str], probabilities: np.ndarray, counts: Counter[str]) -> None:
    """Write rows and counts atomically."""
    offsets = np.arange(len(texts) + 1, dtype=np.int32) * len(LABELS)
    columns = [
        pyarrow.array(texts, pyarrow.string()),
        pyarrow.ListArray.from_arrays(offsets, probabilities.ravel(), SCHEMA.field("probabilities").type),
    ]
    table = pyarrow.Table.from_arrays(columns, schema=SCHEMA.with_metadata({COUNTS: json.dumps(counts)}))
    part = path.with_suffix(".part")
    parquet.write_table(table, part)
    part.replace(path)


def _join(parts: Sequence[Path], out: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Concatenate the parts into one file, and return its record with the counts."""
    totals = [Counter[str]() for _ in record["sources"]]
    for part in parts:
        counts = Counter(json.loads(parquet.read_schema(part).metadata[COUNTS]))
        totals[int(part.name[:3])] += counts
    sources = []
    for source, total in zip(record["sources"], totals, strict=True):
        read = total.pop("read")
        dropped = dict(sorted(total.items()))
        sources.append({**source, "read": read, "written": read - sum(dropped.values()), "dropped": dropped})
    record = {**record, "sources": sources, "rows": sum(source["written"] for source in sources)}
    part_file = out.with_name(f".{out.name}.part")
    schema = SCHEMA.with_metadata({RECORD: json.dumps(record)})
    try:
        with parquet.ParquetWriter(part_file, schema, compression="zstd") as file:
            for part in parts:
                file.write_table(parquet.read_table(part).replace_schema_metadata(schema.metadata))
        part_file.replace(out)
    finally:
        part_file.unlink(missing_ok=True)
    return record


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _short(name: str) -> str:
    return Path(name).name if expand_home(name).exists() else name
