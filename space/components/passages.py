"""A page or a chat log in passages: sentences, or turns with who speaks."""

import re
from dataclasses import dataclass
from typing import Literal

from evenmood.text.normalization import encodable

Way = Literal["auto", "sentences", "turns"]
STAMP = r"(?:[\[(]?\d{1,4}[-./:]\d{1,2}[^A-Za-z<\n]{0,24}(?:[AaPp]\.?[Mm]\.?(?=\W))?[\])]? ?[-–]? ?)?"
SPEAKER = re.compile(rf"^{STAMP}(?:<(?P<angle>[^<>\n]{{1,40}})>|(?P<name>[^\W\d_][\w .'-]{{0,39}}):) (?P<said>\S.*)$")
"""A line of a chat log: maybe a time, then `<name>` or `name:`, then what was said; words are one space apart."""
LONGEST_SENTENCE = 60
"""Words of a sentence that is shown as one."""
TURNS_FROM = 0.6
"""Share of lines with a speaker from which on a text is taken for a chat log."""


@dataclass(frozen=True)
class Passage:
    """A sentence or a turn; `speaker` is empty where nobody is named."""

    text: str
    speaker: str = ""


def split(text: str, way: Way = "auto") -> list[Passage]:
    """Split a text into passages; none of them is empty.

    Args:
        text: The text.
        way: `sentences`; `turns`, a line each; or `auto`: turns where most lines name their speaker.
    """
    text = encodable(text)
    # A run of spaces has more than one place in the pattern, and trying all of them takes the square of its length.
    lines = [line for given in text.splitlines() if (line := " ".join(given.split()))]
    named = [SPEAKER.match(line) for line in lines]
    if way == "auto":
        way = "turns" if len(lines) > 1 and sum(map(bool, named)) >= TURNS_FROM * len(lines) else "sentences"
    if way == "sentences":
        from sentencex import segment

        return [Passage(sentence.strip()) for sentence in segment("en", text) if sentence.strip()]
    return [
        Passage(match["said"].strip(), (match["angle"] or match["name"]).strip()) if match else Passage(line.strip())
        for line, match in zip(lines, named, strict=True)
    ]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence; a line break ends a sentence too, and a very long sentence is divided."""
    from sentencex import segment

    spans, start = [], 0
    for line in text.splitlines():
        for sentence in segment("en", line):
            if not (said := sentence.strip()):
                continue
            start = text.index(said, start)
            words = [match.span() for match in re.finditer(r"\S+", said)]
            for first in range(0, len(words), LONGEST_SENTENCE):
                part = words[first : first + LONGEST_SENTENCE]
                spans.append((start + part[0][0], start + part[-1][1]))
            start += len(said)
    return spans
