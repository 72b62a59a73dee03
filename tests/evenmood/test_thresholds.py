"""Shrunk thresholds of rare labels, and the study that compares tuning methods."""

import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tokenizers import Tokenizer

from evenmood.data.splits import load_split
from evenmood.evaluation.calibration import apply_platt, fit_platt
from evenmood.evaluation.metrics import score
from evenmood.model.model_folder import CARD_FILE
from evenmood.text.normalization import encode
from evenmood.thresholds import MIN_CALIBRATED_PROBABILITY, PRIOR_POSITIVES, Method, tune_thresholds
from tests.commands import run_command
from tests.conftest import DEFAULT_MODEL, SMALL
from train.config import PAPER, TrainConfig
from train.evaluation.evaluate import onnx_probabilities, write_metrics
from train.evaluation.threshold_study import assign_folds, compare_calibration, compare_thresholds
from train.network.backend import choose_backend
from train.release.card import write_card

REPORT = "training/calibration-validation.json"


def synthetic_rows(count: int, rate: float, seed: int, labels: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Return random labels with about this rate, and the probabilities from which they were sampled."""
    random = np.random.default_rng(seed)
    true = 1 / (1 + np.exp(-random.normal(np.log(rate) - 1, 2, (count, labels))))
    return (random.random((count, labels)) < true).astype(np.float32), true.astype(np.float32)


def test_shrunk_thresholds_improve_f1_of_rare_labels() -> None:
    for seed in range(3):
        labels, probabilities = synthetic_rows(600, 0.01, seed)
        truth, scores = synthetic_rows(10_000, 0.01, seed + 100)
        f1 = {}
        for method in get_args(Method):
            predicted = scores >= tune_thresholds(labels, probabilities, method)
            f1[method] = (2 * (predicted * truth).sum(axis=0) / (predicted.sum(axis=0) + truth.sum(axis=0))).mean()
        assert f1["shrunk"] > f1["grid"] + 0.01


def test_thresholds_of_calibrated_probabilities_are_half_the_f1() -> None:
    labels, probabilities = synthetic_rows(50_000, 0.05, 0, labels=4)
    thresholds = tune_thresholds(labels, probabilities, "shrunk")
    results = score(labels, probabilities, thresholds, list("abcd"), 0)["per_label"]
    for threshold, name in zip(thresholds, "abcd", strict=True):
        assert threshold == pytest.approx(results[name]["f1"] / 2, abs=0.05)


def test_shrunk_thresholds_maximize_the_weighted_f1() -> None:
    labels, probabilities = synthetic_rows(500, 0.05, 0, labels=2)
    weight = labels.sum(axis=0) / (labels.sum(axis=0) + PRIOR_POSITIVES)
    soft_labels = weight * labels + (1 - weight) * apply_platt(probabilities, *fit_platt(labels, probabilities))
    for label, threshold in enumerate(tune_thresholds(labels, probabilities, "shrunk")):
        f1 = {}
        for step in range(1, 100):
            predicted = probabilities[:, label] >= np.float32(step) / 100
            f1[step] = 2 * soft_labels[predicted, label].sum() / (predicted.sum() + soft_labels[:, label].sum())
        assert f1[round(float(threshold) * 100)] == pytest.approx(max(f1.values()), abs=1e-9)


@pytest.mark.parametrize("method", ["grid", "shrunk"])
def test_labels_without_positives_and_half_precision(method: str) -> None:
    labels, probabilities = synthetic_rows(300, 0.05, 0)
    labels[:, 3] = 0
    probabilities[:10], probabilities[10:20] = 0, 1
    thresholds = tune_thresholds(labels, probabilities.astype(np.float16), method)  # type: ignore[arg-type]
    assert thresholds[3] == 0.5
    assert thresholds.dtype == np.float32
    assert ((thresholds >= 0.01) & (thresholds <= 0.99)).all()


def test_folds_are_stratified_by_label() -> None:
    labels, _ = synthetic_rows(1000, 0.02, 0)
    folds = assign_folds(labels, 5, seed=1)
    assert np.bincount(folds).tolist() == [200] * 5
    rarest = labels.sum(axis=0).argmin()
    counts = [labels[folds == fold, rarest].sum() for fold in range(5)]
    assert max(counts) - min(counts) <= 1
    assert (folds != assign_folds(labels, 5, seed=2)).any()


def test_threshold_study_on_synthetic_rows() -> None:
    labels, true = synthetic_rows(600, 0.02, 0, labels=8)
    miscalibrated = apply_platt(true, np.full(8, 2.0), np.zeros(8))
    results = compare_thresholds(labels, miscalibrated, 2, repeats=3, resamples=100)
    assert results["grid"]["difference"] == {"value": 0, "low": 0, "high": 0}
    difference = results["shrunk"]["difference"]
    assert difference["value"] == pytest.approx(results["shrunk"]["macro_f1"] - results["grid"]["macro_f1"])
    assert difference["low"] < difference["value"] < difference["high"]
    methods = compare_calibration(labels, miscalibrated, 2, repeats=2)
    assert list(methods) == ["none", "temperature", "platt", "isotonic"]
    assert methods["platt"]["log_loss"] < methods["none"]["log_loss"]
    assert methods["temperature"]["log_loss"] < methods["none"]["log_loss"]
    assert compare_thresholds(labels, miscalibrated, 2, 3, 100) == results


def test_command_and_card(small_data: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEFAULT_MODEL, tmp_path / "model"))
    result = run_command("train", "thresholds", folder, "--data", small_data, "--repeats", "2")
    assert result.returncode == 0, result.stderr
    results = json.loads((folder / "training" / "thresholds.json").read_text())
    assert set(results["thresholds"]) == set(results["calibration"]) == {"2-fold", "5-fold"}
    assert not results["calibrated"]  # the model was calibrated on other rows
    assert f"shrunk       {results['thresholds']['5-fold']['shrunk']['macro_f1']:.4f}" in result.stdout
    for name in ("metrics-test.json", "calibration-test.json"):
        (folder / "training" / name).unlink(missing_ok=True)
    write_card(folder)
    assert ("## Calibration" in (folder / CARD_FILE).read_text()) is (folder / REPORT).exists()
    rows = load_split(str(small_data), "validation")
    write_metrics(folder, "validation", rows, onnx_probabilities(folder, rows.texts))
    write_card(folder)
    report = json.loads((folder / REPORT).read_text())
    text = (folder / CARD_FILE).read_text()
    assert f"The expected calibration error is {report['ece']:.4f}" in text
    for row in report["reliability"]:
        assert f"| {row['from']:.1f} to {row['to']:.1f} | {row['predictions']:,} | {row['probability']:.3f} |" in text
    assert (folder / "training" / "calibration-validation.png").exists()


@pytest.mark.slow
def test_fit_uses_the_selected_threshold_method(trained_model: Path, small_data: Path, tmp_path: Path) -> None:
    """Train the same network with the default method and with `--thresholds grid`."""
    choose_backend()
    import keras

    out = tmp_path / "paper"
    result = run_command(
        "train", "fit", "--data", small_data, "--out", out, "--epochs", "4", *SMALL, "--thresholds", "grid"
    )
    assert result.returncode == 0, result.stderr
    rows = load_split(str(small_data), "validation")
    by_method = {}
    for folder, method in ((trained_model, "shrunk"), (out, "grid")):
        assert json.loads((folder / "training/config.json").read_text())["thresholds"] == method
        ids = encode(Tokenizer.from_file(str(folder / "tokenizer.json")), rows.texts)
        probabilities = keras.saving.load_model(folder).predict(ids, batch_size=1024, verbose=0)
        thresholds = tune_thresholds(rows.labels, probabilities, method)  # type: ignore[arg-type]
        by_method[method] = np.array(list(json.loads((folder / "emotions.json").read_text())["thresholds"].values()))
        np.testing.assert_allclose(by_method[method], thresholds, atol=0.001)
    assert (by_method["grid"] != by_method["shrunk"]).any()


def test_defaults_differ_from_the_paper_only_in_thresholds() -> None:
    differing = {name for name, value in vars(PAPER).items() if value != getattr(TrainConfig(), name)}
    assert differing == {"thresholds"}
    assert (PAPER.thresholds, TrainConfig().thresholds) == ("grid", "shrunk")


def test_single_positive_row_does_not_set_the_threshold() -> None:
    """With `grid`, the threshold follows the single positive row at 0.02, which may be chance."""
    random = np.random.default_rng(0)
    labels, probabilities = np.zeros((2000, 1), np.float32), random.uniform(0.001, 0.015, (2000, 1)).astype(np.float32)
    labels[0], probabilities[0] = 1, 0.02
    assert tune_thresholds(labels, probabilities, "grid") == np.float32(0.02)
    assert tune_thresholds(labels, probabilities, "shrunk") == 0.5


@pytest.mark.parametrize("shift", [0.0, -2.0, 2.0])
def test_thresholds_are_supported_by_calibration(shift: float) -> None:
    """The floor follows the calibration of models with too low or too high probabilities."""
    random = np.random.default_rng(1)
    true = 1 / (1 + np.exp(-random.normal(np.log(0.005), 0.7, (3000, 28))))
    labels = (random.random(true.shape) < true).astype(np.float32)
    probabilities = apply_platt(true, np.ones(28), np.full(28, shift))
    slopes, offsets = fit_platt(labels, probabilities)
    thresholds = tune_thresholds(labels, probabilities, "shrunk")
    supported = apply_platt(thresholds[None], slopes, offsets)[0] >= MIN_CALIBRATED_PROBABILITY
    assert (supported | (thresholds >= 0.5)).all()
    grid_thresholds = tune_thresholds(labels, probabilities, "grid")
    assert not (apply_platt(grid_thresholds[None], slopes, offsets)[0] >= MIN_CALIBRATED_PROBABILITY).all()
