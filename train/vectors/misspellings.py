"""Misspellings in the vocabulary: entries that share their word's id, so that they cost no time and no weight."""

import json
from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer

from evenmood.text.normalization import clean
from train.perturb import ADJACENT_KEYS, SHORTEST


def tokenizer_json(tokenizer: Tokenizer, words: int, texts: Iterable[str] = ()) -> str:
    """A tokenizer's file, in which the misspellings of its most frequent words are read as these words.

    A misspelling has one typing error (`misspellings`). It belongs to the most frequent word that may be meant, and
    what is in the vocabulary already stays what it is. None is taken that would be read as the beginning of a rare word
    of the texts (`aish`, meant to be `wish`, in the name Aisha). The file is longer, but there are no more ids. (To be
    written as it is: the library, saving a tokenizer, keeps one entry an id.)

    Args:
        tokenizer: With words by falling frequency, as `fit_tokenizer` gives it.
        words: How many of them, the most frequent first; 0 for none.
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
                    break  # a longer beginning is read as the shorter one is not
                added.pop(rare[:length], None)
    content["model"]["vocab"] = vocabulary | added
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def without_misspellings(stored: str) -> str:
    """The same tokenizer's file with one entry an id, the word's own."""
    content = json.loads(stored)
    own: dict[int, str] = {}
    for entry, number in content["model"]["vocab"].items():
        own.setdefault(number, entry)  # a misspelling stands behind its word
    content["model"]["vocab"] = {entry: number for number, entry in own.items()}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def misspellings(word: str) -> Iterator[str]:
    """The word with two letters swapped, one dropped, one doubled, or one replaced by a neighbour on the keyboard."""
    for place, letter in enumerate(word):
        before, after = word[:place], word[place + 1 :]
        if after:
            yield before + after[0] + letter + after[1:]
        yield before + after
        yield before + 2 * letter + after
        for key in ADJACENT_KEYS.get(letter, ""):
            yield before + key + after
