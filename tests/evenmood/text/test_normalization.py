"""Cleaning and tokenization of arbitrary texts."""

import random
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from evenmood import clean
from evenmood.text.normalization import (
    MAX_LENGTH,
    PAD,
    PAD_ID,
    UNKNOWN,
    UNKNOWN_ID,
    encode,
    fit_tokenizer,
    replace_surrogates,
)

CLEANED = {
    "plain": ("So HAPPY, today!!", "so happy today"),
    "white space": ("  a\tb\r\nc\u00a0d\u2003e ", "a b c d e"),
    "digits are kept": ("100% in 2024", "100 in 2024"),
    "underscore": ("snake_case", "snake case"),
    "hashtag": ("#blessed #2day", "blessed 2day"),
    "mention": ("@user_1 thanks @José!", "thanks"),
    "email address is not a mention": ("write to me@home.com", "write to me home com"),
    "lone at sign": ("see you @ home", "see you home"),
    "url": ("see https://x.org/a?b=c#d now", "see now"),
    "url in upper case": ("HTTPS://X.ORG/A now", "now"),
    "www": ("www.x.org and WWW.Y.ORG/z now", "and now"),
    "awww is not a url": ("Awww... so cute, ewww.that not", "awww so cute ewww that not"),
    "emoji": ("love\U0001f60dit \u2764\ufe0f", "love it"),
    "emoji joined by ZWJ": ("a \U0001f469\u200d\U0001f469\u200d\U0001f467 b", "a b"),
    "emoji with skin tone": ("\U0001f44d\U0001f3fdyes", "yes"),
    "keycap": ("1\ufe0f\u20e3 thing", "1 thing"),
    "flag": ("go \U0001f1e9\U0001f1ea", "go"),
    "curly quote": ("don’t “worry”", "dont worry"),
    "all apostrophes": ("it's it’s it‘s itʼs it`s it´s it\uff07s", "its its its its its its its"),
    "full width": ("ＨＡＰＰＹ　２０", "happy 20"),
    "styled letters": ("\U0001d4f1\U0001d4ea\U0001d4f9\U0001d4f9\U0001d502", "happy"),
    "ligature": ("ﬁne", "fine"),
    "accents are kept": ("Café NAÏVE", "café naïve"),
    "dotted I": ("İstanbul", "i\u0307stanbul"),
    "Hindi": ("नमस्ते दुनिया!", "नमस्ते दुनिया"),
    "Thai": ("ดีใจมาก!", unicodedata.normalize("NFKC", "ดีใจมาก")),
    "Arabic": ("أنا سَعيدٌ جدًّا!", unicodedata.normalize("NFKC", "أنا سَعيدٌ جدًّا")),
    "Japanese": ("嬉しいガ!", "嬉しいガ"),
    "masked name": ("[NAME] loves [RELIGION]", "name loves religion"),
    "zero width": ("hap\u200bpy\ufeff", "happy"),
    "soft hyphen": ("won\u00adder\u00adful", "wonderful"),
    "zero width joiner before an accent": ("cafe\u200d\u0301", "café"),
    "lone surrogate": ("so \ud83d sad", "so sad"),
    "lone surrogate in a word": ("a\udc00b", "a b"),
    "NUL": ("a\x00b", "a b"),
    "accents without a letter": ("\u0301\u0323 a", "a"),
    "empty": ("", ""),
    "only emoji": ("\U0001f600\U0001f600", ""),
    "only a url": ("https://x.org", ""),
    "only punctuation": ("?!… —", ""),
}

RANGES = [
    range(0x20, 0x7F),
    range(0xA0, 0x250),
    range(0x300, 0x370),
    range(0x370, 0x600),
    range(0x900, 0xE80),
    range(0x1100, 0x1200),
    range(0x1E00, 0x2000),
    range(0x2000, 0x2C00),
    range(0xAC00, 0xD7A4),
    range(0xFB00, 0x10000),
    range(0x1D400, 0x1D800),
    range(0x1F000, 0x1FB00),
    range(0x110000),
]


def random_texts(count: int) -> list[str]:
    """Return texts of any Unicode characters, including surrogates, each from one to three ranges."""
    generator = random.Random(0)
    texts = []
    for _ in range(count):
        scripts = generator.choices(RANGES, k=generator.randint(1, 3))
        texts.append("".join(chr(generator.choice(generator.choice(scripts))) for _ in range(generator.randint(1, 20))))
    return texts


@pytest.mark.parametrize(("text", "cleaned"), CLEANED.values(), ids=CLEANED.keys())
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize("text", ["café", "señor", "über Ångström", "한국어", "Tiếng Việt"])
def test_composed_and_decomposed_letters_are_equal(text: str) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    assert decomposed != unicodedata.normalize("NFC", text)
    assert clean(decomposed) == clean(text) == unicodedata.normalize("NFC", text).lower()


def test_clean_is_idempotent() -> None:
    texts = [*(text for text, _ in CLEANED.values()), *random_texts(5000)]
    changed = [ascii(text) for text in texts if clean(clean(text)) != clean(text)]
    assert not changed, f"{len(changed)} of {len(texts)}, such as {changed[:5]}"


def test_clean_keeps_only_letters_digits_marks_and_single_spaces() -> None:
    # Unassigned characters (Cn) may be letters in the newer Unicode tables of the regular expression library.
    for text in random_texts(5000):
        words = clean(text).split(" ") if clean(text) else []
        assert all(words), ascii(text)
        unexpected = [c for c in "".join(words) if unicodedata.category(c)[0] not in "LNM" and not is_unassigned(c)]
        assert not unexpected, ascii(text)


def is_unassigned(character: str) -> bool:
    return unicodedata.category(character) == "Cn"


@pytest.mark.parametrize(
    "piece",
    ["a", "hi there ", "@", "@a", "www.", "http://", "\u0301", "\u0301\u0323", " ", "'", "\U0001f469\u200d", "\x00"],
)
def test_clean_takes_linear_time(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    start = time.perf_counter()
    clean(text)
    assert time.perf_counter() - start < 2  # 0.1 s measured; a quadratic step would take minutes


CORPUS = ["I am so happy", "so happy, so glad!", "I’m sad", "[PAD] and [UNK] are words", "[pad] [unk]", "glad once"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return fit_tokenizer(CORPUS)


def test_reserved_ids(tokenizer: Tokenizer) -> None:
    assert (tokenizer.token_to_id(PAD), tokenizer.token_to_id(UNKNOWN)) == (PAD_ID, UNKNOWN_ID) == (0, 1)
    assert sorted(tokenizer.get_vocab().values()) == list(range(tokenizer.get_vocab_size()))


def test_vocabulary_is_ordered_and_limited_by_frequency() -> None:
    vocabulary = fit_tokenizer(["c c c b b a", "b a a a a"], min_frequency=3).get_vocab()
    assert vocabulary == {PAD: 0, UNKNOWN: 1, "a": 2, "b": 3, "c": 4}
    assert "c" not in fit_tokenizer(["c c c b b a", "b a a a a b"], min_frequency=4).get_vocab()


def test_vocabulary_does_not_depend_on_the_order_of_texts() -> None:
    generator = random.Random(0)
    texts = [" ".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(200)]
    shuffled = generator.sample(texts, len(texts))
    assert fit_tokenizer(texts).get_vocab() == fit_tokenizer(shuffled).get_vocab()
    assert fit_tokenizer(texts).to_str() == fit_tokenizer(texts).to_str()


@pytest.mark.parametrize(
    ("words", "length"), [(1, 1), (MAX_LENGTH, MAX_LENGTH), (MAX_LENGTH + 1, MAX_LENGTH), (500, 30)]
)
def test_texts_are_truncated_and_padded_on_the_right(tokenizer: Tokenizer, words: int, length: int) -> None:
    ids = encode(tokenizer, ["happy " * words])
    happy = tokenizer.token_to_id("happy")
    assert ids.dtype == np.int32
    assert ids.tolist() == [[happy] * length + [PAD_ID] * (MAX_LENGTH - length)]


def test_typed_special_tokens_are_ordinary_words(tokenizer: Tokenizer) -> None:
    ids = encode(tokenizer, ["[PAD] [UNK] [pad]"])[0, :3].tolist()
    assert ids == [tokenizer.token_to_id("pad"), tokenizer.token_to_id("unk"), tokenizer.token_to_id("pad")]
    assert PAD_ID not in ids
    assert UNKNOWN_ID not in ids


def test_unseen_word_is_unknown(tokenizer: Tokenizer) -> None:
    assert encode(tokenizer, ["so zzz happy"])[0, :4].tolist() == [
        tokenizer.token_to_id("so"),
        UNKNOWN_ID,
        tokenizer.token_to_id("happy"),
        PAD_ID,
    ]


@pytest.mark.parametrize("text", ["", "   ", "\U0001f600", "https://x.org", "@you", "\x00", "\ud83d"])
@pytest.mark.parametrize("preceding", [[], ["so happy"]], ids=["single", "batch"])
@pytest.mark.parametrize("padding", ["fixed", "longest"])
def test_empty_text_is_one_unknown_word(text: str, preceding: list[str], padding: str) -> None:
    tokenizer = fit_tokenizer(CORPUS)
    if padding == "longest":
        tokenizer.enable_padding(pad_id=PAD_ID, pad_token=PAD)
    row = encode(tokenizer, [*preceding, text])[-1]
    assert row[0] == UNKNOWN_ID
    assert not row[1:].any()


def test_no_texts(tokenizer: Tokenizer) -> None:
    assert encode(tokenizer, []).shape[0] == 0


def test_saved_tokenizer_returns_the_same_ids(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    texts = [*CORPUS, *(text for text, _ in CLEANED.values())]
    np.testing.assert_array_equal(encode(Tokenizer.from_file(str(path)), texts), encode(tokenizer, texts))


def test_tokenizer_file_includes_the_normalizer(tokenizer: Tokenizer) -> None:
    reloaded = Tokenizer.from_str(tokenizer.to_str())
    for text in [*(text for text, _ in CLEANED.values()), *random_texts(500)]:
        assert reloaded.normalizer.normalize_str(replace_surrogates(text)) == clean(text)


def test_symbols_are_tokens_if_enabled() -> None:
    text = (
        "Wow!!! REALLY?? :) I can't\u2026 http://x.y/z :'( <3 hmm\U0001f602\U0001f602 ok:D... don't. "
        "\U0001f44d\U0001f3fd =/ <30"
    )
    symbols = fit_tokenizer([text] * 2, symbols=True)
    tokens = [token for token in symbols.encode(text).tokens if token != "[PAD]"]
    smile, sad, grin = "\U0001f642", "\U0001f622", "\U0001f600"
    expected = (
        f"wow ! really ? {smile} i cant \u2026 {sad} \u2764 hmm \U0001f602 \U0001f602 ok {grin} \u2026 dont "
        "\U0001f44d \U0001f615 30"
    )
    assert tokens == expected.split()
    assert UNKNOWN not in tokens
    assert [token for token in fit_tokenizer([text] * 2).encode(text).tokens if token != "[PAD]"] == clean(text).split()


def test_symbols_keep_their_offsets() -> None:
    text = "So good!! \U0001f602 ok?"
    encoding = fit_tokenizer([text] * 2, symbols=True).encode(text)
    spans = [text[start:end] for start, end in encoding.offsets if end > start]
    assert spans == ["So", "good", "!", "\U0001f602", "ok", "?"]


@pytest.mark.parametrize("piece", ["!", "?", ".", "\U0001f602", ":)", ":'(", "<3", "\u2026"])
def test_repeated_symbols_take_linear_time(piece: str) -> None:
    symbols = fit_tokenizer([piece] * 2, symbols=True)
    started = time.process_time()
    symbols.encode(piece * 50_000)
    assert time.process_time() - started < 5


def test_word_pieces_are_deterministic() -> None:
    program = (
        "from evenmood.text.normalization import fit_tokenizer\n"
        "words = [a + b + c for a in 'ptkbdg' for b in 'aeiou' for c in ('ré', 'ng', 'ß', 'ño', 'sh', 'th')]\n"
        "print(sorted(fit_tokenizer([' '.join(words)], 9, pieces=60).get_vocab().items()))"
    )
    command = [sys.executable, "-c", program]
    assert len({subprocess.run(command, capture_output=True, check=True).stdout for _ in range(4)}) == 1
