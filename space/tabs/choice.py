"""Model selection above the tabs: a switch between the bundled models, and a list of all models."""

from typing import Any

import gradio as gr

from space.components.texts import localize
from space.server.models import DEFAULT_NAME, Models

OTHER = "other"
"""Switch position that shows the list."""


def create(models: Models) -> tuple[gr.Radio, gr.Dropdown]:
    """Create the switch and the list; the value of the list is the selected model, even if the list is hidden."""
    with gr.Column(elem_id="choice", min_width=260):
        positions = [(choice.title, choice.name) for choice in models.bundled()]
        switch = gr.Radio(
            [*positions, (localize("other_model"), OTHER)],
            value=DEFAULT_NAME,
            label=localize("model"),
            elem_id="switch",
        )
        model = gr.Dropdown(
            models.titles(),
            value=DEFAULT_NAME,
            label=localize("another_model"),
            info=localize("model_hint"),
            allow_custom_value=True,
            visible=False,
            elem_id="model",
        )
    return switch, model


def connect(models: Models, switch: gr.Radio, model: gr.Dropdown) -> Any:
    """Synchronize the switch and the list; return the event of the switch."""
    hidden_event: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    bundled = [choice.name for choice in models.bundled()]

    def update_list(position: str) -> gr.Dropdown:
        return gr.Dropdown(visible=True) if position == OTHER else gr.Dropdown(value=position, visible=False)

    def update_switch(name: str) -> list[Any]:
        """Update the switch after a selection from the list, or by a link."""
        return [name, gr.Dropdown(visible=False)] if name in bundled else [OTHER, gr.Dropdown(visible=True)]

    model.change(update_switch, model, [switch, model], **hidden_event)
    return switch.input(update_list, switch, model, **hidden_event)
