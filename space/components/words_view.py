"""HTML that explains a prediction: words highlighted by weight, or the strongest passage of each label."""

from collections.abc import Sequence
from html import escape

import numpy as np

from evenmood import EmotionClassifier, Prediction, WordWeight
from space.components.labels import chip, note
from space.components.passages import sentence_spans
from space.components.support import mentions_self_harm
from space.components.texts import label_name, translate, translate_html

MAX_UNREAD_CHARS = 500
"""Maximum number of unread characters shown."""
MAX_HIGHLIGHTS = 8
"""Maximum number of labels whose strongest passage is highlighted."""


def words_html(language: str, text: str, words: Sequence[WordWeight], label: str | None, attention: bool = True) -> str:
    """Highlight each word by its weight: orange for words that support the label, blue for the others.

    Args:
        language: Language of the page.
        text: The text.
        words: Words of the text with their weights.
        label: Label that the weights refer to; None for the whole prediction.
        attention: Whether the weights of the whole prediction are attention, or the effects of leaving words out.
    """
    if not words:
        return note(language, "no_words")
    strongest = max(abs(word.weight) for word in words) or 1.0
    pieces, end = [], 0
    for word in words:
        if label:
            key = "left_out_up" if word.weight >= 0 else "left_out_down"
            title = translate(language, key, label=label_name(language, label), change=f"{abs(word.weight):.3f}")
        else:
            key = "share_of_attention" if attention else "share_of_change"
            title = translate(language, key, share=f"{word.weight:.0%}")
        title += "" if word.known else f"; {translate(language, 'unknown_word')}"
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
    """Highlight the strongest passage of each label in a long text.

    Args:
        language: Language of the page.
        classifier: The model.
        text: The part of the text that was read.
        rest: The part that was not read.
    """
    spans = sentence_spans(text)
    probabilities = classifier.predict_proba([text[slice(*span)] for span in spans])
    predictions = classifier.apply_thresholds(probabilities)
    strongest = strongest_passages(classifier, probabilities, predictions)
    labels_of: dict[int, list[str]] = {}
    for label, number in list(strongest.items())[:MAX_HIGHLIGHTS]:
        labels_of.setdefault(number, []).append(label)
    quiet = mentions_self_harm(text)
    pieces, end = [], 0
    for number, (start, stop) in enumerate(spans):
        pieces.append(escape(text[end:start]))
        end = stop
        if number not in labels_of:
            pieces.append(escape(text[start:stop]))
            continue
        chips = "".join(
            " " + chip(language, label, probabilities[number, classifier.labels.index(label)], quiet=quiet)
            for label in labels_of[number]
        )
        pieces.append(f'<mark class="passage" id="passage-{number}">{escape(text[start:stop])}</mark>{chips}')
    pieces.append(escape(text[end:]))
    if rest:
        ellipsis = "…" if len(rest) > MAX_UNREAD_CHARS else ""
        pieces.append(f'<span class="unread">{escape(rest[:MAX_UNREAD_CHARS])}{ellipsis}</span>')
    key = "passages_marked" if strongest else "passages_none"
    links = " ".join(
        f'<a href="#passage-{number}">{chip(language, label, quiet=quiet)}</a>'
        for number, labels in labels_of.items()
        for label in labels
    )
    region = f'tabindex="0" role="region" aria-label="{translate_html(language, "text")}"'
    html = f'<div class="words long" {region}>{"".join(pieces)}</div>'
    return f'{note(language, key, count=f"{len(spans):,}")}<p class="jumps">{links}</p>{html}'


def strongest_passages(
    classifier: EmotionClassifier, probabilities: np.ndarray, predictions: Sequence[Prediction]
) -> dict[str, int]:
    """Return the number of the passage in which each label is most probable; most frequent labels first.

    Labels that reach their threshold in no passage are left out, and so is neutral.
    """
    counts: dict[str, int] = {}
    for prediction in predictions:
        for label in () if prediction.fallback else prediction.labels:
            if label != "neutral":
                counts[label] = counts.get(label, 0) + 1
    by_frequency = sorted(counts, key=lambda label: -counts[label])
    return {label: int(probabilities[:, classifier.labels.index(label)].argmax()) for label in by_frequency}


def _word_list(language: str, words: Sequence[WordWeight]) -> str:
    """Render the weights as a list of numbers, for visitors who cannot use tooltips."""
    lines = "".join(f"<li>{escape(word.text)}: {word.weight:+.3f}</li>" for word in words)
    return f"<details><summary>{translate_html(language, 'word_list')}</summary><ol>{lines}</ol></details>"
