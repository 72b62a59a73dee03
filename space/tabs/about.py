"""The tab that says what the model is: measured results with intervals, how good it is at each label, limits."""

from pathlib import Path
from typing import Any

import gradio as gr

from evenmood import EmotionClassifier
from evenmood.model.model_folder import figure_text
from space.components import views
from space.components.events import AT_LOAD
from space.components.texts import label_name, language_of, say, say_html, shown
from space.server.models import Models

FIGURE = Path(__file__).parents[2] / "docs" / "figures" / "dataset" / "labels.png"
AVERAGED = ("macro_f1", "micro_f1", "macro_roc_auc", "macro_average_precision", "subset_accuracy")


def tab(models: Models, page: gr.Blocks) -> None:
    """Draw the tab; its words are filled in when the page is opened, in the visitor's language."""
    figures = gr.HTML(elem_id="about-figures")
    per_label = gr.HTML(elem_id="about-per-label")
    plot = gr.BarPlot(
        x="label",
        y="F1",
        color="group",
        sort="-y",
        x_label_angle=-45,
        color_title="",
        tooltip="all",
        label=shown("about_per_label"),
        buttons=[],
    )
    if FIGURE.is_file():
        with gr.Accordion(shown("about_data"), open=False):
            gr.HTML(f'<img class="figure" src="{_inline(FIGURE)}" alt="Bars: rows of each label, before and after">')
    limits = gr.Markdown(elem_id="limits")

    def fill(request: gr.Request) -> list[Any]:
        language = language_of(request)
        limit = say(language, "limits", max_length=models.default.info.max_length)
        return [*about(language, models.default, models.default_title), limit]

    page.load(fill, None, [figures, per_label, plot, limits], **AT_LOAD)


def about(language: str, classifier: EmotionClassifier, title: str) -> list[Any]:
    """The measured figures, the table of all labels, and its bars; a model of one's own need not carry them."""
    import pandas as pd

    name = f"<h2>{say_html(language, 'about_model', name=title)}</h2>"
    try:
        test = classifier.info.metrics["test"]
        averaged = [[say(language, key), figure_text(test[key])] for key in AVERAGED if key in test]
        rows = test["per_label"]
        note = views.note(language, "about_figures_note", rows=f"{test['rows']:,}", split="test")
        table = [_row(language, classifier, label, rows[label]) for label in classifier.labels]
        frame = pd.DataFrame(
            {
                "label": [label_name(language, label) for label in classifier.labels],
                "F1": [float(rows[label]["f1"]) for label in classifier.labels],
                "group": [views.group_name(language, label) for label in classifier.labels],
                "texts": [int(rows[label]["support"]) for label in classifier.labels],
            }
        )
    except (KeyError, TypeError, ValueError):
        return [name + views.note(language, "about_none"), "", gr.BarPlot(visible=False)]
    head = ["label", "test_texts", "precision", "recall"]
    return [
        name
        + f"<h3>{say_html(language, 'about_figures')}</h3>"
        + views.figures_table([[say(language, "metric"), "test"], *averaged], say(language, "about_figures"))
        + note,
        f"<h3>{say_html(language, 'about_per_label')}</h3>"
        + views.figures_table(
            [
                [*(say(language, key) for key in head), "F1", say(language, "interval"), say(language, "threshold")],
                *table,
            ],
            say(language, "about_per_label"),
        )
        + views.note(language, "about_per_label_note"),
        gr.BarPlot(frame, color_map=views.colour_map(language), x_title=say(language, "label")),
    ]


def _row(language: str, classifier: EmotionClassifier, label: str, row: Any) -> list[str]:
    interval = f"{row['f1_low']:.2f} – {row['f1_high']:.2f}" if "f1_low" in row else ""
    return [
        f"{views.EMOJI.get(label, '')} {label_name(language, label)}",
        f"{row['support']:,}",
        *(f"{row[key]:.2f}" for key in ("precision", "recall", "f1")),
        interval,
        f"{classifier.thresholds[label]:.2f}",
    ]


def _inline(path: Path) -> str:
    from base64 import b64encode

    return f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"
