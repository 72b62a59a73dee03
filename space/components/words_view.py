"""The text behind an answer: words shaded by their weight, or passages marked where a label is strongest."""

from collections.abc import Sequence
from html import escape

import numpy as np

from evenmood import EmotionClassifier, Prediction, WordWeight
from space.components.labels import chip, note
from space.components.passages import sentence_spans
from space.components.support import speaks_of_self_harm
from space.components.texts import label_name, say, say_html

SHOWN_REST = 500
"""Characters shown of a text's unread end."""
MOST_MARKED = 8
"""Labels whose strongest passage is marked."""


def words_html(language: str, text: str, words: Sequence[WordWeight], label: str | None, attention: bool = True) -> str:
    """The text, each word shaded by its weight: orange speaks for the label (or the answer), blue against it.

    Args:
        language: Language of the page.
        text: The text.
        words: Its words with their weights.
        label: Label that the weights are about; None for the whole answer.
        attention: Whether the weights for the whole answer are attention, or what leaving a word out changes.
    """
    if not words:
        return note(language, "no_words")
    strongest = max(abs(word.weight) for word in words) or 1.0
    pieces, end = [], 0
    for word in words:
        if label:
            key = "left_out_up" if word.weight >= 0 else "left_out_down"
            title = say(language, key, label=label_name(language, label), change=f"{abs(word.weight):.3f}")
        else:
            key = "share_of_attention" if attention else "share_of_change"
            title = say(language, key, share=f"{word.weight:.0%}")
        title += "" if word.known else f"; {say(language, 'unknown_word')}"
        kind = "against" if word.weight < 0 else "for"
        strong = " strong" if label and abs(word.weight) > strongest / 3 else ""
        pieces.append(escape(text[end : word.start]))
        pieces.append(
            f'<mark class="{kind}{strong}" style="--weight:{abs(word.weight) / strongest:.2f}" title="{escape(title)}">'
            f"{escape(word.text)}</mark>"
        )
        end = word.end
    legend = "legend_left_out" if label else "legend_attention" if attention else "legend_change"
    below = note(language, legend, label=label_name(language, label or "")) + _word_list(language, words)
    return f'<div class="words">{"".join(pieces)}{escape(text[end:])}</div>{below}'


def passages_html(language: str, classifier: EmotionClassifier, text: str, rest: str = "") -> str:
    """A long text with the strongest passage of each label marked, and how many passages carry each label.

    Args:
        language: Language of the page.
        classifier: The model.
        text: The text, as far as it is read.
        rest: What follows and is not read.
    """
    spans = sentence_spans(text)
    probabilities = classifier.predict_proba([text[slice(*span)] for span in spans])
    predictions = classifier.apply_thresholds(probabilities)
    strongest = strongest_passages(classifier, probabilities, predictions)
    labels_at: dict[int, list[str]] = {}
    for label, place in list(strongest.items())[:MOST_MARKED]:
        labels_at.setdefault(place, []).append(label)
    quiet = speaks_of_self_harm(text)
    pieces, end = [], 0
    for place, (start, stop) in enumerate(spans):
        pieces.append(escape(text[end:start]))
        end = stop
        if place not in labels_at:
            pieces.append(escape(text[start:stop]))
            continue
        chips = "".join(
            " " + chip(language, label, probabilities[place, classifier.labels.index(label)], quiet=quiet)
            for label in labels_at[place]
        )
        pieces.append(f'<mark class="passage" id="passage-{place}">{escape(text[start:stop])}</mark>{chips}')
    pieces.append(escape(text[end:]))
    if rest:
        more = "…" if len(rest) > SHOWN_REST else ""
        pieces.append(f'<span class="unread">{escape(rest[:SHOWN_REST])}{more}</span>')
    key = "passages_marked" if strongest else "passages_none"
    links = " ".join(
        f'<a href="#passage-{place}">{chip(language, label, quiet=quiet)}</a>'
        for place, found in labels_at.items()
        for label in found
    )
    region = f'tabindex="0" role="region" aria-label="{say_html(language, "text")}"'
    html = f'<div class="words long" {region}>{"".join(pieces)}</div>'
    return f'{note(language, key, count=f"{len(spans):,}")}<p class="jumps">{links}</p>{html}'


def strongest_passages(
    classifier: EmotionClassifier, probabilities: np.ndarray, predictions: Sequence[Prediction]
) -> dict[str, int]:
    """Place of the passage in which each label is most probable; labels of most passages first.

    Labels that reach their threshold in no passage, and neutral, are left out.
    """
    counts: dict[str, int] = {}
    for prediction in predictions:
        for label in () if prediction.fallback else prediction.labels:
            if label != "neutral":
                counts[label] = counts.get(label, 0) + 1
    order = sorted(counts, key=lambda label: -counts[label])
    return {label: int(probabilities[:, classifier.labels.index(label)].argmax()) for label in order}


def _word_list(language: str, words: Sequence[WordWeight]) -> str:
    """The weights as numbers, for those who cannot point at a word."""
    lines = "".join(f"<li>{escape(word.text)}: {word.weight:+.3f}</li>" for word in words)
    return f"<details><summary>{say_html(language, 'word_list')}</summary><ol>{lines}</ol></details>"
