"""The page's choice of a model, above the tabs: a switch between the bundled ones, and a list for all others."""

from typing import Any

import gradio as gr

from space.components.texts import shown
from space.server.models import BUNDLED, Models

OTHER = "other"
"""Place of the switch that shows the list."""


def draw(models: Models) -> tuple[gr.Radio, gr.Dropdown]:
    """Draw the switch and the list; the list's value is the chosen model, whether it is shown or not."""
    with gr.Column(elem_id="choice", min_width=260):
        places = [(one.title, one.name) for one in models.bundled()]
        switch = gr.Radio(
            [*places, (shown("other_model"), OTHER)], value=BUNDLED, label=shown("model"), elem_id="switch"
        )
        model = gr.Dropdown(
            models.titles(),
            value=BUNDLED,
            label=shown("another_model"),
            info=shown("model_hint"),
            allow_custom_value=True,
            visible=False,
            elem_id="model",
        )
    return switch, model


def connect(models: Models, switch: gr.Radio, model: gr.Dropdown) -> Any:
    """Keep the switch and the list in step; gives the event after which another model is chosen by the switch."""
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    bundled = [one.name for one in models.bundled()]

    def chosen(place: str) -> gr.Dropdown:
        return gr.Dropdown(visible=True) if place == OTHER else gr.Dropdown(value=place, visible=False)

    def listed(name: str) -> list[Any]:
        """After a link, or a choice from the list."""
        return [name, gr.Dropdown(visible=False)] if name in bundled else [OTHER, gr.Dropdown(visible=True)]

    model.change(listed, model, [switch, model], **quiet)
    return switch.input(chosen, switch, model, **quiet)
