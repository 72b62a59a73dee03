"""Running the network on many texts: on every core, with no time spent on padding."""

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import onnxruntime

from evenmood.batch_tokenizer import BatchTokenizer
from evenmood.text import PAD_ID, POOL_SIZE

CHUNK_ROWS = 4096
"""Texts tokenized, and sorted by length, at a time."""
BATCH_ROWS = 64
"""Texts of similar length that go through the network at a time: what a core's cache holds."""
CHUNKS_AHEAD = 2
"""Chunks that may wait for the network: memory does not grow with the number of texts."""


def predict_probabilities(
    session: onnxruntime.InferenceSession, tokenizer: BatchTokenizer, texts: Sequence[str], columns: int
) -> np.ndarray:
    """Probabilities of texts: float32, shape (n, columns).

    A batch runs on one core, which is twice as fast as one batch on two; so every core takes batches of its own, while
    the next chunk is tokenized.
    """
    output = np.empty((len(texts), columns), np.float32)

    def run(ids: np.ndarray, rows: np.ndarray) -> None:
        (output[rows],) = session.run(["probabilities"], {"input_ids": ids})

    if len(texts) <= BATCH_ROWS:
        for ids, rows in _batches(tokenizer.encode(texts)):
            run(ids, rows)
        return output
    waiting: deque[list[Future[None]]] = deque()
    with ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, len(texts), CHUNK_ROWS):
            batches = _batches(tokenizer.encode(texts[start : start + CHUNK_ROWS]))
            waiting.append([pool.submit(run, ids, start + rows) for ids, rows in batches])
            while len(waiting) > CHUNKS_AHEAD:
                _finish(waiting.popleft())
        while waiting:
            _finish(waiting.popleft())
    return output


def _finish(batches: Sequence[Future[None]]) -> None:
    for batch in batches:
        batch.result()


def _batches(ids: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Token ids cut into batches of texts of similar length, each with its rows: no answer depends on padding."""
    lengths = np.count_nonzero(ids != PAD_ID, axis=1)
    order = np.argsort(lengths, kind="stable")
    batches = []
    for rows in np.array_split(order, range(BATCH_ROWS, len(order), BATCH_ROWS)):
        if len(rows):
            longest = -(-int(lengths[rows[-1]]) // POOL_SIZE) * POOL_SIZE
            batches.append((ids[rows, :longest], rows))
    return batches


def usable_cores() -> int:
    """Cores to compute on: OMP_NUM_THREADS, as numerical libraries read it, or all that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
