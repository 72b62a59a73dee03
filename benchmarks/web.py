"""The npm package compared with transformers.js, in Chromium and in Node: `make bench-web DATA=...`.

transformers.js runs a RoBERTa of the size of SamLowe/roberta-base-go_emotions in int8; its weights are random, which
takes the same time. Every peer starts in a new browser context without a cache, or in a new process, round by round.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arguments import benchmark, check_out
from benchmarks.bench import machine, write
from benchmarks.prepare import prepare_roberta
from docs.screenshot import chromium, count_bytes
from docs.static_server import served
from evenmood import EmotionClassifier
from evenmood.data.splits import load_split
from evenmood.model.loading import BUNDLED

WEB = Path(__file__).parent.parent / "web"
ROUNDS = 3
PEERS = {"fast": "evenmood", "accurate": "evenmood", "roberta": "transformers.js"}
"""Package that runs each model."""
SINGLE_TEXTS = {"fast": 500, "accurate": 100, "roberta": 40}
"""Number of texts classified one at a time, by model."""
BATCH_TEXTS = {"fast": 4_000, "accurate": 320, "roberta": 64}
"""Number of texts classified in one call, by model."""
THREADS = (1, 2)


def main() -> None:
    """Measure, and write the results file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="results file to write")
    parser.add_argument("--data", required=True, help="data set whose test texts are classified")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"number of rounds; default: {ROUNDS}")
    options = parser.parse_args()
    check_out(parser, options.out)
    if not (WEB / "bench" / "node_modules").is_dir() or not (WEB / "dist").is_dir():
        parser.error("the npm package is not built; run: make web bench-web")
    write(options.out, measure(options.data, options.rounds))


def measure(data: str, rounds: int) -> dict[str, Any]:
    """Measure each peer (medians over rounds), and how much probabilities in a browser differ from Python."""
    texts = list(load_split(data, "test").texts)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "web").symlink_to(WEB)
        for model, folder in BUNDLED.items():
            shutil.copytree(WEB.parent / "evenmood" / folder, root / "models" / model)
        _roberta(root, list(load_split(data, "train").texts))
        runs_by_setting: dict[tuple[str, str], list[dict[str, float]]] = {}
        for _ in range(rounds):
            for model, peer in PEERS.items():
                inputs = {"alone": texts[: SINGLE_TEXTS[model]], "together": texts[: BATCH_TEXTS[model]]}
                for threads in THREADS:
                    environment = f"Chromium, {threads} thread{'s' * (threads > 1)}"
                    runs_by_setting.setdefault((model, environment), []).append(
                        _in_browser(root, model, peer, threads, inputs)
                    )
                runs_by_setting.setdefault((model, "Node"), []).append(_in_node(root, model, peer, inputs))
        differences = {model: _difference(root, model, texts[:400]) for model in BUNDLED}
    rows = [
        {"model": model, "package": PEERS[model], "where": environment} | _medians(runs)
        for (model, environment), runs in runs_by_setting.items()
    ]
    return {
        "machine": machine(),
        "rounds": rounds,
        "peers": rows,
        "differences": differences,
        "site_bytes": sum(path.stat().st_size for path in (WEB / "site").iterdir()),
    }


def _roberta(root: Path, texts: list[str]) -> None:
    """Write RoBERTa in the layout that transformers.js expects."""
    prepare_roberta(root, None, texts)
    target = root / "models" / "roberta"
    shutil.copytree(root / "roberta", target, ignore=shutil.ignore_patterns("*.safetensors"))
    settings = target / "tokenizer_config.json"
    content = json.loads(settings.read_text("utf-8")) | {"tokenizer_class": "RobertaTokenizer"}
    settings.write_text(json.dumps(content), "utf-8")
    (target / "onnx").mkdir()
    shutil.move(root / "roberta-int8.onnx", target / "onnx" / "model_quantized.onnx")


def _in_browser(root: Path, model: str, peer: str, threads: int, inputs: dict[str, list[str]]) -> dict[str, float]:
    with served(root, isolated=True) as address, chromium() as browser:
        context = browser.new_context()
        page = context.new_page()
        received = count_bytes(page)
        page.set_default_timeout(600_000)
        page.goto(f"{address}/web/bench/browser.html")
        page.wait_for_function("document.title === 'ready'")
        timing = page.evaluate(
            "([peer, model, threads, single, batch]) => time(peer, model, threads, single, batch)",
            [peer, f"{address}/models/{model}/", threads, inputs["alone"], inputs["together"]],
        )
        context.close()
    return _summarize(timing, len(inputs["together"])) | {"megabytes": sum(received) / 1e6}


def _in_node(root: Path, model: str, peer: str, inputs: dict[str, list[str]]) -> dict[str, float]:
    result = subprocess.run(
        ["node", "bench/node.mjs", peer, f"{root}/models/{model}/"],
        cwd=WEB,
        input=json.dumps(inputs),
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")},
    )
    return _summarize(json.loads(result.stdout.splitlines()[-1]), len(inputs["together"]))


def _summarize(timing: dict[str, Any], texts: int) -> dict[str, float]:
    return {
        "start_s": timing["start"] / 1000,
        "p50_ms": float(np.percentile(timing["each"], 50)),
        "p99_ms": float(np.percentile(timing["each"], 99)),
        "texts_per_s": 1000 * texts / timing["together"],
    }


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}


def _difference(root: Path, model: str, texts: list[str]) -> dict[str, float]:
    """Compare Chromium's probabilities with Python's: absolute differences, and share of texts with other labels."""
    with served(root, isolated=True) as address, chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(600_000)
        page.goto(f"{address}/web/test/browser.html")
        page.wait_for_function("document.title === 'ready'")
        result = page.evaluate(
            "([texts, model]) => probabilities(texts, 1, model)", [texts, f"{address}/models/{model}/"]
        )
    classifier = EmotionClassifier.from_pretrained(model)
    in_browser, in_python = np.array(result["rows"], np.float32), classifier.predict_proba(texts)
    pairs = zip(classifier.apply_thresholds(in_browser), classifier.apply_thresholds(in_python), strict=True)
    changed = sum(first.labels != second.labels for first, second in pairs)
    difference = np.abs(in_browser - in_python)
    return {
        "texts": len(texts),
        "largest": float(difference.max()),
        "mean": float(difference.mean()),
        "texts_with_other_labels": changed / len(texts),
    }


if __name__ == "__main__":
    benchmark(main)
