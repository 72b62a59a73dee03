"""The 28 GoEmotions labels, their sentiment groups and the Ekman mapping.

Source: Demszky et al. 2020, "GoEmotions: A Dataset of Fine-Grained Emotions" (arXiv 2005.00547), section 3 and the
label order of the official `emotions.txt`.
"""

from collections.abc import Mapping
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
"""All labels in GoEmotions' order; column i of every probability array is `LABELS[i]`."""

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
"""Ekman's six basic emotions and neutral, each with the labels that GoEmotions maps to it."""

GROUP_OF: Mapping[str, str] = MappingProxyType({label: group for group, labels in GROUPS.items() for label in labels})
"""Label to sentiment group."""
