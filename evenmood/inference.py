"""Running the network on many texts: on every core, with no time spent on padding."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime

from evenmood.batch_tokenizer import BatchTokenizer
from evenmood.text import PAD_ID, POOL_SIZE

CHUNK_ROWS = 8192
"""Texts tokenized, and sorted by length, at a time: memory does not grow with the number of texts."""
BATCH_ROWS = 32
"""Texts of similar length that go through the network at a time: what a core's cache holds."""

Batch = tuple[np.ndarray, np.ndarray]
"""Token ids, int32 of shape (texts, time), and the row that each text has among all."""


def predict_probabilities(
    session: onnxruntime.InferenceSession, tokenizer: BatchTokenizer, texts: Sequence[str], columns: int
) -> np.ndarray:
    """Probabilities of texts: float32, shape (n, columns).

    A batch runs on one core, which is faster than one batch on two; so every core takes batches of its own. Tokenizing
    holds Python's lock, and would make the cores wait if it were done beside them: it is done before.
    """
    if 0 < len(texts) <= BATCH_ROWS:
        found: np.ndarray = session.run(["probabilities"], {"input_ids": tokenizer.encode(texts)})[0]
        return found
    output = np.empty((len(texts), columns), np.float32)

    def run(batches: Iterator[Batch], first: int) -> None:
        for ids, rows in batches:  # taking the next one is atomic: the cores share one iterator
            (output[first + rows],) = session.run(["probabilities"], {"input_ids": ids})

    helpers = min(usable_cores(), -(-len(texts) // BATCH_ROWS)) - 1
    if helpers <= 0:
        for first in range(0, len(texts), CHUNK_ROWS):
            run(iter(length_batches(tokenizer.encode(texts[first : first + CHUNK_ROWS]))), first)
        return output
    with ThreadPoolExecutor(helpers) as pool:
        for first in range(0, len(texts), CHUNK_ROWS):
            batches = iter(length_batches(tokenizer.encode(texts[first : first + CHUNK_ROWS])))
            running = [pool.submit(run, batches, first) for _ in range(helpers)]
            run(batches, first)
            for helper in running:
                helper.result()
    return output


def length_batches(ids: np.ndarray) -> list[Batch]:
    """Token ids cut into batches of texts of similar length, each with its rows: no answer depends on padding."""
    lengths = np.count_nonzero(ids != PAD_ID, axis=1)
    order = np.argsort(lengths, kind="stable")
    batches = []
    for start in range(0, len(order), BATCH_ROWS):
        rows = order[start : start + BATCH_ROWS]
        longest = -(-int(lengths[rows[-1]]) // POOL_SIZE) * POOL_SIZE
        batches.append((ids[rows, :longest], rows))
    return batches[::-1]  # the long ones first, so that no core is left with one at the end


def usable_cores() -> int:
    """Cores to compute on: OMP_NUM_THREADS, as numerical libraries read it, or all that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
