"""Tab Analyze: the labels of a text of any length, an explanation, and the prediction as JSON and Python code."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from evenmood import EmotionClassifier
from evenmood.errors import UsageError
from evenmood.text.normalization import replace_surrogates
from space.components import samples
from space.components.errors import convert_page_errors
from space.components.labels import note
from space.components.passages import sentence_spans
from space.components.prediction_view import all_labels, prediction_html
from space.components.predictions import MAX_TEXT_CHARS, PredictionDict, analyze_text, as_json, as_python
from space.components.texts import LANGUAGES, label_choices, language_of, localize, localize_html
from space.components.words_view import passages_html, words_html
from space.server.feedback import Store
from space.server.models import DEFAULT_NAME, Models
from space.tabs import feedback

ATTENTION, LEAVE_ONE_OUT = "attention", "left out"
MAX_EXPLAINED_WORDS = 60
"""Maximum number of words that an encoder explains one by one."""
LINK = """(text, model) => {
  const link = location.origin + location.pathname + "#" + new URLSearchParams({text, model});
  if (navigator.clipboard) navigator.clipboard.writeText(link).catch(() => {});
  return link;
}"""
"""Copies a link with the text after the #, which browsers do not send to the server."""
READ_LINK = """() => {
  const fields = new URLSearchParams(location.hash.slice(1)), unchanged = {__type__: "update"};
  if (!fields.get("text")) return [unchanged, unchanged, false];
  history.replaceState(null, "", location.pathname + location.search);
  return [fields.get("text"), fields.get("model") || unchanged, true];
}"""
"""Fills in text and model from a link before the request, so that they stay if the request fails."""
ANALYZE_LINK = """(linked) => { if (linked) document.querySelector("#analyze").click(); }"""


def tab(models: Models, store: Store | None, page: gr.Blocks, model: gr.Dropdown, switched: Any) -> None:
    """Create the tab, with the prediction for the opening text.

    Args:
        models: The models.
        store: Store of feedback; None if feedback is off.
        page: The page.
        model: Dropdown with the current model.
        switched: Event of the model switch.
    """
    opening = opening_prediction(models)
    with gr.Row(elem_classes="sides"):
        with gr.Column(scale=5, min_width=300, elem_classes="side", elem_id="asking"):
            text = gr.Textbox(
                samples.OPENING,
                label=localize("text"),
                lines=4,
                max_lines=14,
                placeholder=localize("text_hint"),
                autofocus=True,
                elem_id="text",
                buttons=[],
            )
            with gr.Row(elem_classes="actions"):
                button = gr.Button(localize("analyze"), variant="primary", elem_classes="go", elem_id="analyze")
                gr.Checkbox(label=localize("live"), elem_id="live", container=False)  # used by page.js
            examples = gr.Examples(
                [*samples.SENTENCES[1:], samples.LETTER],
                text,
                label=localize("examples"),
                api_visibility="private",
                cache_examples=False,
                elem_id="examples",
            )
        with gr.Column(scale=7, min_width=300, elem_classes="card"):
            result = gr.HTML(opening["result"], elem_id="result")
            with gr.Column(elem_id="why") as why:
                gr.Markdown(f"## {localize('why')}")
                with gr.Row(elem_classes="methods") as methods:
                    choices = [(localize("by_attention"), ATTENTION), (localize("by_effect"), LEAVE_ONE_OUT)]
                    method = gr.Radio(choices, value=ATTENTION, label=localize("highlight"), elem_id="method")
                    label = gr.Dropdown(
                        label_choices(opening["order"]),
                        value=opening["order"][0],
                        label=localize("label"),
                        visible=False,
                        elem_id="label",
                    )
                words = gr.HTML(opening["words"], elem_id="words")
    with gr.Column() as details:
        with gr.Column(elem_classes="card"):
            labels = gr.HTML(opening["labels"], elem_id="all-labels")
        with gr.Accordion(localize("use"), open=False, elem_id="use"):
            share = gr.Button(localize("share"), elem_id="share")
            link = gr.Textbox(label=localize("share_link"), info=localize("share_note"), interactive=False, buttons=[])
            with gr.Row():
                code: dict[str, Any] = {"interactive": False, "max_lines": 12, "wrap_lines": True}
                json_box = gr.Code(opening["json"], language="json", label="JSON", elem_id="as-json", **code)
                python_box = gr.Code(opening["python"], language="python", label="Python", elem_id="as-python", **code)
        analyzed = gr.State([samples.OPENING, DEFAULT_NAME])
        feedback.form(models, store, text, analyzed)

    def show(content: str, model_name: str, by: str, request: gr.Request) -> Iterator[list[Any]]:
        """Show the prediction and its explanation; if the explanation takes seconds, show the prediction first."""
        language = language_of(request)
        with convert_page_errors():
            beginning, rest = split_at_limit(content)
            if not beginning.strip():
                empty = [note(language, "write_something"), gr.Column(visible=False), gr.skip(), gr.skip(), ""]
                yield [*empty, "", gr.Column(visible=False), "", "", ["", ""]]
                return
            classifier = models.get(model_name)
            prediction = analyze_text(classifier, beginning)
        first, by_passages = prediction["labels"][0], explains_by_passages(classifier, prediction, beginning)
        labels_by_probability = _by_probability(prediction)
        first_outputs = [
            prediction_html(language, classifier, prediction, beginning, len(rest)),
            gr.Column(visible=True),
            gr.Row(visible=not by_passages),
            gr.Dropdown(label_choices(labels_by_probability, language), value=first, visible=by == LEAVE_ONE_OUT),
        ]
        last_outputs = [
            all_labels(language, prediction, classifier.thresholds),
            gr.Column(visible=True),
            as_json(prediction),
            as_python(content, models.for_python(model_name)),
            [content, model_name],
        ]
        if is_encoder(classifier) and not by_passages:
            yield [*first_outputs, note(language, "words_waiting"), *last_outputs]
        with convert_page_errors():
            explanation = _explanation(language, classifier, beginning, rest, by, first, by_passages)
        yield [*first_outputs, explanation, *last_outputs]

    def explain_again(content: str, model_name: str, by: str, selected: str, request: gr.Request) -> list[Any]:
        language = language_of(request)
        with convert_page_errors():
            beginning, rest = split_at_limit(content)
            if not beginning.strip():
                return [gr.skip(), ""]
            classifier = models.get(model_name)
            by_passages = explains_by_passages(classifier, analyze_text(classifier, beginning), beginning)
            explanation = _explanation(language, classifier, beginning, rest, by, selected, by_passages)
        return [gr.Dropdown(visible=by == LEAVE_ONE_OUT), explanation]

    inputs = [text, model, method]
    outputs = [result, why, methods, label, words, labels, details, json_box, python_box, analyzed]
    hidden_event: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    for event in (button.click, model.input, switched.then):
        event(
            show, inputs, outputs, **hidden_event, **({} if event == switched.then else {"trigger_mode": "always_last"})
        )
    examples.load_input_event.then(show, inputs, outputs, **hidden_event)
    for event in (method.input, label.input):
        event(explain_again, [text, model, method, label], [label, words], trigger_mode="always_last", **hidden_event)
    share.click(None, [text, model], link, js=LINK)
    linked = gr.Checkbox(visible=False)
    link_read = page.load(None, None, [text, model, linked], js=READ_LINK)
    link_read.then(None, linked, None, js=ANALYZE_LINK)


def opening_prediction(models: Models) -> dict[str, Any]:
    """Predict the opening text: HTML in the browser's language, JSON, Python, and labels by probability."""
    classifier, text = models.default, samples.OPENING
    prediction = analyze_text(classifier, text)
    by_passages = explains_by_passages(classifier, prediction, text)
    first = prediction["labels"][0]
    parts = {
        language: {
            "result": prediction_html(language, classifier, prediction, text),
            "words": _explanation(language, classifier, text, "", ATTENTION, first, by_passages),
            "labels": all_labels(language, prediction, classifier.thresholds),
        }
        for language in LANGUAGES
    }
    html = {
        part: localize_html(f"opening_{part}", {language: parts[language][part] for language in LANGUAGES})
        for part in parts[LANGUAGES[0]]
    }
    code = {"json": as_json(prediction), "python": as_python(text, models.for_python(DEFAULT_NAME))}
    return html | code | {"order": _by_probability(prediction)}


def split_at_limit(text: object) -> tuple[str, str]:
    """Split a text at the maximum length, into the part to read and the rest.

    Raises:
        UsageError: The text is not a string.
    """
    if not isinstance(text, str):
        raise UsageError(f"the text must be a string, not {type(text).__name__}")
    text = replace_surrogates(text)
    if len(text) <= MAX_TEXT_CHARS:
        return text, ""
    end = text.rfind(" ", MAX_TEXT_CHARS - 100, MAX_TEXT_CHARS)
    end = end if end > 0 else MAX_TEXT_CHARS
    return text[:end], text[end:]


def _by_probability(prediction: PredictionDict) -> list[str]:
    """Return all labels, most probable first."""
    return sorted(prediction["probabilities"], key=lambda label: -prediction["probabilities"][label])


def explains_by_passages(classifier: EmotionClassifier, prediction: PredictionDict, text: str) -> bool:
    """Return whether to explain by passages: the text has several windows, or too many words to explain in seconds."""
    is_long = prediction["windows"] > 1 or (is_encoder(classifier) and prediction["words"] > MAX_EXPLAINED_WORDS)
    return is_long and len(sentence_spans(text)) > 1


def is_encoder(classifier: EmotionClassifier) -> bool:
    """Return whether the model explains by leaving out words, with one prediction per word, instead of attention."""
    return classifier.info.kind == "encoder"


def _explanation(
    language: str, classifier: EmotionClassifier, text: str, rest: str, method: str, label: str, by_passages: bool
) -> str:
    """Render the text with highlighted passages if it is long, otherwise with highlighted words."""
    if by_passages:
        return passages_html(language, classifier, text, rest)
    if method == LEAVE_ONE_OUT:
        return words_html(language, text, classifier.leave_one_out(text, label), label)
    if not classifier.has_attention and not is_encoder(classifier):
        return note(language, "no_attention")
    return words_html(language, text, classifier.explain(text), None, attention=classifier.has_attention)
