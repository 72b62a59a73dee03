"""Text cleaning and tokenization, shared by training, prediction and the data build.

The normalizer is part of `tokenizer.json`, so that any program that loads the file with the `tokenizers` library gets
the same token ids, and every token has its character span in the original text.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

PAD, UNKNOWN = "[PAD]", "[UNK]"
PAD_ID, UNKNOWN_ID = 0, 1
MAX_LENGTH = 30
"""Default maximum length in tokens (the section on pre-processing of the paper, arXiv 2511.14073)."""
POOL_SIZE = 2
"""Time steps that max pooling merges into one; padded lengths are a multiple of it."""

# Characters deleted inside words without leaving a space: apostrophes of all kinds ("don't" is one word), soft hyphens,
# joiners, variation selectors, the combining enclosing keycap.
_DELETED_CHARACTERS = Regex(r"['’‘ʼ`´＇\u00ad\u200b-\u200d\u2060\ufeff\ufe00-\ufe0f\u20e3]")

EMOTICONS = {
    "\U0001f622": r"[:=]['’]-?[(\[]",  # :'(
    "\U0001f642": r"[:=]-?[)\]]",  # :)
    "\U0001f641": r"[:=]-?[(\[]",  # :(
    "\U0001f609": r";-?[)\]]",
    "\U0001f600": r"[:=;]-?D(?!\w)|(?<!\w)[xX]D(?!\w)",
    "\U0001f61b": r"[:=;]-?[pP](?!\w)",
    "\U0001f615": r"[:=]-?[/\\](?![/\\])",  # but not the :// of a URL
    "\u2764": r"<3+(?!\d)",
}
"""Regular expression of the emoticons converted to each emoji."""
_SYMBOLS = r"!?\u2026[\p{So}&&[^\ufffd]]"
"""Characters besides letters and digits that `symbols` keeps: exclamation mark, question mark, ellipsis, emoji, but not
the replacement character U+FFFD."""


def normalizer(symbols: bool) -> normalizers.Normalizer:
    """Create the normalizer; with `symbols`, keep symbols, collapse runs of one, and convert emoticons to emoji."""
    allowed = _SYMBOLS if symbols else ""
    emoticons = [normalizers.Replace(Regex(pattern), emoji) for emoji, pattern in EMOTICONS.items()]
    collapse_runs = [
        normalizers.Replace(Regex(r"\.{2,}|\u2026+"), "\u2026"),  # NFKC expands an ellipsis to three dots
        normalizers.Replace(Regex("!{2,}"), "!"),
        normalizers.Replace(Regex(r"\?{2,}"), "?"),
    ]
    return normalizers.Sequence(
        [
            *(emoticons if symbols else []),
            normalizers.Replace(_DELETED_CHARACTERS, ""),  # first, because NFKC turns ´ into a space and a mark
            normalizers.NFKC(),  # full-width forms, ligatures, styled letters, combining marks
            normalizers.Lowercase(),
            normalizers.NFKC(),  # lowercasing may decompose characters again
            normalizers.Replace(Regex(r"(?:https?://|(?<!\w)www\.(?=\w))\S+"), " "),
            normalizers.Replace(Regex(r"(?<!\w)@\w+"), " "),
            normalizers.Replace(_DELETED_CHARACTERS, ""),  # again, because NFKC creates some
            *(collapse_runs if symbols else []),
            # A combining mark belongs to the preceding letter (Hindi, Thai); without one it is a remnant of an emoji.
            normalizers.Replace(
                Regex(rf"(?:[^\p{{L}}\p{{N}}\p{{M}}{allowed}]|(?<![\p{{L}}\p{{N}}\p{{M}}])\p{{M}}+)+"), " "
            ),
            normalizers.NFC(),
            normalizers.Strip(),
        ]
    )


def splitter(symbols: bool) -> pre_tokenizers.PreTokenizer:
    """Create the pre-tokenizer, which splits a cleaned text into words; with `symbols`, each symbol is a word."""
    words = pre_tokenizers.WhitespaceSplit()
    if not symbols:
        return words
    return pre_tokenizers.Sequence([words, pre_tokenizers.Split(Regex(f"[{_SYMBOLS}]"), "isolated")])


NORMALIZER = normalizer(symbols=False)


def clean(text: str) -> str:
    """Clean a text as in the paper: remove @mentions, URLs and non-alphanumeric characters, and convert to lower case.

    Letters and digits of every script are kept, words are separated by single spaces, and GoEmotions' masks `[NAME]`
    and `[RELIGION]` become the words `name` and `religion`. The result may be empty.
    """
    return NORMALIZER.normalize_str(replace_surrogates(text))


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot encode, with U+FFFD; character positions do not change."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "".join("\ufffd" if unicodedata.category(character) == "Cs" else character for character in text)
    return text


PIECE_PREFIX = "##"
"""Prefix of a word piece that continues a word; cleaned text does not contain it."""
PIECE_ALPHABET = 100
"""Number of most frequent characters that are pieces; a word with any other character is `[UNK]`."""
MAX_WORD_CHARS = 60
"""Maximum length of a word split into pieces, in characters; longer words are `[UNK]`."""


def fit_tokenizer(
    texts: Iterable[str],
    min_frequency: int = 2,
    max_length: int = MAX_LENGTH,
    max_words: int | None = None,
    pieces: int = 0,
    symbols: bool = False,
) -> Tokenizer:
    """Build a word-level tokenizer from training texts.

    Args:
        texts: Original training texts; never validation or test texts.
        min_frequency: Minimum frequency of a word in the vocabulary.
        max_length: Length to which texts are truncated or padded on the right, in tokens.
        max_words: Maximum number of words; unlimited by default.
        pieces: Approximate number of word pieces to add; words outside the vocabulary are then split greedily into the
            longest pieces (Schuster and Nakajima 2012) instead of becoming `[UNK]`.
        symbols: Whether `!`, `?`, the ellipsis and emoji are words, and emoticons such as `:)` become emoji. `clean`
            and the paper remove them all.

    Returns:
        A tokenizer with the ids 0 for padding, 1 for the unknown token, then words by descending frequency, and pieces.
    """
    cleaning, splitting = normalizer(symbols), splitter(symbols)
    cleaned = (cleaning.normalize_str(replace_surrogates(text)) for text in texts)
    counts = Counter(word for text in cleaned for word, _ in splitting.pre_tokenize_str(text))
    frequent = sorted((word for word in counts if counts[word] >= min_frequency), key=lambda w: (-counts[w], w))
    # [PAD] and [UNK] are plain entries, not "added tokens", which would be matched in the original text: a user who
    # types [PAD] must not create padding.
    vocabulary = {PAD: PAD_ID, UNKNOWN: UNKNOWN_ID}
    for word in [*frequent[:max_words], *(_pieces(counts, pieces) if pieces else ())]:
        vocabulary.setdefault(word, len(vocabulary))
    if pieces:
        model: models.Model = models.WordPiece(
            vocabulary,
            unk_token=UNKNOWN,
            continuing_subword_prefix=PIECE_PREFIX,
            max_input_chars_per_word=MAX_WORD_CHARS,
        )
    else:
        model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = cleaning
    tokenizer.pre_tokenizer = splitting
    tokenizer.enable_truncation(max_length)
    tokenizer.enable_padding(pad_id=PAD_ID, pad_token=PAD, length=max_length)
    return tokenizer


def _pieces(words: Iterable[str], count: int) -> list[str]:
    """Learn word pieces from distinct words: frequent words are in the vocabulary and need no pieces."""
    learner = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    words = sorted(words)
    # The trainer breaks ties by character ids and assigns them in random order unless they are given.
    characters = Counter(character for word in words for character in word)
    alphabet = set(sorted(characters, key=lambda c: (-characters[c], c))[:PIECE_ALPHABET])
    initial_tokens = [*sorted(alphabet), *(PIECE_PREFIX + character for character in sorted(alphabet))]
    trainer = trainers.WordPieceTrainer(
        vocab_size=count, special_tokens=initial_tokens, continuing_subword_prefix=PIECE_PREFIX, show_progress=False
    )
    learner.train_from_iterator([word for word in words if alphabet.issuperset(word)], trainer)
    vocabulary = learner.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    """Tokenize texts: int32 of shape (n, time steps), padded on the right as configured in the tokenizer.

    A text that is empty after cleaning is one unknown token, because cuDNN's LSTM rejects all-padding rows.
    """
    if not texts:
        return np.empty((0, 0), np.int32)
    encodings = tokenizer.encode_batch_fast([replace_surrogates(text) for text in texts])
    ids = np.array([encoding.ids for encoding in encodings], np.int32)
    if ids.shape[1] == 0:  # all texts are empty after cleaning, and padding is to the longest
        ids = np.full((len(texts), POOL_SIZE), PAD_ID, np.int32)
    ids[ids[:, 0] == PAD_ID, 0] = UNKNOWN_ID
    return ids
