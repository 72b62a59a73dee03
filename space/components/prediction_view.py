"""HTML of a prediction: a sentence, bars, and the model's measured quality for the predicted labels."""

from collections.abc import Mapping
from html import escape
from typing import Any

from evenmood import EmotionClassifier
from space.components.charts import Bar, bar, label_groups
from space.components.labels import SIGNS, chip, group_name, group_of, note
from space.components.predictions import PredictionDict
from space.components.support import helpline, mentions_self_harm
from space.components.texts import join_names, label_name, translate, translate_html

MIN_SUPPORT = 30
"""Number of test texts below which the metrics of a label are marked as unreliable."""

PUNCTUATION = tuple(".,;:。，、；")


def prediction_html(
    language: str, classifier: EmotionClassifier, prediction: PredictionDict, text: str, unread_chars: int = 0
) -> str:
    """Render the complete prediction for a text.

    Args:
        language: Language of the page.
        classifier: Model that made the prediction.
        prediction: The prediction.
        text: The part of the text that was read.
        unread_chars: Number of characters that were not read.
    """
    quiet = mentions_self_harm(text)
    test_metrics = classifier.info.metrics.get("test")
    per_label = test_metrics.get("per_label", {}) if isinstance(test_metrics, dict) else {}
    return (
        (note(language, "unread", read=f"{len(text):,}", rest=f"{unread_chars:,}") if unread_chars else "")
        + sentence_html(language, prediction, quiet)
        + (helpline(language) if quiet else "")
        + label_bars(language, prediction, classifier.thresholds)
        + f'<details class="measured"><summary>{translate_html(language, "quality")}</summary>'
        + quality(language, prediction, per_label)
        + "</details>"
    )


def plain_sentence(language: str, prediction: PredictionDict) -> str:
    """Describe the prediction in a plain-text sentence."""
    return _sentence(language, prediction, [_label_with_probability(language, score) for score in prediction["scores"]])


def sentence_html(language: str, prediction: PredictionDict, quiet: bool = False) -> str:
    """Describe the prediction in an HTML sentence with labels as chips; `quiet` omits emoji and colors."""
    chips = [
        chip(language, score["label"], score["probability"], prediction["fallback"], quiet)
        for score in prediction["scores"]
    ]
    placeholders = [f"\x00{number}\x00" for number in range(len(chips))]
    html = escape(_sentence(language, prediction, placeholders))
    for placeholder, chip_html in zip(placeholders, chips, strict=True):
        before, _, after = html.partition(placeholder)
        mark = after[:1] if after[:1] in PUNCTUATION else ""  # keep punctuation on the chip's line
        html = f'{before}<span class="unbroken">{chip_html}{mark}</span>{after[len(mark) :]}'
    return f'<p class="sentence" data-spoken="{escape(plain_sentence(language, prediction))}">{html}</p>'


def label_bars(language: str, prediction: PredictionDict, thresholds: Mapping[str, float]) -> str:
    """Render bars of the predicted labels with their thresholds; a fallback is marked as below its threshold."""
    fallback = prediction["fallback"]
    key, kind = ("bar_fallback", " fallback") if fallback else ("bar", " predicted")
    below = f"; {translate(language, 'below_threshold')}" if fallback else ""
    lines = "".join(
        bar(
            label_name(language, label),
            group_of(label),
            _bar(language, prediction, label, thresholds[label], key),
            f"{SIGNS[group_of(label)]} {group_name(language, label)}{below}",
            kind,
        )
        for label in prediction["labels"]
    )
    return f'<div class="bars">{lines}</div>{note(language, "threshold_note")}'


def all_labels(language: str, prediction: PredictionDict, thresholds: Mapping[str, float]) -> str:
    """Render bars of all labels by sentiment group, most probable first."""
    labels = sorted(prediction["probabilities"], key=lambda label: -prediction["probabilities"][label])
    bars = {label: _bar(language, prediction, label, thresholds[label], "bar") for label in labels}
    return f"<h2>{translate_html(language, 'all_labels_title', count=len(labels))}</h2>{label_groups(language, bars)}"


def quality(language: str, prediction: PredictionDict, per_label: Any) -> str:
    """Render the precision and recall of each predicted label on the test split; a fallback has none."""
    if prediction["fallback"]:
        return note(language, "quality_fallback")
    lines = []
    for label in prediction["labels"]:
        try:
            row = per_label[label]
            line = translate_html(
                language,
                "quality_line",
                label=label_name(language, label),
                precision=f"{row['precision']:.0%}",
                low=f"{row['precision_low']:.0%}",
                high=f"{row['precision_high']:.0%}",
                recall=f"{row['recall']:.0%}",
                support=f"{row['support']:,}",
            )
            few = f" <strong>{translate_html(language, 'quality_few')}</strong>" if row["support"] < MIN_SUPPORT else ""
        except (KeyError, TypeError, ValueError):  # custom models may have no metrics, or incomplete ones
            return note(language, "quality_none")
        lines.append(f"<li>{line}{few}</li>")
    return f'<ul class="quality">{"".join(lines)}</ul>'


def _bar(language: str, prediction: PredictionDict, label: str, threshold: float, key: str) -> Bar:
    value = prediction["probabilities"][label]
    description = translate(
        language,
        key,
        label=label_name(language, label),
        group=group_name(language, label),
        probability=f"{value:.2f}",
        threshold=f"{threshold:.2f}",
    )
    is_predicted = label in prediction["labels"] and not prediction["fallback"]
    return Bar(value, f"{value:.0%}", description, threshold, strong=is_predicted)


def _label_with_probability(language: str, score: Any) -> str:
    return f"{label_name(language, score['label'])} ({score['probability']:.0%})"


def _sentence(language: str, prediction: PredictionDict, names: list[str]) -> str:
    first, *more = names
    if prediction["fallback"]:
        return translate(language, "sentence_fallback", first=first)
    if not more:
        return translate(language, "sentence_one", labels=first)
    return translate(language, "sentence_more", first=first, labels=join_names(language, more))
