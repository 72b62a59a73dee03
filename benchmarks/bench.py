"""Speed and memory of evenmood and other models: `python -m benchmarks.bench --data DATA results/bench.json`.

Each model runs in its own process, one after another, in several rounds; the results are ratios within a round.
`--quick` compares evenmood with its unfolded graph on synthetic texts, and fails if the ratio has dropped.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.arguments import benchmark, check_out
from benchmarks.installed import installed_size
from benchmarks.peers import PEERS, load_classifier
from benchmarks.prepare import prepare_evenmood, prepare_roberta
from benchmarks.texts import synthetic_texts

ROUNDS, QUICK_ROUNDS = 5, 9
QUICK_TEXTS = 20_000
QUICK_RECORD = Path("results/bench-quick.json")
SINGLE_TEXTS = 1000
"""Texts that are predicted one by one and in batches."""
MIN_SHARE = 0.8
"""`--quick` fails below this share of the recorded ratio."""
OURS, UNFOLDED = "evenmood", "unfolded"
BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that make numpy's matmul behave as on another processor."""


def main() -> None:
    """Run the benchmark, or compare with the recorded ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, help="results file (JSON) to write")
    parser.add_argument("--data", help="data set with the texts")
    parser.add_argument("--network", help="model folder with Keras files; default: random weights, equally fast")
    parser.add_argument("--roberta", help="folder or Hub id of a RoBERTa; default: random weights, equally fast")
    parser.add_argument("--teacher", help="folder of a transformers classifier to measure as well")
    parser.add_argument("--peers", nargs="+", choices=PEERS, help="models to measure beside evenmood; default: all")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"number of rounds; default: {ROUNDS}")
    parser.add_argument(
        "--quick", action="store_true", help="compare with results/bench-quick.json; with OUT, write the ratio to it"
    )
    options = parser.parse_args()
    if options.out:
        check_out(parser, options.out)
    if options.quick:
        quick(options.out)
    elif options.data and options.out and options.rounds > 0:
        write(options.out, bench(options))
    else:
        parser.error("expected OUT, --data and at least one round; or --quick")


def bench(options: argparse.Namespace) -> dict[str, Any]:
    """Measure each peer on the test texts."""
    from evenmood.data.splits import load_split

    texts, warm_up = (load_split(options.data, split).texts for split in ("test", "validation"))
    with tempfile.TemporaryDirectory() as temporary:
        work_folder = Path(temporary)
        print("preparing the peers", file=sys.stderr)
        prepare_evenmood(work_folder, options.network)
        prepare_roberta(work_folder, options.roberta, load_split(options.data, "train").texts)
        if options.teacher:
            shutil.copytree(options.teacher, work_folder / "teacher")
        sensitivity = batch_sensitivity(work_folder, warm_up)
        chosen = {OURS, *(options.peers or PEERS)}
        names = [name for name, peer in PEERS.items() if name in chosen and (work_folder / peer.model).exists()]
        rounds = run_rounds(work_folder, texts, warm_up, names, options.rounds)
        peers = {name: summary([results[name] for results in rounds]) for name in names}
        for name, peer in peers.items():
            peer["title"] = PEERS[name].title
            peer["model_bytes"] = model_size(work_folder / PEERS[name].model)
            peer["dependencies_bytes"] = installed_size(PEERS[name].requires)
        ceiling = roofline(work_folder)
        shares = profile(work_folder / OURS, texts)
    speed = peers[OURS]["texts_per_second"]["median"]
    return {
        "machine": machine(),
        "texts": len(texts),
        "data": options.data,
        "rounds": options.rounds,
        "roberta_weights": options.roberta or "random",
        "network_weights": options.network or "random",
        "teacher": Path(options.teacher).name if options.teacher else None,
        "peers": peers,
        "ratios": {name: ratio(rounds, name) for name in names if name != OURS},
        "batch_sensitivity": sensitivity,
        "shares_of_network_time": shares,
        "roofline": ceiling | {"times_slower": ceiling["texts_per_second"] / speed},
    }


def batch_sensitivity(work_folder: Path, texts: list[str]) -> dict[str, float]:
    """Measure the maximum difference of a probability between single and batch prediction, by LSTM type."""
    import numpy as np

    permutation = np.random.default_rng(0).permutation(len(texts))
    differences = {}
    for name in (OURS, "int8"):
        classifier = load_classifier(work_folder, name)
        batch = classifier.predict_proba([texts[row] for row in permutation])
        single = np.stack([classifier.predict_proba(texts[row]) for row in permutation[:SINGLE_TEXTS]])
        differences[name] = float(np.abs(batch[:SINGLE_TEXTS] - single).max())
    return differences


def profile(folder: Path, texts: list[str]) -> dict[str, float]:
    """Return the six slowest nodes of the network's graph with their shares of its time, from onnxruntime's profile."""
    import onnxruntime

    from evenmood.model.loading import load_tokenizer
    from evenmood.model.model_folder import ONNX_FILE, read_info
    from evenmood.onnx.inference import length_batches
    from evenmood.text.fast_batch_tokenizer import BatchTokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(folder / ONNX_FILE, options)
    info = read_info(folder)
    tokenizer = BatchTokenizer(load_tokenizer(folder), info.max_length)
    for batch, _ in length_batches(tokenizer.encode(texts).ids):
        session.run(["probabilities"], {"input_ids": batch})
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    durations: dict[str, float] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            durations[name] = durations.get(name, 0) + event["dur"]
    total = sum(durations.values())
    longest = sorted(durations, key=durations.__getitem__, reverse=True)[:6]
    return {name: round(durations[name] / total, 3) for name in longest}


def quick(out: Path | None) -> None:
    """Compare evenmood with its unfolded graph; write the ratio to `out`, or compare it with the recorded one."""
    if hasattr(os, "sched_setaffinity"):  # use one core: the ratio depends on the number of cores
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as temporary:
        work_folder = Path(temporary)
        prepare_evenmood(work_folder, None)
        texts = synthetic_texts(2 * QUICK_TEXTS)
        rounds = run_rounds(work_folder, texts[QUICK_TEXTS:], texts[:QUICK_TEXTS], [UNFOLDED, OURS], QUICK_ROUNDS)
    measured = ratio(rounds, UNFOLDED)
    if out:
        write(out, {"machine": machine(), "texts": QUICK_TEXTS, "rounds": QUICK_ROUNDS, "ratio": measured})
        return
    check_ratio(measured)


def check_ratio(measured: dict[str, float]) -> None:
    """Exit with an error if the ratio is far below the recorded one."""
    recorded = json.loads(QUICK_RECORD.read_text(encoding="utf-8"))["ratio"]["median"]
    minimum = MIN_SHARE * recorded
    print(f"evenmood is {measured['median']:.2f} times as fast as its unfolded graph; the minimum is {minimum:.2f}")
    if measured["median"] < minimum:
        sys.exit(
            f"error: evenmood is {measured['median']:.2f} times as fast as its unfolded graph; expected at least "
            f"{minimum:.2f} (recorded: {recorded:.2f}, {QUICK_RECORD}): performance regression"
        )


def run_rounds(
    work_folder: Path, texts: Sequence[str], warm_up: Sequence[str], names: Sequence[str], rounds: int
) -> list[dict[str, dict[str, float]]]:
    """Run each peer once per round, so that slow phases of the machine affect all peers."""
    file = work_folder / "texts.json"
    file.write_text(json.dumps({"texts": texts, "warm_up": warm_up}), encoding="utf-8")
    return [{name: run_peer(name, work_folder, file) for name in names} for _ in range(rounds)]


def run_peer(name: str, work_folder: Path, file: Path) -> dict[str, float]:
    """Run a peer in its own process."""
    command = [sys.executable, "-m", "benchmarks.run_peer", name, str(work_folder), str(file), str(time.time())]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"error: {PEERS[name].title} failed:\n{result.stderr}")
    measurements: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    print(f"{name}: {measurements['texts_per_second']:,.0f} texts/s", file=sys.stderr)
    return measurements


def environment() -> dict[str, str]:
    """Return the environment of the measured processes: offline, without overrides of numpy's matmul."""
    variables = {name: value for name, value in os.environ.items() if name not in BLAS_OVERRIDES}
    return variables | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def summary(rounds: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Return the median, minimum and maximum of each measurement."""
    return {key: spread([results[key] for results in rounds]) for key in rounds[0]}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, minimum and maximum."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def ratio(rounds: Sequence[dict[str, dict[str, float]]], name: str) -> dict[str, float]:
    """Return the ratio of evenmood's throughput to a peer's: median, minimum and maximum over the rounds."""
    return spread([results[OURS]["texts_per_second"] / results[name]["texts_per_second"] for results in rounds])


def roofline(work_folder: Path) -> dict[str, float]:
    """Return the upper bound on throughput from the matmuls alone, measured in a separate process."""
    files = [str(work_folder / "evenmood"), str(work_folder / "texts.json")]
    command = [sys.executable, "-m", "benchmarks.roofline", *files]
    one_thread = environment() | {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # per core
    result = subprocess.run(command, env=one_thread, capture_output=True, text=True, check=True)
    measurements: dict[str, float] = json.loads(result.stdout)
    return measurements


def model_size(path: Path) -> int:
    """Return the size of a file, or of the files of a model folder that prediction needs."""
    from evenmood.model.model_folder import PREDICTION_FILES

    if path.is_file():
        return path.stat().st_size
    files = [path / name for name in PREDICTION_FILES if (path / name).is_file()]
    return sum(file.stat().st_size for file in files if (path / "emotions.json").exists()) or sum(
        file.stat().st_size for file in path.rglob("*") if file.is_file()
    )


def machine() -> str:
    """Describe the machine."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def write(path: Path, content: dict[str, Any]) -> None:
    """Write and print results."""
    text = json.dumps(content, indent=1) + "\n"
    path.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    benchmark(main)
