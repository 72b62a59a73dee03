"""The tab for a long text: passages, the emotion arc over them, and those that a moderator looks for."""

from typing import Any

import gradio as gr
import numpy as np

from evenmood import GROUPS, EmotionClassifier
from space.components import views
from space.components.passages import Passage, split
from space.components.texts import label_choices, label_name, language_of, say, shown
from space.components.told import check_length, told
from space.server.models import BUNDLED, Models

ARC = ("positive", "negative", "ambiguous")
WATCHED = ("anger", "disgust", "fear", "grief", "sadness")
"""What a moderator looks for, unless told otherwise."""
SHOWN_CHARACTERS = 160
"""Of a passage, at a dot of the arc."""
SAMPLE = """[10:02] Ada: I finally got the job! I can't believe it.
[10:03] Ben: That's wonderful, congratulations!
[10:03] Ada: Thank you so much for helping me prepare.
[10:05] Cem: Wait, does that mean you're moving away?
[10:06] Ada: Yes… I'm sorry I didn't tell you earlier.
[10:06] Cem: Honestly, this makes me really sad. And a bit angry.
[10:08] Ben: We will visit you all the time, I promise.
[10:09] Cem: Okay. I hope so. I'm proud of you."""


def tab(models: Models) -> list[gr.Dropdown]:
    """Draw the tab and connect it; its list of models is refreshed on each visit."""
    with gr.Row():
        with gr.Column():
            text = gr.Textbox(
                label=shown("long_text"),
                placeholder=shown("long_hint"),
                lines=8,
                max_lines=16,
                elem_id="long",
                buttons=[],
            )
            gr.Examples([SAMPLE], text, label=shown("examples"), api_visibility="private", cache_examples=False)
        with gr.Column():
            ways = [(shown(f"split_{way}"), way) for way in ("auto", "sentences", "turns")]
            way = gr.Radio(ways, value="auto", label=shown("split"))
            model = gr.Dropdown(
                models.titles(), value=BUNDLED, label=shown("model"), allow_custom_value=True, elem_id="long-model"
            )
            lines = gr.Dropdown(
                [*((shown(group), group) for group in ARC), *label_choices(models.default.labels)],
                value=list(ARC),
                multiselect=True,
                label=shown("arc"),
            )
            watched = gr.Dropdown(
                label_choices(models.default.labels), value=list(WATCHED), multiselect=True, label=shown("watch")
            )
            button = gr.Button(shown("analyse"), variant="primary", elem_classes="go", elem_id="long-run")
    note = gr.HTML(elem_id="long-note")
    arc = gr.LinePlot(
        x="passage",
        y="probability",
        color="line",
        y_lim=[0, 1],
        label=shown("arc_title"),
        color_title="",
        tooltip=["passage", "text", "labels", "line", "probability"],
        visible=False,
        elem_id="arc",
        buttons=[],
    )
    table = gr.HTML(elem_id="long-table")

    def show(given: str, how: Any, name: str, over: list[str], marks: list[str], request: gr.Request) -> list[Any]:
        language = language_of(request)
        check_length(language, given)
        passages = split(given, how)
        if not passages:
            return [views.note(language, "write_something"), gr.LinePlot(visible=False), ""]
        with told():
            classifier = models.get(name)
            return view(language, classifier, passages, over, marks)

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    inputs = [text, way, model, lines, watched]
    button.click(show, inputs, [note, arc, table], **quiet)
    for chosen in (lines, watched):
        chosen.input(show, inputs, [note, arc, table], trigger_mode="always_last", **quiet)
    return [model]


def view(
    language: str, classifier: EmotionClassifier, passages: list[Passage], lines: list[str], marks: list[str]
) -> list[Any]:
    """The line above, the arc, and the table of passages with those marked that carry a label looked for."""
    import pandas as pd

    probabilities = classifier.predict_proba([passage.text for passage in passages])
    given = classifier.apply_thresholds(probabilities)
    numbers = range(1, len(passages) + 1)
    names = [views.names_of(language, answer) for answer in given]
    frames = [
        pd.DataFrame(
            {
                "passage": list(map(str, numbers)),
                "probability": values.round(3),
                "line": say(language, line) if line in GROUPS else label_name(language, line),
                "text": [_short(passage) for passage in passages],
                "labels": names,
            }
        )
        for line in lines
        if (values := _line(classifier, probabilities, line)) is not None
    ]
    marked = [not answer.fallback and bool(set(answer.labels) & set(marks)) for answer in given]
    colours = {say(language, group): views.COLOURS[group] for group in ARC}
    titles = {"x_title": say(language, "passage"), "y_title": say(language, "probability")}
    plot = gr.LinePlot(visible=False)
    if frames:
        plot = gr.LinePlot(pd.concat(frames), visible=True, color_map=colours, **titles)
    told_line = views.note(language, "marked", marked=sum(marked), count=len(passages)) if marks else ""
    return [
        told_line + views.note(language, "arc_note"),
        plot,
        views.passages_table(language, passages, given, probabilities.max(axis=1), marked),
    ]


def _line(classifier: EmotionClassifier, probabilities: np.ndarray, line: str) -> Any:
    """Probability of a label, or the highest one among a group's, per passage; None where the model has neither."""
    labels = [label for label in GROUPS.get(line, (line,)) if label in classifier.labels]
    if not labels:
        return None
    return probabilities[:, [classifier.labels.index(label) for label in labels]].max(axis=1)


def _short(passage: Passage) -> str:
    text = f"{passage.speaker}: {passage.text}" if passage.speaker else passage.text
    return text[:SHOWN_CHARACTERS] + ("…" if len(text) > SHOWN_CHARACTERS else "")
