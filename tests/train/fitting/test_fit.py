"""`python -m train`: fit, resume, evaluate, bundle, and errors for invalid input."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from evenmood import LABELS, EmotionClassifier
from tests.commands import run_command
from tests.conftest import SMALL
from tests.fakes.local_hub import run_module

MODEL_FILES = {
    *("README.md", "config.json", "metadata.json", "model.weights.h5", "model.onnx", "tokenizer.json", "emotions.json"),
    *(
        f"training/{name}"
        for name in ("config.json", "data.json", "history.csv", "layers.json", "storage.json", "loss.png")
    ),
    "training/metrics-validation.json",
    "training/calibration-validation.json",
    "training/calibration-validation.png",
}


@pytest.fixture(scope="module")
def data(small_data: Path) -> Path:
    return small_data


@pytest.fixture(scope="module")
def model(trained_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that the tests of this file write into."""
    return Path(shutil.copytree(trained_model, tmp_path_factory.mktemp("copy") / "model"))


def reproducible_files(folder: Path) -> dict[str, object]:
    """Return everything that must be equal for the same seed, data and machine."""
    info = json.loads((folder / "emotions.json").read_text())
    return {
        "thresholds": info["thresholds"],
        "metrics": json.loads((folder / "training/metrics-validation.json").read_text()),
        "onnx": (folder / "model.onnx").read_bytes(),
    }


def test_folder_is_complete(model: Path) -> None:
    files = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert files - {"training/metrics-test.json", "training/evaluations.jsonl"} == MODEL_FILES
    assert sorted(path.name for path in model.parent.iterdir()) == ["model"]
    history = list(csv.DictReader((model / "training/history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in history] == ["1", "2", "3", "4"]
    assert float(history[-1]["loss"]) < float(history[0]["loss"])
    config = json.loads((model / "training/config.json").read_text())
    assert config["lstm_units"] == 8
    assert (config["beta_1"], config["beta_2"], config["epsilon"], config["dropout"]) == (0.9, 0.999, 1e-7, 0.5)


def test_model_predicts_and_records_its_metrics(model: Path) -> None:
    classifier = EmotionClassifier.from_pretrained(model)
    assert classifier.predict_proba(["Joyful today!"]).shape == (1, 28)
    metrics = classifier.info.metrics["validation"]
    assert set(metrics["per_label"]) == set(LABELS)
    assert metrics["macro_f1"]["low"] <= metrics["macro_f1"]["value"] <= metrics["macro_f1"]["high"]
    assert all(round(threshold, 2) == threshold for threshold in classifier.thresholds.values())
    card = (model / "README.md").read_text()
    assert "| bilstm | Bidirectional | n × time × 16 |" in card
    assert f"{metrics['macro_f1']['value']:.3f}" in card


def test_storage_difference_excludes_truncation(model: Path) -> None:
    """Only Keras truncates texts longer than the maximum; without reduced precision the scores are equal."""
    storage = json.loads((model / "training/storage.json").read_text())
    assert storage["macro_f1_onnx"] == pytest.approx(storage["macro_f1_keras"], abs=1e-9)
    assert storage["largest_difference"] < 1e-5


@pytest.mark.slow
def test_average_pooling_without_a_test_split(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    (copy / "test.tsv").unlink()
    result = run_command(
        "train", "fit", "--data", copy, "--out", tmp_path / "m", "--epochs", "1", "--pooling", "average", *SMALL
    )
    assert result.returncode == 0, result.stderr
    assert not EmotionClassifier.from_pretrained(tmp_path / "m").has_attention


def test_killed_run_resumes_with_equal_results(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    arguments = ["fit", "--data", str(data), "--out", str(out), "--epochs", "4", *SMALL]
    process = subprocess.Popen([sys.executable, "-m", "train", *arguments], stderr=subprocess.DEVNULL)
    history = tmp_path / "model.partial" / "history.json"
    deadline = time.monotonic() + 120
    while not history.exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    result = run_module("train", *arguments)
    assert result.returncode == 0, result.stderr
    assert "resuming after epoch" in result.stderr
    assert reproducible_files(out) == reproducible_files(model)
    assert not (tmp_path / "model.partial").exists()


def test_unfinished_run_with_other_options_is_rejected(data: Path, tmp_path: Path) -> None:
    partial = tmp_path / "m.partial"
    partial.mkdir()
    (partial / "options.json").write_text(json.dumps({"seed": 5}))
    (partial / "vectors.npy").touch()
    result = run_command("train", "fit", "--data", data, "--out", tmp_path / "m", *SMALL)
    assert result.returncode == 2
    assert "an unfinished run has different options: " in result.stderr
    assert "--restart" in result.stderr
    assert partial.exists()


def test_evaluate_logs_every_run(model: Path) -> None:
    for count in (1, 2):
        result = run_command("train", "evaluate", model, "--split", "test")
        assert result.returncode == 0, result.stderr
        assert "macro-F1" in result.stdout
        log = (model / "training/evaluations.jsonl").read_text().splitlines()
        assert len(log) == count
        assert json.loads(log[-1])["split"] == "test"
    metrics = json.loads((model / "training/metrics-test.json").read_text())
    assert set(metrics) == {"tuned", "at_0.5", "tuned_without_overlap"}
    info = EmotionClassifier.from_pretrained(model).info
    assert info.metrics["test"]["macro_f1"]["value"] == round(metrics["tuned"]["macro_f1"]["value"], 4)
    assert "**Test split**" in (model / "README.md").read_text()


def test_export_matches_fit(model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "copy"))
    (folder / "model.onnx").unlink()
    expected = reproducible_files(model)
    result = run_command("train", "export", folder)
    assert result.returncode == 0, result.stderr
    assert reproducible_files(folder) == expected
    weights = (folder / "model.weights.h5").read_bytes()
    (folder / "model.weights.h5").write_bytes(weights[: len(weights) // 2])
    result = run_command("train", "export", folder)
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1), result.stderr
    assert "the folder may be corrupt: train the model again" in result.stderr
    assert not list(folder.glob("*.part"))
    (folder / "model.weights.h5").unlink()
    result = run_command("train", "export", folder)
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1), result.stderr
    assert "missing files: model.weights.h5" in result.stderr


def test_bundle(model: Path, tmp_path: Path) -> None:
    assert run_command("train", "evaluate", model, "--split", "test").returncode == 0
    package, results = tmp_path / "package", tmp_path / "results.json"
    result = run_command("train", "bundle", model, "--package", package, "--results", results)
    assert result.returncode == 0, result.stderr
    names = sorted(path.name for path in package.iterdir())
    assert names == ["README.md", "emotions.json", "model.onnx", "tokenizer.json", "training"]
    content = json.loads(results.read_text())
    assert content["thresholds"] == dict(EmotionClassifier.from_pretrained(package).thresholds)
    assert content["metrics"]["test"]["tuned"]["rows"] == 133


@pytest.mark.parametrize(
    ("backend", "precision"),
    [
        pytest.param("torch", "float32", marks=pytest.mark.slow),
        pytest.param("jax", "mixed_bfloat16", marks=pytest.mark.slow),
        pytest.param("jax", "mixed_float16", marks=pytest.mark.slow),
    ],
)
def test_other_backends(data: Path, tmp_path: Path, backend: str, precision: str) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    options = ["--epochs", "1", "--precision", precision, *SMALL]
    result = run_module("train", "fit", "--data", data, "--out", tmp_path / "m", *options, KERAS_BACKEND=backend)
    assert result.returncode == 0, result.stderr
    storage = json.loads((tmp_path / "m/training/storage.json").read_text())
    assert storage["largest_difference"] < 1e-5


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--max-length", "7"], 2, "--max-length is 7; expected an even number"),
        (["--dropout", "1"], 2, "--dropout is 1.0; expected at least 0 and below 1"),
        (["--epochs", "0"], 2, "--epochs is 0"),
        (["--pooling", "sum"], 2, "'sum' is not one of 'attention', 'average'"),
        (["--vectors", "missing.vec"], 1, "missing.vec: no such vectors file"),
    ],
)
def test_invalid_options_are_rejected(
    data: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    result = run_command("train", "fit", "--data", data, "--out", tmp_path / "m", *SMALL, *arguments)
    assert result.returncode == code
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "m").exists()


def test_existing_folder_is_rejected_before_training(data: Path, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "mine.txt").write_text("precious")
    result = run_command("train", "fit", "--data", data, "--out", tmp_path / "m", *SMALL)
    assert result.returncode == 2
    assert (
        result.stderr.strip()
        == f"error: {tmp_path / 'm'} exists; choose another folder, or use --overwrite (overwrite=True in Python)"
    )
    assert (tmp_path / "m" / "mine.txt").read_text() == "precious"


def test_unknown_backend_is_rejected(data: Path, tmp_path: Path) -> None:
    result = run_command("train", "fit", "--data", data, "--out", tmp_path / "m", *SMALL, KERAS_BACKEND="theano")
    assert result.returncode == 1
    assert "KERAS_BACKEND is 'theano', which is not installed" in result.stderr
