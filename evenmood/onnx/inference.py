"""Run the network on many texts: on all cores, in batches of texts of similar length."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
from tokenizers import Tokenizer

from evenmood.errors import ModelError
from evenmood.onnx.backend_errors import convert_model_errors
from evenmood.onnx.network import Network
from evenmood.prediction import WordWeight
from evenmood.text.encoder_tokenizer import EncoderTokenizer
from evenmood.text.fast_batch_tokenizer import BatchTokenizer
from evenmood.text.normalization import PAD_ID, POOL_SIZE
from evenmood.text.spans import word_spans
from evenmood.text.windows import combine, window_spans

CHUNK_ROWS = 8192
"""Number of texts that are tokenized and sorted by length at a time, to limit memory."""
BATCH_ROWS = 32
"""Number of texts per batch: as many as fit into a core's cache."""

TextTokenizer = BatchTokenizer | EncoderTokenizer
Batch = tuple[np.ndarray, np.ndarray]
"""Token ids, int32 of shape (texts, time), and the row index of each text."""


@dataclass(frozen=True)
class Read:
    """Probabilities, word counts and window counts of n texts.

    Attributes:
        probabilities: float32 of shape (n, labels).
        words: Number of words of each text: shape (n,).
        windows: Number of windows of each text: shape (n,).
    """

    probabilities: np.ndarray
    words: np.ndarray
    windows: np.ndarray


def infer_rows(
    network: Network,
    tokenizer: TextTokenizer,
    texts: Sequence[str | None],
    columns: int,
    show_progress_bar: bool = False,
) -> Read:
    """Predict like `infer_texts`, but allow missing texts: None has probabilities of NaN, and 0 words and windows."""
    if show_progress_bar:
        from tqdm.auto import tqdm

        parts = []
        with tqdm(total=len(texts), unit=" texts", unit_scale=True) as bar:
            for start in range(0, max(len(texts), 1), CHUNK_ROWS):
                part = texts[start : start + CHUNK_ROWS]
                parts.append(infer_rows(network, tokenizer, part, columns))
                bar.update(len(part))
        return Read(
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.words for part in parts]),
            np.concatenate([part.windows for part in parts]),
        )
    present = [text for text in texts if text is not None]
    inferred = infer_texts(network, tokenizer, present, columns)
    if len(present) == len(texts):
        return inferred
    rows = [row for row, text in enumerate(texts) if text is not None]
    result = Read(np.full((len(texts), columns), np.nan, np.float32), *np.zeros((2, len(texts)), np.int64))
    result.probabilities[rows] = inferred.probabilities
    result.words[rows], result.windows[rows] = inferred.words, inferred.windows
    return result


def infer_texts(network: Network, tokenizer: TextTokenizer, texts: Sequence[str], columns: int) -> Read:
    """Predict texts of any length; those longer than the maximum length are split into windows.

    Raises:
        ModelError: The tokenizer or the network fails, or a probability is NaN or infinite.
    """
    with convert_model_errors():
        result = _infer_texts(network, tokenizer, texts, columns)
    if not np.isfinite(result.probabilities).all():
        raise ModelError("the network returned NaN or infinite probabilities: its weights are corrupt")
    return result


def _infer_texts(network: Network, tokenizer: TextTokenizer, texts: Sequence[str], columns: int) -> Read:
    first = _infer_truncated(network, tokenizer, texts, columns)
    long_texts = np.flatnonzero(first.windows > 1).tolist()
    if not long_texts:
        return first
    parts: list[str] = []
    for row in long_texts:
        spans = window_spans(texts[row], tokenizer.max_length, lambda parts: tokenizer.encode(parts).token_counts)
        parts += [texts[row][slice(*span)] for span in spans]
        first.windows[row] = len(spans)
    probabilities = _infer_truncated(network, tokenizer, parts, columns).probabilities
    ends = np.cumsum(first.windows[long_texts])
    for row, start, end in zip(long_texts, [0, *ends], ends, strict=False):
        first.probabilities[row] = combine(probabilities[start:end])
    return first


def _infer_truncated(network: Network, tokenizer: TextTokenizer, texts: Sequence[str], columns: int) -> Read:
    """Predict from the first `max_length` tokens of each text; `windows` is 2 if the text was truncated.

    Each batch runs on one core, which is faster than running one batch on several. Tokenization holds the GIL and would
    block the other cores, so it is done first.
    """
    output = np.empty((len(texts), columns), np.float32)
    words, windows = np.empty(len(texts), np.int64), np.ones(len(texts), np.int64)

    def run(batches: Iterator[Batch], first: int) -> None:
        for ids, rows in batches:  # the threads share one iterator, whose `next` is atomic
            output[first + rows] = network.probabilities(ids)

    helpers = min(usable_cores(), -(-len(texts) // BATCH_ROWS)) - 1
    with ThreadPoolExecutor(helpers) if helpers > 0 else nullcontext() as pool:
        for first in range(0, len(texts), CHUNK_ROWS):
            encoded = tokenizer.encode(texts[first : first + CHUNK_ROWS])
            words[first : first + CHUNK_ROWS] = encoded.word_counts
            windows[first : first + CHUNK_ROWS] += encoded.token_counts > tokenizer.max_length
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
    """Split token ids into batches of texts of similar length, each with its row indices."""
    lengths = np.count_nonzero(ids != pad_id, axis=1)
    order = np.argsort(lengths, kind="stable")
    batches = []
    for start in range(0, len(order), BATCH_ROWS):
        rows = order[start : start + BATCH_ROWS]
        longest = -(-int(lengths[rows[-1]]) // POOL_SIZE) * POOL_SIZE
        batches.append((ids[rows, :longest], rows))
    return batches[::-1]  # long texts first, so that all cores finish at about the same time


def attention_by_word(network: Network, tokenizer: Tokenizer, text: str, max_length: int) -> list[WordWeight]:
    """Compute each word's share of the network's attention in a window."""
    words, word_of, ids = word_spans(tokenizer, text)
    if not words:
        return []
    ids = ids[:max_length]
    ids += [PAD_ID] * (-len(ids) % POOL_SIZE)
    (attention,) = network.session.run(["attention"], {"input_ids": np.array([ids], np.int32)})
    weights = [0.0] * len(words)
    truncated = word_of[:max_length]
    for token, word in enumerate(truncated):
        step = token // POOL_SIZE
        tokens_in_step = min(POOL_SIZE, len(truncated) - step * POOL_SIZE)
        weights[word] += float(attention[0, step]) / tokens_in_step
    return [replace(word, weight=weight) for word, weight in zip(words, weights, strict=True)]


def usable_cores() -> int:
    """Return the number of cores to use: OMP_NUM_THREADS if set, otherwise all that this process may use."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads):
        return int(threads)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
