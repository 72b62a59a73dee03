"""Vectorized tokenizer with output identical to `tokenizers`.

`tokenizers` keeps for every character where it came from, which predicting has no use for. Here the ASCII texts of a
batch, most of English, are one byte string: each rule of the normalizer is one pass over it, and a word is looked up
once in its life. What a word's ids are, `tokenizer.json` alone says; texts with other characters go to its library.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress
from threading import Lock
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from evenmood.prediction import WordWeight
from evenmood.text.normalization import (
    EMOTICONS,
    LONGEST_WORD,
    PAD_ID,
    PIECE,
    POOL_SIZE,
    UNKNOWN_ID,
    encodable,
    normalizer,
    splitter,
)
from evenmood.text.spans import words_read

KEPT_WORDS = 100_000
"""Number of cached words at which the cache is reset."""
END_OF_TEXT = -1

# Characters that the normalizer treats as it does these ASCII ones.
_LIKE_ASCII = {"’": "'", "‘": "`", "“": '"', "”": '"', "…": "...", "–": ",", "—": ",", "\xa0": " "}
# Bytes that no ASCII text has stand for what is not ASCII: an emoticon's emoji, the ellipsis, the end of a text.
_EMOJI = {emoji: bytes([0x80 + number]) for number, emoji in enumerate(EMOTICONS)}
_ELLIPSIS, _END = b"\xa0", b"\xff"
# `text.EMOTICONS` in one pattern: it begins with a set of characters, which `re` looks for without trying the rest.
_EMOTICON = re.compile(
    rb"[:=;xX<](?:(?<=[:=])(?:(?P<cry>'-?[(\[])|(?P<smile>-?[)\]])|(?P<frown>-?[(\[])|(?P<doubt>-?[/\\](?![/\\])))"
    rb"|(?<=;)(?P<wink>-?[)\]])|(?P<laugh>(?<=[:=;])-?D(?!\w)|(?<=[xX])(?<!\w[xX])D(?!\w))"
    rb"|(?<=[:=;])(?P<tongue>-?[pP](?!\w))|(?<=<)(?P<heart>3+(?!\d)))"
)
_BYTE_OF = dict(
    zip(("cry", "smile", "frown", "wink", "laugh", "tongue", "doubt", "heart"), _EMOJI.values(), strict=True)
)
# Where an address may begin is marked first: finding a string, then a rare byte, is faster than trying each h and w.
_MARK = b"\xa1"
_ADDRESS = re.compile(rb"\xa1(?:https?://|(?<!\w\xa1)www\.(?=[\xa1\w]))\S+")
_MENTION = re.compile(rb"@(?<!\w@)\w+")
_RUNS = (re.compile(rb"\.\.+"), _ELLIPSIS), (re.compile(rb"!!+"), b"!"), (re.compile(rb"\?\?+"), b"?")
_SYMBOLS = (b"!", b"?", _ELLIPSIS, *_EMOJI.values())
_LOWER = bytes(range(256)).lower()
_INSIDE_WORDS = b"'`"


def _spaces(kept: bytes) -> bytes:
    """A table for `bytes.translate` that leaves letters, digits and these, and makes the rest spaces."""
    return bytes(byte if (chr(byte).isalnum() and byte < 128) or byte in kept else 0x20 for byte in range(256))


_WORDS = _spaces(_END)
_WORDS_AND_SYMBOLS = _spaces(b"".join(_SYMBOLS) + _END)


class _Words(dict[bytes, int]):
    """The id of a word; of a word with other than one id, -2 or less: -2 minus its place in `pieces`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Start with the end-of-text marker only."""
        super().__init__({_END: END_OF_TEXT})
        self.pieces: list[list[int]] = []
        self._model: Any = tokenizer.model
        self._lock = Lock()
        for character, byte in {**_EMOJI, "\u2026": _ELLIPSIS}.items():
            self[byte] = self._look_up(character)

    def __missing__(self, word: bytes) -> int:
        found = self._look_up(word.decode("ascii"))
        if len(word) <= LONGEST_WORD:  # the store is bounded in bytes too
            self[word] = found
        return found

    def _look_up(self, word: str) -> int:
        known = self._model.token_to_id(word) if len(word) <= LONGEST_WORD else None
        if known is not None:  # ten times as fast as asking for its pieces
            return int(known)
        ids = [token.id for token in self._model.tokenize(word)]
        if len(ids) == 1:
            return int(ids[0])
        with self._lock:
            self.pieces.append(ids)
            return END_OF_TEXT - len(self.pieces)


@dataclass(frozen=True)
class Encoded:
    """Token ids of some texts.

    Attributes:
        ids: int32, shape (n, time steps), padded on the right; a text with more tokens than the model reads is cut.
        tokens: Tokens of each text before it was cut, shape (n,).
        words: Words of each text before it was cut, shape (n,); a word may be several tokens.
    """

    ids: np.ndarray
    tokens: np.ndarray
    words: np.ndarray


class BatchTokenizer:
    """Token ids as `text.encode` gives them, fast for a tokenizer that `text.fit_tokenizer` built."""

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        """Take a tokenizer that neither truncates nor pads, and the tokens that the model reads at once."""
        self.tokenizer = tokenizer
        self.max_length = max_length
        state = (tokenizer.normalizer.__getstate__(), tokenizer.pre_tokenizer.__getstate__())
        known = [(normalizer(kept).__getstate__(), splitter(kept).__getstate__()) for kept in (False, True)]
        self._symbols = known.index(state) == 1 if state in known else None
        self._words = _Words(tokenizer)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Token ids and counts of texts; the ids are as wide as the longest text and a whole pool."""
        if self._symbols is None or not texts:
            return self._encode_slowly(texts)
        joined = "\n".join(texts)
        if joined.count("\n") != len(texts) - 1:
            texts = [text.replace("\n", " ") for text in texts]
            joined = "\n".join(texts)
        if not joined.isascii():
            for character, ascii_one in _LIKE_ASCII.items():
                joined = joined.replace(character, ascii_one)
        if joined.isascii():
            return self._padded(*self._tokens(joined))
        rows = joined.split("\n")
        plain = np.fromiter(map(str.isascii, rows), bool, len(rows))
        others = self._encode_slowly(list(compress(texts, ~plain)))
        if not plain.any():
            return others
        fast = self._padded(*self._tokens("\n".join(compress(rows, plain))))
        merged = np.full((len(texts), max(fast.ids.shape[1], others.ids.shape[1])), PAD_ID, np.int32)
        merged[plain, : fast.ids.shape[1]] = fast.ids
        merged[~plain, : others.ids.shape[1]] = others.ids
        tokens, words = np.empty(len(texts), np.int64), np.empty(len(texts), np.int64)
        tokens[plain], tokens[~plain] = fast.tokens, others.tokens
        words[plain], words[~plain] = fast.words, others.words
        return Encoded(merged, tokens, words)

    def words(self, text: str) -> list[WordWeight]:
        """The words that the network reads, without weights."""
        return words_read(self.tokenizer, text)[0]

    def _encode_slowly(self, texts: Sequence[str]) -> Encoded:
        """By the library."""
        encodings = self.tokenizer.encode_batch_fast([encodable(text) for text in texts])
        rows = [encoding.ids for encoding in encodings]
        counts = np.array([len(row) for row in rows], np.int64)
        if not rows:
            return Encoded(np.empty((0, 0), np.int32), counts, counts)
        ids = np.fromiter(chain.from_iterable(rows), np.int32, int(counts.sum()))
        begun = np.concatenate([[0], np.cumsum(self._begins_word[ids])])
        ends = np.cumsum(counts)
        return self._padded(ids, counts, begun[ends] - begun[ends - counts])

    @cached_property
    def _begins_word(self) -> np.ndarray:
        """Whether a token begins a word, by id: a piece that continues one does not."""
        size = self.tokenizer.get_vocab_size()  # at the least the number of ids
        tokens = map(self.tokenizer.id_to_token, range(size))
        return np.array([not (token or "").startswith(PIECE) for token in tokens])

    def _tokens(self, joined: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Token ids of ASCII texts with a line feed between them; tokens and words of each text."""
        content = joined.encode("ascii") + b"\n"
        if self._symbols:
            content = _EMOTICON.sub(lambda match: _BYTE_OF[str(match.lastgroup)], content)
        content = content.translate(_LOWER, _INSIDE_WORDS)
        for beginning in (b"http", b"www."):
            content = content.replace(beginning, _MARK + beginning)
        content = _MENTION.sub(b" ", _ADDRESS.sub(b" ", content).replace(_MARK, b""))
        if self._symbols:
            for run, one in _RUNS:
                content = run.sub(one, content)
            for symbol in _SYMBOLS:
                content = content.replace(symbol, b" %b " % symbol)
        content = content.replace(b"\n", b" %b " % _END)
        found = content.translate(_WORDS_AND_SYMBOLS if self._symbols else _WORDS).split()
        words = self._words  # another thread may reset the cache
        ids = np.fromiter(map(words.__getitem__, found), np.int32, len(found))
        ends = np.flatnonzero(ids == END_OF_TEXT)
        word_counts = np.diff(ends, prepend=-1) - 1
        several = np.flatnonzero(ids < END_OF_TEXT)
        if len(several):
            pieces = [words.pieces[place] for place in (END_OF_TEXT - 1 - ids[several]).tolist()]
            counts = np.ones(len(ids), np.int64)
            counts[several] = [len(piece) for piece in pieces]
            spread = np.repeat(ids, counts)
            spread[spread < END_OF_TEXT] = [number for piece in pieces for number in piece]
            ids = spread
            ends = np.flatnonzero(ids == END_OF_TEXT)
        if len(words) > KEPT_WORDS:
            self._words = _Words(self.tokenizer)
        return np.delete(ids, ends), np.diff(ends, prepend=-1) - 1, word_counts

    def _padded(self, ids: np.ndarray, counts: np.ndarray, words: np.ndarray) -> Encoded:
        """One row a text; a text without tokens is one unknown token, as in `text.encode`."""
        lengths = np.minimum(counts, self.max_length)
        longest = max(int(lengths.max()), 1)
        rows = np.full((len(counts), -(-longest // POOL_SIZE) * POOL_SIZE), PAD_ID, np.int32)
        column = np.arange(len(ids)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = column < self.max_length
        rows[np.repeat(np.arange(len(counts)), counts)[kept], column[kept]] = ids[kept]
        rows[counts == 0, 0] = UNKNOWN_ID
        return Encoded(rows, counts, words)
