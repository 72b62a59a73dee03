"""Misspellings in the vocabulary: entries with the id of their word, without additional weights."""

import json
from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer

from evenmood.text.normalization import clean
from train.perturb import ADJACENT_KEYS, SHORTEST


def tokenizer_json(tokenizer: Tokenizer, words: int, texts: Iterable[str] = ()) -> str:
    """Return the content of `tokenizer.json` with misspellings of the most frequent words as entries with their ids.

    A misspelling has one typo (see `misspellings`) and the id of the most frequent word it may stand for; existing
    entries are not changed. Misspellings that are the beginning of a rare word in the texts are not added (`aish` for
    `wish`, in the name Aisha). The content must be written unchanged, because the library saves only one entry per id.

    Args:
        tokenizer: Tokenizer with words by falling frequency, from `fit_tokenizer`.
        words: Number of most frequent words; 0 for none.
        texts: Training texts, for their rare words.
    """
    content = json.loads(tokenizer.to_str())
    vocabulary: dict[str, int] = content["model"]["vocab"]
    whole = [word for word in sorted(vocabulary, key=vocabulary.__getitem__) if word.isalpha()]
    added: dict[str, int] = {}
    for word in whole[:words]:
        for wrong in misspellings(word):
            if len(wrong) >= SHORTEST and wrong not in vocabulary:
                added.setdefault(wrong, vocabulary[word])
    if added:
        for rare in {word for text in texts for word in clean(text).split()}.difference(vocabulary, added):
            for length in range(len(rare) - 1, SHORTEST - 1, -1):
                if rare[:length] in vocabulary:
                    break  # the tokenizer prefers this longer piece to any shorter one
                added.pop(rare[:length], None)
    content["model"]["vocab"] = vocabulary | added
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def without_misspellings(stored: str) -> str:
    """Return the content of `tokenizer.json` without misspellings: only the word itself for each id."""
    content = json.loads(stored)
    words: dict[int, str] = {}
    for entry, number in content["model"]["vocab"].items():
        words.setdefault(number, entry)  # misspellings come after their word
    content["model"]["vocab"] = {entry: number for number, entry in words.items()}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def misspellings(word: str) -> Iterator[str]:
    """Yield the word with letters swapped, dropped, doubled, or replaced by an adjacent key."""
    for place, letter in enumerate(word):
        before, after = word[:place], word[place + 1 :]
        if after:
            yield before + after[0] + letter + after[1:]
        yield before + after
        yield before + 2 * letter + after
        for key in ADJACENT_KEYS.get(letter, ""):
            yield before + key + after
