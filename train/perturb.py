"""Perturbed texts: typing errors, casing, punctuation, elongation and emoji, drawn from a seeded generator."""

import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

Draw = random.Random | np.random.Generator
"""What draws: a generator of Python or of numpy; both have `random()`, uniform in [0, 1)."""
SHORTEST = 3
"""Letters from which on a word may be misspelt."""
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_VOWEL = re.compile(r"[aeiouy](?=[^aeiouy]*$)", re.IGNORECASE)
_APOSTROPHES = "'’‘ʼ`´"
_WORD = re.compile(rf"\S{{{SHORTEST},}}")
# Nobody types the masks of GoEmotions; mentions and links are dropped by the cleaning.
_LEFT_ALONE = re.compile(r"\W*(?:@|https?://|www\.|\[[A-Z]+\])", re.IGNORECASE)


def _neighbours() -> dict[str, str]:
    """Keys that touch a letter's own on a QWERTY keyboard, whose rows are each shifted by about half a key."""
    near: dict[str, str] = {}
    for number, row in enumerate(_ROWS):
        for place, letter in enumerate(row):
            keys = row[max(place - 1, 0) : place] + row[place + 1 : place + 2]
            if number > 0:
                keys += _ROWS[number - 1][place : place + 2]
            if number + 1 < len(_ROWS):
                keys += _ROWS[number + 1][max(place - 1, 0) : place + 1]
            near[letter] = keys
            near[letter.upper()] = keys.upper()
    return near


NEIGHBOURS: Mapping[str, str] = MappingProxyType(_neighbours())
"""Neighbouring keys of each letter from A to Z, in its own case."""


def misspell(text: str, share: float, draw: Draw) -> str:
    """Put one typing error into a share of the words: two letters swapped, one dropped, doubled, or a neighbouring key.

    Words are what stands between white space, which stays as it is. Words of fewer than `SHORTEST` letters, @mentions,
    links and the masks of GoEmotions (`[NAME]`) are left alone. The four kinds of error are equally likely.

    Args:
        text: Any text.
        share: Probability, in [0, 1], that a word is misspelt; each word is drawn for itself.
        draw: The only source of chance: the same state gives the same text.
    """
    chance = draw.random

    def one(match: re.Match[str]) -> str:
        return typo(match[0], draw) if chance() < share else match[0]

    return _WORD.sub(one, text)


def typo(word: str, draw: Draw) -> str:
    """The word with one typing error among its letters, or as it is where `misspell` leaves it alone."""
    letters = [place for place, character in enumerate(word) if character.isalpha()]
    if len(letters) < SHORTEST or _LEFT_ALONE.match(word):
        return word
    kind = int(draw.random() * 4)
    place = letters[int(draw.random() * len(letters))]
    letter = word[place]
    if kind == 0:
        swaps = [at for at in letters if word[at + 1 : at + 2].isalpha() and word[at] != word[at + 1]]
        if swaps:
            at = swaps[int(draw.random() * len(swaps))]
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    elif kind == 1:
        return word[:place] + word[place + 1 :]
    elif kind == 2 and letter in NEIGHBOURS:
        keys = NEIGHBOURS[letter]
        return word[:place] + keys[int(draw.random() * len(keys))] + word[place + 1 :]
    return word[:place] + letter + word[place:]  # doubled; also what a letter gets that has no neighbour here


def elongate(text: str, share: float, draw: Draw) -> str:
    """Draw out the last vowel of a share of the words: "so happy" becomes "sooo happyyy".

    Args:
        text: Any text.
        share: Probability that a word of two letters and more is stretched; words are chosen as in `misspell`.
        draw: The only source of chance.
    """
    words = re.split(r"(\s+)", text)
    for index, word in enumerate(words):
        vowel = _VOWEL.search(word) if len(word) > 1 and not _LEFT_ALONE.match(word) else None
        if vowel and draw.random() < share:
            words[index] = word[: vowel.end()] + 2 * vowel[0].lower() + word[vowel.end() :]
    return "".join(words)


def without_punctuation(text: str) -> str:
    """The text without its punctuation: apostrophes go ("dont"), all else becomes a blank."""
    kept = [
        " " if unicodedata.category(character).startswith("P") else character
        for character in text
        if character not in _APOSTROPHES
    ]
    return " ".join("".join(kept).split())


def with_emoji(text: str, emoji: Sequence[str], draw: Draw) -> str:
    """The text with one emoji between two words or before the first, and one at the end."""
    words = text.split(" ")
    words.insert(int(draw.random() * len(words)), emoji[int(draw.random() * len(emoji))])
    return " ".join((*words, emoji[int(draw.random() * len(emoji))]))
