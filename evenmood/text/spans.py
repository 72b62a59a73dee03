"""Positions in the original text of the words that the network reads."""

import unicodedata
from itertools import groupby

from tokenizers import Tokenizer

from evenmood.prediction import WordWeight
from evenmood.text.normalization import UNKNOWN_ID, replace_surrogates


def word_spans(tokenizer: Tokenizer, text: str) -> tuple[list[WordWeight], list[int], list[int]]:
    """Return the words that the network reads, with weight 0, the word index of each token, and the token ids."""
    encoding = tokenizer.encode(replace_surrogates(text))
    word_of = [number for number in encoding.word_ids if number is not None]
    words: list[WordWeight] = []
    for _, tokens in groupby(range(len(word_of)), word_of.__getitem__):
        first, *_, last = [*tokens] * 2
        start, end = _with_marks(text, encoding.offsets[first][0], encoding.offsets[last][1])
        token = "" if encoding.ids[first] == UNKNOWN_ID else encoding.tokens[first]
        if not any(character.isalnum() for character in token or text[start:end]):
            start, end = _whole_symbol(text, start, end, words[-1].end if words else 0)
        known = UNKNOWN_ID not in encoding.ids[first : last + 1]
        words.append(WordWeight(text[start:end], start, end, 0.0, known))
    return words, word_of, list(encoding.ids)


def _whole_symbol(text: str, start: int, end: int, minimum: int) -> tuple[int, int]:
    """Widen a span to the whole symbol that the tokenizer normalized: `!!!`, `:)`, an emoji with its skin tone."""
    while start > minimum and not (text[start - 1].isalnum() or text[start - 1].isspace()):
        start -= 1
    while text[end - 1] in "!?." and text[end : end + 1] == text[end - 1]:  # repeated emoji are separate words
        end += 1
    while unicodedata.category(text[end : end + 1] or " ") in (
        "Sk",
        "Mn",
        "Me",
        "Cf",
    ):  # skin tone, variation selector, keycap, joiner
        end += 1
    return start, end


def _with_marks(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen a span over the combining marks after it, which the normalizer merged into the preceding letter."""
    while end < len(text) and (unicodedata.category(text[end]).startswith("M") or "\u1160" <= text[end] <= "\u11ff"):
        end += 1
    return start, end
