"""Predictions as objects, dictionaries, pipeline results and table columns agree."""

import json
import pickle

import numpy as np
import pytest

import evenmood
from evenmood import LABELS, DataError, EmotionClassifier, EvenmoodError, HubError, ModelError, UsageError
from evenmood.onnx import inference
from evenmood.tables.emotion_columns import prediction_values

TEXT = "Thank you so much, this made my day!"


@pytest.fixture
def model(each_model: EmotionClassifier) -> EmotionClassifier:
    """Each bundled model."""
    return each_model


def test_labels_match_scores(model: EmotionClassifier) -> None:
    prediction = model.predict(TEXT)
    assert prediction.labels == [score.label for score in prediction.scores]
    for score in prediction.scores:
        assert score.threshold == pytest.approx(model.thresholds[score.label])
        assert score.probability == prediction.probabilities[score.label]


def test_probabilities_match_predict_proba(model: EmotionClassifier) -> None:
    texts = [TEXT, "ok", "I'm scared"]
    for prediction, row in zip(model.predict(texts), model.predict_proba(texts), strict=True):
        assert prediction.probabilities == dict(zip(LABELS, row.tolist(), strict=True))
    (selected,) = model.apply_thresholds(model.predict_proba([TEXT]), only=["joy", "anger"])
    assert list(selected.probabilities) == ["joy", "anger"]
    with pytest.raises(UsageError, match="only: unknown label 'happy'; expected one of: admiration"):
        model.apply_thresholds(model.predict_proba([TEXT]), only=["happy"])


def test_to_dict_is_json_serializable(fast_model: EmotionClassifier) -> None:
    prediction = fast_model.predict(TEXT)
    content = json.loads(json.dumps(prediction.to_dict()))
    assert content == prediction.to_dict()
    assert content["labels"] == prediction.labels
    assert [score["label"] for score in content["scores"]] == prediction.labels
    assert list(content["probabilities"]) == list(LABELS)
    assert (content["fallback"], content["words"], content["windows"]) == (False, 9, 1)


def test_pipeline_and_columns_match_the_prediction(model: EmotionClassifier) -> None:
    prediction = model.predict(TEXT)
    pipeline_scores = evenmood.pipeline(model=model, top_k=None)(TEXT)[0]
    assert {score["label"]: score["score"] for score in pipeline_scores} == prediction.probabilities
    columns = prediction_values(prediction, join_lists=False)
    assert columns["emotions"] == prediction.labels
    assert columns["emotion_fallback"] is prediction.fallback


def test_equality_hash_and_pickle(fast_model: EmotionClassifier) -> None:
    assert fast_model.predict(TEXT) == fast_model.predict([TEXT, "another"])[0]
    assert fast_model.predict(TEXT) != fast_model.predict("I'm scared")
    assert len({fast_model.predict(TEXT), fast_model.predict(TEXT)}) == 1
    assert pickle.loads(pickle.dumps(fast_model.predict(TEXT))).probabilities == fast_model.predict(TEXT).probabilities


def test_repr(model: EmotionClassifier) -> None:
    score = model.predict(TEXT).scores[0]
    assert repr(model.predict(TEXT)).startswith(f"Prediction({score.label}={score.probability:.2f}")
    assert repr(model.predict(TEXT, thresholds=1.0)).endswith("fallback=True)")
    missing = model.predict([None])[0]
    assert repr(missing) == "Prediction(missing=True)"
    assert missing.to_dict()["probabilities"] == {}


def test_id2label_and_label2id(model: EmotionClassifier) -> None:
    assert model.id2label[3] == LABELS[3]
    assert [model.label2id[label] for label in LABELS] == list(range(28))
    assert model.predict_proba(TEXT)[model.label2id["gratitude"]] == np.float32(
        model.predict(TEXT).probabilities["gratitude"]
    )


@pytest.mark.parametrize(
    ("error", "base"), [(UsageError, ValueError), (DataError, ValueError), (ModelError, OSError), (HubError, OSError)]
)
def test_errors_subclass_built_in_exceptions(error: type[EvenmoodError], base: type[Exception]) -> None:
    raised = error("no model here; token hf_abcdefghijklmnopqrstuvwxyz01234567")
    assert isinstance(raised, base)
    assert isinstance(raised, EvenmoodError)
    assert str(raised).startswith("no model here")
    assert "abcdef" not in str(raised)
    assert str(pickle.loads(pickle.dumps(raised))) == str(raised)


def test_constructor_takes_a_folder(model: EmotionClassifier) -> None:
    assert EmotionClassifier(str(model.folder)).predict(TEXT) == model.predict(TEXT)
    with pytest.raises(OSError, match="from_pretrained"):
        EmotionClassifier("you/moods")


def test_progress_bar_does_not_change_the_result(
    model: EmotionClassifier, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(inference, "CHUNK_ROWS", 100)
    texts = [f"{TEXT} {number}" for number in range(350)]
    assert model.predict(texts, show_progress_bar=True) == model.predict(texts)
    assert "350/350" in capsys.readouterr().err
    assert np.allclose(model.predict_proba(texts, show_progress_bar=True), model.predict_proba(texts), atol=1e-6)
    assert model.predict([], show_progress_bar=True) == []


def test_iterators_require_predict_stream(model: EmotionClassifier) -> None:
    for call in (model.predict, model.predict_proba):
        with pytest.raises(TypeError, match="predict_stream"):
            call(iter([TEXT]))
        with pytest.raises(TypeError, match="no order"):
            call({TEXT})
    assert list(model.predict_stream([TEXT, None])) == model.predict([TEXT, None])
    with pytest.raises(TypeError, match="use predict"):
        model.predict_stream(TEXT)
