"""Tab Compare: the predictions of two models for one text, side by side."""

from html import escape
from typing import Any

import gradio as gr

from space.components import samples
from space.components.errors import check_length, convert_page_errors
from space.components.labels import note
from space.components.prediction_view import sentence_html
from space.components.predictions import PredictionDict, analyze_text
from space.components.support import helpline, mentions_self_harm
from space.components.tables import comparison
from space.components.texts import LANGUAGES, language_of, localize, localize_html
from space.server.models import DEFAULT_NAME, Models


def tab(models: Models) -> list[gr.Dropdown]:
    """Create the tab, with the predictions of both bundled models for a sample.

    Returns:
        Dropdowns of models, to be refreshed when the page is loaded.
    """
    second = models.second_choice()
    opening = _opening(models, second)
    with gr.Column(elem_classes="side"):
        text = gr.Textbox(
            samples.IRONIC, label=localize("text"), lines=2, max_lines=8, elem_id="compare-text", buttons=[]
        )
        with gr.Row():
            first_model, second_model = (
                gr.Dropdown(
                    models.titles(),
                    value=value,
                    label=localize(key),
                    info=localize("model_hint"),
                    allow_custom_value=True,
                    min_width=250,
                    elem_id=key.replace("_", "-"),
                )
                for key, value in (("model_a", DEFAULT_NAME), ("model_b", second))
            )
        with gr.Row(elem_classes="actions"):
            button = gr.Button(localize("compare"), variant="primary", elem_classes="go", elem_id="compare")
        gr.Examples(
            [samples.IRONIC, samples.OPENING, samples.SENTENCES[3]],
            text,
            label=localize("examples"),
            api_visibility="private",
            cache_examples=False,
        )
    with gr.Column(elem_classes="card", elem_id="compare-results"):
        sides = gr.HTML(opening["sides"], elem_id="compare-sides")
        table = gr.HTML(opening["table"], elem_id="compare-table")

    def show(content: str, first: str, second: str, request: gr.Request) -> list[Any]:
        language = language_of(request)
        check_length(language, content)
        if not content.strip():
            return [note(language, "write_something"), ""]
        if (first or DEFAULT_NAME) == (second or DEFAULT_NAME):
            return [note(language, "compare_choose"), ""]
        with convert_page_errors():
            predictions = analyze_text(models.get(first), content), analyze_text(models.get(second), content)
        titles = models.title(first or DEFAULT_NAME), models.title(second or DEFAULT_NAME)
        return list(_html(language, titles, predictions, content).values())

    hidden_event: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    button.click(show, [text, first_model, second_model], [sides, table], **hidden_event)
    return [first_model, second_model]


def _opening(models: Models, second: str) -> dict[str, Any]:
    """Predict the sample, and return the HTML in the browser's language."""
    text = samples.IRONIC
    predictions = analyze_text(models.default, text), analyze_text(models.get(second), text)
    titles = models.title(DEFAULT_NAME), models.title(second)
    html = {language: _html(language, titles, predictions, text) for language in LANGUAGES}
    return {
        part: localize_html(f"opening_compare_{part}", {language: html[language][part] for language in LANGUAGES})
        for part in ("sides", "table")
    }


def _html(
    language: str, titles: tuple[str, str], predictions: tuple[PredictionDict, PredictionDict], text: str
) -> dict[str, str]:
    """Render both sentences side by side, and the table of all labels."""
    quiet = mentions_self_harm(text)
    sides = "".join(
        f"<section><h2>{escape(title)}</h2>{sentence_html(language, prediction, quiet)}</section>"
        for title, prediction in zip(titles, predictions, strict=True)
    )
    return {
        "sides": (helpline(language) if quiet else "") + f'<div class="two">{sides}</div>',
        "table": comparison(language, titles, predictions),
    }
