"""Log of training runs with their validation metrics, and the document that lists them."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evenmood.errors import DataError, UsageError
from evenmood.evaluation.metrics import round_floats
from evenmood.model.cards import render
from evenmood.model.model_folder import PREDICTION_FILES, TRAINING_FOLDER
from train.config import PAPER, TrainConfig

TEMPLATE = Path(__file__).with_name("quality_log.md.jinja")
METRICS = ("macro_f1", "micro_f1", "macro_roc_auc", "macro_average_precision")
"""Validation metrics in the log, which never uses the test split."""


def add_run(folder: Path, config: TrainConfig, note: str, log: Path) -> None:
    """Add a finished run to the log: options that differ from the paper's (arXiv 2511.14073), and validation metrics.

    Args:
        folder: Model folder written by `fit`.
        config: Configuration of the run.
        note: Purpose of the run.
        log: JSON Lines file; created if it does not exist.
    """
    training = folder / TRAINING_FOLDER
    metrics = json.loads((training / "metrics-validation.json").read_text(encoding="utf-8"))["tuned"]
    history = [line.split(",") for line in (training / "history.csv").read_text(encoding="utf-8").splitlines()[1:]]
    losses = [float(row[2]) for row in history]
    paper = asdict(PAPER)
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": note,
        "options": {name: value for name, value in asdict(config).items() if value != paper[name]},
        "epochs": len(history),
        "best_epoch": losses.index(min(losses)) + 1,
        "validation_loss": min(losses),
        "seconds": sum(float(row[3]) for row in history),
        "bytes": sum((folder / name).stat().st_size for name in PREDICTION_FILES),
        **{name: metrics[name] for name in METRICS},
    }
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(round_floats(entry, 5)) + "\n")


def write_document(log: Path, document: Path) -> int:
    """Write the document with all runs, and return their number.

    Raises:
        DataError: The log does not exist, or a line is invalid.
        UsageError: `document` is a folder.
    """
    runs: list[dict[str, Any]] = []
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"{log}: no such log; write it with: python -m train fit --log {log}") from None
    for number, line in enumerate(lines, 1):
        try:
            run = json.loads(line)
        except ValueError:
            raise DataError(f"{log}, line {number}: not JSON") from None
        if not isinstance(run, dict) or not {"note", "options", "epochs", *METRICS} <= set(run):
            raise DataError(f"{log}, line {number}: not a run; expected a line written by fit --log")
        runs.append(run)
    if document.is_dir():
        raise UsageError(f"{document} is a folder; expected a file (--out)")
    document.parent.mkdir(parents=True, exist_ok=True)
    render(TEMPLATE, document, runs=runs)
    return len(runs)
