"""Third stage: the teacher's 28 probabilities for every tweet and official text, and how good the teacher is."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow

from data_build.stage import Say, Stage, input_hashes, open_stage
from data_build.stages import feedback, generate, goemotions, sentiment140
from evenmood import LABELS
from evenmood.data.build_folder import MANIFEST_FILE, read_manifest, read_shard, read_shards
from evenmood.data.teacher import TEACHER, Runtime, Teacher, fingerprint
from evenmood.model.model_folder import figure_text
from evenmood.thresholds import tune_thresholds

STAGE = "relabel"
Engine = Literal["local", "ray"]
Chunk = tuple[str, int, list[str]]
"""Shard, number within it, and the texts that the teacher reads at a time."""
Label = Callable[[Iterable[Chunk]], Iterable[tuple[str, int, np.ndarray]]]
"""What gives chunks their probabilities, in any order."""
CHUNK_ROWS = 4096
"""Texts that are sorted by length at a time."""
OFFICIAL = generate.OFFICIAL
"""The same for the official training and validation splits: what the gates of `verify` and a distillation need."""
EVALUATION = "relabel-test"
"""The same for the official test split, with the teacher's figures: apart, so that no other stage depends on it."""


def run(
    build: Path,
    say: Say,
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
    """Write the rows of `sentiment140`, and of each round of `generate`, with the teacher's scores, shard by shard.

    Args:
        build: Build folder.
        say: Receives progress, a line at a time.
        teacher: As in `Teacher`.
        engine: `local`, or `ray`: a cluster, with the same results.
        ray_address: Of the cluster; one of this machine alone is started if left out.
        runtime: As in `Teacher`.
        batch_size: As in `Teacher`.
        limit: Rows of each source to label; all of them if left out.
        evaluate: Measure the teacher on the official validation and test splits first, as the paper does; a later run
            may add it to what is there.
        restart: Forget what an earlier run wrote.

    Raises:
        DataError: An earlier stage is missing, or the teacher cannot be loaded.
    """
    options = {"teacher": _name(teacher), "runtime": runtime, "batch_size": batch_size}  # padding moves the last bits
    label = (
        _on_cluster(teacher, runtime, batch_size, ray_address)
        if engine == "ray"
        else _here(teacher, runtime, batch_size)
    )
    inputs = {**input_hashes(build, goemotions.STAGE), "teacher": fingerprint(teacher)}
    with open_stage(build, OFFICIAL, inputs, options, say, restart) as stage:
        if not stage.finished:
            _label(stage, build, goemotions.STAGE, label, None, only=("train", "validation"))
            stage.finish()
    if evaluate:
        own = {**inputs, **input_hashes(build, OFFICIAL)}
        with open_stage(build, EVALUATION, own, options, say, restart) as stage:
            if not stage.finished:
                _label(stage, build, goemotions.STAGE, label, None, only=("test",))
                stage.finish(evaluation=measure(build, say))
    sources = _sources(build)
    if len(sources) > 1 and not (build / sentiment140.STAGE / MANIFEST_FILE).exists():
        sources.pop()  # the others alone will do
    for source in sources:
        own = {**inputs, **input_hashes(build, source)}
        with open_stage(build, stage_of(source), own, {**options, "limit": limit}, say, restart) as stage:
            if not stage.finished:
                _label(stage, build, source, label, limit, prefix=f"{source}-")
                stage.finish()


def _sources(build: Path) -> list[str]:
    """Stages whose rows want scores: those of generated rows, visitors' feedback where there is any, the tweets."""
    said = [feedback.STAGE] if (build / feedback.STAGE / MANIFEST_FILE).exists() else []
    return [*generate.rounds(build), *said, sentiment140.STAGE]


def stage_of(source: str) -> str:
    """Folder of a source's rows with their scores."""
    return STAGE if source == sentiment140.STAGE else f"{STAGE}-{source}"


def stages(build: Path) -> list[str]:
    """Folders of all sources that are finished, those of generated rows first."""
    names = [stage_of(name) for name in _sources(build)]
    return [name for name in names if (build / name / MANIFEST_FILE).exists()] or [STAGE]


def _label(
    stage: Stage,
    build: Path,
    source: str,
    label: Label,
    limit: int | None,
    *,
    prefix: str = "",
    only: Sequence[str] = (),
) -> None:
    """Write a source's shards with the teacher's scores, each as soon as all its chunks are labelled."""
    sizes: dict[str, int] = {}
    left = 10**12 if limit is None else limit
    for file, about in read_manifest(build, source)["shards"].items():
        name = Path(file).stem
        if left and (not only or name in only):
            sizes[name] = min(left, about["rows"])
            left -= sizes[name]
    total = sum(sizes.values())
    done = sum(rows for name, rows in sizes.items() if stage.has(prefix + name))

    def chunks() -> Iterator[Chunk]:
        for name, rows in read_shards(build, source):
            if name in sizes and not stage.has(prefix + name):
                texts = rows["text"].slice(0, sizes[name]).to_pylist()
                for start in range(0, len(texts), CHUNK_ROWS):
                    yield name, start // CHUNK_ROWS, texts[start : start + CHUNK_ROWS]

    found: dict[str, dict[int, np.ndarray]] = {}
    for name, number, scores in label(chunks()):
        found.setdefault(name, {})[number] = scores
        done += len(scores)
        stage.progress(len(scores), done, total)
        if sum(map(len, found[name].values())) == sizes[name]:
            ((_, rows),) = read_shards(build, source, f"{name}.")
            ordered = [scores for _, scores in sorted(found.pop(name).items())]
            stage.write(
                prefix + name, with_scores(rows.slice(0, sizes[name]), np.concatenate(ordered)), {"in": sizes[name]}
            )


def _here(teacher: str, runtime: Runtime, batch_size: int) -> Label:
    """Label in this process; the teacher is loaded when the first chunk wants it: a stage that is done needs none."""
    load = functools.cache(lambda: Teacher(teacher, runtime=runtime, batch_size=batch_size))
    return lambda chunks: ((name, number, load().probabilities(texts)) for name, number, texts in chunks)


def _on_cluster(teacher: str, runtime: Runtime, batch_size: int, address: str | None) -> Label:
    from data_build.teacher import cluster

    return lambda chunks: cluster.scores(chunks, teacher, runtime, batch_size, address)


def with_scores(rows: pyarrow.Table, scores: np.ndarray) -> pyarrow.Table:
    """The same rows with a probability per label."""
    column = pyarrow.array(list(scores), pyarrow.list_(pyarrow.float32()))
    at = rows.schema.get_field_index("scores")
    return rows.append_column("scores", column) if at < 0 else rows.set_column(at, "scores", column)


def measure(build: Path, say: Say) -> dict[str, Any]:
    """The teacher's figures on validation and test: at 0.5, and at thresholds tuned on validation."""
    from evenmood.evaluation.metrics import score

    figures: dict[str, Any] = {}
    thresholds = np.full(len(LABELS), 0.5, np.float32)
    for split in ("validation", "test"):
        truth, scores = official_scores(build, split)
        if split == "validation":
            thresholds = tune_thresholds(truth, scores)
            figures["thresholds"] = dict(zip(LABELS, thresholds.round(2).astype(float).tolist(), strict=True))
        figures[split] = {
            "tuned": score(truth, scores, thresholds, LABELS),
            "at_0.5": score(truth, scores, 0.5, LABELS),
        }
        shown = ("macro_f1", "macro-F1"), ("micro_f1", "micro-F1"), ("macro_roc_auc", "macro ROC AUC")
        tuned = figures[split]["tuned"]
        say(f"teacher on {split}: " + ", ".join(f"{title} {figure_text(tuned[name])}" for name, title in shown))
    return figures


def official_scores(build: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and the teacher's probabilities of an official split, each float32 of shape (n, 28)."""
    folder = build / (EVALUATION if split == "test" else OFFICIAL)
    rows = read_shard(folder / f"{split}.parquet", ["labels", "scores"])
    truth = np.zeros((rows.num_rows, len(LABELS)), np.float32)
    for index, numbers in enumerate(rows["labels"].to_pylist()):
        truth[index, numbers] = 1
    return truth, scores_of(rows)


def scores_of(rows: pyarrow.Table) -> np.ndarray:
    """The teacher's probabilities: float32 of shape (n, 28)."""
    return np.asarray(rows["scores"].combine_chunks().flatten(), np.float32).reshape(-1, len(LABELS))


def _name(teacher: str) -> str:
    return Path(teacher).name if Path(teacher).is_dir() else teacher
