"""Seconds per training epoch on the GPU or CPU: `python -m benchmarks.training results/training.json --data DATA`.

Compares `train fit` in the configuration of the paper (arXiv 2511.14073), with random vectors, to plain Keras:
`model.fit` on texts padded to 30 tokens. Each setting runs in its own process; the result is the median without the
first epoch, which compiles.
"""

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.arguments import benchmark, check_out
from benchmarks.bench import environment, machine, write

EPOCHS = 4
BACKENDS = ("tensorflow", "jax", "torch")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
BATCH_SIZES = (256, 1024, 4096)


def main() -> None:
    """Measure the settings that this machine supports."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="results file (JSON) to write")
    parser.add_argument("--data", required=True, help="data set to train on")
    parser.add_argument("--plain", help=argparse.SUPPRESS)  # marks a process that measures plain Keras
    options = parser.parse_args()
    if options.plain:
        plain_keras(options.data, options.out)
        return
    check_out(parser, options.out)
    nvidia_smi = shutil.which("nvidia-smi")
    settings: list[dict[str, Any]]
    if nvidia_smi:
        installed = [name for name in BACKENDS if find_spec(name)]
        settings = [{"backend": name, "precision": precision} for name in installed for precision in PRECISIONS]
        settings += [
            {"backend": name, "precision": "mixed_bfloat16", "batch_size": size}
            for name in installed
            for size in BATCH_SIZES
        ]
    else:
        settings = [{"backend": "tensorflow", "plain": True}, {"backend": "tensorflow"}]
    runs = [measure(setting, options.data, nvidia_smi) for setting in settings for _ in range(1 if nvidia_smi else 2)]
    write(
        options.out,
        {
            "machine": machine(),
            "card": describe_gpu(nvidia_smi) if nvidia_smi else None,
            "epochs": EPOCHS,
            "runs": runs,
        },
    )


def measure(setting: dict[str, Any], data: str, nvidia_smi: str | None) -> dict[str, Any]:
    """Measure a setting in its own process."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "model"
        variables = environment() | {"KERAS_BACKEND": setting["backend"]}
        if setting.get("plain"):
            command = ["-m", "benchmarks.training", str(out), "--data", data, "--plain", "yes"]
        else:
            command = ["-m", "train", "fit", "--data", data, "--vectors", "random", "--out", str(out)]
            command += ["--epochs", str(EPOCHS), "--precision", setting.get("precision", "float32")]
            command += ["--batch-size", str(setting.get("batch_size", 256))]
        utilization: list[float] = []
        with subprocess.Popen([sys.executable, *command], env=variables, stderr=subprocess.PIPE, text=True) as process:
            if nvidia_smi:
                threading.Thread(target=watch, args=(nvidia_smi, process, utilization), daemon=True).start()
            _, stderr = process.communicate()
        if process.returncode:
            sys.exit(f"error: {setting} failed:\n{stderr}")
        if setting.get("plain"):
            measurements: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        else:
            with (out / "training" / "history.csv").open(encoding="utf-8") as file:
                seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
            info = json.loads((out / "emotions.json").read_text(encoding="utf-8"))
            measurements = {"seconds": seconds, "macro_f1_validation": info["metrics"]["validation"]["macro_f1"]}
    measurements["seconds_per_epoch"] = statistics.median(measurements["seconds"][1:])
    if utilization:
        measurements["share_of_time_computing"] = statistics.mean(utilization) / 100
    print(json.dumps(setting | measurements), file=sys.stderr)
    return setting | measurements


def plain_keras(data: str, out: Path) -> None:
    """Train the network with `model.fit` on texts padded to 30 tokens, with validation after each epoch."""
    from train.network.backend import choose_backend, make_deterministic

    choose_backend()
    import keras

    from evenmood import LABELS
    from evenmood.data.splits import load_split
    from evenmood.text.normalization import encode, fit_tokenizer
    from train.config import TrainConfig
    from train.fitting.fit import words_by_id
    from train.network.network import build_network
    from train.vectors.sources import load_vectors

    config = TrainConfig(vectors="random")
    train, validation = load_split(data, "train"), load_split(data, "validation")
    make_deterministic(0)
    tokenizer = fit_tokenizer(train.texts)
    model = build_network(config, load_vectors(config, words_by_id(tokenizer), train.texts, print), len(LABELS))
    model.compile("adam", "binary_crossentropy")
    ids, validation_ids = encode(tokenizer, train.texts), encode(tokenizer, validation.texts)
    seconds: list[float] = []

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        """Records the duration of each epoch, including validation."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds.append(round(time.monotonic() - self.started, 1))

    model.fit(
        ids,
        train.labels,
        batch_size=config.batch_size,
        epochs=EPOCHS,
        validation_data=(validation_ids, validation.labels),
        validation_batch_size=1024,
        callbacks=[Clock()],
        verbose=0,
    )
    out.write_text(json.dumps({"seconds": seconds}), encoding="utf-8")


def watch(nvidia_smi: str, process: subprocess.Popen[str], utilization: list[float]) -> None:
    """Record the utilization of the GPU every half second."""
    command = [nvidia_smi, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    while process.poll() is None:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        utilization += [float(line) for line in result.stdout.split() if line.isdecimal()][:1]
        time.sleep(0.5)


def describe_gpu(nvidia_smi: str) -> str:
    """Describe the GPU and CPU."""
    result = subprocess.run(
        [nvidia_smi, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=True
    )
    return f"{result.stdout.splitlines()[0]}, {os.cpu_count()} cores"


if __name__ == "__main__":
    benchmark(main)
