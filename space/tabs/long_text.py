"""The tab for a page or a chat log: passages, the emotion arc over them, and those that a moderator looks for."""

from typing import Any

import gradio as gr
import numpy as np

from evenmood import GROUPS, EmotionClassifier
from space.components import samples
from space.components.charts import Panel, panels
from space.components.errors import check_length, page_errors
from space.components.labels import group_of, group_title, names_of, note
from space.components.passages import Passage, split
from space.components.support import help_line, speaks_of_self_harm
from space.components.tables import passages_table
from space.components.texts import label_choices, label_name, language_of, say, shown
from space.server.models import Models

ARC = ("positive", "negative", "ambiguous")
WATCHED = ("anger", "disgust", "fear", "grief", "sadness")
"""Labels that a moderator looks for by default."""
SHOWN_CHARACTERS = 160
"""Characters of a passage in a tooltip of the arc."""


def tab(models: Models, model: gr.Dropdown) -> None:
    """Draw the tab and connect it; `model` is the page's choice of a model."""
    with gr.Column(elem_classes="side"):
        text = gr.Textbox(
            label=shown("long_text"),
            placeholder=shown("long_hint"),
            lines=6,
            max_lines=14,
            elem_id="long",
            buttons=[],
        )
        with gr.Row(elem_classes="actions"):
            button = gr.Button(shown("analyse"), variant="primary", elem_classes="go", elem_id="long-run")
            chat = gr.Button(shown("sample_chat"), elem_id="long-chat")
            letter = gr.Button(shown("sample_letter"), elem_id="long-letter")
    with gr.Row(visible=False, elem_id="long-options") as options:
        ways = [(shown(f"split_{way}"), way) for way in ("auto", "sentences", "turns")]
        way = gr.Dropdown(ways, value="auto", label=shown("split"), elem_id="long-way", min_width=220)
        lines = gr.Dropdown(
            [*((shown(group), group) for group in ARC), *label_choices(models.default.labels)],
            value=list(ARC),
            multiselect=True,
            label=shown("arc"),
            min_width=260,
        )
        watched = gr.Dropdown(
            label_choices(models.default.labels),
            value=list(WATCHED),
            multiselect=True,
            label=shown("watch"),
            min_width=260,
        )
    with gr.Column(visible=False, elem_classes="card", elem_id="long-results") as results:
        summary = gr.HTML(elem_id="long-note")
        arc = gr.HTML(elem_id="arc")
        table = gr.HTML(elem_id="long-table")

    def show(given: str, how: Any, name: str, over: list[str], marks: list[str], request: gr.Request) -> list[Any]:
        language = language_of(request)
        check_length(language, given)
        passages = split(given, how)
        if not passages:
            return [gr.skip(), gr.Column(visible=True), note(language, "write_something"), "", ""]
        with page_errors():
            html = view(language, models.get(name), passages, over, marks)
        return [gr.Row(visible=True), gr.Column(visible=True), *html]

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    inputs, outputs = [text, way, model, lines, watched], [options, results, summary, arc, table]
    button.click(show, inputs, outputs, **quiet)
    for sample, content in ((chat, samples.CHAT), (letter, samples.LETTER)):
        sample.click(lambda content=content: content, None, text, **quiet).then(show, inputs, outputs, **quiet)
    for chosen in (way, lines, watched):
        chosen.input(show, inputs, outputs, trigger_mode="always_last", **quiet)


def view(
    language: str, classifier: EmotionClassifier, passages: list[Passage], lines: list[str], marks: list[str]
) -> list[str]:
    """The summary, the arc, and the table of passages with those marked that carry a label looked for."""
    probabilities = classifier.predict_proba([passage.text for passage in passages])
    given = classifier.apply_thresholds(probabilities)
    marked = [not answer.fallback and bool(set(answer.labels) & set(marks)) for answer in given]
    quiet = speaks_of_self_harm("\n".join(passage.text for passage in passages))
    summary = f'<p class="sentence">{say(language, "passages_sentence", count=f"{len(passages):,}")}</p>'
    if quiet:
        summary += help_line(language)
    if marks:
        summary += note(language, "marked", marked=sum(marked), count=len(passages))
    titles = [
        f"{number}. {_short(passage)} — {names_of(language, answer.labels, answer.fallback)}"
        for number, (passage, answer) in enumerate(zip(passages, given, strict=True), 1)
    ]
    shown_lines = [
        _panel(language, line, values, titles)
        for line in lines
        if (values := _line(classifier, probabilities, line)) is not None
    ]
    arc = ""
    if shown_lines:
        ends = (f"{say(language, 'passage')} 1", str(len(passages)))
        arc = panels(shown_lines, 1.0, ends, columns=True) + note(language, "arc_note")
    return [summary, arc, passages_table(language, passages, given, probabilities.max(axis=1), marked)]


def _panel(language: str, line: str, values: np.ndarray, titles: list[str]) -> Panel:
    """A column for each passage: of a group, or of a label."""
    name, group = (
        (group_title(language, line), line) if line in GROUPS else (label_name(language, line), group_of(line))
    )
    highest = say(language, "highest_at", value=f"{values.max():.0%}", passage=int(values.argmax()) + 1)
    return Panel(name, group, values.tolist(), highest, titles)


def _line(classifier: EmotionClassifier, probabilities: np.ndarray, line: str) -> np.ndarray | None:
    """Probability of a label, or the highest one among a group's, per passage; None if the model has neither."""
    labels = [label for label in GROUPS.get(line, (line,)) if label in classifier.labels]
    if not labels:
        return None
    highest: np.ndarray = probabilities[:, [classifier.labels.index(label) for label in labels]].max(axis=1)
    return highest


def _short(passage: Passage) -> str:
    text = f"{passage.speaker}: {passage.text}" if passage.speaker else passage.text
    return text[:SHOWN_CHARACTERS] + ("…" if len(text) > SHOWN_CHARACTERS else "")
