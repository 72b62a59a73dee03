"""Framework for the stages: resumable output in shards, manifests, a lock, progress messages."""

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
    convert_shard_errors,
    corrupt_file_error,
    read_manifest,
    read_record,
    sha256,
)
from evenmood.errors import UsageError
from evenmood.model.model_folder import write_text

Log = Callable[[str], None]
"""Function called with each progress message."""
PLAN_FILE, LOCK_FILE = "plan.json", ".lock"
COUNTS = b"evenmood.counts"
"""Parquet metadata key of a shard's row counts; stored in the shard, so that both are written atomically."""
BY_LABEL = b"evenmood.counts-by-label"
"""Parquet metadata key of a shard's row counts per label."""
MAX_REPORTED = 100
"""Maximum number of malformed rows reported individually."""
PROGRESS_INTERVAL = 5.0
"""Seconds between two progress messages."""


class Stage:
    """Output folder of a stage; see `open_stage`."""

    def __init__(self, folder: Path, plan: dict[str, Any], log: Log) -> None:
        """Open a folder that already contains its plan."""
        self.folder, self.name, self.plan, self.log = folder, folder.name, plan, log
        self._started = self._last_progress = time.monotonic()
        self._rows_this_run = 0

    @property
    def finished(self) -> bool:
        """Whether an earlier run has finished the stage."""
        return (self.folder / MANIFEST_FILE).exists()

    def shard(self, name: str) -> Path:
        """Path of a shard, existing or not."""
        return self.folder / f"{name}.parquet"

    def has(self, name: str) -> bool:
        """Return whether a shard has been written completely.

        Raises:
            DataError: The file is corrupt.
        """
        path = self.shard(name)
        if not path.exists():
            return False
        self._read_counts(path)
        return True

    @staticmethod
    def _read_counts(path: Path) -> tuple[int, Counter[str], dict[str, Any]]:
        """Return the number of rows of a shard, its counts, and its counts per label."""
        with convert_shard_errors(path):
            file = parquet.ParquetFile(path)
            metadata = file.schema_arrow.metadata or {}
        try:
            return (
                file.metadata.num_rows,
                Counter(json.loads(metadata[COUNTS])),
                json.loads(metadata.get(BY_LABEL, "{}")),
            )
        except (KeyError, ValueError):
            raise corrupt_file_error(path, "the metadata has no row counts") from None

    def write(
        self,
        name: str,
        table: pyarrow.Table,
        counts: Mapping[str, int],
        by_label: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        """Write a shard atomically: write a temporary file, then rename it.

        Args:
            name: Name of the shard.
            table: Its rows.
            counts: Rows read (`in`), and rows dropped for each reason.
            by_label: Counts per label, for stages that report them.
        """
        metadata = {**(table.schema.metadata or {}), COUNTS: json.dumps(dict(sorted(counts.items()))).encode()}
        if by_label is not None:
            metadata[BY_LABEL] = json.dumps(
                {label: dict(sorted(label_counts.items())) for label, label_counts in by_label.items()}
            )
        temporary = self.folder / f".{name}.parquet.part"
        try:
            parquet.write_table(table.replace_schema_metadata(metadata), temporary)
            temporary.replace(self.shard(name))
        finally:
            temporary.unlink(missing_ok=True)

    def progress(self, new_rows: int, processed_rows: int, total: int | None) -> None:
        """Log the processed rows, the rate and the remaining time, at most once per `PROGRESS_INTERVAL`.

        Args:
            new_rows: Rows processed since the last call.
            processed_rows: Rows processed in total, including those of earlier runs.
            total: Number of rows, if known.
        """
        self._rows_this_run += new_rows
        now = time.monotonic()
        if now - self._last_progress < PROGRESS_INTERVAL:
            return
        self._last_progress = now
        rate = self._rows_this_run / (now - self._started)
        remaining = f" of {total:,}, {(total - processed_rows) / rate:,.0f} s left" if total and rate else ""
        self.log(f"{self.name}: {processed_rows:,} rows{remaining}, {rate:,.0f} rows/s")

    def finish(self, **extra: Any) -> dict[str, Any]:
        """Write the manifest: rows read and written, rows dropped for each reason, shards, and extra entries."""
        shards, counts, by_label = dict[str, dict[str, Any]](), Counter[str](), dict[str, Counter[str]]()
        for path in sorted(self.folder.glob("*.parquet")):
            rows, shard_counts, shard_by_label = self._read_counts(path)
            counts += shard_counts
            for label, label_counts in shard_by_label.items():
                by_label.setdefault(label, Counter()).update(label_counts)
            shards[path.name] = {"rows": rows, "sha256": sha256(path), "in": shard_counts["in"]}
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
            **extra,
        }
        write_text(self.folder / MANIFEST_FILE, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        self.log(f"{self.name}: {manifest['rows_out']:,} of {rows_in:,} rows" + _summary(manifest["dropped"]))
        return manifest


class MalformedRows:
    """Counter of a source's malformed rows; logs the first ones with their line numbers."""

    def __init__(self, log: Log) -> None:
        """Start at zero; `log` receives a message for each of the first rows."""
        self.log, self.total, self.pending, self.first = log, 0, 0, ""

    def add(self, message: str) -> None:
        """Count a row; the message states the reason and the line numbers."""
        self.total += 1
        self.pending += 1
        self.first = self.first or message
        if self.total <= MAX_REPORTED:
            self.log(message)
        elif self.total == MAX_REPORTED + 1:
            self.log("further malformed rows are counted but not listed")

    def take_pending(self) -> int:
        """Return the number of rows added since the last call."""
        pending, self.pending = self.pending, 0
        return pending


@contextmanager
def open_stage(
    build: Path, name: str, inputs: Mapping[str, str], options: Mapping[str, Any], log: Log, restart: bool = False
) -> Iterator[Stage]:
    """Open a stage's folder in the build folder, and lock the build folder.

    Args:
        build: Build folder.
        name: Name of the stage.
        inputs: Hash of each input; the output depends only on the inputs and the options.
        options: Options of the stage.
        log: Called with each progress message.
        restart: Discard the output of an earlier run.

    Raises:
        UsageError: The build folder is locked, or an earlier run had different inputs or options.
        DataError: The output of an earlier run is corrupt.
    """
    with build_lock(build):
        folder = build / name
        if restart:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        plan = json.loads(json.dumps({"stage": name, "inputs": dict(inputs), "options": dict(options)}))
        path = folder / PLAN_FILE
        if path.exists():
            earlier_plan = read_plan(folder)
            changed_keys = [
                key
                for section in ("inputs", "options")
                for key in sorted({*earlier_plan[section], *plan[section]})
                if earlier_plan[section].get(key) != plan[section].get(key)
            ]
            if changed_keys:
                raise UsageError(
                    f"{folder}: an earlier run used a different {', '.join(changed_keys)}; "
                    "use the same values, or --restart to start over"
                )
        else:
            write_text(path, json.dumps(plan, indent=1, ensure_ascii=False) + "\n")
        for unfinished_shard in folder.glob(".*.part"):
            unfinished_shard.unlink()
        stage = Stage(folder, plan, log)
        if stage.finished:
            log(f"{name}: already finished, {read_manifest(build, name)['rows_out']:,} rows (use --restart to redo it)")
        yield stage


def read_plan(folder: Path) -> dict[str, Any]:
    """Read the `inputs` and `options` that a stage was started with.

    Raises:
        DataError: The file is corrupt.
    """
    return read_record(folder / PLAN_FILE, {"inputs": dict, "options": dict})


@contextmanager
def build_lock(build: Path) -> Iterator[None]:
    """Lock the build folder, so that only one process writes to it.

    Raises:
        UsageError: Another process holds the lock.
    """
    build.mkdir(parents=True, exist_ok=True)
    lock = FileLock(build / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(
            f"{build}: another build is running in this folder; wait until it ends, or use another folder"
        ) from None
    try:
        yield
    finally:
        lock.release()


def input_hashes(build: Path, *names: str) -> dict[str, str]:
    """Return the hash of each stage's manifest, which contains the hashes of its shards.

    Raises:
        DataError: A stage is incomplete, or one of its inputs has changed since it ran.
    """
    for name in names:
        check_current(build, name)
    return {name: sha256(build / name / MANIFEST_FILE) for name in names}


def _summary(dropped: Mapping[str, int]) -> str:
    parts = [f"{count:,} ({reason})" for reason, count in dropped.items() if count]
    return f"; dropped: {', '.join(parts)}" if parts else ""
