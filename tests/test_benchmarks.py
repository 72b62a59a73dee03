"""Benchmarks: their results, and a small run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from benchmarks import bench, report, roofline, texts
from benchmarks.installed import installed_size
from benchmarks.prepare import prepare_evenmood
from evenmood.onnx import inference
from tests.conftest import DEFAULT_MODEL
from tests.fresh_environment import ROOT


def test_roofline_counts_operations_of_the_bundled_network() -> None:
    weights = {w.name: numpy_helper.to_array(w) for w in onnx.load(DEFAULT_MODEL / "model.onnx").graph.initializer}
    lstm = weights["lstm_w"].size + weights["lstm_r"].size
    layers = sum(weights[f"{name}_w"].size for name in ("dense", "logits"))
    for length, steps in ((1, 1), (2, 1), (14, 7), (30, 15)):
        expected = 2 * (steps * (lstm + weights["attention_w"].size) + layers)
        assert roofline.flops_per_text([length]) == expected
    assert roofline.flops_per_text([2, 14]) == (roofline.flops_per_text([2]) + roofline.flops_per_text([14])) / 2


def test_ratios_are_computed_within_rounds() -> None:
    rounds = [
        {"evenmood": {"texts_per_second": 100.0}, "unfolded": {"texts_per_second": 20.0}},
        {"evenmood": {"texts_per_second": 50.0}, "unfolded": {"texts_per_second": 5.0}},
        {"evenmood": {"texts_per_second": 90.0}, "unfolded": {"texts_per_second": 30.0}},
    ]
    assert bench.ratio(rounds, "unfolded") == {"median": 5, "least": 3, "most": 10}
    summary = bench.summary([results["evenmood"] for results in rounds])
    assert summary == {"texts_per_second": {"median": 90, "least": 50, "most": 100}}


def test_slowdown_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "QUICK_RECORD", tmp_path / "record.json")
    (tmp_path / "record.json").write_text(json.dumps({"ratio": {"median": 5.0}}))
    bench.check_ratio({"median": 4.01, "least": 1, "most": 9})
    with pytest.raises(SystemExit, match=r"evenmood is 3\.99 times .* \(recorded: 5\.00, .*\): performance regression"):
        bench.check_ratio({"median": 3.99, "least": 1, "most": 9})


def test_small_run(tmp_path: Path) -> None:
    prepare_evenmood(tmp_path, None)
    names = ["unfolded", "evenmood"]
    synthetic = texts.synthetic_texts(400)
    (results,) = bench.run_rounds(tmp_path, synthetic[100:], synthetic[:100], names, 1)
    for name in names:
        assert set(results[name]) == {
            *("start_seconds", "texts_per_second", "texts_per_second_first_pass", "p50_ms", "p99_ms", "peak_memory_mb")
        }
        assert min(results[name].values()) > 0
    shares = bench.profile(tmp_path / "evenmood", texts.synthetic_texts(300))
    assert next(iter(shares)) == "lstm"
    assert 0.3 < shares["lstm"] < sum(shares.values()) <= 1
    sensitivity = bench.batch_sensitivity(tmp_path, texts.synthetic_texts(300))
    assert sensitivity["evenmood"] < 1e-6 < sensitivity["int8"]


def test_synthetic_texts_are_reproducible_and_of_typical_length() -> None:
    synthetic = texts.synthetic_texts(2_000)
    assert synthetic == texts.synthetic_texts(2_000)
    assert len(set(synthetic)) > 1_900
    assert 8 < np.mean([len(text.split()) for text in synthetic]) < 16


def test_dependencies_are_counted_once() -> None:
    ours, onnxruntime = installed_size(("evenmood",)), installed_size(("onnxruntime",))
    assert 0 < onnxruntime < ours < installed_size(("evenmood", "torch"))
    assert installed_size(("onnxruntime", "onnxruntime")) == onnxruntime


def test_usable_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    default = inference.usable_cores()
    assert default >= 1
    for value, cores in (("3", 3), ("0", default), ("many", default), ("", default)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert inference.usable_cores() == cores


def test_recorded_results_meet_the_minimum() -> None:
    bench_results = report.results("bench")
    ours, ratios = bench_results["peers"]["evenmood"], bench_results["ratios"]
    assert ratios["roberta_float32"]["median"] >= 500
    assert ratios["roberta_int8"]["median"] >= 100
    assert ours["p50_ms"]["median"] <= 0.2
    assert ours["start_seconds"]["median"] <= 0.4
    assert ours["model_bytes"] <= 12e6
    assert ours["peak_memory_mb"]["median"] <= 200
    assert bench_results["roofline"]["times_slower"] <= 2
    assert bench_results["roofline"]["cores"] == int(bench_results["machine"].split(" cores")[0].split()[-1])
    assert bench_results["rounds"] >= 5


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("streaming", ["--help"], ""),
        ("streaming", [], "the following arguments are required: out"),
        ("vectors", ["nowhere/out.json"], "nowhere/out.json: the folder nowhere does not exist"),
        ("bench", ["nowhere/out.json", "--data", "x"], "nowhere/out.json: the folder nowhere does not exist"),
    ],
)
def test_invalid_arguments(tmp_path: Path, module: str, arguments: list[str], message: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    result = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, message in result.stderr) == (2 if message else 0, True), result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
