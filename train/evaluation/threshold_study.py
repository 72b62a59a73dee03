"""Ways to tune thresholds and to calibrate, compared by repeated cross-validation on the validation split alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
from sklearn.isotonic import IsotonicRegression

from evenmood.data.splits import load_split
from evenmood.evaluation.bootstrap import SAMPLES, interval, row_weights
from evenmood.evaluation.calibration import (
    apply_platt,
    expected_calibration_error,
    fit_platt,
    fit_temperature,
    log_loss,
)
from evenmood.evaluation.metrics import mean_over_labels, rounded, weighted_figures
from evenmood.model.model_folder import TRAINING_FOLDER, read_info, write_text
from evenmood.thresholds import Method, tune_thresholds
from train.evaluation.evaluate import onnx_probabilities

STUDY_FILE = "thresholds.json"
PARTS = (2, 5)
"""Parts that the rows are cut into: all but one are tuned on, the one is scored. The more, the nearer to all rows."""
REPEATS = 10
Calibrate = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Labels and probabilities to fit on, probabilities to correct: the corrected ones."""


def study(folder: Path, data: str | None = None, repeats: int = REPEATS) -> dict[str, Any]:
    """Compare the methods on a model folder's validation split; write `training/thresholds.json`.

    Args:
        folder: Model folder.
        data: Data set as in `load_split`; None for the one the model was trained from.
        repeats: Times that the rows are dealt anew.

    Returns:
        What was written: `compare_thresholds` and `compare_calibration` by the number of parts, and whether the model
        was calibrated on these rows.
    """
    origin = read_info(folder).trained_from
    rows = load_split(data or origin["data"], "validation")
    probabilities = onnx_probabilities(folder, rows.texts)
    figures: dict[str, Any] = {
        "rows": len(rows),
        "repeats": repeats,
        "calibrated": bool(origin.get("calibrate")) and data in (None, origin["data"]),
        "thresholds": {},
        "calibration": {},
    }
    for parts in PARTS:
        figures["thresholds"][f"{parts}-fold"] = compare_thresholds(rows.labels, probabilities, parts, repeats)
        figures["calibration"][f"{parts}-fold"] = compare_calibration(rows.labels, probabilities, parts, repeats)
    (folder / TRAINING_FOLDER).mkdir(exist_ok=True)
    write_text(folder / TRAINING_FOLDER / STUDY_FILE, json.dumps(rounded(figures, 6), indent=1) + "\n")
    return figures


def compare_thresholds(
    labels: np.ndarray, probabilities: np.ndarray, parts: int, repeats: int = REPEATS, resamples: int = SAMPLES
) -> dict[str, Any]:
    """Cross-validated macro-F1 of each method of `tune_thresholds`, and how far it lies from the first, the paper's.

    Each repeat deals the rows anew; the predictions of all its parts are scored together (an average of the parts' F1
    would be biased where a part has few positive rows: Forman and Scholz 2010, "Apples-to-Apples in Cross-Validation
    Studies"). The figure is the mean over the repeats; the 95 % interval of the difference is from a bootstrap of the
    rows, the same rows for both methods.

    Returns:
        For each method `macro_f1`, and `difference` as `value`, `low`, `high`.
    """
    truth = labels.astype(bool)
    weights = row_weights(len(truth), resamples)
    methods = get_args(Method)
    found: dict[str, list[np.ndarray]] = {method: [] for method in methods}
    for repeat in range(repeats):
        part = deal(labels, parts, repeat)
        for method in methods:
            predicted = np.zeros_like(truth)
            for held in range(parts):
                cuts = tune_thresholds(labels[part != held], probabilities[part != held], method)
                predicted[part == held] = probabilities[part == held] >= cuts
            scored, _ = weighted_figures(truth, predicted, weights)
            found[method].append(mean_over_labels(scored["f1"]))
    means = {method: np.mean(values, axis=0) for method, values in found.items()}
    figures = {}
    for method in methods:
        apart = means[method] - means[methods[0]]
        figures[method] = {"macro_f1": float(means[method][0]), "difference": interval(apart)}
    return figures


def compare_calibration(
    labels: np.ndarray, probabilities: np.ndarray, parts: int, repeats: int = REPEATS
) -> dict[str, dict[str, float]]:
    """Cross-validated `log_loss`, `ece` and `ece_equal_mass`, means over labels, of each way to calibrate."""
    figures = {}
    for name, calibrate in CALIBRATIONS.items():
        found = []
        for repeat in range(repeats):
            part = deal(labels, parts, repeat)
            corrected = np.zeros(probabilities.shape, np.float32)
            for held in range(parts):
                fitted = part != held
                corrected[~fitted] = calibrate(labels[fitted], probabilities[fitted], probabilities[~fitted])
            found.append(
                (
                    log_loss(labels, corrected).mean(),
                    expected_calibration_error(labels, corrected).mean(),
                    expected_calibration_error(labels, corrected, equal_mass=True).mean(),
                )
            )
        values = np.mean(found, axis=0).tolist()
        figures[name] = dict(zip(("log_loss", "ece", "ece_equal_mass"), values, strict=True))
    return figures


def deal(labels: np.ndarray, parts: int, seed: int) -> np.ndarray:
    """Part of each row, shape (n,): rows are sorted by their rarest label, at random within it, and dealt in turn.

    So the parts get equally many rows of each label, one more or less, as far as a row's rarest label goes.
    """
    random = np.random.default_rng(seed)
    rarest = np.where(labels > 0, labels.sum(axis=0), np.inf).argmin(axis=1)
    order = np.lexsort((random.random(len(labels)), rarest))
    part = np.empty(len(labels), np.int64)
    part[order] = (np.arange(len(labels)) + random.integers(parts)) % parts
    return part


def table(figures: dict[str, Any]) -> list[str]:
    """The study as lines of text."""
    lines = [f"{figures['rows']:,} validation texts, {figures['repeats']} repeats"]
    for parts, methods in figures["thresholds"].items():
        lines.append(f"{parts}, thresholds: macro-F1, difference from grid (95 % interval)")
        for name, method in methods.items():
            apart = method["difference"]
            interval = f"{apart['value']:+.4f} ({apart['low']:+.4f} to {apart['high']:+.4f})"
            lines.append(f"  {name:12} {method['macro_f1']:.4f}   {interval}")
    if figures["calibrated"]:
        lines.append(
            "calibration: the model was calibrated on these very rows (fit --calibrate), so that `none` has seen"
        )
        lines.append("  them all and nothing can be gained: to compare the ways, train without --calibrate")
    for parts, ways in figures["calibration"].items():
        lines.append(f"{parts}, calibration: log loss, expected calibration error in equal-width and equal-mass bins")
        for name, way in ways.items():
            lines.append(f"  {name:12} {way['log_loss']:.5f}   {way['ece']:.5f}   {way['ece_equal_mass']:.5f}")
    return lines


def _temperature(labels: np.ndarray, probabilities: np.ndarray, others: np.ndarray) -> np.ndarray:
    slopes = np.full(labels.shape[1], fit_temperature(labels, probabilities))
    return apply_platt(others, slopes, np.zeros_like(slopes))


def _platt(labels: np.ndarray, probabilities: np.ndarray, others: np.ndarray) -> np.ndarray:
    return apply_platt(others, *fit_platt(labels, probabilities))


def _isotonic(labels: np.ndarray, probabilities: np.ndarray, others: np.ndarray) -> np.ndarray:
    columns = [
        IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        .fit(probabilities[:, label], labels[:, label])
        .predict(others[:, label])
        for label in range(labels.shape[1])
    ]
    return np.stack(columns, axis=1)


CALIBRATIONS: dict[str, Calibrate] = {
    "none": lambda labels, probabilities, others: others,
    "temperature": _temperature,
    "platt": _platt,
    "isotonic": _isotonic,
}
