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

TRAINED_ON = [
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
OTHERS = [
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


def load(symbols: bool, pieces: int) -> Tokenizer:
    tokenizer = fit_tokenizer(TRAINED_ON, max_length=12, symbols=symbols, pieces=pieces)
    tokenizer.enable_padding(pad_id=PAD_ID, pad_token=PAD, pad_to_multiple_of=POOL_SIZE)
    return tokenizer


def made_up(count: int, parts: list[str]) -> list[str]:
    draw = random.Random(len(parts))
    return ["".join(draw.choices(parts, k=draw.randint(0, 14))) for _ in range(count)]


def count_passed_on(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts go to the library, call by call."""
    passed: list[int] = []

    slowly = BatchTokenizer._encode_slowly

    def noted(self: BatchTokenizer, texts: list[str]) -> Encoded:
        passed.append(len(texts))
        return slowly(self, texts)

    monkeypatch.setattr(BatchTokenizer, "_encode_slowly", noted)
    return passed


@pytest.fixture(params=[(False, 0), (True, 0), (True, 120)], ids=["words", "symbols", "pieces"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return load(*request.param)


def unlimited(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer as a model's is opened: it neither truncates nor pads."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def assert_same(tokenizer: Tokenizer, texts: list[str], size: int, whole: Tokenizer | None = None) -> None:
    batched = BatchTokenizer(whole or unlimited(tokenizer), 12)
    for start in range(0, len(texts), size):
        rows = texts[start : start + size]
        found, expected = batched.encode(rows).ids, encode(tokenizer, rows)
        assert found.dtype == expected.dtype
        wrong = [text for text, one, other in zip(rows, found, expected, strict=True) if list(one) != list(other)]
        assert not wrong, wrong[:3]


def test_ascii_texts_are_read_here(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = made_up(30_000, PARTS)
    expected = encode(tokenizer, texts)
    passed = count_passed_on(monkeypatch)
    np.testing.assert_array_equal(BatchTokenizer(unlimited(tokenizer), 12).encode(texts).ids, expected)
    assert passed == []  # typographic quotes too
    assert len(np.unique(expected)) > 10


@pytest.mark.parametrize("size", [1, 7, 500])
def test_other_texts_beside_them(tokenizer: Tokenizer, size: int) -> None:
    assert_same(tokenizer, made_up(3_000 if size > 1 else 500, [*PARTS, *OTHERS]), size)


def test_every_emoticon(tokenizer: Tokenizer) -> None:
    typed = [
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
    around = ["{}", "a {} b", "a{}b", "{0}{0}", "{}D", "{}/", "x{}", "{}3", "{}.", "@{}", "www.a{}"]
    texts = [form.format(one) for form in around for one in [*typed, "<3", "<333", "<3 3", *EMOTICONS]]
    assert_same(tokenizer, texts, len(texts))
    assert_same(tokenizer, texts, 1)


def test_nothing_and_nearly_nothing(tokenizer: Tokenizer) -> None:
    assert BatchTokenizer(unlimited(tokenizer), 12).encode([]).ids.shape == (0, 0)
    for texts in ([""], ["", ""], ["&", "é", ""], ["\n"], ["\n", "a\nb", ""], ["é"], ["a" * 70], ["happy " * 50]):
        assert_same(tokenizer, texts, len(texts))


def test_a_foreign_normalizer_is_left_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = load(symbols=True, pieces=0)
    tokenizer.normalizer = normalizers.Lowercase()
    passed = count_passed_on(monkeypatch)
    assert_same(tokenizer, made_up(200, PARTS), 50)
    assert sum(passed) == 200


def test_word_cache_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_tokenizer, "KEPT_WORDS", 30)
    tokenizer = load(symbols=True, pieces=120)
    texts = made_up(2_000, PARTS)
    batched = BatchTokenizer(unlimited(tokenizer), 12)
    expected = [encode(tokenizer, texts[start : start + 20]) for start in range(0, 2_000, 20)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(batched.encode, (texts[start : start + 20] for start in range(0, 2_000, 20))))
    assert all(np.array_equal(one.ids, other) for one, other in zip(found, expected, strict=True))
    assert len(batched._words) < 200


def test_the_bundled_model_s_tokenizer() -> None:
    folder = bundled_folder()
    tokenizer, whole = (Tokenizer.from_file(str(folder / "tokenizer.json")) for _ in range(2))
    tokenizer.enable_padding(pad_id=PAD_ID, pad_token=PAD, pad_to_multiple_of=POOL_SIZE)
    tokenizer.enable_truncation(12)
    whole.no_padding()
    whole.no_truncation()
    assert BatchTokenizer(whole, 12)._symbols
    assert_same(tokenizer, made_up(3_000, [*PARTS, *OTHERS]), 300, whole)


@pytest.mark.parametrize("text", ["happy " * 50, "sö happy " * 25, "happy!!! " * 20 + "…", "unbelievableness " * 9, ""])
def test_what_is_cut_is_counted(tokenizer: Tokenizer, text: str) -> None:
    whole = unlimited(tokenizer)
    encoding = whole.encode(text)
    for texts in ([text], [text, "a", text, "é"]):
        encoded = BatchTokenizer(whole, 12).encode(texts)
        assert encoded.tokens[0] == len(encoding.ids)
        assert encoded.words[0] == len(set(encoding.word_ids)), encoding.tokens
        assert encoded.ids.shape[1] <= 12
