"""Appearance of labels: group signs and colors, emoji, chips. Visitors' text is always escaped."""

from collections.abc import Sequence
from html import escape

from evenmood import GROUP_OF, GROUPS
from space.components.texts import label_name, translate, translate_html

SIGNS = {"positive": "+", "negative": "−", "ambiguous": "?", "neutral": "="}
"""Sign of each group, shown in addition to its color for color-blind visitors."""
EMOJI = {
    **{"admiration": "👏", "amusement": "😂", "anger": "😡", "annoyance": "😒", "approval": "👍", "caring": "🤗"},
    **{"confusion": "😕", "curiosity": "🤔", "desire": "😍", "disappointment": "😞", "disapproval": "👎"},
    **{"disgust": "🤢", "embarrassment": "😳", "excitement": "🤩", "fear": "😨", "gratitude": "🙏", "grief": "😭"},
    **{"joy": "😄", "love": "❤️", "nervousness": "😬", "optimism": "🤞", "pride": "😌", "realization": "💡"},
    **{"relief": "😅", "remorse": "😔", "sadness": "😢", "surprise": "😲", "neutral": "😐"},
}
NOTE = '<p class="note">{}</p>'


def group_of(label: str) -> str:
    """Return the sentiment group of a label; `neutral` for labels outside GoEmotions."""
    return GROUP_OF.get(label, "neutral")


def group_title(language: str, group: str) -> str:
    """Return the name of a sentiment group in a language."""
    return translate(language, "neutral_group" if group == "neutral" else group)


def group_name(language: str, label: str) -> str:
    """Return the name of a label's sentiment group in a language."""
    return group_title(language, group_of(label))


def by_group(labels: list[str]) -> dict[str, list[str]]:
    """Return the labels by sentiment group, in their order; empty groups are left out."""
    groups = {group: [label for label in labels if group_of(label) == group] for group in (*GROUPS, "neutral")}
    return {group: members for group, members in groups.items() if members}


def note(language: str, key: str, **values: object) -> str:
    """Render a note in small print."""
    return NOTE.format(translate_html(language, key, **values))


def chip(language: str, label: str, value: float | None = None, fallback: bool = False, quiet: bool = False) -> str:
    """Render a label in its group's color; a fallback has an outline instead.

    Args:
        language: Language of the label name.
        label: The label.
        value: Probability to show, if any.
        fallback: Whether the label is below its threshold.
        quiet: Show only the name, without color, sign and emoji, for texts about self-harm.
    """
    name = escape(label_name(language, label))
    number = "" if value is None else f" <b>{value:.0%}</b>"
    if quiet:
        return f'<span class="quiet">{name}{number}</span>'
    kind = f"chip{' fallback' if fallback else ''} {group_of(label)}"
    hidden = f'<span aria-hidden="true">{EMOJI.get(label, "")} {SIGNS[group_of(label)]}</span> '
    return f'<span class="{kind}">{hidden}{name}{number}</span>'


def below_threshold(language: str, name: str) -> str:
    """Return the name of a label or model, followed by "below its threshold"."""
    return translate(language, "named_below", name=name)


def label_chips(language: str, labels: Sequence[str], fallback: bool, quiet: bool = False) -> str:
    """Render a text's labels as chips; a fallback is marked as below its threshold."""
    chips = " ".join(chip(language, label, None, fallback, quiet) for label in labels)
    below = f" <small>{translate_html(language, 'below_threshold')}</small>" if fallback else ""
    return chips + below


def names_of(language: str, labels: Sequence[str], fallback: bool) -> str:
    """List a text's labels in one line; a fallback is marked as below its threshold."""
    names = ", ".join(label_name(language, label) for label in labels)
    return below_threshold(language, names) if fallback else names
