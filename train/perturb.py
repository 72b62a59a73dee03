"""Perturb texts with typos, elongation, emoji or missing punctuation, from a seeded random generator."""

import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

RandomGenerator = random.Random | np.random.Generator
"""A random generator of Python or numpy; both have a method `random()`, uniform in [0, 1)."""
MIN_LETTERS = 3
"""Minimum number of letters of a word to misspell."""
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_VOWEL = re.compile(r"[aeiouy](?=[^aeiouy]*$)", re.IGNORECASE)
_APOSTROPHES = "'’‘ʼ`´"
_WORD = re.compile(rf"\S{{{MIN_LETTERS},}}")
# The masks of GoEmotions are not typed by people; cleaning removes mentions and links.
_EXEMPT = re.compile(r"\W*(?:@|https?://|www\.|\[[A-Z]+\])", re.IGNORECASE)


def _adjacent_keys() -> dict[str, str]:
    """Return the adjacent keys of each letter on a QWERTY keyboard, whose rows are offset by about half a key."""
    adjacent: dict[str, str] = {}
    for number, row in enumerate(_ROWS):
        for index, letter in enumerate(row):
            keys = row[max(index - 1, 0) : index] + row[index + 1 : index + 2]
            if number > 0:
                keys += _ROWS[number - 1][index : index + 2]
            if number + 1 < len(_ROWS):
                keys += _ROWS[number + 1][max(index - 1, 0) : index + 1]
            adjacent[letter] = keys
            adjacent[letter.upper()] = keys.upper()
    return adjacent


ADJACENT_KEYS: Mapping[str, str] = MappingProxyType(_adjacent_keys())
"""Adjacent keys of each letter from A to Z, in the same case."""


def misspell(text: str, share: float, random: RandomGenerator) -> str:
    """Insert one typo into a share of the words: letters swapped, dropped, doubled, or replaced by an adjacent key.

    Words are separated by whitespace, which is preserved. Words of fewer than `MIN_LETTERS` letters, @mentions, links
    and the masks of GoEmotions (`[NAME]`) are not changed. The four kinds of typo are equally likely.

    Args:
        text: Any text.
        share: Probability of a typo in each word, in [0, 1].
        random: Random generator; the same state produces the same text.
    """
    uniform = random.random

    def replace_word(match: re.Match[str]) -> str:
        return typo(match[0], random) if uniform() < share else match[0]

    return _WORD.sub(replace_word, text)


def typo(word: str, random: RandomGenerator) -> str:
    """Insert one typo into a word, unless `misspell` exempts it."""
    letters = [index for index, character in enumerate(word) if character.isalpha()]
    if len(letters) < MIN_LETTERS or _EXEMPT.match(word):
        return word
    kind = int(random.random() * 4)
    index = letters[int(random.random() * len(letters))]
    letter = word[index]
    if kind == 0:
        swaps = [i for i in letters if word[i + 1 : i + 2].isalpha() and word[i] != word[i + 1]]
        if swaps:
            i = swaps[int(random.random() * len(swaps))]
            return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    elif kind == 1:
        return word[:index] + word[index + 1 :]
    elif kind == 2 and letter in ADJACENT_KEYS:
        keys = ADJACENT_KEYS[letter]
        return word[:index] + keys[int(random.random() * len(keys))] + word[index + 1 :]
    # Double the letter, also if it has no adjacent key or no letters can be swapped.
    return word[:index] + letter + word[index:]


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
