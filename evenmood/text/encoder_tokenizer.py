"""Batch tokenizer for encoders, based on the `tokenizers` library."""

import re
from collections.abc import Sequence
from itertools import chain

import numpy as np
from tokenizers import Tokenizer

from evenmood.prediction import WordWeight
from evenmood.text.fast_batch_tokenizer import Encoded
from evenmood.text.normalization import PAD_ID, replace_surrogates
from evenmood.text.symbols import SYMBOL

_WORD = re.compile(rf"{SYMBOL.pattern}|\w+(?:['’]\w+)*|[^\w\s]+")
"""An emoji, a word with its apostrophes, or a run of punctuation."""


class EncoderTokenizer:
    """Tokenizer for an encoder; adds its special tokens."""

    def __init__(self, tokenizer: Tokenizer, max_length: int, pad_id: int = PAD_ID) -> None:
        """Wrap a tokenizer without truncation and padding; `max_length` is in tokens."""
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.pad_id = pad_id
        self._ending = _ending(tokenizer)
        unknown = getattr(tokenizer.model, "unk_token", None)
        self._unknown: int | None = tokenizer.token_to_id(unknown) if unknown else None

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Tokenize texts; a truncated text keeps the special tokens at its end."""
        encodings = self.tokenizer.encode_batch_fast([replace_surrogates(text) for text in texts])
        rows = [encoding.ids for encoding in encodings]
        tokens = np.array([len(row) for row in rows], np.int64)
        words = np.array([len(text.split()) for text in texts], np.int64)
        if not rows:
            return Encoded(np.empty((0, 0), np.int32), tokens, words)
        body = self.max_length - len(self._ending)
        rows = [row if len(row) <= self.max_length else [*row[:body], *self._ending] for row in rows]
        rows = [row or [self._unknown or 0] for row in rows]
        lengths = np.array([len(row) for row in rows])
        ids = np.full((len(rows), int(lengths.max())), self.pad_id, np.int32)
        ids[np.arange(ids.shape[1]) < lengths[:, None]] = np.fromiter(chain.from_iterable(rows), np.int32)
        return Encoded(ids, tokens, words)

    def words(self, text: str) -> list[WordWeight]:
        """Return the words of a text, with weight 0, independent of word pieces."""
        spans = [match.span() for match in _WORD.finditer(text)]
        parts = [replace_surrogates(text[start:end]) for start, end in spans]
        encodings = self.tokenizer.encode_batch(parts, add_special_tokens=False)
        return [
            WordWeight(text[start:end], start, end, 0.0, bool(encoding.ids) and self._unknown not in encoding.ids)
            for (start, end), encoding in zip(spans, encodings, strict=True)
        ]


def _ending(tokenizer: Tokenizer) -> list[int]:
    """Return the ids of the special tokens after a text."""
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    whole = tokenizer.encode("a").ids
    start = next((index for index in range(len(whole)) if whole[index : index + len(plain)] == plain), 0)
    return list(whole[start + len(plain) :])
