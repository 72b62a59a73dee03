"""The tab for two models: one text, two answers side by side."""

from html import escape
from typing import Any

import gradio as gr

from space.components import samples
from space.components.answer_view import sentence
from space.components.answers import Answer, answer
from space.components.errors import check_length, page_errors
from space.components.labels import note
from space.components.support import help_line, speaks_of_self_harm
from space.components.tables import comparison
from space.components.texts import LANGUAGES, language_of, shown, shown_html
from space.server.models import BUNDLED, Models


def tab(models: Models) -> list[gr.Dropdown]:
    """Draw the tab and connect it; its lists of models are refreshed on each visit.

    The tab opens with the answers of both bundled models to a sample.
    """
    second = models.compared_with()
    opening = _opening(models, second)
    with gr.Column(elem_classes="side"):
        text = gr.Textbox(
            samples.COMPARED, label=shown("text"), lines=2, max_lines=8, elem_id="compare-text", buttons=[]
        )
        with gr.Row():
            one, other = (
                gr.Dropdown(
                    models.titles(),
                    value=value,
                    label=shown(key),
                    info=shown("model_hint"),
                    allow_custom_value=True,
                    min_width=250,
                    elem_id=key.replace("_", "-"),
                )
                for key, value in (("model_a", BUNDLED), ("model_b", second))
            )
        with gr.Row(elem_classes="actions"):
            button = gr.Button(shown("compare"), variant="primary", elem_classes="go", elem_id="compare")
        gr.Examples(
            [samples.COMPARED, samples.OPENING, samples.SENTENCES[3]],
            text,
            label=shown("examples"),
            api_visibility="private",
            cache_examples=False,
        )
    with gr.Column(elem_classes="card", elem_id="compare-results"):
        sides = gr.HTML(opening["sides"], elem_id="compare-sides")
        table = gr.HTML(opening["table"], elem_id="compare-table")

    def show(given: str, first: str, second: str, request: gr.Request) -> list[Any]:
        language = language_of(request)
        check_length(language, given)
        if not given.strip():
            return [note(language, "write_something"), ""]
        if (first or BUNDLED) == (second or BUNDLED):
            return [note(language, "compare_choose"), ""]
        with page_errors():
            found = answer(models.get(first), given), answer(models.get(second), given)
        titles = models.title(first or BUNDLED), models.title(second or BUNDLED)
        return list(_html(language, titles, found, given).values())

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    button.click(show, [text, one, other], [sides, table], **quiet)
    return [one, other]


def _opening(models: Models, second: str) -> dict[str, Any]:
    """The sample's answers in the browser's language."""
    text = samples.COMPARED
    found = answer(models.default, text), answer(models.get(second), text)
    titles = models.title(BUNDLED), models.title(second)
    html = {language: _html(language, titles, found, text) for language in LANGUAGES}
    return {
        part: shown_html(f"opening_compare_{part}", {language: html[language][part] for language in LANGUAGES})
        for part in ("sides", "table")
    }


def _html(language: str, titles: tuple[str, str], found: tuple[Answer, Answer], text: str) -> dict[str, str]:
    """Both sentences side by side, and the table of all labels."""
    quiet = speaks_of_self_harm(text)
    sides = "".join(
        f"<section><h2>{escape(title)}</h2>{sentence(language, one, quiet)}</section>"
        for title, one in zip(titles, found, strict=True)
    )
    return {
        "sides": (help_line(language) if quiet else "") + f'<div class="two">{sides}</div>',
        "table": comparison(language, titles, found),
    }
