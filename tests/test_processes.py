"""A classifier in other processes, and inputs that are not lists of texts."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

from evenmood import EmotionClassifier, pipeline
from tests.fakes.hub_repository import files_of
from tests.fakes.hub_server import HubServer

TEXTS = ["Thank you so much!", "I'm scared"]


def predict_labels(classifier: EmotionClassifier, texts: list[str]) -> list[list[str]]:
    return [prediction.labels for prediction in classifier.predict(texts)]


@pytest.fixture
def tuned_classifier(each_name: str) -> EmotionClassifier:
    classifier = EmotionClassifier.from_pretrained(each_name)
    classifier.set_thresholds(joy=0.01)
    return classifier


@pytest.mark.parametrize(
    "make_copy", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"]
)
def test_copies_return_equal_results(tuned_classifier: EmotionClassifier, make_copy: Any) -> None:
    classifier_copy = make_copy(tuned_classifier)
    assert dict(classifier_copy.thresholds) == dict(tuned_classifier.thresholds)
    np.testing.assert_array_equal(classifier_copy.predict_proba(TEXTS), tuned_classifier.predict_proba(TEXTS))
    classifier_copy.set_thresholds(joy=0.9)
    assert tuned_classifier.thresholds["joy"] == 0.01


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_process_pools(tuned_classifier: EmotionClassifier, method: str) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        assert pool.submit(predict_labels, tuned_classifier, TEXTS).result(timeout=60) == predict_labels(
            tuned_classifier, TEXTS
        )


def test_joblib(tuned_classifier: EmotionClassifier) -> None:
    results = joblib.Parallel(n_jobs=2)(joblib.delayed(predict_labels)(tuned_classifier, [text]) for text in TEXTS)
    assert [rows[0] for rows in results] == predict_labels(tuned_classifier, TEXTS)


def test_pickled_hub_model_contains_no_token(folder: Path, hub: HubServer, token: str) -> None:
    hub.add("you/model", files_of(folder))
    classifier = EmotionClassifier.from_pretrained("you/model", token=token)
    content = pickle.dumps(classifier)
    assert token.encode() not in content
    np.testing.assert_array_equal(pickle.loads(content).predict_proba(TEXTS), classifier.predict_proba(TEXTS))


FRAME = pd.DataFrame({"id": [1, 2], "text": TEXTS})
UNSUPPORTED = {
    "pandas": FRAME,
    "polars": polars.DataFrame({"id": [1, 2], "text": TEXTS}),
    "arrow": pyarrow.table({"id": [1, 2], "text": TEXTS}),
    "set": set(TEXTS),
    "frozenset": frozenset(TEXTS),
    "mapping": {"text": TEXTS},
    "keys": dict.fromkeys(TEXTS).keys(),
    "two dimensions": np.array([TEXTS]),
}


@pytest.mark.parametrize("value", UNSUPPORTED.values(), ids=UNSUPPORTED.keys())
def test_unsupported_inputs_are_rejected(tuned_classifier: EmotionClassifier, value: Any) -> None:
    classify = pipeline("text-classification", model=tuned_classifier)
    for method in (tuned_classifier.predict, tuned_classifier.predict_proba, classify):
        if method is classify and isinstance(value, dict):
            continue  # for pipelines, a mapping with a text is one input, as in transformers
        with pytest.raises(TypeError, match=r'df\["text"\]' if hasattr(value, "columns") else "expected a"):
            method(value)


def test_columns_are_accepted(tuned_classifier: EmotionClassifier) -> None:
    expected = tuned_classifier.predict(TEXTS)
    columns: list[Any] = [FRAME["text"], polars.Series(TEXTS), np.array(TEXTS), tuple(TEXTS)]
    for column in columns:
        assert tuned_classifier.predict(column) == expected
