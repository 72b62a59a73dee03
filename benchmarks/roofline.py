"""Roofline of the network: the throughput of its matmuls alone on this machine."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from evenmood.onnx.inference import BATCH_ROWS, usable_cores
from evenmood.text.normalization import MAX_LENGTH, POOL_SIZE

FILTERS, UNITS, DENSE, LABELS = 64, 128, 128, 28
GATES = 4 * UNITS
ROUNDS = 5


def shapes(rows: int, steps: int) -> list[tuple[int, int, int, int]]:
    """Return the matmuls of the network for a batch: their number, rows, inner size and columns.

    The convolution is folded into the embedding table, so the matmuls are those of the LSTM in both directions, the
    attention and the two dense layers.
    """
    return [
        (2, rows * steps, FILTERS, GATES),
        (2 * steps, rows, UNITS, GATES),
        (1, rows * steps, 2 * UNITS, DENSE),
        (1, rows, 2 * UNITS, DENSE),
        (1, rows, DENSE, LABELS),
    ]


def flops_per_text(lengths: Sequence[int]) -> float:
    """Return the mean number of floating-point operations per text, for texts of these token lengths."""
    total = 0
    for length in lengths:
        steps = max(1, -(-length // POOL_SIZE))
        total += sum(2 * times * n * k * m for times, n, k, m in shapes(1, steps))
    return total / len(lengths)


def measure_matmul_throughput(lengths: Sequence[int]) -> tuple[float, float]:
    """Measure the matmuls of a batch with numpy, on all cores, for texts of these token lengths.

    Returns:
        Texts per second, and floating-point operations per second.
    """
    steps = max(1, round(sum(-(-length // POOL_SIZE) for length in lengths) / len(lengths)))
    batch = shapes(BATCH_ROWS, steps)
    products = [(times, _matrix(n, k), _matrix(k, m), np.empty((n, m), np.float32)) for times, n, k, m in batch]
    batch_operations = sum(2 * times * n * k * m for times, n, k, m in batch)
    repeats = 100

    def core(_: int) -> None:
        own_products = [(times, left, right, out.copy()) for times, left, right, out in products]
        for _ in range(repeats):
            for times, left, right, out in own_products:
                for _ in range(times):
                    np.matmul(left, right, out=out)

    cores = usable_cores()
    with ThreadPoolExecutor(cores) as pool:
        seconds = min(_timed(lambda: list(pool.map(core, range(cores)))) for _ in range(ROUNDS))
    speed = cores * repeats * batch_operations / seconds
    return speed / flops_per_text(lengths), speed


def _matrix(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)


def _timed(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def main() -> None:
    """Print the roofline for a model and texts."""
    folder, file = sys.argv[1:]
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_LENGTH)
    tokenizer.no_padding()
    texts = json.loads(Path(file).read_text(encoding="utf-8"))["texts"]
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts)]
    rate, speed = measure_matmul_throughput(lengths)
    content = {
        "cores": usable_cores(),
        "texts_per_batch": BATCH_ROWS,
        "operations_per_text": flops_per_text(lengths),
        "tokens_per_text": sum(lengths) / len(lengths),
        "operations_per_second": speed,
        "texts_per_second": rate,
    }
    print(json.dumps(content))


if __name__ == "__main__":
    main()
