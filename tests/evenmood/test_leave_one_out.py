"""Leave-one-out explanations: the effect of each word on a label's probability."""

from typing import Any

import numpy as np
import pytest

from evenmood import EmotionClassifier, UsageError

TEXT = "Thank you, I am so happy but it hurts"


@pytest.fixture
def model(each_model: EmotionClassifier) -> EmotionClassifier:
    """Each bundled model."""
    return each_model


def test_weight_is_the_drop_in_probability(model: EmotionClassifier) -> None:
    words = model.leave_one_out(TEXT, "gratitude")
    assert [word.text for word in words] == [word.text for word in model.explain(TEXT)]
    column = model.labels.index("gratitude")
    full = model.predict_proba([TEXT])[0, column]
    for word in words:
        without_word = model.predict_proba([f"{TEXT[: word.start]} {TEXT[word.end :]}"])[0, column]
        np.testing.assert_allclose(word.weight, full - without_word, atol=1e-6)
    assert max(words, key=lambda word: word.weight).text.lower() == "thank"


def test_last_word_of_a_long_text_has_a_weight(model: EmotionClassifier) -> None:
    max_length = model.info.max_length
    words = model.leave_one_out(" ".join([*["word"] * max_length, "thanks"]), "gratitude")
    assert len(words) == max_length + 1
    assert max(words, key=lambda word: word.weight).text == "thanks"


def test_model_without_attention(average_folder: Any) -> None:
    assert len(EmotionClassifier.from_pretrained(average_folder).leave_one_out("one two", "joy")) == 2


def test_invalid_arguments_are_rejected(fast_model: EmotionClassifier) -> None:
    assert fast_model.leave_one_out("(.)", "joy") == []
    with pytest.raises(UsageError, match="unknown label 'glee'; expected one of: admiration"):
        fast_model.leave_one_out(TEXT, "glee")
    with pytest.raises(TypeError, match="of type list; expected one string"):
        fast_model.leave_one_out([TEXT], "joy")  # type: ignore[arg-type]
