"""The 28 GoEmotions labels, their sentiment groups and the Ekman mapping.

Source: Demszky et al. 2020, "GoEmotions: A Dataset of Fine-Grained Emotions" (arXiv 2005.00547), section 3 and the
label order of the official `emotions.txt`.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

LABELS: tuple[str, ...] = (
    "admiration",
    "amusement",
    "anger",
    "annoyance",
    "approval",
    "caring",
    "confusion",
    "curiosity",
    "desire",
    "disappointment",
    "disapproval",
    "disgust",
    "embarrassment",
    "excitement",
    "fear",
    "gratitude",
    "grief",
    "joy",
    "love",
    "nervousness",
    "optimism",
    "pride",
    "realization",
    "relief",
    "remorse",
    "sadness",
    "surprise",
    "neutral",
)
"""All labels in GoEmotions order; column i of every probability array is `LABELS[i]`."""

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "positive": (
            "admiration",
            "amusement",
            "approval",
            "caring",
            "desire",
            "excitement",
            "gratitude",
            "joy",
            "love",
            "optimism",
            "pride",
            "relief",
        ),
        "negative": (
            "anger",
            "annoyance",
            "disappointment",
            "disapproval",
            "disgust",
            "embarrassment",
            "fear",
            "grief",
            "nervousness",
            "remorse",
            "sadness",
        ),
        "ambiguous": ("confusion", "curiosity", "realization", "surprise"),
        "neutral": ("neutral",),
    }
)
"""Sentiment groups: 12 positive, 11 negative, 4 ambiguous labels, and neutral."""

EKMAN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "anger": ("anger", "annoyance", "disapproval"),
        "disgust": ("disgust",),
        "fear": ("fear", "nervousness"),
        "joy": GROUPS["positive"],
        "sadness": ("disappointment", "embarrassment", "grief", "remorse", "sadness"),
        "surprise": GROUPS["ambiguous"],
        "neutral": ("neutral",),
    }
)
"""Labels that GoEmotions maps to each of Ekman's six basic emotions and to neutral."""

GROUP_OF: Mapping[str, str] = MappingProxyType({label: group for group, labels in GROUPS.items() for label in labels})
"""Sentiment group of each label."""

MAX_LABEL_CHARS = 60
"""Maximum length of a label name, in characters."""
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
"""First characters of spreadsheet formulas, including full-width forms."""


def label_problem(labels: Sequence[object]) -> str | None:
    """Describe what is wrong with the label names of a model; None if they are valid.

    Names are shown in terminals, tables and pages. They must be distinct, have 1 to 60 printable characters, no
    surrounding whitespace and no comma, and must not begin like a spreadsheet formula.
    """
    if not labels or not all(isinstance(label, str) and label for label in labels):
        return "labels must be a non-empty list of strings"
    seen: set[str] = set()
    for name in map(str, labels):
        if not name.isprintable():
            return f"label {name!a:.60} has unprintable characters"
        if len(name) > MAX_LABEL_CHARS:
            return f"label {name[:20]!r}… has {len(name)} characters; at most {MAX_LABEL_CHARS} are allowed"
        if name != name.strip():
            return f"label {name!r} has surrounding whitespace; remove it"
        if "," in name:
            return f"label {name!r} contains a comma"
        if name[0] in _FORMULA:
            return f"label {name!r} begins with {name[0]!r}, like a spreadsheet formula"
        if name in seen:
            return f"duplicate label {name!r}"
        seen.add(name)
    return None
