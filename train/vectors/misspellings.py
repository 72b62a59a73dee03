"""Misspellings in the vocabulary: entries with the id of their word, without additional weights."""

import json
from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer

from evenmood.text.normalization import clean
from train.perturb import ADJACENT_KEYS, MIN_LETTERS


def tokenizer_json(tokenizer: Tokenizer, words: int, texts: Iterable[str] = ()) -> str:
    """Return the content of `tokenizer.json` with misspellings of the most frequent words as entries with their ids.

    A misspelling has one typo (see `misspellings`) and the id of the most frequent word it may be a typo of; existing
    entries are not changed. Misspellings that begin a rare word of the texts are not added (`aish` for `wish`: it
    begins the name Aisha). The content must be written unchanged, because the library saves only one entry per id.

    Args:
        tokenizer: Tokenizer from `fit_tokenizer`, with words in descending order of frequency.
        words: Number of most frequent words whose misspellings are added.
        texts: Training texts, for their rare words.
    """
    content = json.loads(tokenizer.to_str())
    vocabulary: dict[str, int] = content["model"]["vocab"]
    whole = [word for word in sorted(vocabulary, key=vocabulary.__getitem__) if word.isalpha()]
    added: dict[str, int] = {}
    for word in whole[:words]:
        for misspelling in misspellings(word):
            if len(misspelling) >= MIN_LETTERS and misspelling not in vocabulary:
                added.setdefault(misspelling, vocabulary[word])
    if added:
        for rare in {word for text in texts for word in clean(text).split()}.difference(vocabulary, added):
            for length in range(len(rare) - 1, MIN_LETTERS - 1, -1):
                if rare[:length] in vocabulary:
                    break  # the tokenizer prefers this longer piece to any shorter one
                added.pop(rare[:length], None)
    content["model"]["vocab"] = vocabulary | added
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def without_misspellings(content: str) -> str:
    """Return the content of `tokenizer.json` without misspellings: only the word itself for each id."""
    tokenizer = json.loads(content)
    words: dict[int, str] = {}
    for entry, number in tokenizer["model"]["vocab"].items():
        words.setdefault(number, entry)  # misspellings come after their word
    tokenizer["model"]["vocab"] = {entry: number for number, entry in words.items()}
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))


def misspellings(word: str) -> Iterator[str]:
    """Yield the word with letters swapped, dropped, doubled, or replaced by an adjacent key."""
    for index, letter in enumerate(word):
        before, after = word[:index], word[index + 1 :]
        if after:
            yield before + after[0] + letter + after[1:]
        yield before + after
        yield before + 2 * letter + after
        for key in ADJACENT_KEYS.get(letter, ""):
            yield before + key + after
