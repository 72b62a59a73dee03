"""Split long texts into overlapping windows at sentence boundaries, and combine the windows' probabilities."""

import re
from collections.abc import Callable, Sequence

import numpy as np

MAX_OVERLAP_SHARE = 1 / 4
"""A window repeats the last sentence of the previous one if it fills at most this share of a window."""
PEAK_SHARE = 0.25
"""Weight of the maximum over windows; the mean has the remaining weight. An emotion in a single window still counts,
but a long text does not accumulate labels from all windows. Chosen with `python -m train windows`."""
_SENTENCE = re.compile(r"(?<=[.!?…。！？])\s+|\n+")
_WORD = re.compile(r"\S+")

Span = tuple[int, int]
"""Start and end index of characters."""


def window_spans(text: str, size: int, count: Callable[[Sequence[str]], np.ndarray]) -> list[Span]:
    """Split a text into windows, in order, that together cover every word.

    Args:
        text: Any text.
        size: Maximum length of a window, in tokens.
        count: Returns the number of tokens of each text.
    """
    sentences = _spans_between(_SENTENCE, text)
    parts: list[tuple[Span, int]] = []
    for span, tokens in zip(sentences, _counts(text, sentences, count), strict=True):
        if tokens <= size:
            parts.append((span, tokens))
            continue
        words = [(span[0] + match.start(), span[0] + match.end()) for match in _WORD.finditer(text[slice(*span)])]
        # A run of emoji without spaces is one word of as many tokens.
        words = [(start, min(start + size, word[1])) for word in words for start in range(word[0], word[1], size)]
        parts += zip(words, _counts(text, words, count), strict=True)
    windows: list[Span] = []
    first = last = total = 0  # the current window is parts[first:last]
    while last < len(parts):
        if last == first or total + parts[last][1] <= size:
            total += parts[last][1]
            last += 1
            continue
        windows.append((parts[first][0][0], parts[last - 1][0][1]))
        last_tokens = parts[last - 1][1]
        repeats = last - first > 1 and last_tokens <= size * MAX_OVERLAP_SHARE and last_tokens + parts[last][1] <= size
        first, total = (last - 1, last_tokens) if repeats else (last, 0)
    if parts:
        windows.append((parts[first][0][0], parts[-1][0][1]))
    return windows


def combine(probabilities: np.ndarray, peak_share: float = PEAK_SHARE) -> np.ndarray:
    """Combine the probabilities of windows: a weighted mean of their mean and their maximum.

    Args:
        probabilities: float32 of shape (windows, labels).
        peak_share: Weight of the maximum.

    Returns:
        float32 of shape (labels,).
    """
    combined: np.ndarray = peak_share * probabilities.max(axis=0) + (1 - peak_share) * probabilities.mean(axis=0)
    return combined


def _spans_between(separator: re.Pattern[str], text: str) -> list[Span]:
    spans, start = [], 0
    for match in separator.finditer(text):
        spans.append((start, match.start()))
        start = match.end()
    return [span for span in [*spans, (start, len(text))] if span[1] > span[0]]


def _counts(text: str, spans: Sequence[Span], count: Callable[[Sequence[str]], np.ndarray]) -> list[int]:
    return [int(tokens) for tokens in count([text[slice(*span)] for span in spans])] if spans else []
