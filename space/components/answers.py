"""Answers as programs get them: plain objects, whose types the API page and the MCP tools show."""

import json
from typing import TypedDict, cast

from evenmood import EmotionClassifier
from evenmood.errors import UsageError

LONGEST_TEXT = 20_000
"""Characters; a model reads a text's first words alone, so more would only cost the visitor's time."""


class Score(TypedDict):
    """A label, its probability, and the threshold applied; a fallback's probability is below it."""

    label: str
    probability: float
    threshold: float


class Answer(TypedDict):
    """What a model says of a text, as `Prediction.to_dict` has it: labels, most probable first, all probabilities.

    `fallback` is true where no label reaches its threshold; `labels` then holds the most probable one alone.
    """

    labels: list[str]
    scores: list[Score]
    fallback: bool
    probabilities: dict[str, float]
    words: int
    windows: int


class Word(TypedDict):
    """A word that the model read, where it stands in the text, and what it weighs."""

    text: str
    start: int
    end: int
    weight: float
    known: bool


def check_text(text: object) -> str:
    """The text, or `UsageError`: not a string, or too long."""
    if not isinstance(text, str):
        raise UsageError(f"the text must be a string, not {type(text).__name__}")
    if len(text) > LONGEST_TEXT:
        raise UsageError(f"the text has {len(text):,} characters; at most {LONGEST_TEXT:,} are taken")
    return text


def answers(classifier: EmotionClassifier, texts: list[str]) -> list[Answer]:
    """What a model says of texts, in one batch."""
    return [cast(Answer, prediction.to_dict()) for prediction in classifier.predict(texts)]


def answer(classifier: EmotionClassifier, text: str) -> Answer:
    """What a model says of a text."""
    return answers(classifier, [check_text(text)])[0]


def words(classifier: EmotionClassifier, text: str, label: str | None = None) -> list[Word]:
    """The words behind an answer: by attention, or by what leaving each out does to a label's probability.

    Raises:
        ModelError: By attention, and the model has none.
        UsageError: The model has no such label.
    """
    found = classifier.leave_one_out(text, label) if label else classifier.explain(text)
    return [
        {"text": word.text, "start": word.start, "end": word.end, "weight": word.weight, "known": word.known}
        for word in found
    ]


def as_json(found: Answer) -> str:
    """The answer as JSON to read, probabilities with four digits."""
    rounded = json.loads(json.dumps(found), parse_float=lambda digits: round(float(digits), 4))
    return json.dumps(rounded, indent=1, ensure_ascii=False)


def as_python(text: str, model: str | None) -> str:
    """Lines of Python that give the same answer; `model` is what `from_pretrained` takes, None for the bundled one."""
    chosen = repr(model) if model else ""
    return (
        "from evenmood import EmotionClassifier\n\n"
        f"classifier = EmotionClassifier.from_pretrained({chosen})\n"
        f"print(classifier.predict({text!r}))\n"
    )
