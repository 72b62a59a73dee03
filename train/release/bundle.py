"""Turn a trained and evaluated model folder into a bundled model and its results file."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evenmood.errors import DataError
from evenmood.evaluation.metrics import rounded
from evenmood.model.model_folder import CARD_FILE, PREDICTING_FILES, TRAINING_FOLDER, check_files, read_info, write_text
from train.network.onnx_metadata import add_vocabulary_digest
from train.release.card import (
    LOG_FILE,
    QUANTIZATION_FILE,
    ROBUSTNESS_FILE,
    SEEDS_FILE,
    SOFT_TARGETS_FILE,
    TERMS_FILE,
    write_card,
)

SIZE_LIMITS = {"bilstm": 12_000_000, "encoder": 13_000_000}
"""Bytes that the three predicting files may have together, by kind of model."""
STORAGE_LIMITS = {"bilstm": 0.002, "encoder": 0.005}
"""How far fewer bits may move macro-F1 on validation."""


def best_of(folders: Sequence[Path]) -> Path:
    """The folder whose macro-F1 on validation is highest, of those whose weights of fewer bits did not move it too far.

    Raises:
        DataError: A folder has no figures of validation.
    """
    near = [folder for folder in folders if abs(_moved(folder)) < STORAGE_LIMITS[read_info(folder).kind]]
    return max(near or folders, key=lambda folder: float(_metrics(folder, "validation")["tuned"]["macro_f1"]["value"]))


def bundle(folder: Path, package: Path, results: Path, terms: Path | None = None) -> str:
    """Copy the predicting files, the card and the training record to `package`; write the figures to `results`.

    A model that was exported without the digest of its vocabulary gets it, in its own folder too.

    Args:
        folder: Model folder; its card is written anew where there are `terms`.
        package: Folder of the bundled model.
        results: Results file.
        terms: Markdown file for the card's section on licence.

    Raises:
        DataError: The folder lacks figures of validation or test, is too large, or lost too much to rounding.
        ModelError: A file is missing, or the tokenizer is another model's.
    """
    check_files(folder)
    add_vocabulary_digest(folder)
    training = folder / TRAINING_FOLDER
    metrics = {split: _metrics(folder, split) for split in ("validation", "test")}
    size = {name: (folder / name).stat().st_size for name in PREDICTING_FILES}
    kind = read_info(folder).kind
    if sum(size.values()) > SIZE_LIMITS[kind]:
        raise DataError(f"{folder}: {sum(size.values()):,} bytes; at most {SIZE_LIMITS[kind]:,} are bundled")
    moved = _moved(folder)
    if abs(moved) >= STORAGE_LIMITS[kind]:
        raise DataError(f"{folder}: storing weights in fewer bits moves macro-F1 by {moved:+.4f}")
    if terms:
        shutil.copyfile(terms, training / TERMS_FILE)
        write_card(folder)
    package.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(package / TRAINING_FOLDER, ignore_errors=True)  # nothing of an earlier model stays
    for name in (*PREDICTING_FILES, CARD_FILE):
        shutil.copyfile(folder / name, package / name)
    shutil.copytree(training, package / TRAINING_FOLDER)
    info = read_info(folder)
    content = {
        "trained_from": info.trained_from,
        "bytes": size,
        "evaluations": [json.loads(line) for line in (training / LOG_FILE).read_text(encoding="utf-8").splitlines()],
        "thresholds": info.thresholds,
        "metrics": metrics,
    }
    if (training / "history.csv").is_file():
        content["history"] = (training / "history.csv").read_text(encoding="utf-8").splitlines()
    splits = [f"{name}-{split}.json" for name in ("calibration", "everyday") for split in metrics]
    stored = ("storage.json", QUANTIZATION_FILE, "layers.json")
    for file in (*stored, *splits, ROBUSTNESS_FILE, SEEDS_FILE, SOFT_TARGETS_FILE):
        if (training / file).is_file():
            content[file.removesuffix(".json")] = json.loads((training / file).read_text(encoding="utf-8"))
    results.parent.mkdir(parents=True, exist_ok=True)
    write_text(results, json.dumps(rounded(content, 6), indent=1) + "\n")
    return f"{package}: {sum(size.values()) / 1e6:.1f} MB; figures in {results}"


def _moved(folder: Path) -> float:
    """How far fewer bits moved macro-F1 on validation."""
    encoder = read_info(folder).kind == "encoder"
    path = folder / TRAINING_FOLDER / (QUANTIZATION_FILE if encoder else "storage.json")
    if not path.is_file():
        raise DataError(f"{path} is missing; {folder} is no folder that fit wrote")
    stored = json.loads(path.read_text(encoding="utf-8"))
    if encoder:
        return float(stored["validation"]["macro_f1_int8"] - stored["validation"]["macro_f1_float32"])
    return float(stored["macro_f1_onnx"] - stored["macro_f1_keras"])


def _metrics(folder: Path, split: str) -> Any:
    path = folder / TRAINING_FOLDER / f"metrics-{split}.json"
    if not path.is_file():
        raise DataError(f"{path} is missing; run: python -m train evaluate {folder} --split {split}")
    return json.loads(path.read_text(encoding="utf-8"))
