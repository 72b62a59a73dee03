"""Perturb texts with typos, elongation, emoji or missing punctuation, from a seeded random generator."""

import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

RandomGenerator = random.Random | np.random.Generator
"""A random generator of Python or numpy; both have `random()`, uniform in [0, 1)."""
SHORTEST = 3
"""Minimum number of letters of a word to misspell."""
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_VOWEL = re.compile(r"[aeiouy](?=[^aeiouy]*$)", re.IGNORECASE)
_APOSTROPHES = "'’‘ʼ`´"
_WORD = re.compile(rf"\S{{{SHORTEST},}}")
# GoEmotions' masks are not typed by people; mentions and links are removed by the cleaning.
_EXEMPT = re.compile(r"\W*(?:@|https?://|www\.|\[[A-Z]+\])", re.IGNORECASE)


def _adjacent_keys() -> dict[str, str]:
    """Adjacent keys of each letter on a QWERTY keyboard, whose rows are shifted by about half a key each."""
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


ADJACENT_KEYS: Mapping[str, str] = MappingProxyType(_adjacent_keys())
"""Adjacent keys of each letter from A to Z, in the same case."""


def misspell(text: str, share: float, random: RandomGenerator) -> str:
    """Insert one typo into a share of the words: letters swapped, dropped, doubled, or replaced by an adjacent key.

    Words are separated by whitespace, which is preserved. Words of fewer than `SHORTEST` letters, @mentions, links and
    the masks of GoEmotions (`[NAME]`) are not changed. The four kinds of typo are equally likely.

    Args:
        text: Any text.
        share: Probability of a typo in each word, in [0, 1].
        random: Random generator; the same state gives the same text.
    """
    uniform = random.random

    def replaced(match: re.Match[str]) -> str:
        return typo(match[0], random) if uniform() < share else match[0]

    return _WORD.sub(replaced, text)


def typo(word: str, random: RandomGenerator) -> str:
    """Insert one typo into a word, unless `misspell` exempts it."""
    letters = [place for place, character in enumerate(word) if character.isalpha()]
    if len(letters) < SHORTEST or _EXEMPT.match(word):
        return word
    kind = int(random.random() * 4)
    place = letters[int(random.random() * len(letters))]
    letter = word[place]
    if kind == 0:
        swaps = [at for at in letters if word[at + 1 : at + 2].isalpha() and word[at] != word[at + 1]]
        if swaps:
            at = swaps[int(random.random() * len(swaps))]
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    elif kind == 1:
        return word[:place] + word[place + 1 :]
    elif kind == 2 and letter in ADJACENT_KEYS:
        keys = ADJACENT_KEYS[letter]
        return word[:place] + keys[int(random.random() * len(keys))] + word[place + 1 :]
    return (
        word[:place] + letter + word[place:]
    )  # double the letter; also if it has no adjacent key or cannot be swapped


def elongate(text: str, share: float, random: RandomGenerator) -> str:
    """Elongate the last vowel of a share of the words: "so happy" becomes "sooo happyyy".

    Args:
        text: Any text.
        share: Probability for each word of at least two letters; words are exempt as in `misspell`.
        random: Random generator.
    """
    words = re.split(r"(\s+)", text)
    for index, word in enumerate(words):
        vowel = _VOWEL.search(word) if len(word) > 1 and not _EXEMPT.match(word) else None
        if vowel and random.random() < share:
            words[index] = word[: vowel.end()] + 2 * vowel[0].lower() + word[vowel.end() :]
    return "".join(words)


def without_punctuation(text: str) -> str:
    """Remove apostrophes ("dont"), and replace all other punctuation with spaces."""
    characters = [
        " " if unicodedata.category(character).startswith("P") else character
        for character in text
        if character not in _APOSTROPHES
    ]
    return " ".join("".join(characters).split())


def with_emoji(text: str, emoji: Sequence[str], random: RandomGenerator) -> str:
    """Insert one emoji before a random word, and one at the end."""
    words = text.split(" ")
    words.insert(int(random.random() * len(words)), emoji[int(random.random() * len(emoji))])
    return " ".join((*words, emoji[int(random.random() * len(emoji))]))
