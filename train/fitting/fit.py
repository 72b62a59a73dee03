"""Train a network, tune thresholds on the validation split, and write the model folder."""

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
    atomic_folder,
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

Log = Callable[[str], None]


def fit(
    config: TrainConfig,
    out: Path,
    log: Log,
    *,
    overwrite: bool = False,
    restart: bool = False,
    on_checkpoint: Callable[[Path], None] = lambda folder: None,
) -> Path:
    """Train as configured and write the model folder atomically.

    Args:
        config: Configuration of the run.
        out: Model folder to write.
        log: Called with progress messages.
        overwrite: Whether to replace an existing folder.
        restart: Whether to discard an unfinished run instead of resuming it.
        on_checkpoint: Called with the checkpoint folder after each save.

    Returns:
        `out`.

    Raises:
        UsageError: `out` exists, or an unfinished run has different options.
        DataError: The data or the vectors cannot be read.
    """
    join_hosts(config.distribute)
    checkpoint = Checkpoint(out, config, restart)
    train, validation, train_set = read_data(config, log)
    make_deterministic(config.seed)
    tokenizer, vectors = checkpoint.vocabulary(*vocabulary_makers(config, train, train_set, log))
    on_checkpoint(checkpoint.folder)
    validation_sets = [validation, load_everyday("validation").split] if config.extra else [validation]
    model = train_network(config, vectors, tokenizer, train_set, validation_sets, checkpoint, log, on_checkpoint)

    stored_tokenizer = tokenizer_json(tokenizer, config.misspellings, train_set.texts)
    reader = Tokenizer.from_str(stored_tokenizer)
    tuning_rows = ValidationRows.of(validation, everyday=bool(config.extra))

    def probabilities_of(texts: list[str]) -> np.ndarray:
        probabilities: np.ndarray = model.predict(encode(reader, texts), batch_size=1024, verbose=0)
        return probabilities

    if config.calibrate:
        calibrate_head(model, *tuning_rows.repeated(probabilities_of(tuning_rows.texts)))
    probabilities = tuning_rows.mask(probabilities_of(tuning_rows.texts))
    thresholds = tune_thresholds(tuning_rows.labels, probabilities, config.thresholds, tuning_rows.repeats)
    probabilities = probabilities[: len(validation)]
    official = tune_thresholds(validation.labels, probabilities, config.thresholds)
    for label, positives in zip(LABELS, validation.labels.sum(axis=0), strict=True):
        if not positives:
            log(f"thresholds: {label} has no positive validation texts; using 0.5")
    with atomic_folder(out, overwrite) as work_folder:
        model.save(work_folder, zipped=False)
        shutil.rmtree(work_folder / "assets", ignore_errors=True)  # an empty folder that Keras may create
        export_onnx(model, work_folder / ONNX_FILE, config.embedding_bits, tokenizer=stored_tokenizer)
        (work_folder / TOKENIZER_FILE).write_text(stored_tokenizer, encoding="utf-8")
        info = ModelInfo(
            labels=LABELS,
            thresholds={label: round(float(value), 2) for label, value in zip(LABELS, thresholds, strict=True)},
            max_length=config.max_length,
            attention=config.pooling == "attention",
            trained_from={"evenmood": __version__, **asdict(config)},
        )
        write_info(work_folder, info)
        training = work_folder / TRAINING_FOLDER
        training.mkdir()
        (training / "config.json").write_text(json.dumps(asdict(config), indent=1) + "\n", encoding="utf-8")
        if config.extra:
            by_label = {label: round(float(value), 2) for label, value in zip(LABELS, official, strict=True)}
            write_text(training / OFFICIAL_THRESHOLDS, json.dumps(by_label, indent=1) + "\n")
        (training / "layers.json").write_text(json.dumps(layer_table(model), indent=1) + "\n", encoding="utf-8")
        with (training / "history.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["epoch", "loss", "val_loss", "seconds"])
            writer.writeheader()
            writer.writerows(checkpoint.history)
        figures.loss_curves(checkpoint.history, training / "loss.png")
        onnx_predictions = onnx_probabilities(work_folder, validation.texts)
        # Keras truncates longer texts; EmotionClassifier splits them into windows.
        single = in_single_window(work_folder, validation.texts)
        truth, before, after = validation.labels[single], probabilities[single], onnx_predictions[single]
        storage = {
            "bits": config.embedding_bits,
            "macro_f1_keras": score(truth, before, thresholds, LABELS, 0)["macro_f1"],
            "macro_f1_onnx": score(truth, after, thresholds, LABELS, 0)["macro_f1"],
            "largest_difference": float(np.abs(after - before).max()),
        }
        (training / "storage.json").write_text(json.dumps(storage, indent=1) + "\n", encoding="utf-8")
        for split, rows in (("train", train), ("validation", validation)):
            record_split(work_folder, split, rows)
        if config.soft_targets:
            record_soft_targets(config, training)
        write_metrics(work_folder, "validation", validation, onnx_predictions)
        if config.extra:
            score_everyday(work_folder, "validation")
        write_card(work_folder)
    checkpoint.remove()
    return out


def read_data(config: TrainConfig, log: Log) -> tuple[Split, Split, TrainingTexts]:
    """Read the training and validation splits, and build the training texts and targets.

    The test split is read only to exclude its texts from the soft targets.
    """
    train, validation = load_split(config.data, "train"), load_split(config.data, "validation")
    log(f"data: {len(train):,} training and {len(validation):,} validation texts from {config.data}")
    held_out = [validation]
    if config.soft_targets:
        try:
            held_out.append(load_split(config.data, "test"))
        except DataError:
            log(f"soft targets: {config.data} has no test split to exclude")
    extra = load_extra(config.extra, config.data, log) if config.extra else None
    if extra:
        held_out += [load_everyday(split).split for split in ("validation", "test")]
    return train, validation, training_texts(config, train, extra, held_out, log)


def vocabulary_makers(
    config: TrainConfig, train: Split, train_set: TrainingTexts, log: Log
) -> tuple[Callable[[], Tokenizer], Callable[[Tokenizer], np.ndarray]]:
    """Return a function that builds the tokenizer, and a function that loads its word vectors."""
    texts = train_set.texts if config.vocabulary == "all" else train.texts
    return (
        lambda: fit_tokenizer(
            texts,
            config.min_frequency,
            config.max_length,
            config.max_words or None,
            config.word_pieces,
            config.symbols,
        ),
        lambda tokenizer: load_vectors(config, words_by_id(tokenizer), texts, log),
    )


def in_single_window(folder: Path, texts: list[str]) -> np.ndarray:
    """Return whether each text fits in one window: bool of shape (n,)."""
    single: np.ndarray = EmotionClassifier.from_pretrained(folder).read(texts).windows == 1
    return single


def calibrate_head(model: keras.Model, labels: np.ndarray, probabilities: np.ndarray) -> None:
    """Fold Platt scaling into the output layer (see `evenmood.evaluation.calibration`)."""
    head = model.get_layer("probabilities")
    kernel, bias = head.get_weights()
    slopes, offsets = fit_platt(labels, probabilities)
    head.set_weights(list(scale_head(kernel, bias, slopes, offsets)))


def words_by_id(tokenizer: Any) -> list[str]:
    """Return the vocabulary in the order of its ids."""
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def layer_table(model: keras.Model) -> list[dict[str, Any]]:
    """Return the name, type, output shape and parameter count of each layer named in `build_network`."""
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
