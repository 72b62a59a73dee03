"""Vectorized tokenizer with output identical to `tokenizers`.

`tokenizers` tracks the original position of every character, which prediction does not need. Here, the ASCII texts of a
batch are joined into one byte string, each rule of the normalizer is a single pass over it, and word ids, which come
from `tokenizer.json`, are cached. Texts with other characters are tokenized by the library.
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
    MAX_WORD_CHARS,
    PAD_ID,
    PIECE_PREFIX,
    POOL_SIZE,
    UNKNOWN_ID,
    normalizer,
    replace_surrogates,
    splitter,
)
from evenmood.text.spans import word_spans

MAX_CACHED_WORDS = 100_000
"""Number of cached words at which the cache is cleared."""
END_OF_TEXT = -1

# Characters that the normalizer treats like these ASCII characters.
_LIKE_ASCII = {"’": "'", "‘": "`", "“": '"', "”": '"', "…": "...", "–": ",", "—": ",", "\xa0": " "}
# Non-ASCII bytes encode symbols that are not ASCII: the emoji of an emoticon, the ellipsis, and the end of a text.
_EMOJI = {emoji: bytes([0x80 + number]) for number, emoji in enumerate(EMOTICONS)}
_ELLIPSIS, _END = b"\xa0", b"\xff"
# All `EMOTICONS` in one pattern. It starts with a character class, which `re` scans fast.
_EMOTICON = re.compile(
    rb"[:=;xX<](?:(?<=[:=])(?:(?P<cry>'-?[(\[])|(?P<smile>-?[)\]])|(?P<frown>-?[(\[])|(?P<doubt>-?[/\\](?![/\\])))"
    rb"|(?<=;)(?P<wink>-?[)\]])|(?P<laugh>(?<=[:=;])-?D(?!\w)|(?<=[xX])(?<!\w[xX])D(?!\w))"
    rb"|(?<=[:=;])(?P<tongue>-?[pP](?!\w))|(?<=<)(?P<heart>3+(?!\d)))"
)
_BYTE_OF = dict(
    zip(("cry", "smile", "frown", "wink", "laugh", "tongue", "doubt", "heart"), _EMOJI.values(), strict=True)
)
# Mark possible URL starts: two literal searches and a scan for a rare byte are faster than a scan for every h and w.
_MARK = b"\xa1"
_URL = re.compile(rb"\xa1(?:https?://|(?<!\w\xa1)www\.(?=[\xa1\w]))\S+")
_MENTION = re.compile(rb"@(?<!\w@)\w+")
_RUNS = (re.compile(rb"\.\.+"), _ELLIPSIS), (re.compile(rb"!!+"), b"!"), (re.compile(rb"\?\?+"), b"?")
_SYMBOLS = (b"!", b"?", _ELLIPSIS, *_EMOJI.values())
_LOWER = bytes(range(256)).lower()
_DELETED_CHARACTERS = b"'`"


def _spaces(allowed: bytes) -> bytes:
    """Return a table for `bytes.translate` that replaces all bytes except letters, digits and `allowed` with spaces."""
    return bytes(byte if (chr(byte).isalnum() and byte < 128) or byte in allowed else 0x20 for byte in range(256))


_WORDS = _spaces(_END)
_WORDS_AND_SYMBOLS = _spaces(b"".join(_SYMBOLS) + _END)


class _Words(dict[bytes, int]):
    """Cache of word ids; a word of several pieces has the value -2 minus its index in `pieces`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Initialize the cache with the end-of-text marker and the symbols."""
        super().__init__({_END: END_OF_TEXT})
        self.pieces: list[list[int]] = []
        self._model: Any = tokenizer.model
        self._lock = Lock()
        for character, byte in {**_EMOJI, "\u2026": _ELLIPSIS}.items():
            self[byte] = self._look_up(character)

    def __missing__(self, word: bytes) -> int:
        word_id = self._look_up(word.decode("ascii"))
        if len(word) <= MAX_WORD_CHARS:  # bound the size of the cache in bytes too
            self[word] = word_id
        return word_id

    def _look_up(self, word: str) -> int:
        word_id = self._model.token_to_id(word) if len(word) <= MAX_WORD_CHARS else None
        if word_id is not None:  # ten times faster than tokenizing it
            return int(word_id)
        ids = [token.id for token in self._model.tokenize(word)]
        if len(ids) == 1:
            return int(ids[0])
        with self._lock:
            self.pieces.append(ids)
            return END_OF_TEXT - len(self.pieces)


@dataclass(frozen=True)
class Encoded:
    """Token ids of a batch of texts.

    Attributes:
        ids: int32 of shape (n, time steps), padded on the right, truncated to the maximum length.
        token_counts: Number of tokens of each text before truncation: shape (n,).
        word_counts: Number of words of each text before truncation: shape (n,); a word may span several tokens.
    """

    ids: np.ndarray
    token_counts: np.ndarray
    word_counts: np.ndarray


class BatchTokenizer:
    """Tokenizer with the same output as `normalization.encode`; faster for tokenizers built by `fit_tokenizer`."""

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        """Wrap a tokenizer that neither truncates nor pads; `max_length` is in tokens."""
        self.tokenizer = tokenizer
        self.max_length = max_length
        state = (tokenizer.normalizer.__getstate__(), tokenizer.pre_tokenizer.__getstate__())
        known_states = [
            (normalizer(symbols).__getstate__(), splitter(symbols).__getstate__()) for symbols in (False, True)
        ]
        self._symbols = known_states.index(state) == 1 if state in known_states else None
        self._words = _Words(tokenizer)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Tokenize texts; ids are padded to the longest text, rounded up to the pool size."""
        if self._symbols is None or not texts:
            return self._encode_slowly(texts)
        joined = "\n".join(texts)
        if joined.count("\n") != len(texts) - 1:
            texts = [text.replace("\n", " ") for text in texts]
            joined = "\n".join(texts)
        if not joined.isascii():
            for character, ascii_character in _LIKE_ASCII.items():
                joined = joined.replace(character, ascii_character)
        if joined.isascii():
            return self._pad(*self._tokens(joined))
        rows = joined.split("\n")
        is_ascii = np.fromiter(map(str.isascii, rows), bool, len(rows))
        slow = self._encode_slowly(list(compress(texts, ~is_ascii)))
        if not is_ascii.any():
            return slow
        fast = self._pad(*self._tokens("\n".join(compress(rows, is_ascii))))
        merged = np.full((len(texts), max(fast.ids.shape[1], slow.ids.shape[1])), PAD_ID, np.int32)
        merged[is_ascii, : fast.ids.shape[1]] = fast.ids
        merged[~is_ascii, : slow.ids.shape[1]] = slow.ids
        token_counts, word_counts = np.empty(len(texts), np.int64), np.empty(len(texts), np.int64)
        token_counts[is_ascii], token_counts[~is_ascii] = fast.token_counts, slow.token_counts
        word_counts[is_ascii], word_counts[~is_ascii] = fast.word_counts, slow.word_counts
        return Encoded(merged, token_counts, word_counts)

    def words(self, text: str) -> list[WordWeight]:
        """Return the words that the network reads, with weight 0."""
        return word_spans(self.tokenizer, text)[0]

    def _encode_slowly(self, texts: Sequence[str]) -> Encoded:
        """Tokenize with the `tokenizers` library."""
        encodings = self.tokenizer.encode_batch_fast([replace_surrogates(text) for text in texts])
        rows = [encoding.ids for encoding in encodings]
        counts = np.array([len(row) for row in rows], np.int64)
        if not rows:
            return Encoded(np.empty((0, 0), np.int32), counts, counts)
        ids = np.fromiter(chain.from_iterable(rows), np.int32, int(counts.sum()))
        word_starts = np.concatenate([[0], np.cumsum(self._begins_word[ids])])
        ends = np.cumsum(counts)
        return self._pad(ids, counts, word_starts[ends] - word_starts[ends - counts])

    @cached_property
    def _begins_word(self) -> np.ndarray:
        """Whether each token id begins a word rather than continues one."""
        size = self.tokenizer.get_vocab_size()  # an upper bound of the number of ids
        tokens = map(self.tokenizer.id_to_token, range(size))
        return np.array([not (token or "").startswith(PIECE_PREFIX) for token in tokens])

    def _tokens(self, joined: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tokenize ASCII texts joined with line feeds.

        Return the token ids of all texts, and the token and word counts of each.
        """
        content = joined.encode("ascii") + b"\n"
        if self._symbols:
            content = _EMOTICON.sub(lambda match: _BYTE_OF[str(match.lastgroup)], content)
        content = content.translate(_LOWER, _DELETED_CHARACTERS)
        for start in (b"http", b"www."):
            content = content.replace(start, _MARK + start)
        content = _MENTION.sub(b" ", _URL.sub(b" ", content).replace(_MARK, b""))
        if self._symbols:
            for pattern, replacement in _RUNS:
                content = pattern.sub(replacement, content)
            for symbol in _SYMBOLS:
                content = content.replace(symbol, b" %b " % symbol)
        content = content.replace(b"\n", b" %b " % _END)
        split = content.translate(_WORDS_AND_SYMBOLS if self._symbols else _WORDS).split()
        words = self._words  # another thread may clear the cache
        ids = np.fromiter(map(words.__getitem__, split), np.int32, len(split))
        ends = np.flatnonzero(ids == END_OF_TEXT)
        word_counts = np.diff(ends, prepend=-1) - 1
        multi_piece = np.flatnonzero(ids < END_OF_TEXT)
        if len(multi_piece):
            pieces = [words.pieces[index] for index in (END_OF_TEXT - 1 - ids[multi_piece]).tolist()]
            counts = np.ones(len(ids), np.int64)
            counts[multi_piece] = [len(piece) for piece in pieces]
            expanded_ids = np.repeat(ids, counts)
            expanded_ids[expanded_ids < END_OF_TEXT] = [number for piece in pieces for number in piece]
            ids = expanded_ids
            ends = np.flatnonzero(ids == END_OF_TEXT)
        if len(words) > MAX_CACHED_WORDS:
            self._words = _Words(self.tokenizer)
        return np.delete(ids, ends), np.diff(ends, prepend=-1) - 1, word_counts

    def _pad(self, ids: np.ndarray, counts: np.ndarray, words: np.ndarray) -> Encoded:
        """Pad to one row per text; a text without tokens becomes one unknown token, as in `normalization.encode`."""
        lengths = np.minimum(counts, self.max_length)
        longest = max(int(lengths.max()), 1)
        rows = np.full((len(counts), -(-longest // POOL_SIZE) * POOL_SIZE), PAD_ID, np.int32)
        column = np.arange(len(ids)) - np.repeat(np.cumsum(counts) - counts, counts)
        within = column < self.max_length
        rows[np.repeat(np.arange(len(counts)), counts)[within], column[within]] = ids[within]
        rows[counts == 0, 0] = UNKNOWN_ID
        return Encoded(rows, counts, words)
