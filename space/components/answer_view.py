"""The answer to a text as HTML: a sentence, then bars, then how good the model is at these labels."""

from collections.abc import Mapping
from html import escape
from typing import Any

from evenmood import EmotionClassifier
from space.components.answers import Answer
from space.components.charts import Bar, bar, label_groups
from space.components.labels import SIGNS, chip, group_name, group_of, note
from space.components.support import help_line, speaks_of_self_harm
from space.components.texts import label_name, listed, say, say_html

FEW = 30
"""Test texts under which a figure is called unreliable."""

PUNCTUATION = tuple(".,;:。，、；")


def answer_html(language: str, classifier: EmotionClassifier, found: Answer, text: str, unread: int = 0) -> str:
    """The whole answer to a text.

    Args:
        language: Language of the page.
        classifier: The model that answered.
        found: Its answer.
        text: The text, as far as it was read.
        unread: Characters after it that were not read.
    """
    quiet = speaks_of_self_harm(text)
    measured = classifier.info.metrics.get("test")
    per_label = measured.get("per_label", {}) if isinstance(measured, dict) else {}
    return (
        (note(language, "unread", read=f"{len(text):,}", rest=f"{unread:,}") if unread else "")
        + sentence(language, found, quiet)
        + (help_line(language) if quiet else "")
        + label_bars(language, found, classifier.thresholds)
        + f'<details class="measured"><summary>{say_html(language, "quality")}</summary>'
        + quality(language, found, per_label)
        + "</details>"
    )


def in_words(language: str, found: Answer) -> str:
    """The answer as a sentence of plain text."""
    return _sentence(language, found, [_named(language, score) for score in found["scores"]])


def sentence(language: str, found: Answer, quiet: bool = False) -> str:
    """The answer as a sentence whose labels are chips; `quiet` leaves out the emoji."""
    chips = [
        chip(language, score["label"], score["probability"], found["fallback"], quiet) for score in found["scores"]
    ]
    places = [f"\x00{number}\x00" for number in range(len(chips))]
    html = escape(_sentence(language, found, places))
    for place, one in zip(places, chips, strict=True):
        before, _, after = html.partition(place)
        mark = after[:1] if after[:1] in PUNCTUATION else ""  # stays on the chip's line
        html = f'{before}<span class="unbroken">{one}{mark}</span>{after[len(mark) :]}'
    return f'<p class="sentence" data-spoken="{escape(in_words(language, found))}">{html}</p>'


def label_bars(language: str, found: Answer, thresholds: Mapping[str, float]) -> str:
    """Bars of the predicted labels with their thresholds; a fallback is marked as below its own."""
    fallback = found["fallback"]
    key, kind = ("bar_fallback", " fallback") if fallback else ("bar", " given")
    below = f"; {say(language, 'below_threshold')}" if fallback else ""
    lines = "".join(
        bar(
            label_name(language, label),
            group_of(label),
            _bar(language, found, label, thresholds[label], key),
            f"{SIGNS[group_of(label)]} {group_name(language, label)}{below}",
            kind,
        )
        for label in found["labels"]
    )
    return f'<div class="bars">{lines}</div>{note(language, "threshold_note")}'


def all_labels(language: str, found: Answer, thresholds: Mapping[str, float]) -> str:
    """All labels by sentiment group, in each the most probable first."""
    order = sorted(found["probabilities"], key=lambda label: -found["probabilities"][label])
    bars = {label: _bar(language, found, label, thresholds[label], "bar") for label in order}
    return f"<h2>{say_html(language, 'all_labels_title', count=len(order))}</h2>{label_groups(language, bars)}"


def quality(language: str, found: Answer, per_label: Any) -> str:
    """How often each predicted label is right on the test split; a fallback has no such figure."""
    if found["fallback"]:
        return note(language, "quality_fallback")
    lines = []
    for label in found["labels"]:
        try:
            row = per_label[label]
            line = say_html(
                language,
                "quality_line",
                label=label_name(language, label),
                precision=f"{row['precision']:.0%}",
                low=f"{row['precision_low']:.0%}",
                high=f"{row['precision_high']:.0%}",
                recall=f"{row['recall']:.0%}",
                support=f"{row['support']:,}",
            )
            few = f" <strong>{say_html(language, 'quality_few')}</strong>" if row["support"] < FEW else ""
        except (KeyError, TypeError, ValueError):  # a model of one's own need not carry figures
            return note(language, "quality_none")
        lines.append(f"<li>{line}{few}</li>")
    return f'<ul class="quality">{"".join(lines)}</ul>'


def _bar(language: str, found: Answer, label: str, threshold: float, key: str) -> Bar:
    value = found["probabilities"][label]
    spoken = say(
        language,
        key,
        label=label_name(language, label),
        group=group_name(language, label),
        probability=f"{value:.2f}",
        threshold=f"{threshold:.2f}",
    )
    return Bar(value, f"{value:.0%}", spoken, threshold, strong=label in found["labels"] and not found["fallback"])


def _named(language: str, score: Any) -> str:
    return f"{label_name(language, score['label'])} ({score['probability']:.0%})"


def _sentence(language: str, found: Answer, names: list[str]) -> str:
    first, *more = names
    if found["fallback"]:
        return say(language, "sentence_fallback", first=first)
    if not more:
        return say(language, "sentence_one", labels=first)
    return say(language, "sentence_more", first=first, labels=listed(language, more))
