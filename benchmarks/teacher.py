"""Throughput of relabeling with RoBERTa-base on the GPU or CPU: `python -m benchmarks.teacher results/teacher.json`.

`share_of_peak` is the ratio of the floating-point operations per second, without those on padding, to the throughput
of a large matmul in the same precision.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.arguments import benchmark, results_file
from benchmarks.bench import machine, write
from benchmarks.prepare import save_roberta
from benchmarks.texts import synthetic_texts

LAYERS = 12
WIDTH = 768
FEED_FORWARD_SIZE = 3072
BATCH_SIZES = {"cuda": (256, 1024, 4096), "cpu": (32, 128)}
TEXTS = {"cuda": 200_000, "cpu": 1_000}
MATMUL_SIZE = {"cuda": 8192, "cpu": 2048}


def count_flops(tokens: list[int]) -> float:
    """Count the floating-point operations of the encoder, with attention, for texts of these token lengths."""
    matrices = 2 * (4 * WIDTH * WIDTH + 2 * WIDTH * FEED_FORWARD_SIZE)
    return float(sum(LAYERS * (count * matrices + 4 * count * count * WIDTH) for count in tokens))


def measure_peak_flops(device: str, dtype: Any) -> float:
    """Measure the floating-point operations per second of one large matmul."""
    import torch

    size = MATMUL_SIZE[device]
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return float(2 * size**3 / min(seconds))


def main() -> None:
    """Measure each batch size."""
    out = results_file(__doc__)
    import torch
    from transformers import AutoTokenizer

    from evenmood.data.teacher import Teacher, torch_device

    device, half = torch_device()
    texts = synthetic_texts(TEXTS[device])
    best = measure_peak_flops(device, torch.bfloat16 if half else torch.float32)
    with tempfile.TemporaryDirectory() as temporary:
        save_roberta(Path(temporary), None, texts[:50_000])
        folder = str(Path(temporary) / "roberta")
        tokens = [len(ids) for ids in AutoTokenizer.from_pretrained(folder)(texts)["input_ids"]]
        rows = []
        for size in BATCH_SIZES[device]:
            teacher = Teacher(folder, batch_size=size)
            teacher.probabilities(texts[: 2 * size])
            started = time.perf_counter()
            teacher.probabilities(texts)
            seconds = time.perf_counter() - started
            rows.append(
                {
                    "batch_size": size,
                    "texts_per_second": round(len(texts) / seconds, 1),
                    "share_of_peak": round(count_flops(tokens) / seconds / best, 3),
                }
            )
            print(json.dumps(rows[-1]), file=sys.stderr)
    name = torch.cuda.get_device_name() if device == "cuda" else machine()
    precision = "bfloat16" if half else "float32"
    write(out, {"device": name, "precision": precision, "peak_operations_per_second": best, "runs": rows})


if __name__ == "__main__":
    benchmark(main)
