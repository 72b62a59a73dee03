"""Tab Long text: the passages of a page or chat log, a chart of their emotions, and flagged passages."""

from typing import Any

import gradio as gr
import numpy as np

from evenmood import GROUPS, EmotionClassifier
from space.components import samples
from space.components.charts import Panel, panel_row
from space.components.errors import check_length, convert_page_errors
from space.components.labels import group_of, group_title, names_of, note
from space.components.passages import Passage, split
from space.components.support import helpline, mentions_self_harm
from space.components.tables import passages_table
from space.components.texts import label_choices, label_name, language_of, localize, translate
from space.server.models import Models

DEFAULT_SERIES = ("positive", "negative", "ambiguous")
DEFAULT_FLAGS = ("anger", "disgust", "fear", "grief", "sadness")
"""Labels whose passages are flagged by default, for moderators."""
MAX_SHOWN_CHARS = 160
"""Maximum length of a passage in a tooltip."""


def tab(models: Models, model: gr.Dropdown) -> None:
    """Create the tab; `model` is the dropdown with the current model."""
    with gr.Column(elem_classes="side"):
        text = gr.Textbox(
            label=localize("long_text"),
            placeholder=localize("long_hint"),
            lines=6,
            max_lines=14,
            elem_id="long",
            buttons=[],
        )
        with gr.Row(elem_classes="actions"):
            button = gr.Button(localize("analyze"), variant="primary", elem_classes="go", elem_id="long-run")
            chat = gr.Button(localize("sample_chat"), elem_id="long-chat")
            letter = gr.Button(localize("sample_letter"), elem_id="long-letter")
    with gr.Row(visible=False, elem_id="long-options") as options:
        modes = [(localize(f"split_{mode}"), mode) for mode in ("auto", "sentences", "turns")]
        split_mode = gr.Dropdown(modes, value="auto", label=localize("split"), elem_id="long-split", min_width=220)
        series = gr.Dropdown(
            [*((localize(group), group) for group in DEFAULT_SERIES), *label_choices(models.default.labels)],
            value=list(DEFAULT_SERIES),
            multiselect=True,
            label=localize("arc"),
            min_width=260,
        )
        flagged = gr.Dropdown(
            label_choices(models.default.labels),
            value=list(DEFAULT_FLAGS),
            multiselect=True,
            label=localize("watch"),
            min_width=260,
        )
    with gr.Column(visible=False, elem_classes="card", elem_id="long-results") as results:
        summary = gr.HTML(elem_id="long-note")
        arc = gr.HTML(elem_id="arc")
        table = gr.HTML(elem_id="long-table")

    def show(
        content: str, mode: Any, model_name: str, selected_series: list[str], flags: list[str], request: gr.Request
    ) -> list[Any]:
        language = language_of(request)
        check_length(language, content)
        passages = split(content, mode)
        if not passages:
            return [gr.skip(), gr.Column(visible=True), note(language, "write_something"), "", ""]
        with convert_page_errors():
            html = render_passages(language, models.get(model_name), passages, selected_series, flags)
        return [gr.Row(visible=True), gr.Column(visible=True), *html]

    hidden_event: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    inputs, outputs = [text, split_mode, model, series, flagged], [options, results, summary, arc, table]
    button.click(show, inputs, outputs, **hidden_event)
    for sample, content in ((chat, samples.CHAT), (letter, samples.LETTER)):
        sample.click(lambda content=content: content, None, text, **hidden_event).then(
            show, inputs, outputs, **hidden_event
        )
    for option in (split_mode, series, flagged):
        option.input(show, inputs, outputs, trigger_mode="always_last", **hidden_event)


def render_passages(
    language: str, classifier: EmotionClassifier, passages: list[Passage], series: list[str], flags: list[str]
) -> list[str]:
    """Render the summary, the chart and the table of passages.

    Args:
        language: Language of the page.
        classifier: The model.
        passages: The passages.
        series: Labels and sentiment groups in the chart.
        flags: Labels whose passages are flagged.
    """
    probabilities = classifier.predict_proba([passage.text for passage in passages])
    predictions = classifier.apply_thresholds(probabilities)
    flagged = [not prediction.fallback and bool(set(prediction.labels) & set(flags)) for prediction in predictions]
    quiet = mentions_self_harm("\n".join(passage.text for passage in passages))
    summary = f'<p class="sentence">{translate(language, "passages_sentence", count=f"{len(passages):,}")}</p>'
    if quiet:
        summary += helpline(language)
    if flags:
        summary += note(language, "marked", marked=sum(flagged), count=len(passages))
    tooltips = [
        f"{number}. {_shorten(passage)} — {names_of(language, prediction.labels, prediction.fallback)}"
        for number, (passage, prediction) in enumerate(zip(passages, predictions, strict=True), 1)
    ]
    panels = [
        _panel(language, name, values, tooltips)
        for name in series
        if (values := _values(classifier, probabilities, name)) is not None
    ]
    arc = ""
    if panels:
        ends = (f"{translate(language, 'passage')} 1", str(len(passages)))
        arc = panel_row(panels, 1.0, ends, columns=True) + note(language, "arc_note")
    return [summary, arc, passages_table(language, passages, predictions, probabilities.max(axis=1), flagged)]


def _panel(language: str, series: str, values: np.ndarray, tooltips: list[str]) -> Panel:
    """Create the panel of a group or a label, with a column for each passage."""
    if series in GROUPS:
        title, group = group_title(language, series), series
    else:
        title, group = label_name(language, series), group_of(series)
    highest = translate(language, "highest_at", value=f"{values.max():.0%}", passage=int(values.argmax()) + 1)
    return Panel(title, group, values.tolist(), highest, tooltips)


def _values(classifier: EmotionClassifier, probabilities: np.ndarray, series: str) -> np.ndarray | None:
    """Return the probability of a label, or the highest in a group, per passage; None if there is no such label."""
    labels = [label for label in GROUPS.get(series, (series,)) if label in classifier.labels]
    if not labels:
        return None
    highest: np.ndarray = probabilities[:, [classifier.labels.index(label) for label in labels]].max(axis=1)
    return highest


def _shorten(passage: Passage) -> str:
    text = f"{passage.speaker}: {passage.text}" if passage.speaker else passage.text
    return text[:MAX_SHOWN_CHARS] + ("…" if len(text) > MAX_SHOWN_CHARS else "")
