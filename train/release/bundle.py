"""Bundle a trained and evaluated model folder, and write its results file."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evenmood.errors import DataError
from evenmood.evaluation.metrics import round_floats
from evenmood.model.model_folder import CARD_FILE, PREDICTION_FILES, TRAINING_FOLDER, check_files, read_info, write_text
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
"""Maximum total size of the files required for prediction, in bytes, by kind of model."""
MAX_QUANTIZATION_CHANGE = {"bilstm": 0.002, "encoder": 0.005}
"""Maximum change of validation macro-F1 by quantization, by kind of model."""


def best_of(folders: Sequence[Path]) -> Path:
    """Choose the folder with the highest validation macro-F1 among those with an acceptable quantization loss.

    If none is acceptable, all folders are considered.

    Raises:
        DataError: A folder has no validation metrics or no quantization record.
    """
    acceptable = [
        folder
        for folder in folders
        if abs(_quantization_change(folder)) < MAX_QUANTIZATION_CHANGE[read_info(folder).kind]
    ]
    return max(
        acceptable or folders, key=lambda folder: float(_metrics(folder, "validation")["tuned"]["macro_f1"]["value"])
    )


def bundle(folder: Path, package: Path, results: Path, terms: Path | None = None) -> str:
    """Copy the files required for prediction, the card and the training record to `package`, and write `results`.

    The vocabulary digest is added if it is missing, also in the model folder.

    Args:
        folder: Model folder; its card is rewritten if `terms` is set.
        package: Folder of the bundled model.
        results: Results file (JSON).
        terms: Markdown file for the license section of the card.

    Returns:
        A one-line summary.

    Raises:
        DataError: The folder lacks validation or test metrics, is too large, or lost too much accuracy by quantization.
        ModelError: A file is missing, or the tokenizer belongs to another model.
    """
    check_files(folder)
    add_vocabulary_digest(folder)
    training = folder / TRAINING_FOLDER
    metrics = {split: _metrics(folder, split) for split in ("validation", "test")}
    size = {name: (folder / name).stat().st_size for name in PREDICTION_FILES}
    kind = read_info(folder).kind
    if sum(size.values()) > SIZE_LIMITS[kind]:
        raise DataError(
            f"{folder}: the files for prediction have {sum(size.values()):,} bytes; expected at most "
            f"{SIZE_LIMITS[kind]:,}; use a smaller vocabulary"
        )
    change = _quantization_change(folder)
    if abs(change) >= MAX_QUANTIZATION_CHANGE[kind]:
        raise DataError(
            f"{folder}: quantization changes macro-F1 by {change:+.4f}; expected less than "
            f"{MAX_QUANTIZATION_CHANGE[kind]}{'; use more --embedding-bits' if kind == 'bilstm' else ''}"
        )
    if terms:
        shutil.copyfile(terms, training / TERMS_FILE)
        write_card(folder)
    package.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(package / TRAINING_FOLDER, ignore_errors=True)  # remove files of an earlier model
    for name in (*PREDICTION_FILES, CARD_FILE):
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
    records = ("storage.json", QUANTIZATION_FILE, "layers.json")
    for file in (*records, *splits, ROBUSTNESS_FILE, SEEDS_FILE, SOFT_TARGETS_FILE):
        if (training / file).is_file():
            content[file.removesuffix(".json")] = json.loads((training / file).read_text(encoding="utf-8"))
    results.parent.mkdir(parents=True, exist_ok=True)
    write_text(results, json.dumps(round_floats(content, 6), indent=1) + "\n")
    return f"{package}: {sum(size.values()) / 1e6:.1f} MB; results in {results}"


def _quantization_change(folder: Path) -> float:
    """Return the change of validation macro-F1 by quantization."""
    encoder = read_info(folder).kind == "encoder"
    path = folder / TRAINING_FOLDER / (QUANTIZATION_FILE if encoder else "storage.json")
    if not path.is_file():
        raise DataError(
            f"{path} is missing; expected a model folder written by python -m train fit or python -m train encoder"
        )
    content = json.loads(path.read_text(encoding="utf-8"))
    if encoder:
        return float(content["validation"]["macro_f1_int8"] - content["validation"]["macro_f1_float32"])
    return float(content["macro_f1_onnx"] - content["macro_f1_keras"])


def _metrics(folder: Path, split: str) -> Any:
    path = folder / TRAINING_FOLDER / f"metrics-{split}.json"
    if not path.is_file():
        raise DataError(f"{path} is missing; run: python -m train evaluate {folder} --split {split}")
    return json.loads(path.read_text(encoding="utf-8"))
