"""Calibration metrics compared with values computed by hand, and Platt scaling of known miscalibration."""

from pathlib import Path

import numpy as np
import pytest
from scipy import optimize  # type: ignore[import-untyped]
from sklearn import metrics

from evenmood import LABELS
from evenmood.evaluation import calibration
from evenmood.evaluation.calibration import (
    apply_platt,
    expected_calibration_error,
    fit_platt,
    fit_temperature,
    logit,
    reliability,
    scale_head,
    wilson,
)
from train.release.figures import reliability as draw_reliability


def sample_labels(count: int = 20_000, labels: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return random labels, and the probabilities from which they were sampled."""
    random = np.random.default_rng(seed)
    true = 1 / (1 + np.exp(-random.normal(-1, 2, (count, labels))))
    return (random.random((count, labels)) < true).astype(np.float32), true.astype(np.float32)


def test_expected_calibration_error_by_hand() -> None:
    labels = np.array([[0], [1], [1], [1], [0]], np.float32)
    probabilities = np.array([[0.05], [0.05], [0.75], [0.78], [1.0]], np.float32)
    # Bins 0.0 (2 rows: share 0.5, mean 0.05), 0.7 (2 rows: share 1, mean 0.765) and 0.9 (1 row: share 0, mean 1).
    expected = 2 / 5 * 0.45 + 2 / 5 * 0.235 + 1 / 5 * 1
    assert expected_calibration_error(labels, probabilities) == pytest.approx([expected])
    # Two bins of equal mass, split at the median 0.75: rows below it, and rows at or above it.
    expected = 2 / 5 * 0.45 + 3 / 5 * abs(2 / 3 - (0.75 + 0.78 + 1) / 3)
    assert expected_calibration_error(labels, probabilities, 2, equal_mass=True) == pytest.approx([expected])


def test_reliability_by_hand() -> None:
    labels = np.array([[0, 1], [1, 1]], np.float32)
    probabilities = np.array([[0.1, 0.85], [0.81, 1.0]], np.float32)
    table = reliability(labels, probabilities)
    assert [(row["from"], row["predictions"], row["right"]) for row in table] == [(0.1, 1, 0), (0.8, 2, 1), (0.9, 1, 1)]
    assert table[1]["probability"] == pytest.approx(0.83)
    assert sum(row["predictions"] for row in table) == labels.size
    low, high = wilson(np.array([8, 0, 0]), np.array([10, 10, 0]))
    # statsmodels' proportion_confint(8, 10, method="wilson") and (0, 10)
    assert low == pytest.approx([0.490162, 0, 0], abs=1e-5)
    assert high == pytest.approx([0.943318, 0.277533, 1], abs=1e-5)


def test_true_probabilities_are_not_changed() -> None:
    labels, true = sample_labels()
    slopes, offsets = fit_platt(labels, true)
    assert slopes == pytest.approx(np.ones(3), abs=0.05)
    assert offsets == pytest.approx(np.zeros(3), abs=0.08)
    assert expected_calibration_error(labels, true).max() < 0.01
    assert all(row["low"] - 0.02 < row["probability"] < row["high"] + 0.02 for row in reliability(labels, true))


def test_known_miscalibration_is_corrected() -> None:
    labels, true = sample_labels()
    miscalibrated = apply_platt(true, np.array([2.0, 0.5, 3.0]), np.array([0.5, -1.0, 0.0]))
    slopes, offsets = fit_platt(labels[::2], miscalibrated[::2])
    corrected = apply_platt(miscalibrated[1::2], slopes, offsets)
    error_before, error_after = (expected_calibration_error(labels[1::2], p) for p in (miscalibrated[1::2], corrected))
    assert error_before.min() > 0.03
    assert error_after.max() < 0.02
    assert np.abs(corrected - true[1::2]).max() < 0.05
    for label in range(3):
        columns = labels[1::2, label], miscalibrated[1::2, label], corrected[:, label]
        assert metrics.roc_auc_score(columns[0], columns[1]) == pytest.approx(
            metrics.roc_auc_score(columns[0], columns[2]), abs=1e-5
        )


def test_fit_without_prior_is_maximum_likelihood() -> None:
    labels, true = sample_labels(500, 1)
    miscalibrated = apply_platt(true, np.array([2.0]), np.array([0.7]))

    def loss(parameters: np.ndarray) -> float:
        scores = parameters[0] * logit(miscalibrated) + parameters[1]
        return float((np.logaddexp(0, scores) - labels * scores).sum())

    best = optimize.minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}).x
    slopes, offsets = fit_platt(labels, miscalibrated, 1e6, 1e6)
    assert [slopes[0], offsets[0]] == pytest.approx(best, abs=1e-3)
    temperature = optimize.minimize_scalar(lambda slope: loss(np.array([slope, 0])), (0.1, 1)).x
    assert fit_temperature(labels, miscalibrated) == pytest.approx(temperature, abs=1e-4)


def test_prior_limits_labels_with_few_positives() -> None:
    labels, true = sample_labels(4000, 2)
    rare = labels.copy()
    rare[:, 1] = 0
    rare[np.argsort(true[:, 1])[:3], 1] = 1  # only the three rows with the lowest probability are positive
    slopes, _ = fit_platt(rare, true)
    free_slopes, _ = fit_platt(rare, true, 1e6, 1e6)
    assert slopes[1] > 3 * free_slopes[1] > 0
    shared_slopes, no_offsets = fit_platt(labels, true, 0.0, 0.0)
    assert shared_slopes == pytest.approx(np.full(2, fit_temperature(labels, true)))
    assert no_offsets == pytest.approx(np.zeros(2), abs=1e-9)


def test_scaled_output_layer_equals_apply_platt() -> None:
    random = np.random.default_rng(0)
    hidden = random.normal(size=(50, 8)).astype(np.float32)
    kernel, bias = random.normal(size=(8, 3)).astype(np.float32), random.normal(size=3).astype(np.float32)
    slopes, offsets = np.array([0.5, 1.0, 2.0]), np.array([0.3, -1.0, 0.0])
    scaled, shifted = scale_head(kernel, bias, slopes, offsets)
    assert scaled.dtype == shifted.dtype == np.float32
    assert (scaled.shape, shifted.shape) == ((8, 3), (3,))
    plain, folded = (1 / (1 + np.exp(-(hidden @ w + b))) for w, b in ((kernel, bias), (scaled, shifted)))
    assert apply_platt(plain, slopes, offsets) == pytest.approx(folded, abs=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_extreme_probabilities_and_constant_labels(dtype: type) -> None:
    labels, true = sample_labels(300, 5)
    labels[:, 1], labels[:, 2] = 0, 1
    extreme: np.ndarray = np.round(true).astype(dtype)  # only 0 and 1, some of them wrong
    extreme[:, 4] = 0  # constant
    slopes, offsets = fit_platt(labels, extreme)
    assert slopes[1:3].tolist() == [1, 1]
    assert offsets[1:3].tolist() == [0, 0]
    assert (slopes > 0).all()
    assert np.isfinite([slopes, offsets]).all()
    corrected = apply_platt(extreme, slopes, offsets)
    assert np.isfinite(corrected).all()
    assert calibration.log_loss(labels, corrected)[[0, 3, 4]].max() < calibration.log_loss(labels, extreme).min() + 3
    assert (expected_calibration_error(labels, corrected) < expected_calibration_error(labels, extreme) + 0.01)[0]
    assert expected_calibration_error(labels, extreme, equal_mass=True).shape == (5,)
    zeros = np.zeros((4, 2), np.float32)
    assert fit_temperature(zeros, zeros) == 1
    assert [array.tolist() for array in fit_platt(zeros, zeros)] == [[1, 1], [0, 0]]


def test_slope_is_positive_for_an_inverted_label() -> None:
    labels, true = sample_labels(2000, 28)
    slopes, offsets = fit_platt(1 - labels, true, 1e6, 1e6)
    assert (slopes > 0).all()
    assert np.isfinite(offsets).all()


def test_report_and_diagram(tmp_path: Path) -> None:
    labels, true = sample_labels(1000, 28)
    results = calibration.calibration_metrics(labels, true, LABELS)
    assert list(results["per_label"]) == list(LABELS)
    assert results["ece"] == pytest.approx(np.mean([row["ece"] for row in results["per_label"].values()]))
    assert results["log_loss"] == pytest.approx(metrics.log_loss(labels.ravel(), true.ravel()), abs=1e-4)
    draw_reliability(results["reliability"], tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")
