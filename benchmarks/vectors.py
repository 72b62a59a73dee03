"""Memory of reading a synthetic 7 GB fastText file: `python -m benchmarks.vectors results/vectors.json`."""

import json
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np

from benchmarks.arguments import benchmark, results_file
from benchmarks.bench import environment, machine, write
from benchmarks.run_peer import peak_memory
from benchmarks.texts import synthetic_texts
from evenmood.text.normalization import clean

WORDS = 2_000_000
"""Number of words of `facebook/fasttext-en-vectors`."""
BUCKETS = 2_000_000
"""Number of its n-gram buckets."""
SIZE = 300
"""Size of its vectors."""
VOCABULARY = 26_000
BLOCK_ROWS = 20_000
_MAGIC, _VERSION = 793712314, 12


def words() -> list[str]:
    """Return the words of the file: those of the synthetic texts, and numbered ones."""
    real_words = sorted({word for text in synthetic_texts(20_000) for word in clean(text).split()})
    return [*real_words, *(f"word{number}" for number in range(WORDS - len(real_words)))]


def write_model(path: Path) -> None:
    """Write a file like the official one: arguments, dictionary, input and output matrix, with random vectors."""
    with path.open("wb") as file:
        file.write(struct.pack("<ii", _MAGIC, _VERSION))
        file.write(struct.pack("<12id", SIZE, 5, 5, 5, 5, 1, 1, 1, BUCKETS, 5, 5, 100, 1e-4))
        file.write(struct.pack("<iiiqq", WORDS, WORDS, 0, 10**9, -1))
        for word in words():
            file.write(word.encode() + b"\0" + struct.pack("<qb", 1, 0))
        write_matrix(file, WORDS + BUCKETS)
        write_matrix(file, WORDS)


def write_matrix(file: BinaryIO, rows: int) -> None:
    """Write a matrix: a flag, its shape, and repeated random rows."""
    block = np.random.default_rng(0).normal(size=(BLOCK_ROWS, SIZE)).astype(np.float32).tobytes()
    file.write(struct.pack("<?qq", False, rows, SIZE))
    for _ in range(rows // BLOCK_ROWS):
        file.write(block)


def read(path: Path) -> None:
    """Read the vectors of a vocabulary, and print the measurements."""
    from train.vectors.fasttext_files import read_bin

    step = WORDS // VOCABULARY
    requested_words = ["[PAD]", "[UNK]", *words()[::step]]
    before = peak_memory()
    started = time.monotonic()
    table = read_bin(path, requested_words, SIZE)
    content = {
        "words_wanted": len(requested_words) - 2,
        "words_found": int((~np.isnan(table[2:]).any(axis=1)).sum()),
        "seconds": round(time.monotonic() - started, 1),
        "peak_memory_mb_before": round(before),
        "peak_memory_mb": round(peak_memory()),
    }
    print(json.dumps(content))


def main() -> None:
    """Create the file, read it in a separate process, and write the measurements."""
    if sys.argv[-1].endswith(".bin"):  # the measured process
        read(Path(sys.argv[-1]))
        return
    out = results_file(__doc__)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.bin"
        write_model(path)
        command = [sys.executable, "-m", "benchmarks.vectors", str(path)]
        result = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
        content = {"bytes": path.stat().st_size} | json.loads(result.stdout.splitlines()[-1]) | {"machine": machine()}
    write(out, content)


if __name__ == "__main__":
    benchmark(main)
