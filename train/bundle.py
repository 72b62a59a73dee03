"""Turn a trained and evaluated model folder into the default model and its results file."""

import json
import shutil
from pathlib import Path

from evenmood.errors import DataError
from evenmood.model_folder import CARD_FILE, PREDICTING_FILES, TRAINING_FOLDER, check_files, read_info, write_text
from train.evaluate import LOG_FILE, rounded

SIZE_LIMIT = 12_000_000
"""Bytes that the three predicting files may have together."""
STORAGE_LIMIT = 0.002
"""How far a smaller embedding may move macro-F1 on validation."""


def bundle(folder: Path, package: Path, results: Path) -> str:
    """Copy the predicting files, the card and the training record to `package`; write the figures to `results`.

    Raises:
        DataError: The folder lacks figures of validation or test, is too large, or lost too much to rounding.
    """
    check_files(folder)
    training = folder / TRAINING_FOLDER
    metrics = {}
    for split in ("validation", "test"):
        path = training / f"metrics-{split}.json"
        if not path.is_file():
            raise DataError(f"{path} is missing; run: python -m train evaluate {folder} --split {split}")
        metrics[split] = json.loads(path.read_text(encoding="utf-8"))
    size = {name: (folder / name).stat().st_size for name in PREDICTING_FILES}
    if sum(size.values()) > SIZE_LIMIT:
        raise DataError(f"{folder}: {sum(size.values()):,} bytes, over the {SIZE_LIMIT:,} of a default model")
    storage = json.loads((training / "storage.json").read_text(encoding="utf-8"))
    lost = storage["macro_f1_keras"] - storage["macro_f1_onnx"]
    if abs(lost) >= STORAGE_LIMIT:
        raise DataError(f"{folder}: storing the embedding in {storage['bits']} bits moves macro-F1 by {-lost:+.4f}")
    package.mkdir(parents=True, exist_ok=True)
    for name in (*PREDICTING_FILES, CARD_FILE):
        shutil.copyfile(folder / name, package / name)
    shutil.copytree(training, package / TRAINING_FOLDER, dirs_exist_ok=True)
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
    results.parent.mkdir(parents=True, exist_ok=True)
    write_text(results, json.dumps(rounded(content, 6), indent=1) + "\n")
    return f"{package}: {sum(size.values()) / 1e6:.1f} MB; figures in {results}"
