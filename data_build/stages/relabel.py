"""Stage `relabel`: compute the teacher's scores, a probability per label, and evaluate the teacher.

The official splits, tweets, feedback and generated texts are scored.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow

from data_build.stage import Log, Stage, input_hashes, open_stage
from data_build.stages import feedback, generate, goemotions, sentiment140
from evenmood import LABELS
from evenmood.data.build_folder import MANIFEST_FILE, read_manifest, read_shard, read_shards
from evenmood.data.teacher import TEACHER, Runtime, Teacher, fingerprint
from evenmood.errors import UsageError
from evenmood.model.model_folder import format_metric
from evenmood.thresholds import tune_thresholds

STAGE = "relabel"
Engine = Literal["local", "ray"]
Chunk = tuple[str, int, list[str]]
"""Shard name, number within the shard, and texts."""
Scorer = Callable[[Iterable[Chunk]], Iterable[tuple[str, int, np.ndarray]]]
"""Function that yields the shard, number and scores of each chunk, in any order."""
CHUNK_ROWS = 4096
"""Number of texts per chunk; texts are sorted by length within a chunk."""
OFFICIAL_SCORES = generate.OFFICIAL_SCORES
"""Stage with the scores of the official training and validation splits, for `verify` and distillation."""
EVALUATION = "relabel-test"
"""Stage with the scores of the official test split and the teacher's metrics; no other stage depends on it."""


def run(
    build: Path,
    log: Log,
    teacher: str = TEACHER,
    *,
    engine: Engine = "local",
    ray_address: str | None = None,
    runtime: Runtime = "torch",
    batch_size: int = 64,
    limit: int | None = None,
    evaluate: bool = False,
    restart: bool = False,
) -> None:
    """Write the teacher's scores of the official splits and of the rows of the other sources.

    The official training and validation splits are written to the stage `relabel-official`. The other sources,
    `sentiment140`, `feedback` and each round of `generate`, are written to one stage each.

    Args:
        build: Build folder.
        log: Called with each progress message.
        teacher: See `Teacher`.
        engine: `local`, or `ray` for a cluster; the results are the same.
        ray_address: Address of the cluster; by default, one is started on this machine.
        runtime: See `Teacher`.
        batch_size: See `Teacher`.
        limit: Maximum number of rows to score per source other than the official splits; by default, all.
        evaluate: Also score the official test split, and evaluate the teacher on validation and test, as in the paper
            (arXiv 2511.14073). A later run can add the evaluation.
        restart: Discard the output of an earlier run.

    Raises:
        DataError: An earlier stage is incomplete, or the teacher cannot be loaded.
        UsageError: `ray_address` is set, but the engine is not `ray`.
    """
    if engine == "local" and ray_address:
        raise UsageError("--ray-address requires --engine ray")
    # The batch size is recorded because padding changes the least significant bits of the scores.
    options = {"teacher": _name(teacher), "runtime": runtime, "batch_size": batch_size}
    scorer = (
        _cluster_scorer(teacher, runtime, batch_size, ray_address)
        if engine == "ray"
        else _local_scorer(teacher, runtime, batch_size)
    )
    inputs = {**input_hashes(build, goemotions.STAGE), "teacher": fingerprint(teacher)}
    with open_stage(build, OFFICIAL_SCORES, inputs, options, log, restart) as stage:
        if not stage.finished:
            _score(stage, build, goemotions.STAGE, scorer, None, splits=("train", "validation"))
            stage.finish()
    if evaluate:
        evaluation_inputs = {**inputs, **input_hashes(build, OFFICIAL_SCORES)}
        with open_stage(build, EVALUATION, evaluation_inputs, options, log, restart) as stage:
            if not stage.finished:
                _score(stage, build, goemotions.STAGE, scorer, None, splits=("test",))
                stage.finish(evaluation=evaluate_teacher(build, log))
    sources = _sources(build)
    if len(sources) > 1 and not (build / sentiment140.STAGE / MANIFEST_FILE).exists():
        sources.pop()  # tweets are optional if there are other sources
    for source in sources:
        source_inputs = {**inputs, **input_hashes(build, source)}
        source_options = {**options, "limit": limit}
        with open_stage(build, stage_name(source), source_inputs, source_options, log, restart) as stage:
            if not stage.finished:
                _score(stage, build, source, scorer, limit, prefix=f"{source}-")
                stage.finish()


def _sources(build: Path) -> list[str]:
    """Return the stages whose rows need scores: finished rounds of `generate`, finished `feedback`, `sentiment140`."""
    has_feedback = (build / feedback.STAGE / MANIFEST_FILE).exists()
    return [*generate.rounds(build), *([feedback.STAGE] if has_feedback else []), sentiment140.STAGE]


def stage_name(source: str) -> str:
    """Return the name of the stage with a source's rows and scores."""
    return STAGE if source == sentiment140.STAGE else f"{STAGE}-{source}"


def stages(build: Path) -> list[str]:
    """Return the finished stages with scored rows, generated rows first; `[STAGE]` if there are none."""
    names = [stage_name(name) for name in _sources(build)]
    return [name for name in names if (build / name / MANIFEST_FILE).exists()] or [STAGE]


def _score(
    stage: Stage,
    build: Path,
    source: str,
    scorer: Scorer,
    limit: int | None,
    *,
    prefix: str = "",
    splits: Sequence[str] = (),
) -> None:
    """Write a source's shards with the teacher's scores, each once all its chunks are scored."""
    sizes: dict[str, int] = {}
    remaining = 10**12 if limit is None else limit
    for file, shard in read_manifest(build, source)["shards"].items():
        name = Path(file).stem
        if remaining and (not splits or name in splits):
            sizes[name] = min(remaining, shard["rows"])
            remaining -= sizes[name]
    total = sum(sizes.values())
    processed_rows = sum(rows for name, rows in sizes.items() if stage.has(prefix + name))

    def chunks() -> Iterator[Chunk]:
        for name, rows in read_shards(build, source):
            if name in sizes and not stage.has(prefix + name):
                texts = rows["text"].slice(0, sizes[name]).to_pylist()
                for start in range(0, len(texts), CHUNK_ROWS):
                    yield name, start // CHUNK_ROWS, texts[start : start + CHUNK_ROWS]

    chunk_scores: dict[str, dict[int, np.ndarray]] = {}
    for name, number, scores in scorer(chunks()):
        chunk_scores.setdefault(name, {})[number] = scores
        processed_rows += len(scores)
        stage.progress(len(scores), processed_rows, total)
        if sum(map(len, chunk_scores[name].values())) == sizes[name]:
            ((_, rows),) = read_shards(build, source, f"{name}.")
            ordered = [scores for _, scores in sorted(chunk_scores.pop(name).items())]
            stage.write(
                prefix + name, add_scores(rows.slice(0, sizes[name]), np.concatenate(ordered)), {"in": sizes[name]}
            )


def _local_scorer(teacher: str, runtime: Runtime, batch_size: int) -> Scorer:
    """Score in this process. The teacher is loaded lazily, with the first chunk: finished stages do not need it."""
    load = functools.cache(lambda: Teacher(teacher, runtime=runtime, batch_size=batch_size))
    return lambda chunks: ((name, number, load().probabilities(texts)) for name, number, texts in chunks)


def _cluster_scorer(teacher: str, runtime: Runtime, batch_size: int, address: str | None) -> Scorer:
    from data_build.teacher import cluster

    return lambda chunks: cluster.scores(chunks, teacher, runtime, batch_size, address)


def add_scores(rows: pyarrow.Table, scores: np.ndarray) -> pyarrow.Table:
    """Add or replace the column `scores`: a probability per label."""
    column = pyarrow.array(list(scores), pyarrow.list_(pyarrow.float32()))
    index = rows.schema.get_field_index("scores")
    return rows.append_column("scores", column) if index < 0 else rows.set_column(index, "scores", column)


def evaluate_teacher(build: Path, log: Log) -> dict[str, Any]:
    """Compute the teacher's metrics on validation and test, at threshold 0.5 and at thresholds tuned on validation."""
    from evenmood.evaluation.metrics import score

    metrics: dict[str, Any] = {}
    thresholds = np.full(len(LABELS), 0.5, np.float32)
    for split in ("validation", "test"):
        truth, scores = official_scores(build, split)
        if split == "validation":
            thresholds = tune_thresholds(truth, scores)
            metrics["thresholds"] = dict(zip(LABELS, thresholds.round(2).astype(float).tolist(), strict=True))
        metrics[split] = {
            "tuned": score(truth, scores, thresholds, LABELS),
            "at_0.5": score(truth, scores, 0.5, LABELS),
        }
        titles = ("macro_f1", "macro-F1"), ("micro_f1", "micro-F1"), ("macro_roc_auc", "macro ROC AUC")
        tuned_metrics = metrics[split]["tuned"]
        log(
            f"teacher on {split}: "
            + ", ".join(f"{title} {format_metric(tuned_metrics[name])}" for name, title in titles)
        )
    return metrics


def official_scores(build: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the labels and the teacher's scores of an official split, each float32 of shape (n, 28)."""
    folder = build / (EVALUATION if split == "test" else OFFICIAL_SCORES)
    rows = read_shard(folder / f"{split}.parquet", ["labels", "scores"])
    truth = np.zeros((rows.num_rows, len(LABELS)), np.float32)
    for row, indices in enumerate(rows["labels"].to_pylist()):
        truth[row, indices] = 1
    return truth, read_scores(rows)


def read_scores(rows: pyarrow.Table) -> np.ndarray:
    """Read the teacher's scores of rows: float32 of shape (n, 28)."""
    return np.asarray(rows["scores"].combine_chunks().flatten(), np.float32).reshape(-1, len(LABELS))


def _name(teacher: str) -> str:
    return Path(teacher).name if Path(teacher).is_dir() else teacher
