"""Running the network on many texts: on every core, with no time spent on padding."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
from tokenizers import Tokenizer

from evenmood.errors import ModelError
from evenmood.onnx.foreign_errors import model_errors
from evenmood.onnx.network import Network
from evenmood.prediction import WordWeight
from evenmood.text.encoder_tokenizer import EncoderTokenizer
from evenmood.text.fast_batch_tokenizer import BatchTokenizer
from evenmood.text.normalization import PAD_ID, POOL_SIZE
from evenmood.text.spans import words_read
from evenmood.text.windows import combine, window_spans

CHUNK_ROWS = 8192
"""Texts tokenized, and sorted by length, at a time: memory does not grow with the number of texts."""
BATCH_ROWS = 32
"""Texts of similar length that go through the network at a time: what a core's cache holds."""

TextTokenizer = BatchTokenizer | EncoderTokenizer
Batch = tuple[np.ndarray, np.ndarray]
"""Token ids, int32 of shape (texts, time), and the row that each text has among all."""


@dataclass(frozen=True)
class Read:
    """Network output for a batch of texts, with the number of words and windows read.

    Attributes:
        probabilities: float32, shape (n, labels).
        words: Words of each text, shape (n,).
        windows: Windows that each text was read in, shape (n,).
    """

    probabilities: np.ndarray
    words: np.ndarray
    windows: np.ndarray


def read_rows(
    network: Network,
    tokenizer: TextTokenizer,
    texts: Sequence[str | None],
    columns: int,
    show_progress_bar: bool = False,
) -> Read:
    """As `read_texts`, for texts that may be missing: None has probabilities of NaN, and no words and windows."""
    if show_progress_bar:
        from tqdm.auto import tqdm

        parts = []
        with tqdm(total=len(texts), unit=" texts", unit_scale=True) as bar:
            for start in range(0, max(len(texts), 1), CHUNK_ROWS):
                part = texts[start : start + CHUNK_ROWS]
                parts.append(read_rows(network, tokenizer, part, columns))
                bar.update(len(part))
        return Read(
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.words for part in parts]),
            np.concatenate([part.windows for part in parts]),
        )
    given = [text for text in texts if text is not None]
    found = read_texts(network, tokenizer, given, columns)
    if len(given) == len(texts):
        return found
    rows = [row for row, text in enumerate(texts) if text is not None]
    read = Read(np.full((len(texts), columns), np.nan, np.float32), *np.zeros((2, len(texts)), np.int64))
    read.probabilities[rows], read.words[rows], read.windows[rows] = found.probabilities, found.words, found.windows
    return read


def read_texts(network: Network, tokenizer: TextTokenizer, texts: Sequence[str], columns: int) -> Read:
    """Probabilities of texts of any length; those longer than the model reads at once are read in windows.

    Raises:
        ModelError: The tokenizer or the network fails, or its probabilities are not numbers.
    """
    with model_errors():
        found = _read_texts(network, tokenizer, texts, columns)
    if not np.isfinite(found.probabilities).all():
        raise ModelError("the network gives probabilities that are not numbers: its weights are damaged")
    return found


def _read_texts(network: Network, tokenizer: TextTokenizer, texts: Sequence[str], columns: int) -> Read:
    first = _read_beginnings(network, tokenizer, texts, columns)
    long_texts = np.flatnonzero(first.windows > 1).tolist()
    if not long_texts:
        return first
    parts: list[str] = []
    for row in long_texts:
        spans = window_spans(texts[row], tokenizer.max_length, lambda some: tokenizer.encode(some).tokens)
        parts += [texts[row][slice(*span)] for span in spans]
        first.windows[row] = len(spans)
    found = _read_beginnings(network, tokenizer, parts, columns).probabilities
    ends = np.cumsum(first.windows[long_texts])
    for row, start, end in zip(long_texts, [0, *ends], ends, strict=False):
        first.probabilities[row] = combine(found[start:end])
    return first


def _read_beginnings(network: Network, tokenizer: TextTokenizer, texts: Sequence[str], columns: int) -> Read:
    """Predict from the first `max_length` tokens of each text; `windows` is 2 if the text was truncated.

    A batch runs on one core, which is faster than one batch on two; so every core takes batches of its own. Tokenizing
    holds Python's lock, and would make the cores wait if it were done beside them: it is done before.
    """
    output = np.empty((len(texts), columns), np.float32)
    words, windows = np.empty(len(texts), np.int64), np.ones(len(texts), np.int64)

    def run(batches: Iterator[Batch], first: int) -> None:
        for ids, rows in batches:  # taking the next one is atomic: the cores share one iterator
            output[first + rows] = network.probabilities(ids)

    helpers = min(usable_cores(), -(-len(texts) // BATCH_ROWS)) - 1
    with ThreadPoolExecutor(helpers) if helpers > 0 else nullcontext() as pool:
        for first in range(0, len(texts), CHUNK_ROWS):
            encoded = tokenizer.encode(texts[first : first + CHUNK_ROWS])
            words[first : first + CHUNK_ROWS] = encoded.words
            windows[first : first + CHUNK_ROWS] += encoded.tokens > tokenizer.max_length
            if len(texts) <= BATCH_ROWS:
                output = network.probabilities(encoded.ids)
                continue
            batches = iter(length_batches(encoded.ids, network.pad_id))
            running = [pool.submit(run, batches, first) for _ in range(helpers)] if pool else []
            run(batches, first)
            for helper in running:
                helper.result()
    return Read(output, words, windows)


def length_batches(ids: np.ndarray, pad_id: int = PAD_ID) -> list[Batch]:
    """Token ids cut into batches of texts of similar length, each with its rows: no answer depends on padding."""
    lengths = np.count_nonzero(ids != pad_id, axis=1)
    order = np.argsort(lengths, kind="stable")
    batches = []
    for start in range(0, len(order), BATCH_ROWS):
        rows = order[start : start + BATCH_ROWS]
        longest = -(-int(lengths[rows[-1]]) // POOL_SIZE) * POOL_SIZE
        batches.append((ids[rows, :longest], rows))
    return batches[::-1]  # the long ones first, so that no core is left with one at the end


def attended_words(network: Network, tokenizer: Tokenizer, text: str, max_length: int) -> list[WordWeight]:
    """The words of one window with their share of the network's attention."""
    words, word_of, ids = words_read(tokenizer, text)
    if not words:
        return []
    ids = ids[:max_length]
    ids += [PAD_ID] * (-len(ids) % POOL_SIZE)
    (attention,) = network.session.run(["attention"], {"input_ids": np.array([ids], np.int32)})
    weights = [0.0] * len(words)
    read = word_of[:max_length]
    for token, word in enumerate(read):
        step = token // POOL_SIZE
        sharers = min(POOL_SIZE, len(read) - step * POOL_SIZE)
        weights[word] += float(attention[0, step]) / sharers
    return [replace(word, weight=weight) for word, weight in zip(words, weights, strict=True)]


def usable_cores() -> int:
    """Cores to compute on: OMP_NUM_THREADS, as numerical libraries read it, or all that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
