"""What programs and agents call: named endpoints with typed inputs and outputs, which the API page and MCP show."""

from typing import TypedDict

import gradio as gr

from evenmood.errors import UsageError
from evenmood.model.model_folder import read_info
from space.components.answers import Answer, Word, answer, answers, check_text, words
from space.components.errors import page_errors
from space.components.passages import split
from space.server.models import BUNDLED, Models

MOST_TEXTS = 5_000
"""Of one call: its answer is made in one piece, and nobody else is answered meanwhile."""


class Comparison(TypedDict):
    """Answers of two models, and the labels that only one of them gives; a fallback is one, see `fallback`."""

    first: Answer
    second: Answer
    differ: list[str]


class PassageAnswer(TypedDict):
    """A passage of a long text, who says it (empty where nobody is named), and what the model says of it."""

    speaker: str
    text: str
    answer: Answer


class ModelChoice(TypedDict):
    """A model that can be named in a call."""

    name: str
    title: str
    labels: list[str]
    thresholds: dict[str, float]


def connect(known: Models) -> None:
    """Add the endpoints to the page that is being drawn."""

    def analyse(text: str, model: str = "") -> Answer:
        """Emotions of an English text: labels that reach their thresholds, most probable first, and all probabilities.

        Where no label reaches its threshold, `fallback` is true and `labels` holds the most probable one alone.

        Args:
            text: The text, 20,000 characters at most.
            model: `fast` or empty, `accurate`, another name that `/models` lists, or a Hub id of an evenmood model.
        """
        with page_errors():
            return answer(known.get(model), text)

    def explain(text: str, label: str = "", model: str = "") -> list[Word]:
        """The words behind an answer, each with its place in the text and its weight.

        Args:
            text: The text, 20,000 characters at most.
            label: A label: weights say how far its probability falls where the word is left out. Empty: the
                share of each word in the whole answer, by attention or, for `accurate`, by leaving words out.
            model: `fast` or empty, `accurate`, another name that `/models` lists, or a Hub id of an evenmood model.
        """
        with page_errors():
            return words(known.get(model), check_text(text), label or None)

    def compare(text: str, first: str, second: str = BUNDLED) -> Comparison:
        """What two models say of one text.

        Args:
            text: The text, 20,000 characters at most.
            first: Name of a model as `/models` lists it, or the Hugging Face Hub id of an evenmood model.
            second: The other one.
        """
        with page_errors():
            one, other = answer(known.get(first), text), answer(known.get(second), text)
        given = [set(found["labels"]) for found in (one, other)]
        return {"first": one, "second": other, "differ": sorted(given[0] ^ given[1])}

    def batch(texts: list[str], model: str = "") -> list[Answer]:
        """Emotions of many texts, in their order; see `fallback` of each, as in `/analyse`.

        Args:
            texts: Up to 5,000 texts, each of 20,000 characters at most; for more, call again.
            model: `fast` or empty, `accurate`, another name that `/models` lists, or a Hub id of an evenmood model.
        """
        with page_errors():
            if not isinstance(texts, list):
                raise UsageError(f"texts must be a list of strings, not {type(texts).__name__}")
            if len(texts) > MOST_TEXTS:
                raise UsageError(f"{len(texts):,} texts; at most {MOST_TEXTS:,} are taken at a time: call again")
            return answers(known.get(model), [check_text(text) for text in texts])

    def passages(text: str, model: str = "") -> list[PassageAnswer]:
        """A page or a chat log, split into sentences or turns, with the emotions of each, as in `/analyse`.

        Args:
            text: The text, 20,000 characters at most.
            model: `fast` or empty, `accurate`, another name that `/models` lists, or a Hub id of an evenmood model.
        """
        with page_errors():
            found = split(check_text(text))
            said = answers(known.get(model), [passage.text for passage in found])
        return [
            {"speaker": passage.speaker, "text": passage.text, "answer": one}
            for passage, one in zip(found, said, strict=True)
        ]

    def models() -> list[ModelChoice]:
        """The models that can be named in a call; the first one answers where none is named."""
        found: list[ModelChoice] = []
        for choice in known.choices():
            info = known.default.info if choice.folder is None else read_info(choice.folder)
            thresholds = dict(known.default.thresholds if choice.folder is None else info.thresholds)
            found.append(
                {"name": choice.name, "title": choice.title, "labels": list(info.labels), "thresholds": thresholds}
            )
        return found

    gr.api(analyse, api_name="analyse")
    gr.api(explain, api_name="explain")
    gr.api(compare, api_name="compare")
    gr.api(batch, api_name="batch", concurrency_limit=1, concurrency_id="tables")
    gr.api(passages, api_name="passages")
    gr.api(models, api_name="models")
