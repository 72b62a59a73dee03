"""Metrics compared with scikit-learn and with values computed by hand; thresholds with an exhaustive search."""

import warnings

import evaluate
import numpy as np
import pytest
from sklearn import metrics

from evenmood import LABELS
from evenmood.evaluation.metrics import score, weighted_ranking_metrics
from evenmood.thresholds import GRID, tune_thresholds


def random_predictions(count: int = 400, labels: int = 28, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = (random.random((count, labels)) < 0.2).astype(np.float32)
    return truth, np.round(np.clip(truth * 0.3 + random.random((count, labels)) * 0.7, 0, 1), 2).astype(np.float32)


def test_metrics_computed_by_hand() -> None:
    truth = np.array([[1, 0], [1, 1], [0, 1]])
    probabilities = np.array([[0.9, 0.6], [0.2, 0.7], [0.1, 0.8]], np.float32)
    results = score(truth, probabilities, np.array([0.5, 0.5]), ["a", "b"], bootstrap_samples=0)
    assert results["rows"] == 3
    assert results["subset_accuracy"] == pytest.approx(1 / 3)
    assert results["hamming_loss"] == pytest.approx(2 / 6)
    assert results["per_label"]["a"] == {
        "support": 2,
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "roc_auc": 1.0,
    }
    assert results["per_label"]["b"]["precision"] == pytest.approx(2 / 3)
    assert results["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert results["micro_f1"] == pytest.approx(2 * 3 / (4 + 4))


def test_probability_equal_to_its_threshold_is_predicted() -> None:
    truth, probabilities = np.array([[1, 0], [0, 1]]), np.array([[0.3, 0.2], [0.2, 0.3]], np.float32)
    results = score(truth, probabilities, np.array([0.3, 0.3]), ["a", "b"], bootstrap_samples=0)
    assert results["subset_accuracy"] == 1


def test_labels_without_rows() -> None:
    truth, probabilities = random_predictions()
    truth[:, 3] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = score(truth, probabilities, 0.5, LABELS, bootstrap_samples=50)
    assert results["per_label"][LABELS[3]]["support"] == 0
    assert results["per_label"][LABELS[3]]["roc_auc"] is None
    present = [label for label in range(28) if label != 3]
    expected = metrics.roc_auc_score(truth[:, present], probabilities[:, present], average="macro")
    assert results["macro_roc_auc"]["value"] == pytest.approx(expected)


def test_weighted_ranking_metrics_match_scikit_learn() -> None:
    truth, probabilities = random_predictions()
    weights = np.random.default_rng(1).integers(0, 4, (5, len(truth))).astype(np.float32)
    auc, precision = weighted_ranking_metrics(truth[:, 0].astype(bool), probabilities[:, 0], weights)
    for row, weight in enumerate(weights):
        args = truth[:, 0], probabilities[:, 0]
        assert auc[row] == pytest.approx(metrics.roc_auc_score(*args, sample_weight=weight), abs=1e-9)
        assert precision[row] == pytest.approx(metrics.average_precision_score(*args, sample_weight=weight), abs=1e-9)


def test_intervals_match_a_simple_bootstrap() -> None:
    truth, probabilities = random_predictions(200)
    results = score(truth, probabilities, 0.5, LABELS, bootstrap_samples=800)
    assert results == score(truth, probabilities, 0.5, LABELS, bootstrap_samples=800)
    random = np.random.default_rng(5)
    scores = []
    for _ in range(800):
        sample = random.integers(0, 200, 200)
        scores.append(metrics.f1_score(truth[sample], probabilities[sample] >= 0.5, average="macro", zero_division=0))
    low, high = np.percentile(scores, [2.5, 97.5])
    assert results["macro_f1"]["low"] == pytest.approx(low, abs=0.01)
    assert results["macro_f1"]["high"] == pytest.approx(high, abs=0.01)
    for name in ("macro_f1", "micro_f1", "macro_roc_auc", "macro_average_precision"):
        assert results[name]["low"] < results[name]["value"] < results[name]["high"]


def test_labels_missing_from_a_sample_are_ignored() -> None:
    truth = np.eye(4)[[0, 0, 1, 1, 2, 2, 3, 3]]
    results = score(truth, truth * 0.8, 0.5, LABELS[:4])
    for name in ("macro_f1", "macro_precision", "macro_recall"):
        assert results[name] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert (results["per_label"][LABELS[0]]["f1_low"], results["per_label"][LABELS[0]]["f1_high"]) == (1.0, 1.0)


def test_tuned_thresholds_are_the_best_of_the_grid() -> None:
    truth, probabilities = random_predictions()
    truth[:, 5] = 0
    thresholds = tune_thresholds(truth, probabilities)
    for label in range(28):
        if label == 5:
            assert thresholds[label] == 0.5
            continue
        columns = np.repeat(truth[:, [label]], len(GRID), axis=1)  # one call for all thresholds: much faster
        f1 = dict(zip(GRID, metrics.f1_score(columns, probabilities[:, [label]] >= GRID, average=None), strict=True))
        best = [threshold for threshold, value in f1.items() if value >= max(f1.values()) - 1e-12]
        assert f1[thresholds[label]] == pytest.approx(max(f1.values()))
        assert abs(thresholds[label] - 0.5) == pytest.approx(min(abs(threshold - 0.5) for threshold in best))


def test_evaluate_module_loads_by_path() -> None:
    truth, probabilities = random_predictions(100)
    module = evaluate.load("train/emotion_metrics.py")
    results = module.compute(predictions=probabilities, references=truth.astype(int), thresholds=[0.4] * 28)
    assert results == score(truth, probabilities, np.full(28, 0.4, np.float32), LABELS, bootstrap_samples=0)
