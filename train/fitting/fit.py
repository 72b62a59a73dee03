"""Train the network, tune thresholds on validation, and write the model folder."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tokenizers import Tokenizer

from evenmood import EmotionClassifier, __version__
from evenmood.data.splits import Split, load_split
from evenmood.errors import DataError
from evenmood.evaluation.calibration import fit_platt, scale_head
from evenmood.evaluation.metrics import score
from evenmood.labels import LABELS
from evenmood.model.model_folder import (
    ONNX_FILE,
    TOKENIZER_FILE,
    TRAINING_FOLDER,
    ModelInfo,
    whole_folder,
    write_info,
    write_text,
)
from evenmood.text.normalization import encode, fit_tokenizer
from evenmood.thresholds import tune_thresholds
from train.config import TrainConfig
from train.distillation.soft_targets import TrainingTexts, load_extra, record_soft_targets, training_texts
from train.evaluation.evaluate import OFFICIAL_THRESHOLDS, onnx_probabilities, record_split, write_metrics
from train.evaluation.everyday import load_everyday, score_everyday
from train.evaluation.validation import ValidationRows
from train.fitting.checkpoint import Checkpoint
from train.fitting.epochs import train_network
from train.network.backend import make_deterministic
from train.network.distribution import join_hosts
from train.network.export import export_onnx
from train.release import figures
from train.release.card import write_card
from train.vectors.misspellings import tokenizer_json
from train.vectors.sources import load_vectors

Say = Callable[[str], None]


def fit(
    config: TrainConfig,
    out: Path,
    say: Say,
    *,
    overwrite: bool = False,
    restart: bool = False,
    keep: Callable[[Path], None] = lambda folder: None,
) -> Path:
    """Train as configured and write the model folder, whole or not at all.

    Args:
        config: All choices of the run.
        out: Model folder to write.
        say: Receives progress, a line at a time.
        overwrite: Replace what lies at `out`.
        restart: Forget an unfinished run instead of going on with it.
        keep: Called with the unfinished run's folder whenever more of it is worth keeping.

    Returns:
        `out`.
    """
    join_hosts(config.distribute)
    checkpoint = Checkpoint(out, config, restart)
    train, validation, learnt = read_data(config, say)
    make_deterministic(config.seed)
    tokenizer, vectors = checkpoint.vocabulary(*vocabulary_makers(config, train, learnt, say))
    keep(checkpoint.folder)
    held = [validation, load_everyday("validation").split] if config.extra else [validation]
    model = train_network(config, vectors, tokenizer, learnt, held, checkpoint, say, keep)

    stored_tokenizer = tokenizer_json(tokenizer, config.misspellings, learnt.texts)
    reader = Tokenizer.from_str(stored_tokenizer)
    tuned_on = ValidationRows.of(validation, everyday=bool(config.extra))

    def probabilities_of(texts: list[str]) -> np.ndarray:
        found: np.ndarray = model.predict(encode(reader, texts), batch_size=1024, verbose=0)
        return found

    if config.calibrate:
        calibrate_head(model, *tuned_on.repeated(probabilities_of(tuned_on.texts)))
    probabilities = tuned_on.masked(probabilities_of(tuned_on.texts))
    thresholds = tune_thresholds(tuned_on.labels, probabilities, config.thresholds, tuned_on.repeats)
    probabilities = probabilities[: len(validation)]
    official = tune_thresholds(validation.labels, probabilities, config.thresholds)
    for label, positives in zip(LABELS, validation.labels.sum(axis=0), strict=True):
        if not positives:
            say(f"thresholds: {label} has no positive validation text and keeps 0.5")
    with whole_folder(out, overwrite) as work:
        model.save(work, zipped=False)
        shutil.rmtree(work / "assets", ignore_errors=True)  # Keras may leave it, empty
        export_onnx(model, work / ONNX_FILE, config.embedding_bits, tokenizer=stored_tokenizer)
        (work / TOKENIZER_FILE).write_text(stored_tokenizer, encoding="utf-8")
        info = ModelInfo(
            labels=LABELS,
            thresholds={label: round(float(cut), 2) for label, cut in zip(LABELS, thresholds, strict=True)},
            max_length=config.max_length,
            attention=config.pooling == "attention",
            trained_from={"evenmood": __version__, **asdict(config)},
        )
        write_info(work, info)
        training = work / TRAINING_FOLDER
        training.mkdir()
        (training / "config.json").write_text(json.dumps(asdict(config), indent=1) + "\n", encoding="utf-8")
        if config.extra:
            rounded = {label: round(float(cut), 2) for label, cut in zip(LABELS, official, strict=True)}
            write_text(training / OFFICIAL_THRESHOLDS, json.dumps(rounded, indent=1) + "\n")
        (training / "layers.json").write_text(json.dumps(layer_table(model), indent=1) + "\n", encoding="utf-8")
        with (training / "history.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["epoch", "loss", "val_loss", "seconds"])
            writer.writeheader()
            writer.writerows(checkpoint.history)
        figures.loss_curves(checkpoint.history, training / "loss.png")
        stored = onnx_probabilities(work, validation.texts)
        once = read_at_once(work, validation.texts)  # Keras cuts longer texts: they differ for another reason
        truth, exact, rounded_off = validation.labels[once], probabilities[once], stored[once]
        storage = {
            "bits": config.embedding_bits,
            "macro_f1_keras": score(truth, exact, thresholds, LABELS, 0)["macro_f1"],
            "macro_f1_onnx": score(truth, rounded_off, thresholds, LABELS, 0)["macro_f1"],
            "largest_difference": float(np.abs(rounded_off - exact).max()),
        }
        (training / "storage.json").write_text(json.dumps(storage, indent=1) + "\n", encoding="utf-8")
        for split, rows in (("train", train), ("validation", validation)):
            record_split(work, split, rows)
        if config.soft_targets:
            record_soft_targets(config, training)
        write_metrics(work, "validation", validation, stored)
        if config.extra:
            score_everyday(work, "validation")
        write_card(work)
    checkpoint.remove()
    return out


def read_data(config: TrainConfig, say: Say) -> tuple[Split, Split, TrainingTexts]:
    """Training and validation split, and what the network is to learn.

    The test split is read where there are soft targets, to keep its texts out of them, and for nothing else.
    """
    train, validation = load_split(config.data, "train"), load_split(config.data, "validation")
    say(f"data: {len(train):,} training and {len(validation):,} validation texts from {config.data}")
    held = [validation]
    if config.soft_targets:
        try:
            held.append(load_split(config.data, "test"))
        except DataError:
            say(f"soft targets: {config.data} has no test split to keep out of them")
    extra = load_extra(config.extra, config.data, say) if config.extra else None
    if extra:
        held += [load_everyday(split).split for split in ("validation", "test")]
    return train, validation, training_texts(config, train, extra, held, say)


def vocabulary_makers(
    config: TrainConfig, train: Split, learnt: TrainingTexts, say: Say
) -> tuple[Callable[[], Tokenizer], Callable[[Tokenizer], np.ndarray]]:
    """What makes the tokenizer, and what loads the word vectors for it."""
    texts = learnt.texts if config.vocabulary == "all" else train.texts
    return (
        lambda: fit_tokenizer(
            texts,
            config.min_frequency,
            config.max_length,
            config.max_words or None,
            config.word_pieces,
            config.symbols,
        ),
        lambda tokenizer: load_vectors(config, words_by_id(tokenizer), texts, say),
    )


def read_at_once(folder: Path, texts: list[str]) -> np.ndarray:
    """Which texts the model reads in one window, as Keras does: bool of shape (n,)."""
    once: np.ndarray = EmotionClassifier.from_pretrained(folder).read(texts).windows == 1
    return once


def calibrate_head(model: keras.Model, labels: np.ndarray, probabilities: np.ndarray) -> None:
    """Scale the output layer so that its probabilities fit the labels: `evenmood.evaluation.calibration`."""
    head = model.get_layer("probabilities")
    kernel, bias = head.get_weights()
    slopes, offsets = fit_platt(labels, probabilities)
    head.set_weights(list(scale_head(kernel, bias, slopes, offsets)))


def words_by_id(tokenizer: Any) -> list[str]:
    """The vocabulary in the order of its ids."""
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def layer_table(model: keras.Model) -> list[dict[str, Any]]:
    """Name, kind, output shape and weight count of each layer that has a name of its own in `build_network`."""
    return [
        {
            "name": layer.name,
            "kind": type(layer).__name__,
            "output_shape": ["n", *("time" if size is None else size for size in layer.output.shape[1:])],
            "parameters": layer.count_params(),
        }
        for layer in model.layers
        if isinstance(layer, keras.layers.Layer) and not type(layer).__module__.startswith("keras.src.ops")
    ]
