"""Predictions as JSON objects, whose types appear in the API page and the MCP tools."""

import json
from typing import TypedDict, cast

from evenmood import EmotionClassifier
from evenmood.errors import UsageError

MAX_TEXT_CHARS = 20_000
"""Maximum length of a text, in characters."""


class Score(TypedDict):
    """A label, its probability, and the threshold applied; a fallback's probability is below it."""

    label: str
    probability: float
    threshold: float


class PredictionDict(TypedDict):
    """Prediction for a text, as `Prediction.to_dict` returns it: labels, most probable first, and all probabilities.

    If no label reaches its threshold, `fallback` is true and `labels` contains only the most probable label.
    """

    labels: list[str]
    scores: list[Score]
    fallback: bool
    probabilities: dict[str, float]
    words: int
    windows: int


class Word(TypedDict):
    """A word, its position in the text, its weight, and whether it is in the model's vocabulary."""

    text: str
    start: int
    end: int
    weight: float
    known: bool


def check_text(text: object) -> str:
    """Validate a text and return it.

    Raises:
        UsageError: The text is not a string, or too long.
    """
    if not isinstance(text, str):
        raise UsageError(f"the text must be a string, not {type(text).__name__}")
    if len(text) > MAX_TEXT_CHARS:
        raise UsageError(f"the text has {len(text):,} characters; expected at most {MAX_TEXT_CHARS:,}; shorten it")
    return text


def analyze_texts(classifier: EmotionClassifier, texts: list[str]) -> list[PredictionDict]:
    """Predict texts in one batch."""
    return [cast(PredictionDict, prediction.to_dict()) for prediction in classifier.predict(texts)]


def analyze_text(classifier: EmotionClassifier, text: str) -> PredictionDict:
    """Predict a text."""
    return analyze_texts(classifier, [check_text(text)])[0]


def word_weights(classifier: EmotionClassifier, text: str, label: str | None = None) -> list[Word]:
    """Return the weights of the words in a text.

    Args:
        classifier: The model.
        text: The text.
        label: Label to explain: a word's weight is the decrease in the label's probability when the word is removed. By
            default, the whole prediction is explained.

    Raises:
        ModelError: The model cannot explain the whole prediction.
        UsageError: The label is unknown.
    """
    weights = classifier.leave_one_out(text, label) if label else classifier.explain(text)
    return [
        {"text": word.text, "start": word.start, "end": word.end, "weight": word.weight, "known": word.known}
        for word in weights
    ]


def as_json(prediction: PredictionDict) -> str:
    """Format the prediction as indented JSON, with probabilities rounded to four digits."""
    rounded_prediction = json.loads(json.dumps(prediction), parse_float=lambda digits: round(float(digits), 4))
    return json.dumps(rounded_prediction, indent=1, ensure_ascii=False)


def as_python(text: str, model: str | None) -> str:
    """Return Python code for the prediction; `model` is the argument of `from_pretrained`, if any."""
    argument = repr(model) if model else ""
    return (
        "from evenmood import EmotionClassifier\n\n"
        f"classifier = EmotionClassifier.from_pretrained({argument})\n"
        f"print(classifier.predict({text!r}))\n"
    )
