"""What the stages have in common: a folder of shards that a killed run goes on with, a manifest, a lock, progress."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
from filelock import FileLock, Timeout
from pyarrow import parquet

from evenmood.data.build_folder import (
    MANIFEST_FILE,
    check_current,
    damaged,
    read_manifest,
    read_record,
    readable,
    sha256,
)
from evenmood.errors import UsageError
from evenmood.model.model_folder import write_text

Say = Callable[[str], None]
PLAN_FILE, LOCK_FILE = "plan.json", ".lock"
COUNTS = b"evenmood.counts"
"""Key of a shard's own counts in its Parquet metadata: shard and counts appear together or not at all."""
BY_LABEL = b"evenmood.counts-by-label"
SHOWN = 100
"""Malformed rows reported individually."""
PAUSE = 5.0
"""Seconds between two lines of progress."""


class Stage:
    """A stage's folder while the stage runs; see `open_stage`."""

    def __init__(self, folder: Path, plan: dict[str, Any], say: Say) -> None:
        """Take a folder whose plan is written."""
        self.folder, self.name, self.plan, self.say = folder, folder.name, plan, say
        self._started = self._said = time.monotonic()
        self._done_here = 0

    @property
    def finished(self) -> bool:
        """Whether an earlier run has finished the stage."""
        return (self.folder / MANIFEST_FILE).exists()

    def shard(self, name: str) -> Path:
        """Where a shard lies, or will."""
        return self.folder / f"{name}.parquet"

    def has(self, name: str) -> bool:
        """Whether a shard is written, and so whole.

        Raises:
            DataError: The file was damaged since.
        """
        path = self.shard(name)
        if not path.exists():
            return False
        self._about(path)
        return True

    @staticmethod
    def _about(path: Path) -> tuple[int, Counter[str], dict[str, Any]]:
        """Rows of a shard, its counts, and its counts label by label."""
        with readable(path):
            file = parquet.ParquetFile(path)
            metadata = file.schema_arrow.metadata or {}
        try:
            return (
                file.metadata.num_rows,
                Counter(json.loads(metadata[COUNTS])),
                json.loads(metadata.get(BY_LABEL, "{}")),
            )
        except (KeyError, ValueError):
            raise damaged(path, "no counts in its metadata: the stage did not write it") from None

    def write(
        self,
        name: str,
        table: pyarrow.Table,
        counts: Mapping[str, int],
        by_label: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        """Write a shard under a temporary name and rename it.

        Args:
            name: The shard's.
            table: Its rows.
            counts: `in`, and how many rows were dropped for each reason.
            by_label: The same and more, label by label, for a stage that is asked how it did for each.
        """
        metadata = {**(table.schema.metadata or {}), COUNTS: json.dumps(dict(sorted(counts.items()))).encode()}
        if by_label is not None:
            metadata[BY_LABEL] = json.dumps({label: dict(sorted(held.items())) for label, held in by_label.items()})
        part = self.folder / f".{name}.parquet.part"
        try:
            parquet.write_table(table.replace_schema_metadata(metadata), part)
            part.replace(self.shard(name))
        finally:
            part.unlink(missing_ok=True)

    def progress(self, new: int, done: int, total: int | None) -> None:
        """Say now and then how far the stage is, how fast, and how long it will take.

        Args:
            new: Rows done since the last call.
            done: Rows done in all, those of earlier runs included.
            total: Rows there are, where that is known.
        """
        self._done_here += new
        now = time.monotonic()
        if now - self._said < PAUSE:
            return
        self._said = now
        rate = self._done_here / (now - self._started)
        left = f" of {total:,}, {(total - done) / rate:,.0f} s left" if total and rate else ""
        self.say(f"{self.name}: {done:,} rows{left}, {rate:,.0f} a second")

    def finish(self, **more: Any) -> dict[str, Any]:
        """Write the manifest: what went in, what came out, and what was dropped for which reason."""
        shards, counts, by_label = dict[str, dict[str, Any]](), Counter[str](), dict[str, Counter[str]]()
        for path in sorted(self.folder.glob("*.parquet")):
            written, held, labels = self._about(path)
            counts += held
            for label, own in labels.items():
                by_label.setdefault(label, Counter()).update(own)
            shards[path.name] = {"rows": written, "sha256": sha256(path), "in": held["in"]}
        rows_in = counts.pop("in", 0)
        manifest = {
            **self.plan,
            "rows_in": rows_in,
            "rows_out": sum(shard["rows"] for shard in shards.values()),
            "dropped": dict(sorted(counts.items())),
            "shards": shards,
            **(
                {"by_label": {label: dict(sorted(by_label[label].items())) for label in sorted(by_label)}}
                if by_label
                else {}
            ),
            **more,
        }
        write_text(self.folder / MANIFEST_FILE, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        self.say(f"{self.name}: {manifest['rows_out']:,} rows of {rows_in:,}" + _dropped(manifest["dropped"]))
        return manifest


class BrokenRows:
    """Count malformed rows of a source and report the first ones with their line numbers."""

    def __init__(self, say: Say) -> None:
        """Take what receives a line for each of the first rows."""
        self.say, self.total, self.since, self.first = say, 0, 0, ""

    def add(self, message: str) -> None:
        """Count a row; the message says what is wrong with it, and on which lines."""
        self.total += 1
        self.since += 1
        self.first = self.first or message
        if self.total <= SHOWN:
            self.say(message)
        elif self.total == SHOWN + 1:
            self.say("further broken rows are counted only")

    def taken(self) -> int:
        """Rows since the last call."""
        since, self.since = self.since, 0
        return since


@contextmanager
def open_stage(
    build: Path, name: str, inputs: Mapping[str, str], options: Mapping[str, Any], say: Say, restart: bool = False
) -> Iterator[Stage]:
    """Open a stage's folder under the build folder, locked against a second build.

    Args:
        build: Build folder.
        name: The stage's.
        inputs: What the stage reads, each with its hash.
        options: What the stage was asked for; with the inputs, all that its result depends on.
        say: Receives progress, a line at a time.
        restart: Forget what an earlier run wrote.

    Raises:
        UsageError: Another build is running here, or an earlier run had other inputs or options.
        DataError: What an earlier run wrote is damaged.
    """
    with locked(build):
        folder = build / name
        if restart:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        plan = json.loads(json.dumps({"stage": name, "inputs": dict(inputs), "options": dict(options)}))
        path = folder / PLAN_FILE
        if path.exists():
            before = read_plan(folder)
            changed = [
                key
                for part in ("inputs", "options")
                for key in sorted({*before[part], *plan[part]})
                if before[part].get(key) != plan[part].get(key)
            ]
            if changed:
                raise UsageError(
                    f"{folder}: an earlier run had other {', '.join(changed)}; repeat them, or use --restart"
                )
        else:
            write_text(path, json.dumps(plan, indent=1, ensure_ascii=False) + "\n")
        for part in folder.glob(".*.part"):
            part.unlink()
        stage = Stage(folder, plan, say)
        if stage.finished:
            say(f"{name}: done already, {read_manifest(build, name)['rows_out']:,} rows; --restart does it again")
        yield stage


def read_plan(folder: Path) -> dict[str, Any]:
    """What a stage was begun with: its `inputs` and `options`.

    Raises:
        DataError: The file is damaged.
    """
    return read_record(folder / PLAN_FILE, {"inputs": dict, "options": dict})


@contextmanager
def locked(build: Path) -> Iterator[None]:
    """Hold the build folder; a second build is refused."""
    build.mkdir(parents=True, exist_ok=True)
    lock = FileLock(build / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"{build}: another build is running in this folder; wait for it, or take another") from None
    try:
        yield
    finally:
        lock.release()


def input_hashes(build: Path, *names: str) -> dict[str, str]:
    """The hash of each stage's manifest, which holds those of its shards.

    Raises:
        DataError: A stage is not finished, or one that it was made from has been done again since.
    """
    for name in names:
        check_current(build, name)
    return {name: sha256(build / name / MANIFEST_FILE) for name in names}


def _dropped(dropped: Mapping[str, int]) -> str:
    parts = [f"{count:,} {reason}" for reason, count in dropped.items() if count]
    return f"; dropped: {', '.join(parts)}" if parts else ""
