"""The paper's experiments: train its arms over several seeds, `python -m train ablate`; killed, it goes on."""

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
from evenmood.data.build_folder import CONFIGURATIONS, MANIFEST_FILE, OFFICIAL, is_build, read_manifest, read_rows
from evenmood.data.splits import Split, load_split
from evenmood.errors import DataError, UsageError
from evenmood.model.hub_files import located
from evenmood.model.model_folder import INFO_FILE, TOKENIZER_FILE, TRAINING_FOLDER, whole_folder, write_text
from evenmood.text.normalization import clean, fit_tokenizer
from train.config import TrainConfig
from train.evaluation.everyday import load_everyday
from train.experiments import report as experiments
from train.experiments.arms import ARMS, Run, model_folder, read_run, write_run
from train.fitting.fit import Log, fit, words_by_id
from train.network.backend import has_gpu
from train.vectors.sources import load_vectors, write_vec

VECTORS_FILE, VECTORS_ABOUT = "vectors.vec", "vectors.json"
MATCHED = 1
"""Stream of the generator that draws the size-matched rows, beside the run's seed."""
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
"""Words whose mean stands for a label whose own name the vocabulary lacks; chosen by hand, before any result."""


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
        out: Folder of the models and records; finished runs in it are kept, an unfinished one goes on.
        config: The choices that all arms share; data, pooling and seed are the arm's.
        log: Receives progress, a line at a time.
        arms: Names in `ARMS`.
        seeds: Runs an arm, with the seeds from 0 on.
        results: JSON file to write.
        document: Markdown file to write; its figures go into `figures/experiments/` beside it.
        report_only: Train nothing: do the statistics of finished runs again.

    Raises:
        UsageError: An unknown arm, no seed, or runs of other options lie at `out`.
        DataError: The build lacks a stage, or, for a report only, a run is not finished.
    """
    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}; it must be at least 1")
    unknown = [name for name in arms if name not in ARMS]
    if unknown or not arms:
        raise UsageError(f"no arm {', '.join(unknown) or 'is given'}; the arms are {', '.join(ARMS)}")
    if not is_build(build):
        raise DataError(f"{build}: not a build folder; make one with: make data BUILD={build}")
    official = build / OFFICIAL
    read_manifest(build, OFFICIAL)
    test = load_split(str(official), "test")
    chosen = [name for name in ARMS if name in arms]
    if not report_only:
        shared = replace(config, vectors=shared_vectors(config, build, out, log), corpus=())
        planned = [(name, seed) for seed in range(seeds) for name in chosen]  # every arm once, before any a second time
        for number, (name, seed) in enumerate(planned, 1):
            log(f"run {number} of {len(planned)}: {name}, seed {seed}")
            train_arm(name, seed, shared, build, out, test, log)
    runs = []
    for name in chosen:
        for seed in range(seeds):
            run = read_run(out, name, seed)
            if run is None:
                raise DataError(f"{out}: the run {name}, seed {seed} is not finished; leave out --report-only")
            if run.about["test"]["digest"] != test.digest():
                raise DataError(
                    f"{out}: the run {name}, seed {seed} was scored on another test split than {official}'s"
                )
            runs.append(run)
    path = out / VECTORS_ABOUT
    vectors = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    earlier = [
        load_split(str(official), "train"),
        load_split(str(build), "train"),
        load_split(str(official), "validation"),
    ]
    log("statistics: resampling test rows and seeds")
    sources = {name: row_sources(build, ARMS[name].rows) for name in chosen}
    content = experiments.collect(runs, test, earlier, vectors, sources)
    experiments.write(content, results, document)
    log(f"{document} and {results} written")


def row_sources(build: Path, rows: str) -> dict[str, int]:
    """Training rows of an arm by source, where they have several."""
    stage = {"balanced": "balance", "all": CONFIGURATIONS["unbalanced"]}.get(rows)
    if stage is None:
        return {}
    counts = read_rows(build, stage)["source"].value_counts().to_pylist()
    return {str(each["values"]): int(each["counts"]) for each in counts}


def train_arm(name: str, seed: int, shared: TrainConfig, build: Path, out: Path, test: Split, log: Log) -> None:
    """Train one run of an arm, or go on with it, and keep its record; a finished one is left as it is."""
    rows = ARMS[name].rows
    sources = {"balanced": str(build), "unbalanced": str(build / OFFICIAL), "all": f"{build}:unbalanced"}
    data = sources.get(rows) or str(out / "data" / f"matched-{seed}")
    config = replace(shared, data=data, pooling=ARMS[name].pooling, seed=seed)
    finished, folder = read_run(out, name, seed), model_folder(out, name, seed)
    if rows == "matched" and not finished:
        write_matched(build, Path(data), seed)
    train = load_split(data, "train")
    if finished:
        _check_same(out, finished.about["config"], config)
        if finished.about["train"]["digest"] != train.digest():
            raise UsageError(f"{out}: holds runs on other rows than {data}'s; choose another --out")
        log(f"{folder}: finished before, kept")
        return
    if (folder / INFO_FILE).is_file():
        _check_same(out, json.loads((folder / TRAINING_FOLDER / "config.json").read_text(encoding="utf-8")), config)
    else:
        keras.utils.clear_session()  # a run must not depend on those before it in this process
        fit(config, folder, log)
    write_run(out, record(name, seed, folder, config, train, test))


def record(name: str, seed: int, folder: Path, config: TrainConfig, train: Split, test: Split) -> Run:
    """What the comparison needs of a trained model."""
    classifier = EmotionClassifier.from_pretrained(folder)
    thresholds = np.array([classifier.thresholds[label] for label in LABELS], np.float32)
    vocabulary = Tokenizer.from_file(str(folder / TOKENIZER_FILE)).get_vocab()
    embedding = keras.saving.load_model(folder).get_layer("embedding").get_weights()[0]
    vectors = np.full((len(LABELS), embedding.shape[1]), np.nan, np.float32)
    used: dict[str, list[str]] = {}
    for row, label in enumerate(LABELS):
        used[label] = [word for word in LABEL_WORDS.get(label, ()) if word in vocabulary]
        if label in vocabulary:
            used[label] = [label]
        if used[label]:
            vectors[row] = embedding[[vocabulary[word] for word in used[label]]].mean(axis=0)
    with (folder / TRAINING_FOLDER / "history.csv").open(encoding="utf-8") as lines:
        history = [
            {key: int(value) if key == "epoch" else float(value) for key, value in line.items()}
            for line in csv.DictReader(lines)
        ]
    about = {
        "config": asdict(config),
        "history": history,
        "train": {"rows": len(train), "digest": train.digest()},
        "test": {"rows": len(test), "digest": test.digest()},
        "words": len(vocabulary),
        "label_words": used,
        "machine": machine(),
    }
    everyday = classifier.predict_proba(load_everyday("test").split.texts)
    return Run(name, seed, classifier.predict_proba(test.texts), thresholds, everyday, vectors, about)


def write_matched(build: Path, folder: Path, seed: int) -> None:
    """Write a data set: as many rows of GoEmotions' training split as are balanced, and its validation and test."""
    import pyarrow
    from pyarrow import parquet

    rows = load_split(str(build / OFFICIAL), "train")
    count = len(load_split(str(build), "train"))
    if count > len(rows):
        raise DataError(
            f"{build}: {count:,} balanced rows, but the training split has only {len(rows):,} to match them"
        )
    drawn = np.sort(np.random.default_rng([seed, MATCHED]).choice(len(rows), count, replace=False))
    table = pyarrow.table(
        {
            "text": [rows.texts[row] for row in drawn],
            "labels": [rows.labels[row].nonzero()[0].tolist() for row in drawn],
            "id": [rows.ids[row] for row in drawn],
        }
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder, overwrite=True) as work:
        parquet.write_table(table, work / "train.parquet")
        for split in ("validation", "test"):
            shutil.copyfile(build / OFFICIAL / f"{split}.parquet", work / f"{split}.parquet")


def shared_vectors(config: TrainConfig, build: Path, out: Path, log: Log) -> str:
    """What all arms get as `vectors`; for `self` a file that is trained here, once.

    Trained on each text of all training rows of the build, of its tweets and of `config.corpus` once; tweets that equal
    a validation or test text are left out. Every word of the training rows gets a vector; each arm takes the words of
    its own vocabulary.

    Raises:
        UsageError: Vectors of other texts or options lie at `out`.
    """
    if config.vectors != "self":
        return config.vectors
    sources = [str(build / OFFICIAL), str(build)]
    if (build / CONFIGURATIONS["unbalanced"] / MANIFEST_FILE).is_file():
        sources.append(f"{build}:unbalanced")
    training = list(dict.fromkeys(clean(text) for name in sources for text in load_split(name, "train").texts))
    tweets: list[str] = []
    if (build / "sentiment140" / MANIFEST_FILE).is_file():
        tweets += read_rows(build, "sentiment140")["text"].to_pylist()
    for name in config.corpus:
        try:
            tweets += located(name).read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError as error:
            raise DataError(f"{name}: cannot be read ({error.strerror})") from None
    held_out = {clean(text) for split in ("validation", "test") for text in load_split(sources[0], split).texts}
    known = {*training, ""}
    added = [text for text in dict.fromkeys(map(clean, tweets)) if text not in known and text not in held_out]
    about = {
        "training_texts": len(training),
        "tweets": len(added),
        "embedding_size": config.embedding_size,
        "min_frequency": config.min_frequency,
        "digest": sha256("\n".join([*training, *added]).encode()).hexdigest(),
    }
    path, about_path = out / VECTORS_FILE, out / VECTORS_ABOUT
    if about_path.is_file():
        if json.loads(about_path.read_text(encoding="utf-8")) != about:
            raise UsageError(f"{path} was trained on other texts or with other options; choose another --out")
        return str(path)
    words = words_by_id(fit_tokenizer(training, min_frequency=1))
    table = load_vectors(replace(config, corpus=()), words, [*training, *added], log)
    out.mkdir(parents=True, exist_ok=True)
    write_vec(path, words, table)
    write_text(about_path, json.dumps(about, indent=1) + "\n")
    return str(path)


def machine() -> str:
    """What the run was trained on, in words."""
    kind = "a GPU" if has_gpu() else f"{os.cpu_count()} cores"
    backend = keras.backend.backend()
    return f"{platform.machine()}, {kind}, Python {platform.python_version()}, Keras {keras.__version__} on {backend}"


def _check_same(out: Path, before: dict[str, Any], config: TrainConfig) -> None:
    """Raise `UsageError` where an earlier run had other options; options that did not exist then are not compared."""
    now = json.loads(json.dumps(asdict(config)))
    changed = sorted(name for name in before if name in now and before[name] != now[name])
    if changed:
        raise UsageError(
            f"{out}: holds runs with other {', '.join(changed)}; repeat their options or choose another --out"
        )
