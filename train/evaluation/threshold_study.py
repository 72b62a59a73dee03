"""Compare threshold tuning and calibration methods by repeated cross-validation on the validation split."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
from sklearn.isotonic import IsotonicRegression

from evenmood.data.splits import load_split
from evenmood.evaluation.bootstrap import BOOTSTRAP_SAMPLES, interval, row_weights
from evenmood.evaluation.calibration import (
    apply_platt,
    expected_calibration_error,
    fit_platt,
    fit_temperature,
    log_loss,
)
from evenmood.evaluation.metrics import mean_over_labels, round_floats, weighted_metrics
from evenmood.model.model_folder import TRAINING_FOLDER, read_info, write_text
from evenmood.thresholds import Method, tune_thresholds
from train.evaluation.evaluate import onnx_probabilities

STUDY_FILE = "thresholds.json"
FOLDS = (2, 5)
"""Numbers of folds; the more folds, the closer the training rows of a fold are to the whole split."""
REPEATS = 10
Calibrate = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Fits a calibrator to labels and probabilities, and returns other probabilities calibrated."""


def study(folder: Path, data: str | None = None, repeats: int = REPEATS) -> dict[str, Any]:
    """Compare the methods on the validation split of a model folder, and write `training/thresholds.json`.

    Args:
        folder: Model folder.
        data: Data set as in `load_split`; by default, the one the model was trained on.
        repeats: Number of repetitions of the cross-validation.

    Returns:
        Results of `compare_thresholds` and `compare_calibration` by number of folds, and `calibrated`, whether the
        model was calibrated on the same rows.
    """
    origin = read_info(folder).trained_from
    rows = load_split(data or origin["data"], "validation")
    probabilities = onnx_probabilities(folder, rows.texts)
    results: dict[str, Any] = {
        "rows": len(rows),
        "repeats": repeats,
        "calibrated": bool(origin.get("calibrate")) and data in (None, origin["data"]),
        "thresholds": {},
        "calibration": {},
    }
    for folds in FOLDS:
        results["thresholds"][f"{folds}-fold"] = compare_thresholds(rows.labels, probabilities, folds, repeats)
        results["calibration"][f"{folds}-fold"] = compare_calibration(rows.labels, probabilities, folds, repeats)
    (folder / TRAINING_FOLDER).mkdir(exist_ok=True)
    write_text(folder / TRAINING_FOLDER / STUDY_FILE, json.dumps(round_floats(results, 6), indent=1) + "\n")
    return results


def compare_thresholds(
    labels: np.ndarray,
    probabilities: np.ndarray,
    folds: int,
    repeats: int = REPEATS,
    resamples: int = BOOTSTRAP_SAMPLES,
) -> dict[str, Any]:
    """Compute the cross-validated macro-F1 of each method of `tune_thresholds`, and its difference from `grid`.

    Each repetition has new folds, whose predictions are scored together, because a mean over folds is biased if a fold
    has few positive rows (Forman and Scholz 2010, "Apples-to-Apples in Cross-Validation Studies"). Results are means
    over repetitions; the 95% interval of the difference is from bootstrap samples of the rows, the same for both
    methods.

    Returns:
        For each method, `macro_f1`, and `difference` with `value`, `low` and `high`.
    """
    truth = labels.astype(bool)
    weights = row_weights(len(truth), resamples)
    methods = get_args(Method)
    samples: dict[str, list[np.ndarray]] = {method: [] for method in methods}
    for repeat in range(repeats):
        fold = assign_folds(labels, folds, repeat)
        for method in methods:
            predicted = np.zeros_like(truth)
            for held_out in range(folds):
                thresholds = tune_thresholds(labels[fold != held_out], probabilities[fold != held_out], method)
                predicted[fold == held_out] = probabilities[fold == held_out] >= thresholds
            metrics, _ = weighted_metrics(truth, predicted, weights)
            samples[method].append(mean_over_labels(metrics["f1"]))
    means = {method: np.mean(values, axis=0) for method, values in samples.items()}
    results = {}
    for method in methods:
        difference = means[method] - means[methods[0]]
        results[method] = {"macro_f1": float(means[method][0]), "difference": interval(difference)}
    return results


def compare_calibration(
    labels: np.ndarray, probabilities: np.ndarray, folds: int, repeats: int = REPEATS
) -> dict[str, dict[str, float]]:
    """Cross-validate each calibration method: `log_loss`, `ece` and `ece_equal_mass`, means over labels."""
    errors = {}
    for name, calibrate in CALIBRATIONS.items():
        scores = []
        for repeat in range(repeats):
            fold = assign_folds(labels, folds, repeat)
            calibrated = np.zeros(probabilities.shape, np.float32)
            for held_out in range(folds):
                fit_rows = fold != held_out
                calibrated[~fit_rows] = calibrate(labels[fit_rows], probabilities[fit_rows], probabilities[~fit_rows])
            scores.append(
                (
                    log_loss(labels, calibrated).mean(),
                    expected_calibration_error(labels, calibrated).mean(),
                    expected_calibration_error(labels, calibrated, equal_mass=True).mean(),
                )
            )
        values = np.mean(scores, axis=0).tolist()
        errors[name] = dict(zip(("log_loss", "ece", "ece_equal_mass"), values, strict=True))
    return errors


def assign_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Assign rows to folds, stratified by the rarest label of each row: fold indices of shape (n,)."""
    random = np.random.default_rng(seed)
    rarest = np.where(labels > 0, labels.sum(axis=0), np.inf).argmin(axis=1)
    order = np.lexsort((random.random(len(labels)), rarest))
    fold = np.empty(len(labels), np.int64)
    fold[order] = (np.arange(len(labels)) + random.integers(folds)) % folds
    return fold


def table(results: dict[str, Any]) -> list[str]:
    """Format the results as lines of text."""
    lines = [f"{results['rows']:,} validation texts, {results['repeats']} repeats"]
    for folds, methods in results["thresholds"].items():
        lines.append(f"{folds}, thresholds: macro-F1, difference from grid (95% interval)")
        for name, method in methods.items():
            gap = method["difference"]
            interval = f"{gap['value']:+.4f} ({gap['low']:+.4f} to {gap['high']:+.4f})"
            lines.append(f"  {name:12} {method['macro_f1']:.4f}   {interval}")
    if results["calibrated"]:
        lines.append(
            "calibration: not meaningful, because the model was calibrated on the same rows (fit --calibrate);"
        )
        lines.append("  to compare the methods, train without --calibrate")
    for folds, calibrations in results["calibration"].items():
        lines.append(f"{folds}, calibration: log loss, expected calibration error in equal-width and equal-mass bins")
        for name, errors in calibrations.items():
            lines.append(f"  {name:12} {errors['log_loss']:.5f}   {errors['ece']:.5f}   {errors['ece_equal_mass']:.5f}")
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
