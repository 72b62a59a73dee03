"""Cleaning and tokenizing: one normalizer, used by training, prediction and the data build alike.

The normalizer lives in `tokenizer.json` too, so any program that loads the file with the `tokenizers` library gets the
same token ids, and every token keeps its character span in the original text.
"""

import unicodedata
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

NORMALIZER = normalizers.Sequence(
    [
        normalizers.Replace(_INSIDE_WORDS, ""),  # first, because NFKC turns ´ into a space and a mark
        normalizers.NFKC(),  # full-width forms, ligatures, styled letters, combining marks
        normalizers.Lowercase(),
        normalizers.NFKC(),  # lower case may decompose again
        normalizers.Replace(Regex(r"(?:https?://|(?<!\w)www\.(?=\w))\S+"), " "),
        normalizers.Replace(Regex(r"(?<!\w)@\w+"), " "),
        normalizers.Replace(_INSIDE_WORDS, ""),  # again, because NFKC makes some
        # A combining mark belongs to the letter before it (Hindi, Thai); one that has none is a leftover of an emoji.
        normalizers.Replace(Regex(r"(?:[^\p{L}\p{N}\p{M}]|(?<![\p{L}\p{N}\p{M}])\p{M}+)+"), " "),
        normalizers.NFC(),
        normalizers.Strip(),
    ]
)


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


def fit_tokenizer(texts: Iterable[str], min_frequency: int = 2, max_length: int = MAX_LENGTH) -> Tokenizer:
    """Build a word-level tokenizer from training texts (never from validation or test texts).

    Args:
        texts: Training texts, not yet cleaned.
        min_frequency: Words seen less often become `[UNK]`.
        max_length: Tokens a text is cut or padded to, on the right.

    Returns:
        A tokenizer whose ids are 0 for padding, 1 for unknown words, then words by falling frequency.
    """
    words = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    words.normalizer = NORMALIZER
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordLevelTrainer(vocab_size=2**31, min_frequency=min_frequency, show_progress=False)
    words.train_from_iterator((encodable(text) for text in texts), trainer)
    # [PAD] and [UNK] are plain entries, not "added tokens": those would be matched in the raw text, and a user who
    # types [PAD] would be padding.
    vocabulary = {PAD: PAD_ID, UNKNOWN: UNKNOWN_ID}
    vocabulary |= {word: index + 2 for word, index in words.get_vocab().items()}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = NORMALIZER
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_truncation(max_length)
    tokenizer.enable_padding(pad_id=PAD_ID, pad_token=PAD, length=max_length)
    return tokenizer


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
