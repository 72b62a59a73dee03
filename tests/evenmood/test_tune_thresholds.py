"""Tuning thresholds on custom texts."""

import pickle
from typing import Any

import numpy as np
import pytest

from benchmarks.texts import synthetic_texts
from evenmood import LABELS, EmotionClassifier, UsageError

TEXTS = ["Thank you so much!", "I'm so scared", "What a lovely day", "I am furious", "Thanks a lot", "ok"]
NAMES: list[Any] = ["gratitude", ["fear"], ["joy", "admiration"], "anger", ["gratitude"], "neutral"]


@pytest.fixture
def model(each_model: EmotionClassifier) -> EmotionClassifier:
    """Each bundled model."""
    return each_model


def test_names_and_arrays_are_equivalent() -> None:
    model = EmotionClassifier.from_pretrained()
    original = dict(model.thresholds)
    array = np.zeros((len(TEXTS), 28))
    for row, names in enumerate(NAMES):
        for name in [names] if isinstance(names, str) else names:
            array[row, LABELS.index(name)] = 1
    tuned = model.tune_thresholds(TEXTS, NAMES)
    assert tuned == model.tune_thresholds(TEXTS, array)
    assert dict(model.thresholds) == original
    assert tuned.unchanged == tuple(
        label for label in LABELS if label not in ("gratitude", "fear", "joy", "admiration", "anger", "neutral")
    )
    assert all(tuned[label] == original[label] for label in tuned.unchanged)
    assert tuned.scores["grief"] is None
    assert tuned.scores["gratitude"] == 1.0
    model.thresholds = tuned
    assert dict(model.thresholds) == dict(tuned)
    assert repr(tuned).startswith("TunedThresholds(28 labels, mean f1 ")
    copy = pickle.loads(pickle.dumps(tuned))
    assert (copy, copy.scores, copy.unchanged) == (tuned, tuned.scores, tuned.unchanged)


def test_tuned_thresholds_are_optimal(model: EmotionClassifier) -> None:
    texts = synthetic_texts(400)
    probabilities = model.predict_proba(texts)
    truth = np.random.default_rng(0).random(probabilities.shape) < probabilities
    results = {
        metric: model.tune_thresholds(texts, truth, metric=metric, method="grid") for metric in ("f1", "f0.5", "f2")
    }
    column = int(truth.sum(axis=0).argmax())

    def score(threshold: float, beta: float) -> float:
        predicted = probabilities[:, column] >= np.float32(threshold)
        hits = (predicted & truth[:, column]).sum()
        return float((1 + beta**2) * hits / max(predicted.sum() + beta**2 * truth[:, column].sum(), 1))

    for metric, tuned in results.items():
        beta = float(metric[1:])
        best = max(score(step / 100, beta) for step in range(1, 100))
        assert tuned.scores[LABELS[column]] == pytest.approx(best)
        assert score(tuned[LABELS[column]], beta) == pytest.approx(best)
    assert results["f2"][LABELS[column]] <= results["f0.5"][LABELS[column]]


@pytest.mark.parametrize(
    ("texts", "labels", "options", "error", "message"),
    [
        (TEXTS, NAMES[:2], {}, UsageError, "2 items for 6 texts"),
        (TEXTS[:1], [["rage"]], {}, UsageError, "text 0: unknown label 'rage'"),
        (TEXTS[:1], np.zeros((1, 27)), {}, UsageError, r"the array has shape \(1, 27\); expected \(1, 28\)"),
        (TEXTS[:1], np.full((1, 28), 0.5), {}, UsageError, "values other than 0 and 1"),
        ([], [], {}, UsageError, "no texts"),
        (TEXTS, NAMES, {"metric": "accuracy"}, UsageError, "unknown metric 'accuracy'; expected one of: f1, f0.5, f2"),
        (TEXTS, NAMES, {"method": "best"}, UsageError, "unknown method 'best'; expected one of: grid, shrunk"),
        (["a", None], ["joy", "joy"], {}, TypeError, "text 1 is missing"),
        ("a", ["joy"], {}, TypeError, "list of strings"),
    ],
)
def test_invalid_arguments_are_rejected(
    model: EmotionClassifier, texts: Any, labels: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model.tune_thresholds(texts, labels, **options)
