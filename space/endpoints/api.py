"""Named API endpoints with typed inputs and outputs, which the API page and the MCP tools show."""

from typing import TypedDict

import gradio as gr

from evenmood.errors import UsageError
from evenmood.model.model_folder import read_info
from space.components.errors import convert_page_errors
from space.components.passages import split
from space.components.predictions import PredictionDict, Word, analyze_text, analyze_texts, check_text, word_weights
from space.server.models import DEFAULT_NAME, Models

MAX_TEXTS = 5_000
"""Maximum number of texts in one call, which blocks other batches until it finishes."""


class Comparison(TypedDict):
    """Predictions of two models, and labels that only one of them predicts, including fallbacks (see `fallback`)."""

    first: PredictionDict
    second: PredictionDict
    differ: list[str]


class PassagePrediction(TypedDict):
    """A passage of a long text, its speaker (empty if unknown), and the prediction, in `answer`."""

    speaker: str
    text: str
    answer: PredictionDict


class ModelChoice(TypedDict):
    """A model that the endpoints accept."""

    name: str
    title: str
    labels: list[str]
    thresholds: dict[str, float]


def add_endpoints(available: Models) -> None:
    """Add the endpoints to the current `gr.Blocks`."""

    def analyze(text: str, model: str = "") -> PredictionDict:
        """Find the emotions in an English text: labels that reach their thresholds, most probable first.

        If no label reaches its threshold, `fallback` is true and `labels` contains only the most probable label.

        Args:
            text: The text, at most 20,000 characters.
            model: Empty for the default model; `fast`, `accurate`, a name listed by `/models`, or the Hub id of an
                evenmood model.
        """
        with convert_page_errors():
            return analyze_text(available.get(model), text)

    def explain(text: str, label: str = "", model: str = "") -> list[Word]:
        """Explain a prediction: the position and weight of each word in the text.

        Args:
            text: The text, at most 20,000 characters.
            label: Label to explain: a word's weight is the decrease in the label's probability when the word is
                removed. Empty to explain the whole prediction: weights are attention or, for `accurate`, effects of
                leaving words out.
            model: Empty for the default model; `fast`, `accurate`, a name listed by `/models`, or the Hub id of an
                evenmood model.
        """
        with convert_page_errors():
            return word_weights(available.get(model), check_text(text), label or None)

    def compare(text: str, first: str, second: str = DEFAULT_NAME) -> Comparison:
        """Compare the predictions of two models for a text.

        Args:
            text: The text, at most 20,000 characters.
            first: First model: a name listed by `/models`, or the Hugging Face Hub id of an evenmood model.
            second: Second model.
        """
        with convert_page_errors():
            predictions = [analyze_text(available.get(name), text) for name in (first, second)]
        labels = [set(prediction["labels"]) for prediction in predictions]
        return {"first": predictions[0], "second": predictions[1], "differ": sorted(labels[0] ^ labels[1])}

    def batch(texts: list[str], model: str = "") -> list[PredictionDict]:
        """Find the emotions in many texts; returns a prediction for each text, in order, as from `/analyze`.

        Args:
            texts: At most 5,000 texts of at most 20,000 characters each; use several calls for more.
            model: Empty for the default model; `fast`, `accurate`, a name listed by `/models`, or the Hub id of an
                evenmood model.
        """
        with convert_page_errors():
            if not isinstance(texts, list):
                raise UsageError(f"texts must be a list of strings, not {type(texts).__name__}")
            if len(texts) > MAX_TEXTS:
                raise UsageError(f"{len(texts):,} texts; expected at most {MAX_TEXTS:,}; use several calls")
            return analyze_texts(available.get(model), [check_text(text) for text in texts])

    def passages(text: str, model: str = "") -> list[PassagePrediction]:
        """Split a page or a chat log into sentences or turns, and find the emotions in each, as `/analyze` does.

        Args:
            text: The text, at most 20,000 characters.
            model: Empty for the default model; `fast`, `accurate`, a name listed by `/models`, or the Hub id of an
                evenmood model.
        """
        with convert_page_errors():
            parts = split(check_text(text))
            predictions = analyze_texts(available.get(model), [part.text for part in parts])
        return [
            {"speaker": part.speaker, "text": part.text, "answer": prediction}
            for part, prediction in zip(parts, predictions, strict=True)
        ]

    def models() -> list[ModelChoice]:
        """List the models that the endpoints accept; the first one is the default."""
        entries: list[ModelChoice] = []
        for choice in available.choices():
            info = available.default.info if choice.folder is None else read_info(choice.folder)
            thresholds = dict(available.default.thresholds if choice.folder is None else info.thresholds)
            entries.append(
                {"name": choice.name, "title": choice.title, "labels": list(info.labels), "thresholds": thresholds}
            )
        return entries

    gr.api(analyze, api_name="analyze")
    gr.api(explain, api_name="explain")
    gr.api(compare, api_name="compare")
    gr.api(batch, api_name="batch", concurrency_limit=1, concurrency_id="tables")
    gr.api(passages, api_name="passages")
    gr.api(models, api_name="models")
