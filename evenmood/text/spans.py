"""Words of the original text read by the network, with their positions."""

import unicodedata
from itertools import groupby

from tokenizers import Tokenizer

from evenmood.prediction import WordWeight
from evenmood.text.normalization import UNKNOWN_ID, encodable


def words_read(tokenizer: Tokenizer, text: str) -> tuple[list[WordWeight], list[int], list[int]]:
    """The words that the network reads, without weights; the word of each token; and the token ids."""
    encoding = tokenizer.encode(encodable(text))
    word_of = [number for number in encoding.word_ids if number is not None]
    words: list[WordWeight] = []
    for _, tokens in groupby(range(len(word_of)), word_of.__getitem__):
        first, *_, last = [*tokens] * 2
        start, end = _with_marks(text, encoding.offsets[first][0], encoding.offsets[last][1])
        read = "" if encoding.ids[first] == UNKNOWN_ID else encoding.tokens[first]
        if not any(character.isalnum() for character in read or text[start:end]):
            start, end = _whole_symbol(text, start, end, words[-1].end if words else 0)
        known = UNKNOWN_ID not in encoding.ids[first : last + 1]
        words.append(WordWeight(text[start:end], start, end, 0.0, known))
    return words, word_of, list(encoding.ids)


def _whole_symbol(text: str, start: int, end: int, before: int) -> tuple[int, int]:
    """Where a symbol begins and ends that the tokenizer shortened: all of `!!!`, of `:)`, of an emoji with its skin."""
    while start > before and not (text[start - 1].isalnum() or text[start - 1].isspace()):
        start -= 1
    while text[end - 1] in "!?." and text[end : end + 1] == text[end - 1]:  # of emoji each is a word
        end += 1
    while unicodedata.category(text[end : end + 1] or " ") in (
        "Sk",
        "Mn",
        "Me",
        "Cf",
    ):  # skin, variation, keycap, joiner
        end += 1
    return start, end


def _with_marks(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen a span over combining marks that follow it: the normalizer merged them into the letter before."""
    while end < len(text) and (unicodedata.category(text[end]).startswith("M") or "\u1160" <= text[end] <= "\u11ff"):
        end += 1
    return start, end
