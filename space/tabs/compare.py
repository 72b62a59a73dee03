"""The tab for two models: one text, two answers side by side."""

from html import escape
from typing import Any

import gradio as gr

from space.components import views
from space.components.answers import answer
from space.components.texts import language_of, shown
from space.components.told import check_length, told
from space.server.models import BUNDLED, Models


def tab(models: Models) -> list[gr.Dropdown]:
    """Draw the tab and connect it; its lists of models are filled anew at each visit."""
    text = gr.Textbox(label=shown("text"), lines=3, placeholder=shown("text_hint"), elem_id="compare-text", buttons=[])
    with gr.Row():
        first, second = (
            gr.Dropdown(
                models.titles(),
                value=models.choices()[index].name if not index or len(models.choices()) > 1 else None,
                label=shown(key),
                info=shown("model_hint"),
                allow_custom_value=True,
                elem_id=key.replace("_", "-"),
            )
            for key, index in (("model_a", 0), ("model_b", -1))
        )
    button = gr.Button(shown("compare"), variant="primary", elem_classes="go", elem_id="compare")
    with gr.Row():
        left, right = gr.HTML(elem_id="compare-a"), gr.HTML(elem_id="compare-b")
    table = gr.HTML(elem_id="compare-table")

    def show(given: str, one: str, other: str, request: gr.Request) -> list[str]:
        language = language_of(request)
        check_length(language, given)
        if not given.strip():
            return [views.note(language, "write_something"), "", ""]
        if (one or BUNDLED) == (other or BUNDLED):
            return [views.note(language, "compare_choose"), "", ""]
        with told():
            found = answer(models.get(one), given), answer(models.get(other), given)
        titles = models.title(one or BUNDLED), models.title(other or BUNDLED)
        sides = [
            f"<h3>{escape(title)}</h3>{views.chips(language, side)}" for title, side in zip(titles, found, strict=True)
        ]
        return [*sides, views.comparison(language, titles, found)]

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    button.click(show, [text, first, second], [left, right, table], **quiet)
    return [first, second]
