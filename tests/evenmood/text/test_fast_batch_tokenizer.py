"""Batch tokenizer: ids identical to those of the tokenizers library for any text."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tokenizers import Tokenizer, normalizers

from evenmood.model.loading import bundled_folder
from evenmood.text import fast_batch_tokenizer as batch_tokenizer
from evenmood.text.fast_batch_tokenizer import BatchTokenizer, Encoded
from evenmood.text.normalization import EMOTICONS, PAD, PAD_ID, POOL_SIZE, encode, fit_tokenizer

CORPUS = [
    "I am so happy :) thank you!!! love it <3",
    "this is sad :( why? who knows... i do not know",
    "don't worry be happy www.example.com lol xD 3 33 d p",
    "a very long word antidisestablishmentarianism and naïve café 😀 ❤ 😢",
] * 2
PARTS = [
    *"abdDpPxX 3:;=<-'`’‘()[]/\\@!?._,&#\t\n\r\x00\x1c\x7f\"",
    *(
        "http://",
        "https://",
        "www.",
        "w",
        "http",
        "://",
        "@name",
        "...",
        "!!",
        "??",
        "happy",
        "love",
        "know",
        "ing",
        "x",
        " ",
        " ",
    ),
    *(" :)", "xD", ";-)", ":'(", "<33", ":/", "=D", " :-", ":p", "WWW.x", "HTTP://Y"),
]
NON_ASCII_PARTS = [
    "“",
    "”",
    "…",
    "—",
    "–",
    "\xa0",
    "é",
    "😀",
    "❤️",
    "ﬁ",
    "İ",
    "ß",
    "\u0301",
    "日本",
    "\ud800",
    "\u2028",
    "¨",
    "½",
]


def make_tokenizer(symbols: bool, pieces: int) -> Tokenizer:
    tokenizer = fit_tokenizer(CORPUS, max_length=12, symbols=symbols, pieces=pieces)
    tokenizer.enable_padding(pad_id=PAD_ID, pad_token=PAD, pad_to_multiple_of=POOL_SIZE)
    return tokenizer


def random_texts(count: int, parts: list[str]) -> list[str]:
    generator = random.Random(len(parts))
    return ["".join(generator.choices(parts, k=generator.randint(0, 14))) for _ in range(count)]


def count_slow_texts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record how many texts each call encodes with the tokenizers library."""
    slow_texts: list[int] = []

    encode_slowly = BatchTokenizer._encode_slowly

    def counting_encode(self: BatchTokenizer, texts: list[str]) -> Encoded:
        slow_texts.append(len(texts))
        return encode_slowly(self, texts)

    monkeypatch.setattr(BatchTokenizer, "_encode_slowly", counting_encode)
    return slow_texts


@pytest.fixture(params=[(False, 0), (True, 0), (True, 120)], ids=["words", "symbols", "pieces"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return make_tokenizer(*request.param)


def unlimited(tokenizer: Tokenizer) -> Tokenizer:
    """Copy a tokenizer without truncation and padding, as models use it."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def assert_equal_ids(tokenizer: Tokenizer, texts: list[str], size: int, untruncated: Tokenizer | None = None) -> None:
    fast = BatchTokenizer(untruncated or unlimited(tokenizer), 12)
    for start in range(0, len(texts), size):
        rows = texts[start : start + size]
        actual, expected = fast.encode(rows).ids, encode(tokenizer, rows)
        assert actual.dtype == expected.dtype
        different = [text for text, ids, other in zip(rows, actual, expected, strict=True) if list(ids) != list(other)]
        assert not different, different[:3]


def test_ascii_texts_take_the_fast_path(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = random_texts(30_000, PARTS)
    expected = encode(tokenizer, texts)
    slow_texts = count_slow_texts(monkeypatch)
    np.testing.assert_array_equal(BatchTokenizer(unlimited(tokenizer), 12).encode(texts).ids, expected)
    assert slow_texts == []  # including typographic quotes
    assert len(np.unique(expected)) > 10


@pytest.mark.parametrize("size", [1, 7, 500])
def test_mixed_texts(tokenizer: Tokenizer, size: int) -> None:
    assert_equal_ids(tokenizer, random_texts(3_000 if size > 1 else 500, [*PARTS, *NON_ASCII_PARTS]), size)


def test_every_emoticon(tokenizer: Tokenizer) -> None:
    emoticons = [
        ":'(",
        "=’-[",
        ":)",
        "=-]",
        ":-(",
        "=[",
        ";)",
        ";-]",
        ":D",
        "=-D",
        ";D",
        "xD",
        "XD",
        ":p",
        ";-P",
        ":/",
        "=-\\",
    ]
    templates = ["{}", "a {} b", "a{}b", "{0}{0}", "{}D", "{}/", "x{}", "{}3", "{}.", "@{}", "www.a{}"]
    texts = [
        template.format(emoticon)
        for template in templates
        for emoticon in [*emoticons, "<3", "<333", "<3 3", *EMOTICONS]
    ]
    assert_equal_ids(tokenizer, texts, len(texts))
    assert_equal_ids(tokenizer, texts, 1)


def test_empty_and_short_batches(tokenizer: Tokenizer) -> None:
    assert BatchTokenizer(unlimited(tokenizer), 12).encode([]).ids.shape == (0, 0)
    for texts in ([""], ["", ""], ["&", "é", ""], ["\n"], ["\n", "a\nb", ""], ["é"], ["a" * 70], ["happy " * 50]):
        assert_equal_ids(tokenizer, texts, len(texts))


def test_unknown_normalizer_takes_the_slow_path(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = make_tokenizer(symbols=True, pieces=0)
    tokenizer.normalizer = normalizers.Lowercase()
    slow_texts = count_slow_texts(monkeypatch)
    assert_equal_ids(tokenizer, random_texts(200, PARTS), 50)
    assert sum(slow_texts) == 200


def test_word_cache_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_tokenizer, "MAX_CACHED_WORDS", 30)
    tokenizer = make_tokenizer(symbols=True, pieces=120)
    texts = random_texts(2_000, PARTS)
    fast = BatchTokenizer(unlimited(tokenizer), 12)
    expected = [encode(tokenizer, texts[start : start + 20]) for start in range(0, 2_000, 20)]
    with ThreadPoolExecutor(4) as pool:
        actual = list(pool.map(fast.encode, (texts[start : start + 20] for start in range(0, 2_000, 20))))
    assert all(np.array_equal(encoded.ids, ids) for encoded, ids in zip(actual, expected, strict=True))
    assert len(fast._words) < 200


def test_tokenizer_of_the_bundled_model() -> None:
    folder = bundled_folder()
    tokenizer, untruncated = (Tokenizer.from_file(str(folder / "tokenizer.json")) for _ in range(2))
    tokenizer.enable_padding(pad_id=PAD_ID, pad_token=PAD, pad_to_multiple_of=POOL_SIZE)
    tokenizer.enable_truncation(12)
    untruncated.no_padding()
    untruncated.no_truncation()
    assert BatchTokenizer(untruncated, 12)._symbols
    assert_equal_ids(tokenizer, random_texts(3_000, [*PARTS, *NON_ASCII_PARTS]), 300, untruncated)


@pytest.mark.parametrize("text", ["happy " * 50, "sö happy " * 25, "happy!!! " * 20 + "…", "unbelievableness " * 9, ""])
def test_tokens_and_words_are_counted_before_truncation(tokenizer: Tokenizer, text: str) -> None:
    untruncated = unlimited(tokenizer)
    encoding = untruncated.encode(text)
    for texts in ([text], [text, "a", text, "é"]):
        encoded = BatchTokenizer(untruncated, 12).encode(texts)
        assert encoded.token_counts[0] == len(encoding.ids)
        assert encoded.word_counts[0] == len(set(encoding.word_ids)), encoding.tokens
        assert encoded.ids.shape[1] <= 12
