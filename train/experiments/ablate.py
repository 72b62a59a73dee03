"""Run the experiments of the paper (arXiv 2511.14073): train all arms with several seeds, and resume if interrupted."""

import csv
import json
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tokenizers import Tokenizer

from evenmood import LABELS, EmotionClassifier
from evenmood.data.build_folder import CONFIGURATIONS, MANIFEST_FILE, OFFICIAL_STAGE, is_build, read_manifest, read_rows
from evenmood.data.splits import Split, load_split
from evenmood.errors import DataError, UsageError
from evenmood.model.hub_files import local_path
from evenmood.model.model_folder import INFO_FILE, TOKENIZER_FILE, TRAINING_FOLDER, atomic_folder, write_text
from evenmood.text.normalization import clean, fit_tokenizer
from train.config import TrainConfig
from train.evaluation.everyday import load_everyday
from train.experiments import report as experiments
from train.experiments.arms import ARMS, Run, model_folder, read_run, write_run
from train.fitting.fit import Log, fit, words_by_id
from train.network.backend import has_gpu
from train.vectors.sources import load_vectors, write_vec

VECTORS_FILE, VECTORS_RECORD = "vectors.vec", "vectors.json"
MATCHED_STREAM = 1
"""Seed component for sampling size-matched rows, combined with the run's seed."""
LABEL_WORDS = {
    "admiration": ("admire", "admired", "admiring", "admirable"),
    "amusement": ("amused", "amusing", "amuse"),
    "annoyance": ("annoyed", "annoying", "annoys", "annoy"),
    "approval": ("approve", "approved", "approves", "approving"),
    "disapproval": ("disapprove", "disapproved", "disapproves", "disapproving", "disagree"),
    "gratitude": ("grateful", "thankful", "thanks", "thank"),
    "nervousness": ("nervous", "nervously"),
    "optimism": ("optimistic", "optimist"),
    "embarrassment": ("embarrassed", "embarrassing"),
    "excitement": ("excited", "exciting"),
    "realization": ("realize", "realized", "realise", "realised"),
    "remorse": ("remorseful", "regret"),
}
"""Words whose mean vector represents a label that is not in the vocabulary; chosen before any results were known."""


def ablate(
    build: Path,
    out: Path,
    config: TrainConfig,
    log: Log,
    *,
    arms: Sequence[str],
    seeds: int,
    results: Path,
    document: Path,
    report_only: bool = False,
) -> None:
    """Train every arm with every seed, and write the results file, the figures and the document.

    Args:
        build: Build folder with the stages `goemotions` and `balance`.
        out: Folder of the models and records; finished runs are skipped, and an unfinished run is resumed.
        config: Configuration shared by all arms; data, pooling and seed are set per arm.
        log: Called with progress messages.
        arms: Names in `ARMS`.
        seeds: Number of runs per arm, with seeds from 0.
        results: Results file (JSON).
        document: Markdown document; its figures are written to `figures/experiments/` next to it.
        report_only: Whether to recompute the statistics of finished runs without training.

    Raises:
        UsageError: An arm is unknown, `seeds` is below 1, or `out` has runs with different options.
        DataError: The build lacks a stage, or, with `report_only`, a run is not finished.
    """
    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}; expected at least 1")
    unknown = [name for name in arms if name not in ARMS]
    if unknown or not arms:
        problem = f"unknown arm {', '.join(unknown)}" if unknown else "no arms"
        raise UsageError(f"--arms: {problem}; expected any of: {', '.join(ARMS)}")
    if not is_build(build):
        raise DataError(f"{build}: not a build folder; create one with: make data BUILD={build}")
    official = build / OFFICIAL_STAGE
    read_manifest(build, OFFICIAL_STAGE)
    test = load_split(str(official), "test")
    selected = [name for name in ARMS if name in arms]
    if not report_only:
        shared = replace(config, vectors=shared_vectors(config, build, out, log), corpus=())
        schedule = [(name, seed) for seed in range(seeds) for name in selected]  # the first seed of every arm first
        for number, (name, seed) in enumerate(schedule, 1):
            log(f"run {number} of {len(schedule)}: {name}, seed {seed}")
            train_arm(name, seed, shared, build, out, test, log)
    runs = []
    for name in selected:
        for seed in range(seeds):
            run = read_run(out, name, seed)
            if run is None:
                raise DataError(f"{out}: the run {name}, seed {seed} is not finished; run without --report-only")
            if run.record["test"]["digest"] != test.digest():
                raise DataError(
                    f"{out}: the run {name}, seed {seed} was scored on a test split other than that of {official}; "
                    "choose another --out"
                )
            runs.append(run)
    path = out / VECTORS_RECORD
    vectors = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    earlier = [
        load_split(str(official), "train"),
        load_split(str(build), "train"),
        load_split(str(official), "validation"),
    ]
    log("statistics: resampling test rows and seeds")
    sources = {name: row_sources(build, ARMS[name].rows) for name in selected}
    content = experiments.collect(runs, test, earlier, vectors, sources)
    experiments.write(content, results, document)
    log(f"wrote {document} and {results}")


def row_sources(build: Path, rows: str) -> dict[str, int]:
    """Return the training rows of an arm by source; empty if there is only one source."""
    stage = {"balanced": "balance", "all": CONFIGURATIONS["unbalanced"]}.get(rows)
    if stage is None:
        return {}
    counts = read_rows(build, stage)["source"].value_counts().to_pylist()
    return {str(entry["values"]): int(entry["counts"]) for entry in counts}


def train_arm(name: str, seed: int, shared: TrainConfig, build: Path, out: Path, test: Split, log: Log) -> None:
    """Train or resume one run of an arm, and save its record; a finished run is skipped."""
    rows = ARMS[name].rows
    sources = {"balanced": str(build), "unbalanced": str(build / OFFICIAL_STAGE), "all": f"{build}:unbalanced"}
    data = sources.get(rows) or str(out / "data" / f"matched-{seed}")
    config = replace(shared, data=data, pooling=ARMS[name].pooling, seed=seed)
    finished_run, folder = read_run(out, name, seed), model_folder(out, name, seed)
    if rows == "matched" and not finished_run:
        write_matched(build, Path(data), seed)
    train = load_split(data, "train")
    if finished_run:
        _check_same(out, finished_run.record["config"], config)
        if finished_run.record["train"]["digest"] != train.digest():
            raise UsageError(f"{out}: contains runs on rows other than those of {data}; choose another --out")
        log(f"{folder}: already finished")
        return
    if (folder / INFO_FILE).is_file():
        _check_same(out, json.loads((folder / TRAINING_FOLDER / "config.json").read_text(encoding="utf-8")), config)
    else:
        keras.utils.clear_session()  # a run must not depend on earlier runs in this process
        fit(config, folder, log)
    write_run(out, record(name, seed, folder, config, train, test))


def record(name: str, seed: int, folder: Path, config: TrainConfig, train: Split, test: Split) -> Run:
    """Create the record of a trained model for the comparison."""
    classifier = EmotionClassifier.from_pretrained(folder)
    thresholds = np.array([classifier.thresholds[label] for label in LABELS], np.float32)
    vocabulary = Tokenizer.from_file(str(folder / TOKENIZER_FILE)).get_vocab()
    embedding = keras.saving.load_model(folder).get_layer("embedding").get_weights()[0]
    vectors = np.full((len(LABELS), embedding.shape[1]), np.nan, np.float32)
    label_words: dict[str, list[str]] = {}
    for row, label in enumerate(LABELS):
        label_words[label] = [word for word in LABEL_WORDS.get(label, ()) if word in vocabulary]
        if label in vocabulary:
            label_words[label] = [label]
        if label_words[label]:
            vectors[row] = embedding[[vocabulary[word] for word in label_words[label]]].mean(axis=0)
    with (folder / TRAINING_FOLDER / "history.csv").open(encoding="utf-8") as lines:
        history = [
            {key: int(value) if key == "epoch" else float(value) for key, value in line.items()}
            for line in csv.DictReader(lines)
        ]
    record = {
        "config": asdict(config),
        "history": history,
        "train": {"rows": len(train), "digest": train.digest()},
        "test": {"rows": len(test), "digest": test.digest()},
        "words": len(vocabulary),
        "label_words": label_words,
        "machine": machine(),
    }
    everyday = classifier.predict_proba(load_everyday("test").split.texts)
    return Run(name, seed, classifier.predict_proba(test.texts), thresholds, everyday, vectors, record)


def write_matched(build: Path, folder: Path, seed: int) -> None:
    """Write a random sample of the official training split with as many rows as the balanced data."""
    import pyarrow
    from pyarrow import parquet

    rows = load_split(str(build / OFFICIAL_STAGE), "train")
    count = len(load_split(str(build), "train"))
    if count > len(rows):
        raise DataError(
            f"{build}: {count:,} balanced rows; expected at most {len(rows):,}, the size of the training split"
        )
    sampled = np.sort(np.random.default_rng([seed, MATCHED_STREAM]).choice(len(rows), count, replace=False))
    table = pyarrow.table(
        {
            "text": [rows.texts[row] for row in sampled],
            "labels": [rows.labels[row].nonzero()[0].tolist() for row in sampled],
            "id": [rows.ids[row] for row in sampled],
        }
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder, overwrite=True) as work_folder:
        parquet.write_table(table, work_folder / "train.parquet")
        for split in ("validation", "test"):
            shutil.copyfile(build / OFFICIAL_STAGE / f"{split}.parquet", work_folder / f"{split}.parquet")


def shared_vectors(config: TrainConfig, build: Path, out: Path, log: Log) -> str:
    """Return the `vectors` option of all arms; for `self`, the path of a file with vectors that are trained once.

    Vectors are trained on all distinct training texts of the build, its tweets and `config.corpus`, except texts that
    equal a validation or test text. The file has all words of the training texts; each arm uses its own vocabulary.

    Raises:
        UsageError: `out` has vectors trained on other texts or with other options.
    """
    if config.vectors != "self":
        return config.vectors
    sources = [str(build / OFFICIAL_STAGE), str(build)]
    if (build / CONFIGURATIONS["unbalanced"] / MANIFEST_FILE).is_file():
        sources.append(f"{build}:unbalanced")
    training = list(dict.fromkeys(clean(text) for name in sources for text in load_split(name, "train").texts))
    tweets: list[str] = []
    if (build / "sentiment140" / MANIFEST_FILE).is_file():
        tweets += read_rows(build, "sentiment140")["text"].to_pylist()
    for name in config.corpus:
        try:
            tweets += local_path(name).read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError as error:
            raise DataError(f"{name}: cannot be read ({error.strerror})") from None
    held_out = {clean(text) for split in ("validation", "test") for text in load_split(sources[0], split).texts}
    training_texts = {*training, ""}
    added = [t for t in dict.fromkeys(map(clean, tweets)) if t not in training_texts and t not in held_out]
    record = {
        "training_texts": len(training),
        "tweets": len(added),
        "embedding_size": config.embedding_size,
        "min_frequency": config.min_frequency,
        "digest": sha256("\n".join([*training, *added]).encode()).hexdigest(),
    }
    path, record_path = out / VECTORS_FILE, out / VECTORS_RECORD
    if record_path.is_file():
        if json.loads(record_path.read_text(encoding="utf-8")) != record:
            raise UsageError(f"{path} was trained on other texts or with other options; choose another --out")
        return str(path)
    words = words_by_id(fit_tokenizer(training, min_frequency=1))
    table = load_vectors(replace(config, corpus=()), words, [*training, *added], log)
    out.mkdir(parents=True, exist_ok=True)
    write_vec(path, words, table)
    write_text(record_path, json.dumps(record, indent=1) + "\n")
    return str(path)


def machine() -> str:
    """Describe the machine, Python and Keras."""
    kind = "a GPU" if has_gpu() else f"{os.cpu_count()} cores"
    backend = keras.backend.backend()
    return f"{platform.machine()}, {kind}, Python {platform.python_version()}, Keras {keras.__version__} on {backend}"


def _check_same(out: Path, before: dict[str, Any], config: TrainConfig) -> None:
    """Raise `UsageError` if an earlier run has different options, ignoring options added since."""
    options = json.loads(json.dumps(asdict(config)))
    changed = sorted(name for name in before if name in options and before[name] != options[name])
    if changed:
        raise UsageError(
            f"{out}: contains runs with different options: {', '.join(changed)}; repeat their options, or choose "
            "another --out"
        )
