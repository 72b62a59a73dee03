"""The tab for one text of any length: its labels, the words or passages behind them, and the answer for programs."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from evenmood import EmotionClassifier
from evenmood.errors import UsageError
from evenmood.text.normalization import encodable
from space.components import samples
from space.components.answer_view import all_labels, answer_html
from space.components.answers import LONGEST_TEXT, Answer, answer, as_json, as_python
from space.components.errors import page_errors
from space.components.labels import note
from space.components.passages import sentence_spans
from space.components.texts import LANGUAGES, label_choices, language_of, shown, shown_html
from space.components.words_view import passages_html, words_html
from space.server import feedback
from space.server.models import BUNDLED, Models

ATTENTION, LEFT_OUT = "attention", "left out"
MOST_WORDS_LEFT_OUT = 60
"""Words of a text that an encoder explains word by word."""
LINK = """(text, model) => {
  const link = location.origin + location.pathname + "#" + new URLSearchParams({text, model});
  if (navigator.clipboard) navigator.clipboard.writeText(link).catch(() => {});
  return link;
}"""
"""The text is behind the #, which browsers do not send: no server logs it, and nothing is written to the history."""
READ_LINK = """() => {
  const given = new URLSearchParams(location.hash.slice(1)), untouched = {__type__: "update"};
  if (!given.get("text")) return [untouched, untouched, false];
  history.replaceState(null, "", location.pathname + location.search);
  return [given.get("text"), given.get("model") || untouched, true];
}"""
"""A link's text and model are in their fields before the answer is requested, and stay there if that fails."""
ANALYSE_LINK = """(linked) => { if (linked) document.querySelector("#analyse").click(); }"""


def tab(models: Models, store: feedback.Store | None, page: gr.Blocks, model: gr.Dropdown, switched: Any) -> None:
    """Draw the tab, with the answer to the opening text, and connect it.

    Args:
        models: The models.
        store: Where feedback goes.
        page: The page, for what happens when it is loaded.
        model: The page's choice of a model.
        switched: The event after which another model is chosen by the switch.
    """
    opening = opening_answer(models)
    with gr.Row(elem_classes="sides"):
        with gr.Column(scale=5, min_width=300, elem_classes="side", elem_id="asking"):
            text = gr.Textbox(
                samples.OPENING,
                label=shown("text"),
                lines=4,
                max_lines=14,
                placeholder=shown("text_hint"),
                autofocus=True,
                elem_id="text",
                buttons=[],
            )
            with gr.Row(elem_classes="actions"):
                button = gr.Button(shown("analyse"), variant="primary", elem_classes="go", elem_id="analyse")
                gr.Checkbox(label=shown("live"), elem_id="live", container=False)  # page.js reads it
            examples = gr.Examples(
                [*samples.SENTENCES[1:], samples.LETTER],
                text,
                label=shown("examples"),
                api_visibility="private",
                cache_examples=False,
                elem_id="examples",
            )
        with gr.Column(scale=7, min_width=300, elem_classes="card"):
            result = gr.HTML(opening["result"], elem_id="result")
            with gr.Column(elem_id="why") as why:
                gr.Markdown(f"## {shown('why')}")
                with gr.Row(elem_classes="ways") as choice:
                    ways = [(shown("way_attention"), ATTENTION), (shown("way_left_out"), LEFT_OUT)]
                    way = gr.Radio(ways, value=ATTENTION, label=shown("way"), elem_id="way")
                    label = gr.Dropdown(
                        label_choices(opening["order"]),
                        value=opening["order"][0],
                        label=shown("label"),
                        visible=False,
                        elem_id="label",
                    )
                words = gr.HTML(opening["words"], elem_id="words")
    with gr.Column() as more:
        with gr.Column(elem_classes="card"):
            labels = gr.HTML(opening["labels"], elem_id="all-labels")
        with gr.Accordion(shown("use"), open=False, elem_id="use"):
            share = gr.Button(shown("share"), elem_id="share")
            link = gr.Textbox(label=shown("share_link"), info=shown("share_note"), interactive=False, buttons=[])
            with gr.Row():
                code: dict[str, Any] = {"interactive": False, "max_lines": 12, "wrap_lines": True}
                json_box = gr.Code(opening["json"], language="json", label="JSON", elem_id="as-json", **code)
                python_box = gr.Code(opening["python"], language="python", label="Python", elem_id="as-python", **code)
        answered = gr.State([samples.OPENING, BUNDLED])
        feedback.panel(models, store, text, answered)

    def show(given: str, name: str, how: str, request: gr.Request) -> Iterator[list[Any]]:
        """Answer; where the words take seconds, the answer comes first."""
        language = language_of(request)
        with page_errors():
            read, rest = cut(given)
            if not read.strip():
                empty = [note(language, "write_something"), gr.Column(visible=False), gr.skip(), gr.skip(), ""]
                yield [*empty, "", gr.Column(visible=False), "", "", ["", ""]]
                return
            classifier = models.get(name)
            found = answer(classifier, read)
        first, by_passages = found["labels"][0], reads_by_passages(classifier, found, read)
        order = _by_probability(found)
        before = [
            answer_html(language, classifier, found, read, len(rest)),
            gr.Column(visible=True),
            gr.Row(visible=not by_passages),
            gr.Dropdown(label_choices(order, language), value=first, visible=how == LEFT_OUT),
        ]
        after = [
            all_labels(language, found, classifier.thresholds),
            gr.Column(visible=True),
            as_json(found),
            as_python(given, models.for_python(name)),
            [given, name],
        ]
        if is_encoder(classifier) and not by_passages:
            yield [*before, note(language, "words_waiting"), *after]
        with page_errors():
            behind = _behind(language, classifier, read, rest, how, first, by_passages)
        yield [*before, behind, *after]

    def explain_again(given: str, name: str, how: str, about: str, request: gr.Request) -> list[Any]:
        language = language_of(request)
        with page_errors():
            read, rest = cut(given)
            if not read.strip():
                return [gr.skip(), ""]
            classifier = models.get(name)
            by_passages = reads_by_passages(classifier, answer(classifier, read), read)
            behind = _behind(language, classifier, read, rest, how, about, by_passages)
        return [gr.Dropdown(visible=how == LEFT_OUT), behind]

    inputs = [text, model, way]
    outputs = [result, why, choice, label, words, labels, more, json_box, python_box, answered]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    for event in (button.click, model.input, switched.then):
        event(show, inputs, outputs, **quiet, **({} if event == switched.then else {"trigger_mode": "always_last"}))
    examples.load_input_event.then(show, inputs, outputs, **quiet)
    for event in (way.input, label.input):
        event(explain_again, [text, model, way, label], [label, words], trigger_mode="always_last", **quiet)
    share.click(None, [text, model], link, js=LINK)
    linked = gr.Checkbox(visible=False)
    link_read = page.load(None, None, [text, model, linked], js=READ_LINK)
    link_read.then(None, linked, None, js=ANALYSE_LINK)


def opening_answer(models: Models) -> dict[str, Any]:
    """The answer that the page opens with: its HTML in the browser's language, JSON, Python and the order of labels."""
    classifier, text = models.default, samples.OPENING
    found = answer(classifier, text)
    by_passages = reads_by_passages(classifier, found, text)
    first = found["labels"][0]
    parts = {
        language: {
            "result": answer_html(language, classifier, found, text),
            "words": _behind(language, classifier, text, "", ATTENTION, first, by_passages),
            "labels": all_labels(language, found, classifier.thresholds),
        }
        for language in LANGUAGES
    }
    html = {
        part: shown_html(f"opening_{part}", {language: parts[language][part] for language in LANGUAGES})
        for part in parts[LANGUAGES[0]]
    }
    program = {"json": as_json(found), "python": as_python(text, models.for_python(BUNDLED))}
    return html | program | {"order": _by_probability(found)}


def cut(text: object) -> tuple[str, str]:
    """What is read of a text, and what follows.

    Raises:
        UsageError: Not a string.
    """
    if not isinstance(text, str):
        raise UsageError(f"the text must be a string, not {type(text).__name__}")
    text = encodable(text)
    if len(text) <= LONGEST_TEXT:
        return text, ""
    end = text.rfind(" ", LONGEST_TEXT - 100, LONGEST_TEXT)
    end = end if end > 0 else LONGEST_TEXT
    return text[:end], text[end:]


def _by_probability(found: Answer) -> list[str]:
    """All labels, the most probable first."""
    return sorted(found["probabilities"], key=lambda one: -found["probabilities"][one])


def reads_by_passages(classifier: EmotionClassifier, found: Answer, text: str) -> bool:
    """Whether a text is shown by passages: longer than the model reads at once, or than it can explain in seconds."""
    long = found["windows"] > 1 or (is_encoder(classifier) and found["words"] > MOST_WORDS_LEFT_OUT)
    return long and len(sentence_spans(text)) > 1


def is_encoder(classifier: EmotionClassifier) -> bool:
    """Whether the model explains by leaving words out, one prediction for each, rather than by attention."""
    return classifier.info.kind == "encoder"


def _behind(
    language: str, classifier: EmotionClassifier, text: str, rest: str, how: str, label: str, by_passages: bool
) -> str:
    """The text with what speaks for the answer: passages of a long text, words of a short one."""
    if by_passages:
        return passages_html(language, classifier, text, rest)
    if how == LEFT_OUT:
        return words_html(language, text, classifier.leave_one_out(text, label), label)
    if not classifier.has_attention and not is_encoder(classifier):
        return note(language, "no_attention")
    return words_html(language, text, classifier.explain(text), None, attention=classifier.has_attention)
