"""How fast the network could be at best here: its matrix products, and nothing else, at this machine's speed."""

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
    """The network's matrix products for a batch: how often, and rows, inner size and columns of each.

    The folded table has taken the convolution's place; what is left is the LSTM, twice, attention and the two layers.
    """
    return [
        (2, rows * steps, FILTERS, GATES),
        (2 * steps, rows, UNITS, GATES),
        (1, rows * steps, 2 * UNITS, DENSE),
        (1, rows, 2 * UNITS, DENSE),
        (1, rows, DENSE, LABELS),
    ]


def operations(lengths: Sequence[int]) -> float:
    """Floating-point operations a text, on average over texts of so many tokens."""
    total = 0
    for length in lengths:
        steps = max(1, -(-length // POOL_SIZE))
        total += sum(2 * times * n * k * m for times, n, k, m in shapes(1, steps))
    return total / len(lengths)


def fastest(lengths: Sequence[int]) -> tuple[float, float]:
    """Texts a second that the matrix products alone allow, on all cores; and the operations a second they reach.

    Each core multiplies matrices of the batches' shapes, one after another, with numpy.
    """
    steps = max(1, round(sum(-(-length // POOL_SIZE) for length in lengths) / len(lengths)))
    batch = shapes(BATCH_ROWS, steps)
    work = [(times, _matrix(n, k), _matrix(k, m), np.empty((n, m), np.float32)) for times, n, k, m in batch]
    done = sum(2 * times * n * k * m for times, n, k, m in batch)
    repeats = 100

    def core(_: int) -> None:
        mine = [(times, left, right, out.copy()) for times, left, right, out in work]
        for _ in range(repeats):
            for times, left, right, out in mine:
                for _ in range(times):
                    np.matmul(left, right, out=out)

    cores = usable_cores()
    with ThreadPoolExecutor(cores) as pool:
        seconds = min(_timed(lambda: list(pool.map(core, range(cores)))) for _ in range(ROUNDS))
    speed = cores * repeats * done / seconds
    return speed / operations(lengths), speed


def _matrix(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)


def _timed(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def main() -> None:
    """Print the roofline for a model's reading of texts."""
    folder, file = sys.argv[1:]
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_LENGTH)
    tokenizer.no_padding()
    texts = json.loads(Path(file).read_text(encoding="utf-8"))["texts"]
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts)]
    rate, speed = fastest(lengths)
    content = {
        "cores": usable_cores(),
        "texts_a_batch": BATCH_ROWS,
        "operations_a_text": operations(lengths),
        "tokens_a_text": sum(lengths) / len(lengths),
        "operations_a_second": speed,
        "texts_a_second": rate,
    }
    print(json.dumps(content))


if __name__ == "__main__":
    main()
