"""Split a page or a chat log into passages: sentences, or turns with their speakers."""

import re
from dataclasses import dataclass
from typing import Literal

from evenmood.text.normalization import replace_surrogates

SplitMode = Literal["auto", "sentences", "turns"]
STAMP = r"(?:[\[(]?\d{1,4}[-./:]\d{1,2}[^A-Za-z<\n]{0,24}(?:[AaPp]\.?[Mm]\.?(?=\W))?[\])]? ?[-–]? ?)?"
SPEAKER = re.compile(
    rf"^{STAMP}(?:<(?P<angle>[^<>\n]{{1,40}})>|(?P<name>[^\W\d_][\w .'-]{{0,39}}):) (?P<message>\S.*)$"
)
"""A line of a chat log: an optional time, `<name>` or `name:`, and the message; words are separated by one space."""
MAX_SENTENCE_WORDS = 60
"""Maximum number of words in a sentence; longer ones are divided."""
MIN_SPEAKER_SHARE = 0.6
"""Minimum share of lines with a speaker for a text to count as a chat log."""


@dataclass(frozen=True)
class Passage:
    """A sentence or a turn; `speaker` is empty if unknown."""

    text: str
    speaker: str = ""


def split(text: str, mode: SplitMode = "auto") -> list[Passage]:
    """Split a text into non-empty passages.

    Args:
        text: The text.
        mode: `sentences`; `turns`, one per line; or `auto`: turns if most lines name their speaker.
    """
    text = replace_surrogates(text)
    # Repeated spaces would make the pattern backtrack in quadratic time.
    lines = [line for raw in text.splitlines() if (line := " ".join(raw.split()))]
    matches = [SPEAKER.match(line) for line in lines]
    if mode == "auto":
        mode = "turns" if len(lines) > 1 and sum(map(bool, matches)) >= MIN_SPEAKER_SHARE * len(lines) else "sentences"
    if mode == "sentences":
        from sentencex import segment

        return [Passage(sentence.strip()) for sentence in segment("en", text) if sentence.strip()]
    return [
        Passage(match["message"].strip(), (match["angle"] or match["name"]).strip()) if match else Passage(line.strip())
        for line, match in zip(lines, matches, strict=True)
    ]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the start and end of each sentence; line breaks end a sentence, and very long sentences are divided."""
    from sentencex import segment

    spans, start = [], 0
    for line in text.splitlines():
        for sentence in segment("en", line):
            if not (stripped := sentence.strip()):
                continue
            start = text.index(stripped, start)
            words = [match.span() for match in re.finditer(r"\S+", stripped)]
            for first in range(0, len(words), MAX_SENTENCE_WORDS):
                part = words[first : first + MAX_SENTENCE_WORDS]
                spans.append((start + part[0][0], start + part[-1][1]))
            start += len(stripped)
    return spans
