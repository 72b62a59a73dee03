"""The classifier with both bundled models: predictions, thresholds, invalid input, explanations."""

import math
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenmood import LABELS, EmotionClassifier, ModelError, Prediction, UsageError
from evenmood.classifier import STREAM_ROWS
from evenmood.onnx import inference

TEXTS = [
    "I am so happy for you!",
    "This makes me furious.",
    "Thanks a lot, that was very kind",
    "Why? What do you mean?",
]
UNUSUAL = {
    "empty": "",
    "white space": " \t\n",
    "only emoji": "\U0001f600\U0001f44d\U0001f3fd",
    "only a url": "https://example.org/a",
    "100,000 characters": "happy " * 16_667,
    "one word of 100,000 characters": "a" * 100_000,
    "lone surrogate": "so \ud83d sad",
    "NUL": "so\x00sad",
    "typed special token": "[PAD] [UNK] [PAD]",
    "right to left": "أنا سعيد",
}
NOT_TEXTS = [
    (None, "not NoneType"),
    (3, "not int"),
    (b"happy", "not bytes; decode it first"),
    ({"text": "happy"}, "not dict"),
    (["happy", 3], r"text 1 is 3 \(int\)"),
    (["happy", "sad", b"x"], r"text 2 is b'x' \(bytes\)"),
    (("happy", True), r"text 1 is True \(bool\)"),
    (np.array([1.0]), "text 0 is .*float64"),
    ([["happy"]], r"text 0 is \['happy'\] \(list\)"),
]


@pytest.fixture
def model(each_model: EmotionClassifier) -> EmotionClassifier:
    """Each bundled model."""
    return each_model


def many_texts(count: int) -> list[str]:
    """Return texts of 0 to 40 words in random order of length."""
    words = ["happy", "sad", "angry", "thanks", "you", "this", "is", "very", "bad", "wow"]
    generator = np.random.default_rng(0)
    return [" ".join(generator.choice(words, size)) for size in generator.integers(0, 41, count)]


def check_prediction(prediction: Prediction, threshold: float | None = None) -> None:
    """Check the guarantees in the docstring of `Prediction`."""
    probabilities = [score.probability for score in prediction.scores]
    assert probabilities == sorted(probabilities, reverse=True)
    assert len(set(prediction.labels)) == len(prediction.labels) >= 1
    assert set(prediction.labels) <= set(LABELS)
    assert all(0 <= p <= 1 for p in probabilities)
    assert threshold is None or {score.threshold for score in prediction.scores} == {threshold}
    assert all((s.probability >= s.threshold) != prediction.fallback for s in prediction.scores)
    assert not prediction.fallback or len(prediction.scores) == 1


def test_string_returns_one_prediction(model: EmotionClassifier) -> None:
    prediction = model.predict(TEXTS[0])
    check_prediction(prediction)
    assert [prediction] == model.predict([TEXTS[0]])


@pytest.mark.parametrize("kind", [list, tuple, np.array], ids=["list", "tuple", "array"])
def test_sequence_returns_a_list(fast_model: EmotionClassifier, kind: Any) -> None:
    assert fast_model.predict(kind(TEXTS)) == [fast_model.predict(text) for text in TEXTS]


def test_no_texts(model: EmotionClassifier) -> None:
    assert model.predict([]) == []
    assert list(model.predict_stream(iter([]))) == []
    assert model.predict_proba([]).shape == (0, 28)


def test_generator_is_streamed(fast_model: EmotionClassifier) -> None:
    numbers_read = []

    def source() -> Iterator[str]:
        for number in range(3 * STREAM_ROWS):
            numbers_read.append(number)
            yield TEXTS[number % len(TEXTS)]

    predictions = fast_model.predict_stream(source())
    assert not numbers_read
    prediction = next(predictions)
    assert prediction == fast_model.predict(TEXTS[0])
    assert len(numbers_read) == STREAM_ROWS
    assert sum(1 for _ in predictions) == 3 * STREAM_ROWS - 1


def test_error_in_a_stream_has_the_index_of_the_text(model: EmotionClassifier) -> None:
    texts: Any = iter(["x"] * STREAM_ROWS + ["y", 3])
    with pytest.raises(TypeError, match=f"text {STREAM_ROWS + 1} is 3"):
        list(model.predict_stream(texts))


@pytest.mark.parametrize(("threshold", "labels"), [(0.0, 28), (0, 28), (1.0, 1), (1, 1)])
def test_one_threshold_for_all_labels(model: EmotionClassifier, threshold: float, labels: int) -> None:
    for prediction in model.predict(TEXTS, thresholds=threshold):
        check_prediction(prediction, threshold)
        assert len(prediction.scores) == labels
        assert prediction.fallback == (threshold == 1)
        assert str(prediction).endswith("(below its threshold)") == prediction.fallback


def test_probability_equal_to_the_threshold_is_predicted(model: EmotionClassifier) -> None:
    probabilities = model.predict_proba(TEXTS[0])
    top = int(probabilities.argmax())
    prediction = model.predict(TEXTS[0], thresholds=float(probabilities[top]))
    assert prediction.labels == [LABELS[top]]
    assert not prediction.fallback


def test_mapping_overrides_thresholds_of_its_labels(model: EmotionClassifier) -> None:
    never = dict.fromkeys(LABELS, 1.0)
    prediction = model.predict(TEXTS[0], thresholds=never | {"grief": 0.0})
    assert prediction.labels == ["grief"]
    assert "joy" in model.predict(TEXTS[0], thresholds={"joy": 0.0}).labels
    assert model.predict(TEXTS[0], thresholds={}) == model.predict(TEXTS[0])


def test_set_thresholds() -> None:
    model = EmotionClassifier.from_pretrained()
    original = dict(model.thresholds)
    model.set_thresholds(grief=0.0)
    assert dict(model.thresholds) == original | {"grief": 0.0}
    assert "grief" in model.predict(TEXTS[0]).labels
    with pytest.raises(UsageError, match="'rage'"):
        model.set_thresholds(joy=0.1, rage=0.1)
    with pytest.raises(UsageError, match=r"missing admiration, .*use set_thresholds"):
        model.thresholds = {"joy": 0.1}
    assert dict(model.thresholds) == original | {"grief": 0.0}
    model.thresholds = dict.fromkeys(LABELS, 0.4)
    assert set(model.thresholds.values()) == {0.4}
    model.thresholds = original | {"grief": 0.0}
    with pytest.raises(TypeError):
        model.thresholds["joy"] = 0.0
    assert dict(EmotionClassifier.from_pretrained().thresholds) == original


@pytest.mark.parametrize("number", [np.float64(0), np.float32(0), np.int64(0)], ids=["float64", "float32", "int64"])
def test_numpy_numbers_are_valid_thresholds(model: EmotionClassifier, number: Any) -> None:
    assert len(model.predict(TEXTS[0], thresholds=number).scores) == 28
    assert "joy" in model.predict(TEXTS[0], thresholds={"joy": number}).labels


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        (1.3, "1.3"),
        (-0.1, "-0.1"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        pytest.param(10**400, "1000", id="huge"),
        (True, "True"),
        ("0.5", "'0.5'"),
        ([0.5] * 28, "0.5"),
        (np.full(28, 0.5), "0.5"),
        ({"rage": 0.5}, "'rage'"),
        ({"joy": 1.3}, "'joy' is 1.3"),
        ({"joy": None}, "'joy' is None"),
        ({3: 0.5}, "3"),
    ],
)
def test_invalid_thresholds_are_rejected(model: EmotionClassifier, thresholds: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        model.predict(TEXTS[0], thresholds=thresholds)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_invalid_thresholds_are_rejected_before_reading_a_stream(model: EmotionClassifier) -> None:
    texts = iter(TEXTS)
    with pytest.raises(UsageError):
        model.predict_stream(texts, thresholds=1.3)
    assert next(texts) == TEXTS[0]


def test_shape_of_probabilities(model: EmotionClassifier) -> None:
    for texts, shape in ((TEXTS[0], (28,)), (TEXTS[:1], (1, 28)), (TEXTS, (4, 28)), ("", (28,))):
        probabilities = model.predict_proba(texts)
        assert probabilities.shape == shape
        assert probabilities.dtype == np.float32
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert model.labels == LABELS


def test_probabilities_do_not_depend_on_the_batch(model: EmotionClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 2 * inference.BATCH_ROWS + 10
    monkeypatch.setattr(inference, "CHUNK_ROWS", rows)
    texts = many_texts(4 * rows + 30)
    expected = model.predict_proba(texts)
    assert expected.std(axis=0).max() > 1e-4  # otherwise rows could be swapped unnoticed
    order = np.random.default_rng(1).permutation(len(texts))
    shuffled = model.predict_proba([texts[index] for index in order])
    np.testing.assert_allclose(shuffled, expected[order], atol=1e-6)
    for index in [*range(0, len(texts), 40), rows - 1, rows, len(texts) - 1]:
        np.testing.assert_allclose(model.predict_proba(texts[index]), expected[index], atol=1e-6)


def test_apply_thresholds_matches_predict(model: EmotionClassifier) -> None:
    assert model.apply_thresholds(model.predict_proba(TEXTS), 0.3) == model.predict(TEXTS, 0.3)
    assert model.apply_thresholds(model.predict_proba([])) == []


def test_threads_get_equal_results(model: EmotionClassifier) -> None:
    texts = many_texts(80)
    expected = model.predict_proba(texts)
    words = model.explain(TEXTS[0])
    with ThreadPoolExecutor(8) as pool:
        for probabilities in pool.map(lambda _: model.predict_proba(texts), range(8)):
            np.testing.assert_allclose(probabilities, expected, atol=1e-6)
        assert all(result == words for result in pool.map(lambda _: model.explain(TEXTS[0]), range(8)))


@pytest.mark.parametrize("text", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_unusual_strings_get_a_prediction(model: EmotionClassifier, text: str) -> None:
    check_prediction(model.predict(text))
    np.testing.assert_allclose(model.predict_proba([TEXTS[0], text])[1], model.predict_proba(text), atol=1e-6)
    # Without attention, explaining takes a prediction per word.
    words = model.explain(text if model.has_attention else text[:1_000])
    assert not words or math.isclose(sum(word.weight for word in words), 1, abs_tol=1e-5)


@pytest.mark.parametrize(("texts", "message"), NOT_TEXTS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_non_strings_raise_type_error(model: EmotionClassifier, method: str, texts: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        getattr(model, method)(texts)


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I’m SO happy!!", ["I’m", "SO", "happy", "!!"]),
        (
            "\U0001f600\U0001f600 so \U0001f44d\U0001f3fd happy",
            ["\U0001f600", "\U0001f600", "so", "\U0001f44d\U0001f3fd", "happy"],
        ),
        (f"a {nfd('café')} {nfd('señor')}.", ["a", nfd("café"), nfd("señor")]),
        (f"{nfd('각')} {nfd('한국')}", [nfd("각"), nfd("한국")]),
        ("so ＨＡＰＰＹ ﬁne day", ["so", "ＨＡＰＰＹ", "ﬁne", "day"]),
        ("@you hi https://x.org/a [NAME] ok", ["hi", "NAME", "ok"]),
        ("hap\u200bpy won\u00adder", ["hap\u200bpy", "won\u00adder"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("a \ud83d sad", ["a", "sad"]),
        ("  tabs\tand\nlines", ["tabs", "and", "lines"]),
    ],
)
def test_positions_of_explained_words(fast_model: EmotionClassifier, text: str, words: list[str]) -> None:
    weights = fast_model.explain(text)
    assert [word.text for word in weights] == words
    assert [text[word.start : word.end] for word in weights] == words
    assert all(0 <= word.weight <= 1 for word in weights)
    assert math.isclose(sum(word.weight for word in weights), 1, abs_tol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 29, 30, 31, 500])
def test_explain_returns_every_word(model: EmotionClassifier, count: int) -> None:
    words = model.explain("happy " * count)
    assert [word.start for word in words] == [6 * index for index in range(count)]
    assert math.isclose(sum(word.weight for word in words), 1, abs_tol=1e-5)


def test_explain_marks_unknown_words(model: EmotionClassifier) -> None:
    assert [word.known for word in model.explain("happy \U00013000\U00013001")] == [True, False]


@pytest.mark.parametrize("text", [None, 3, b"x", ["happy"]])
def test_explain_requires_one_string(model: EmotionClassifier, text: Any) -> None:
    with pytest.raises(TypeError, match="one string"):
        model.explain(text)


def test_model_without_attention_cannot_explain(average_folder: Path) -> None:
    model = EmotionClassifier.from_pretrained(average_folder)
    assert not model.has_attention
    check_prediction(model.predict("one two unseen"))
    with pytest.raises(ModelError, match="no attention"):
        model.explain("one two")


def test_repr(fast_model: EmotionClassifier) -> None:
    assert "28 labels" in repr(fast_model)
    assert "default_model" in repr(fast_model)


def test_prediction_imports_no_heavy_modules() -> None:
    program = (
        "import sys, evenmood; evenmood.EmotionClassifier.from_pretrained().predict('hi');"
        "print([m for m in sys.argv[1:] if m in sys.modules])"
    )
    heavy = ["keras", "tensorflow", "torch", "pandas", "gradio", "sklearn", "huggingface_hub", "train", "onnx"]
    heavy += ["transformers", "ftfy", "datasketch", "pyarrow"]
    result = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
