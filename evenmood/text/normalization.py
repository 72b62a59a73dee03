"""Cleaning and tokenizing: one normalizer, used by training, prediction and the data build alike.

The normalizer lives in `tokenizer.json` too, so any program that loads the file with the `tokenizers` library gets the
same token ids, and every token keeps its character span in the original text.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

PAD, UNKNOWN = "[PAD]", "[UNK]"
PAD_ID, UNKNOWN_ID = 0, 1
MAX_LENGTH = 30
"""Tokens a text is cut to (the paper's section on pre-processing)."""
POOL_SIZE = 2
"""Time steps that the network's max pooling merges into one; a padded length is a multiple of it."""

# What stands inside a word without being part of it: apostrophes of all kinds ("don't" is one word), soft hyphens,
# joiners, variation selectors, the frame of a keycap. It goes without leaving a gap.
_INSIDE_WORDS = Regex(r"['’‘ʼ`´＇\u00ad\u200b-\u200d\u2060\ufeff\ufe00-\ufe0f\u20e3]")

EMOTICONS = {
    "\U0001f622": r"[:=]['’]-?[(\[]",  # :'(
    "\U0001f642": r"[:=]-?[)\]]",  # :)
    "\U0001f641": r"[:=]-?[(\[]",  # :(
    "\U0001f609": r";-?[)\]]",
    "\U0001f600": r"[:=;]-?D(?!\w)|(?<!\w)[xX]D(?!\w)",
    "\U0001f61b": r"[:=;]-?[pP](?!\w)",
    "\U0001f615": r"[:=]-?[/\\](?![/\\])",  # but not the :// of an address
    "\u2764": r"<3+(?!\d)",
}
"""Emoji, and the ways of typing it on a keyboard."""
_SYMBOLS = r"!?\u2026[\p{So}&&[^\ufffd]]"
"""What `symbols` keeps of what is neither letter nor digit: exclamation and question mark, ellipsis, emoji. U+FFFD is
none: it stands where a character was broken."""


def normalizer(symbols: bool) -> normalizers.Normalizer:
    """What cleans a text; with `symbols`, these stay, runs of one are one, and emoticons become emoji."""
    kept = _SYMBOLS if symbols else ""
    read = [normalizers.Replace(Regex(typed), emoji) for emoji, typed in EMOTICONS.items()]
    joined = [
        normalizers.Replace(Regex(r"\.{2,}|\u2026+"), "\u2026"),  # NFKC made three dots of an ellipsis
        normalizers.Replace(Regex("!{2,}"), "!"),
        normalizers.Replace(Regex(r"\?{2,}"), "?"),
    ]
    return normalizers.Sequence(
        [
            *(read if symbols else []),
            normalizers.Replace(_INSIDE_WORDS, ""),  # first, because NFKC turns ´ into a space and a mark
            normalizers.NFKC(),  # full-width forms, ligatures, styled letters, combining marks
            normalizers.Lowercase(),
            normalizers.NFKC(),  # lower case may decompose again
            normalizers.Replace(Regex(r"(?:https?://|(?<!\w)www\.(?=\w))\S+"), " "),
            normalizers.Replace(Regex(r"(?<!\w)@\w+"), " "),
            normalizers.Replace(_INSIDE_WORDS, ""),  # again, because NFKC makes some
            *(joined if symbols else []),
            # A combining mark belongs to the letter before it (Hindi, Thai); one that has none is a leftover of an
            # emoji.
            normalizers.Replace(
                Regex(rf"(?:[^\p{{L}}\p{{N}}\p{{M}}{kept}]|(?<![\p{{L}}\p{{N}}\p{{M}}])\p{{M}}+)+"), " "
            ),
            normalizers.NFC(),
            normalizers.Strip(),
        ]
    )


def splitter(symbols: bool) -> pre_tokenizers.PreTokenizer:
    """What cuts a cleaned text into words; with `symbols`, each of them is a word."""
    words = pre_tokenizers.WhitespaceSplit()
    if not symbols:
        return words
    return pre_tokenizers.Sequence([words, pre_tokenizers.Split(Regex(f"[{_SYMBOLS}]"), "isolated")])


NORMALIZER = normalizer(symbols=False)


def clean(text: str) -> str:
    """Clean a text as the paper does: drop @mentions, URLs and non-alphanumeric characters, one space, lower case.

    Letters and digits of every script stay; GoEmotions' masks `[NAME]` and `[RELIGION]` become the words `name` and
    `religion`. The result may be empty.
    """
    return NORMALIZER.normalize_str(encodable(text))


def encodable(text: str) -> str:
    """Replace lone surrogates, which no encoder accepts, by U+FFFD; character positions stay as they are."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "".join("\ufffd" if unicodedata.category(character) == "Cs" else character for character in text)
    return text


PIECE = "##"
"""What a word piece begins with that continues a word; cleaned text has no such character."""
PIECE_ALPHABET = 100
"""Most frequent characters that are pieces themselves; a word with another one is `[UNK]`."""
LONGEST_WORD = 60
"""Characters from which on a word is `[UNK]` rather than pieces."""


def fit_tokenizer(
    texts: Iterable[str],
    min_frequency: int = 2,
    max_length: int = MAX_LENGTH,
    max_words: int | None = None,
    pieces: int = 0,
    symbols: bool = False,
) -> Tokenizer:
    """Build a word-level tokenizer from training texts (never from validation or test texts).

    Args:
        texts: Training texts, not yet cleaned.
        min_frequency: Words seen less often are not in the vocabulary.
        max_length: Tokens a text is cut or padded to, on the right.
        max_words: The most frequent words alone; None for all that are frequent enough.
        pieces: About how many word pieces to add; a word that is not in the vocabulary is then read as the longest
            pieces it starts with, one after another (Schuster and Nakajima 2012), and not as `[UNK]`.
        symbols: Whether `!`, `?`, the ellipsis and emoji are words, and emoticons such as `:)` emoji. `clean`, and the
            paper, drop them all.

    Returns:
        A tokenizer whose ids are 0 for padding, 1 for unknown words, then words by falling frequency, then pieces.
    """
    cleaning, splitting = normalizer(symbols), splitter(symbols)
    cleaned = (cleaning.normalize_str(encodable(text)) for text in texts)
    counts = Counter(word for text in cleaned for word, _ in splitting.pre_tokenize_str(text))
    frequent = sorted((word for word in counts if counts[word] >= min_frequency), key=lambda w: (-counts[w], w))
    # [PAD] and [UNK] are plain entries, not "added tokens": those would be matched in the raw text, and a user who
    # types [PAD] would be padding.
    vocabulary = {PAD: PAD_ID, UNKNOWN: UNKNOWN_ID}
    for word in [*frequent[:max_words], *(_pieces(counts, pieces) if pieces else ())]:
        vocabulary.setdefault(word, len(vocabulary))
    if pieces:
        model: models.Model = models.WordPiece(
            vocabulary, unk_token=UNKNOWN, continuing_subword_prefix=PIECE, max_input_chars_per_word=LONGEST_WORD
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
    """Word pieces by how many different words have them: a frequent word has no need of its pieces."""
    learner = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    words = sorted(words)
    # The trainer breaks ties by the numbers that characters have, and draws those by chance which it is not given.
    characters = Counter(character for word in words for character in word)
    alphabet = set(sorted(characters, key=lambda c: (-characters[c], c))[:PIECE_ALPHABET])
    numbered = [*sorted(alphabet), *(PIECE + character for character in sorted(alphabet))]
    trainer = trainers.WordPieceTrainer(
        vocab_size=count, special_tokens=numbered, continuing_subword_prefix=PIECE, show_progress=False
    )
    learner.train_from_iterator([word for word in words if alphabet.issuperset(word)], trainer)
    vocabulary = learner.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    """Token ids of texts: int32, shape (n, time steps), padded on the right as the tokenizer says.

    A text that cleans to nothing is one unknown token: a row is never all padding, which cuDNN's LSTM refuses.
    """
    if not texts:
        return np.empty((0, 0), np.int32)
    encodings = tokenizer.encode_batch_fast([encodable(text) for text in texts])
    ids = np.array([encoding.ids for encoding in encodings], np.int32)
    if ids.shape[1] == 0:  # every text cleans to nothing, and padding goes to the longest
        ids = np.full((len(texts), POOL_SIZE), PAD_ID, np.int32)
    ids[ids[:, 0] == PAD_ID, 0] = UNKNOWN_ID
    return ids
