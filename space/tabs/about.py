"""Tab About: description, a chart of the model's quality per label, folded tables, limitations."""

from typing import Any

import gradio as gr

from evenmood import EmotionClassifier
from evenmood.model.model_folder import format_metric
from space.components.charts import Bar, label_groups
from space.components.labels import EMOJI, note
from space.components.tables import values_table
from space.components.texts import LANGUAGES, label_name, localize, localize_html, translate, translate_html
from space.server.models import Models

AVERAGED = ("macro_f1", "micro_f1", "macro_roc_auc", "macro_average_precision", "subset_accuracy")


def tab(models: Models) -> None:
    """Create the tab."""
    classifier = models.default
    bundled = {choice.title: models.get(choice.name) for choice in models.bundled()}
    html = {language: about(language, bundled) for language in LANGUAGES}
    with gr.Column(elem_classes="card"):
        gr.Markdown(localize("about_what"))
        gr.HTML(localize_html("about_metrics_html", html), elem_id="about-metrics")
    limits = {language: translate(language, "limits", max_length=classifier.info.max_length) for language in LANGUAGES}
    with gr.Column(elem_classes="card"):
        gr.Markdown(localize_html("limits_text", limits), elem_id="limits")
        gr.Markdown(f"[{localize('api_link')}](?view=api)", elem_id="api-link")


def about(language: str, models: dict[str, EmotionClassifier]) -> str:
    """Show the measured results: a chart of the first model, and folded tables; custom models may have none."""
    (title, classifier), *_ = models.items()
    name = note(language, "about_model", name=title)
    try:
        test = classifier.info.metrics["test"]
        per_label = test["per_label"]
        by_f1 = sorted(classifier.labels, key=lambda label: -float(per_label[label]["f1"]))
        bars = {label: _bar(language, label, per_label[label]) for label in by_f1}
        rows = [_row(language, classifier, label, per_label[label]) for label in classifier.labels]
        source = note(language, "about_averages_note", rows=f"{test['rows']:,}", split="test")
        metrics = {name: model.info.metrics["test"] for name, model in models.items()}
        averages = [
            [
                translate(language, key),
                *(format_metric(row[key]) if key in row else "–" for row in metrics.values()),
            ]
            for key in AVERAGED
            if key in test
        ]
    except (KeyError, TypeError, ValueError):
        return name + note(language, "about_none")
    head = [*(translate(language, key) for key in ("label", "test_texts", "precision", "recall")), "F1"]
    head += [translate(language, "interval"), translate(language, "threshold")]
    return (
        f"<h2>{translate_html(language, 'about_per_label')}</h2>{name}{label_groups(language, bars)}"
        + note(language, "about_chart_note")
        + _details(language, "about_averages", [[translate(language, "metric"), *metrics], *averages], source)
        + _details(language, "about_table", [head, *rows], note(language, "about_per_label_note"), "about-per-label")
    )


def _details(language: str, title: str, rows: list[list[str]], below: str, element_id: str = "") -> str:
    table = values_table(rows, translate(language, title))
    attribute = f' id="{element_id}"' if element_id else ""
    return f"<details{attribute}><summary>{translate_html(language, title)}</summary>{table}{below}</details>"


def _bar(language: str, label: str, row: Any) -> Bar:
    f1, texts = float(row["f1"]), f"{row['support']:,}"
    interval = (float(row["f1_low"]), float(row["f1_high"])) if "f1_low" in row else None
    description = translate(language, "about_bar", label=label_name(language, label), f1=f"{f1:.2f}", support=texts)
    return Bar(f1, f"{f1:.2f}", description, interval=interval)


def _row(language: str, classifier: EmotionClassifier, label: str, row: Any) -> list[str]:
    interval = f"{row['f1_low']:.2f} – {row['f1_high']:.2f}" if "f1_low" in row else ""
    return [
        f"{EMOJI.get(label, '')} {label_name(language, label)}",
        f"{row['support']:,}",
        *(f"{row[key]:.2f}" for key in ("precision", "recall", "f1")),
        interval,
        f"{classifier.thresholds[label]:.2f}",
    ]
