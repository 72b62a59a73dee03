"""The tab for one text: its labels, how sure and how good the model is, the words behind it, and taking it along."""

from html import escape
from typing import Any

import gradio as gr

from evenmood import EmotionClassifier
from space.components import views
from space.components.answers import Answer, answer, as_json, as_python
from space.components.texts import label_choices, language_of, say, shown
from space.components.told import check_length, told
from space.server import feedback
from space.server.models import BUNDLED, Models

EXAMPLES = [
    "Thank you so much, you really made my day!",
    "I can't believe they cancelled it again. So annoying.",
    "I'm nervous about tomorrow, but I hope it goes well.",
    "Thanks for explaining, but I'm still confused.",
    "I miss my grandmother every single day.",
    "lol that is the funniest thing I've seen all week",
]
ATTENTION, LEFT_OUT = "attention", "left out"
LINK = """(text, model) => {
  const link = location.origin + location.pathname + "#" + new URLSearchParams({text, model});
  if (navigator.clipboard) navigator.clipboard.writeText(link).catch(() => {});
  return link;
}"""
"""The text goes behind the #, which browsers do not send: no server logs it, and nothing is written to the history."""
READ_LINK = """() => {
  const given = new URLSearchParams(location.hash.slice(1)), untouched = {__type__: "update"};
  if (!given.get("text")) return [untouched, untouched, false];
  history.replaceState(null, "", location.pathname + location.search);
  return [given.get("text"), given.get("model") || untouched, true];
}"""
"""A link's text and model are in their fields before anything is asked, and stay there if that fails."""
ANALYSE_LINK = """(linked) => { if (linked) document.querySelector("#analyse").click(); }"""


def tab(models: Models, store: feedback.Store | None, page: gr.Blocks) -> list[gr.Dropdown]:
    """Draw the tab and connect it; its list of models is refreshed on each visit."""
    classifier = models.default
    with gr.Row():
        with gr.Column():
            text = gr.Textbox(
                label=shown("text"),
                lines=4,
                placeholder=shown("text_hint"),
                autofocus=True,
                elem_id="text",
                buttons=[],
            )
            with gr.Row():
                button = gr.Button(shown("analyse"), variant="primary", elem_classes="go", elem_id="analyse")
                gr.Checkbox(label=shown("live"), elem_id="live", container=False)  # page.js reads it
            model = gr.Dropdown(
                models.titles(),
                value=BUNDLED,
                label=shown("model"),
                info=shown("model_hint"),
                allow_custom_value=True,
                elem_id="model",
            )
            examples = gr.Examples(
                EXAMPLES, text, label=shown("examples"), api_visibility="private", cache_examples=False
            )
        with gr.Column():
            result = gr.HTML(views.note("en", "answer_here"), elem_id="result")
            gr.Markdown(f"## {shown('why')}")
            with gr.Row():
                ways = [(shown("way_attention"), ATTENTION), (shown("way_left_out"), LEFT_OUT)]
                way = gr.Radio(ways, value=ATTENTION, label=shown("way"), elem_id="way")
                label = gr.Dropdown(
                    label_choices(classifier.labels),
                    value=classifier.labels[0],
                    label=shown("label"),
                    visible=False,
                    elem_id="label",
                )
            words = gr.HTML(elem_id="words")
    with gr.Accordion(shown("use"), open=False, elem_id="use"):
        share = gr.Button(shown("share"), elem_id="share")
        link = gr.Textbox(label=shown("share_link"), info=shown("share_note"), interactive=False, buttons=[])
        with gr.Row():
            code: dict[str, Any] = {"interactive": False, "max_lines": 12, "wrap_lines": True}
            as_json_box = gr.Code(language="json", label="JSON", elem_id="as-json", **code)
            as_python_box = gr.Code(language="python", label="Python", elem_id="as-python", **code)
    asked = gr.State(["", ""])
    feedback.panel(models, store, text, asked)

    def explained(language: str, given: str, chosen: EmotionClassifier, how: str, about: str) -> str:
        if not given.strip():
            return ""
        with told():
            if how == LEFT_OUT:
                return views.words_view(language, given, chosen.leave_one_out(given, about), about)
            if not chosen.has_attention:
                return views.note(language, "no_attention")
            return views.words_view(language, given, chosen.explain(given), None)

    def show(given: str, name: str, how: str, request: gr.Request) -> list[Any]:
        language = language_of(request)
        check_length(language, given)
        if not given.strip():
            return [views.note(language, "write_something"), gr.skip(), "", "", "", ["", ""]]
        with told():
            chosen = models.get(name)
            found = answer(chosen, given)
        first = found["labels"][0]
        return [
            result_html(language, chosen, found),
            gr.Dropdown(label_choices(by_probability(found), language), value=first, visible=how == LEFT_OUT),
            explained(language, given, chosen, how, first),
            as_json(found),
            as_python(given, models.for_python(name)),
            [given, name],
        ]

    def explain_again(given: str, name: str, how: str, about: str, request: gr.Request) -> list[Any]:
        language = language_of(request)
        check_length(language, given)
        with told():
            chosen = models.get(name)
        return [gr.Dropdown(visible=how == LEFT_OUT), explained(language, given, chosen, how, about)]

    inputs, outputs = [text, model, way], [result, label, words, as_json_box, as_python_box, asked]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    for event in (button.click, model.input):
        event(show, inputs, outputs, trigger_mode="always_last", **quiet)
    examples.load_input_event.then(show, inputs, outputs, **quiet)
    for event in (way.input, label.input):
        event(explain_again, [text, model, way, label], [label, words], trigger_mode="always_last", **quiet)
    share.click(None, [text, model], link, js=LINK)
    linked = gr.Checkbox(visible=False)
    link_read = page.load(None, None, [text, model, linked], js=READ_LINK)
    link_read.then(None, linked, None, js=ANALYSE_LINK)
    return [model]


def result_html(language: str, classifier: EmotionClassifier, found: Answer) -> str:
    """The whole answer: the sentence, the chips, the bars, and how good the model is at these labels."""
    measured = classifier.info.metrics.get("test")
    per_label = measured.get("per_label", {}) if isinstance(measured, dict) else {}
    return (
        f'<p class="sentence">{escape(views.in_words(language, found))}</p>'
        + views.chips(language, found)
        + views.bars(language, found, classifier.thresholds)
        + f'<details class="measured"><summary>{escape(say(language, "quality"))}</summary>'
        + views.quality(language, found, per_label)
        + "</details>"
    )


def by_probability(found: Answer) -> list[str]:
    """All labels, the most probable first."""
    return sorted(found["probabilities"], key=lambda label: -found["probabilities"][label])
