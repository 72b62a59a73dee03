"""Turn a trained and evaluated model folder into the default model and its results file."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evenmood.errors import DataError
from evenmood.evaluation.metrics import rounded
from evenmood.model.model_folder import CARD_FILE, PREDICTING_FILES, TRAINING_FOLDER, check_files, read_info, write_text
from train.network.onnx_metadata import add_vocabulary_digest
from train.release.card import LOG_FILE, ROBUSTNESS_FILE, SEEDS_FILE, SOFT_TARGETS_FILE, TERMS_FILE, write_card

SIZE_LIMIT = 12_000_000
"""Bytes that the three predicting files may have together."""
STORAGE_LIMIT = 0.002
"""How far a smaller embedding may move macro-F1 on validation."""


def best_of(folders: Sequence[Path]) -> Path:
    """The folder whose macro-F1 on validation is highest, of those whose smaller embedding did not move it too far.

    Raises:
        DataError: A folder has no figures of validation.
    """
    near = [folder for folder in folders if abs(_moved(folder)) < STORAGE_LIMIT]
    return max(near or folders, key=lambda folder: float(_metrics(folder, "validation")["tuned"]["macro_f1"]["value"]))


def bundle(folder: Path, package: Path, results: Path, terms: Path | None = None) -> str:
    """Copy the predicting files, the card and the training record to `package`; write the figures to `results`.

    A model that was exported without the digest of its vocabulary gets it, in its own folder too.

    Args:
        folder: Model folder; its card is written anew where there are `terms`.
        package: Folder of the default model.
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
    if sum(size.values()) > SIZE_LIMIT:
        raise DataError(f"{folder}: {sum(size.values()):,} bytes, over the {SIZE_LIMIT:,} of a default model")
    storage = json.loads((training / "storage.json").read_text(encoding="utf-8"))
    moved = _moved(folder)
    if abs(moved) >= STORAGE_LIMIT:
        raise DataError(f"{folder}: storing the embedding in {storage['bits']} bits moves macro-F1 by {moved:+.4f}")
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
        "storage": storage,
        "layers": json.loads((training / "layers.json").read_text(encoding="utf-8")),
        "history": (training / "history.csv").read_text(encoding="utf-8").splitlines(),
        "evaluations": [json.loads(line) for line in (training / LOG_FILE).read_text(encoding="utf-8").splitlines()],
        "thresholds": info.thresholds,
        "metrics": metrics,
    }
    for name in (f"calibration-{split}" for split in metrics):
        content[name] = json.loads((training / f"{name}.json").read_text(encoding="utf-8"))
    everyday = [f"everyday-{split}.json" for split in ("validation", "test")]
    for file in (*everyday, ROBUSTNESS_FILE, SEEDS_FILE, SOFT_TARGETS_FILE):
        if (training / file).is_file():
            content[file.removesuffix(".json")] = json.loads((training / file).read_text(encoding="utf-8"))
    results.parent.mkdir(parents=True, exist_ok=True)
    write_text(results, json.dumps(rounded(content, 6), indent=1) + "\n")
    return f"{package}: {sum(size.values()) / 1e6:.1f} MB; figures in {results}"


def _moved(folder: Path) -> float:
    path = folder / TRAINING_FOLDER / "storage.json"
    if not path.is_file():
        raise DataError(f"{path} is missing; {folder} is no folder that fit wrote")
    storage = json.loads(path.read_text(encoding="utf-8"))
    return float(storage["macro_f1_onnx"] - storage["macro_f1_keras"])


def _metrics(folder: Path, split: str) -> Any:
    path = folder / TRAINING_FOLDER / f"metrics-{split}.json"
    if not path.is_file():
        raise DataError(f"{path} is missing; run: python -m train evaluate {folder} --split {split}")
    return json.loads(path.read_text(encoding="utf-8"))
