"""The tab about the model: what it is, how good it is at each label in one chart, limits; tables are folded."""

from typing import Any

import gradio as gr

from evenmood import EmotionClassifier
from evenmood.model.model_folder import figure_text
from space.components.charts import Bar, label_groups
from space.components.labels import EMOJI, note
from space.components.tables import figures_table
from space.components.texts import LANGUAGES, label_name, say, say_html, shown, shown_html
from space.server.models import Models

AVERAGED = ("macro_f1", "micro_f1", "macro_roc_auc", "macro_average_precision", "subset_accuracy")


def tab(models: Models) -> None:
    """Draw the tab, in the browser's language."""
    classifier = models.default
    shown_models = {one.title: models.get(one.name) for one in models.bundled()}
    html = {language: about(language, shown_models) for language in LANGUAGES}
    with gr.Column(elem_classes="card"):
        gr.Markdown(shown("about_what"))
        gr.HTML(shown_html("about_figures_html", html), elem_id="about-figures")
    limits = {language: say(language, "limits", max_length=classifier.info.max_length) for language in LANGUAGES}
    with gr.Column(elem_classes="card"):
        gr.Markdown(shown_html("limits_text", limits), elem_id="limits")
        gr.Markdown(f"[{shown('api_link')}](?view=api)", elem_id="api-link")


def about(language: str, models: dict[str, EmotionClassifier]) -> str:
    """The measured figures: one chart, of the first model, and folded tables; a model of one's own may have none."""
    (title, classifier), *_ = models.items()
    name = note(language, "about_model", name=title)
    try:
        test = classifier.info.metrics["test"]
        per_label = test["per_label"]
        order = sorted(classifier.labels, key=lambda label: -float(per_label[label]["f1"]))
        bars = {label: _bar(language, label, per_label[label]) for label in order}
        rows = [_row(language, classifier, label, per_label[label]) for label in classifier.labels]
        measured_on = note(language, "about_figures_note", rows=f"{test['rows']:,}", split="test")
        tests = {other: one.info.metrics["test"] for other, one in models.items()}
        averaged = [
            [say(language, key), *(figure_text(one[key]) if key in one else "–" for one in tests.values())]
            for key in AVERAGED
            if key in test
        ]
    except (KeyError, TypeError, ValueError):
        return name + note(language, "about_none")
    head = [*(say(language, key) for key in ("label", "test_texts", "precision", "recall")), "F1"]
    head += [say(language, "interval"), say(language, "threshold")]
    return (
        f"<h2>{say_html(language, 'about_per_label')}</h2>{name}{label_groups(language, bars)}"
        + note(language, "about_chart_note")
        + _folded(language, "about_figures", [[say(language, "metric"), *tests], *averaged], measured_on)
        + _folded(language, "about_table", [head, *rows], note(language, "about_per_label_note"), "about-per-label")
    )


def _folded(language: str, title: str, rows: list[list[str]], below: str, name: str = "") -> str:
    table = figures_table(rows, say(language, title))
    place = f' id="{name}"' if name else ""
    return f"<details{place}><summary>{say_html(language, title)}</summary>{table}{below}</details>"


def _bar(language: str, label: str, row: Any) -> Bar:
    f1, texts = float(row["f1"]), f"{row['support']:,}"
    interval = (float(row["f1_low"]), float(row["f1_high"])) if "f1_low" in row else None
    spoken = say(language, "about_bar", label=label_name(language, label), f1=f"{f1:.2f}", support=texts)
    return Bar(f1, f"{f1:.2f}", spoken, interval=interval)


def _row(language: str, classifier: EmotionClassifier, label: str, row: Any) -> list[str]:
    interval = f"{row['f1_low']:.2f} – {row['f1_high']:.2f}" if "f1_low" in row else ""
    return [
        f"{EMOJI.get(label, '')} {label_name(language, label)}",
        f"{row['support']:,}",
        *(f"{row[key]:.2f}" for key in ("precision", "recall", "f1")),
        interval,
        f"{classifier.thresholds[label]:.2f}",
    ]
