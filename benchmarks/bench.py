"""evenmood beside what people would use instead: `python -m benchmarks.bench --data DATA results/bench.json`.

Every peer runs in a process of its own, one after another, round by round; what counts are ratios within a round.
`--quick` measures evenmood and its own unfolded graph alone, on made-up texts, and fails where their ratio has fallen.
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
from benchmarks.peers import PEERS, classifier_of
from benchmarks.prepare import prepare_ours, prepare_roberta
from benchmarks.texts import made_up_texts

ROUNDS, QUICK_ROUNDS = 5, 9
QUICK_TEXTS = 20_000
QUICK_RECORD = Path("results/bench-quick.json")
ALONE = 1000
"""Texts that are asked about alone and among others."""
LEAST_SHARE = 0.8
"""Share of the recorded ratio below which `--quick` fails."""
OURS, UNFOLDED = "evenmood", "unfolded"
NOT_NUMPY_S_CHOICE = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that would have numpy's matrix product run as on another processor."""


def main() -> None:
    """Measure and write, or compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, help="results file to write")
    parser.add_argument("--data", help="data set whose test texts are read, and training texts for RoBERTa's tokenizer")
    parser.add_argument("--network", help="model folder with Keras's files, for the peers of our own")
    parser.add_argument("--roberta", help="folder or Hub id of a fine-tuned RoBERTa; random weights take the same time")
    parser.add_argument("--teacher", help="folder of a transformers classifier to measure too")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--quick", action="store_true", help="compare with results/bench-quick.json; OUT writes it anew"
    )
    options = parser.parse_args()
    if options.out:
        check_out(parser, options.out)
    if options.quick:
        quick(options.out)
    elif options.data and options.out and options.rounds > 0:
        write(options.out, bench(options))
    else:
        parser.error("say which texts with --data, and where the results go; or --quick")


def bench(options: argparse.Namespace) -> dict[str, Any]:
    """Every peer on the test texts."""
    from evenmood.data.splits import load_split

    texts, others = (load_split(options.data, split).texts for split in ("test", "validation"))
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        print("preparing the peers", file=sys.stderr)
        prepare_ours(work, options.network)
        prepare_roberta(work, options.roberta, load_split(options.data, "train").texts)
        if options.teacher:
            shutil.copytree(options.teacher, work / "teacher")
        moved = moved_by_company(work, others)
        names = [name for name, peer in PEERS.items() if (work / peer.model).exists()]
        rounds = run_rounds(work, texts, others, names, options.rounds)
        peers = {name: summary([figures[name] for figures in rounds]) for name in names}
        for name, figures in peers.items():
            figures["title"] = PEERS[name].title
            figures["model_bytes"] = size_of(work / PEERS[name].model)
            figures["dependencies_bytes"] = installed_size(PEERS[name].requires)
        ceiling = roofline(work)
        shares = profile(work / OURS, texts)
    speed = peers[OURS]["texts_a_second"]["median"]
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
        "moved_by_company": moved,
        "shares_of_network_time": shares,
        "roofline": ceiling | {"times_slower": ceiling["texts_a_second"] / speed},
    }


def moved_by_company(work: Path, texts: list[str]) -> dict[str, float]:
    """How far a probability moves, at most, with the texts asked about beside it: LSTM in float, and in int8."""
    import numpy as np

    order = np.random.default_rng(0).permutation(len(texts))
    moved = {}
    for name in (OURS, "int8"):
        classifier = classifier_of(work, name)
        among_others = classifier.predict_proba([texts[row] for row in order])
        alone = np.stack([classifier.predict_proba(texts[row]) for row in order[:ALONE]])
        moved[name] = float(np.abs(among_others[:ALONE] - alone).max())
    return moved


def profile(folder: Path, texts: list[str]) -> dict[str, float]:
    """What share of the network's time the nodes of its graph have, as onnxruntime measures them."""
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
    spent: dict[str, float] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            spent[name] = spent.get(name, 0) + event["dur"]
    total = sum(spent.values())
    return {name: round(spent[name] / total, 3) for name in sorted(spent, key=spent.__getitem__, reverse=True)[:6]}


def quick(out: Path | None) -> None:
    """Compare with our own unfolded graph; write the ratio where `out` says, or hold it against the recorded one."""
    if hasattr(os, "sched_setaffinity"):  # on one core: how many a machine has would change the ratio
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        prepare_ours(work, None)
        texts = made_up_texts(2 * QUICK_TEXTS)
        rounds = run_rounds(work, texts[QUICK_TEXTS:], texts[:QUICK_TEXTS], [UNFOLDED, OURS], QUICK_ROUNDS)
    found = ratio(rounds, UNFOLDED)
    if out:
        write(out, {"machine": machine(), "texts": QUICK_TEXTS, "rounds": QUICK_ROUNDS, "ratio": found})
        return
    hold(found)


def hold(found: dict[str, float]) -> None:
    """Exit with an error where the ratio is far below the recorded one."""
    recorded = json.loads(QUICK_RECORD.read_text(encoding="utf-8"))["ratio"]["median"]
    least = LEAST_SHARE * recorded
    print(f"evenmood is {found['median']:.2f} times as fast as its unfolded graph; {least:.2f} is the least")
    if found["median"] < least:
        sys.exit(f"error: recorded were {recorded:.2f} times ({QUICK_RECORD}); something made evenmood slower")


def run_rounds(
    work: Path, texts: Sequence[str], others: Sequence[str], names: Sequence[str], rounds: int
) -> list[dict[str, dict[str, float]]]:
    """Each peer once a round, so that a machine that is slow for a while is slow for all."""
    file = work / "texts.json"
    file.write_text(json.dumps({"texts": texts, "warm_up": others}), encoding="utf-8")
    return [{name: run_peer(name, work, file) for name in names} for _ in range(rounds)]


def run_peer(name: str, work: Path, file: Path) -> dict[str, float]:
    """One process of a peer."""
    command = [sys.executable, "-m", "benchmarks.run_peer", name, str(work), str(file), str(time.time())]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {PEERS[name].title} failed:\n{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {figures['texts_a_second']:,.0f} texts a second", file=sys.stderr)
    return figures


def environment() -> dict[str, str]:
    """This process's, but numpy chooses for itself how to multiply, and nobody asks the Hub."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_NUMPY_S_CHOICE}
    return kept | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def summary(rounds: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Median, least and most of each figure."""
    return {key: spread([figures[key] for figures in rounds]) for key in rounds[0]}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def ratio(rounds: Sequence[dict[str, dict[str, float]]], name: str) -> dict[str, float]:
    """How many times as many texts a second as a peer: median, least and most of the rounds."""
    return spread([figures[OURS]["texts_a_second"] / figures[name]["texts_a_second"] for figures in rounds])


def roofline(work: Path) -> dict[str, float]:
    """What the matrix products alone allow, measured in a process whose numpy has one thread a core."""
    command = [sys.executable, "-m", "benchmarks.roofline", str(work / "evenmood"), str(work / "texts.json")]
    one_thread = environment() | {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # of each core's products
    done = subprocess.run(command, env=one_thread, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def size_of(path: Path) -> int:
    """Bytes of a file, or of a model folder's files that predicting needs."""
    from evenmood.model.model_folder import PREDICTING_FILES

    if path.is_file():
        return path.stat().st_size
    files = [path / name for name in PREDICTING_FILES if (path / name).is_file()]
    return sum(file.stat().st_size for file in files if (path / "emotions.json").exists()) or sum(
        file.stat().st_size for file in path.rglob("*") if file.is_file()
    )


def machine() -> str:
    """The machine in words."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a results file, and show it."""
    text = json.dumps(content, indent=1) + "\n"
    path.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    benchmark(main)
