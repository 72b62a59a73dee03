"""Form for feedback on a prediction, on the Analyze tab."""

from typing import Any

import gradio as gr

from evenmood import LABELS
from evenmood.errors import EvenmoodError
from space.components.errors import check_length, page_error
from space.components.labels import note
from space.components.texts import label_choices, language_of, localize
from space.server.feedback import AGREE, CORRECT, DISAGREE, Store, feedback_row
from space.server.models import Models


def form(models: Models, store: Store | None, text: gr.Textbox, analyzed: gr.State) -> None:
    """Add the form; `analyzed` contains the text and model of the current prediction."""
    with gr.Accordion(localize("feedback"), open=False, elem_id="feedback"):
        if store is None:
            gr.Markdown(localize("feedback_off"))
            return
        gr.Markdown(localize("feedback_note"))
        consent = gr.Checkbox(label=localize("consent"), elem_id="consent")
        with gr.Row():
            right = gr.Button(localize("feedback_agree"))
            wrong = gr.Button(localize("feedback_disagree"))
        with gr.Row(equal_height=True):
            labels = gr.Dropdown(
                label_choices(LABELS), value=[], multiselect=True, label=localize("feedback_labels"), scale=3
            )
            send = gr.Button(localize("feedback_correct"))
        message = gr.HTML(elem_id="feedback-message")

    def save(
        verdict: str, agreed: bool, content: str, analyzed: list[str], selected: Any, request: gr.Request
    ) -> list[Any]:
        language = language_of(request)
        check_length(language, content)
        if agreed is not True:  # other truthy values are not consent
            return [note(language, "feedback_no_consent"), gr.skip(), gr.skip()]
        if not content.strip() or content != analyzed[0]:  # the text has changed since the prediction
            return [note(language, "feedback_no_text"), gr.skip(), gr.skip()]
        if verdict == CORRECT and not selected:
            return [note(language, "feedback_no_labels"), gr.skip(), gr.skip()]
        try:
            row = feedback_row(models.get(analyzed[1]), models.title(analyzed[1]), content, verdict, selected)
            store.add(row)
        except EvenmoodError as error:
            raise page_error(str(error)) from None
        except OSError:
            return [note(language, "feedback_failed"), gr.skip(), gr.skip()]
        # Consent covers one text: reset the checkbox.
        return [note(language, "feedback_thanks"), False, []]

    def handler(verdict: str) -> Any:
        def give_verdict(
            agreed: bool, content: str, analyzed: list[str], selected: Any, request: gr.Request
        ) -> list[Any]:
            return save(verdict, agreed, content, analyzed, selected, request)

        return give_verdict

    for button, verdict in ((right, AGREE), (wrong, DISAGREE), (send, CORRECT)):
        button.click(
            handler(verdict),
            [consent, text, analyzed, labels],
            [message, consent, labels],
            api_visibility="private",
            show_progress="hidden",
        )
