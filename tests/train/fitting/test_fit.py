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


def figures(folder: Path) -> dict[str, object]:
    """What must be the same for the same seed, data and machine."""
    info = json.loads((folder / "emotions.json").read_text())
    return {
        "thresholds": info["thresholds"],
        "metrics": json.loads((folder / "training/metrics-validation.json").read_text()),
        "onnx": (folder / "model.onnx").read_bytes(),
    }


def test_the_folder_is_whole(model: Path) -> None:
    files = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert files - {"training/metrics-test.json", "training/evaluations.jsonl"} == MODEL_FILES
    assert sorted(path.name for path in model.parent.iterdir()) == ["model"]
    history = list(csv.DictReader((model / "training/history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in history] == ["1", "2", "3", "4"]
    assert float(history[-1]["loss"]) < float(history[0]["loss"])
    config = json.loads((model / "training/config.json").read_text())
    assert config["lstm_units"] == 8
    assert (config["beta_1"], config["beta_2"], config["epsilon"], config["dropout"]) == (0.9, 0.999, 1e-7, 0.5)


def test_it_predicts_and_carries_its_figures(model: Path) -> None:
    classifier = EmotionClassifier.from_pretrained(model)
    assert classifier.predict_proba(["Joyful today!"]).shape == (1, 28)
    brief = classifier.info.metrics["validation"]
    assert set(brief["per_label"]) == set(LABELS)
    assert brief["macro_f1"]["low"] <= brief["macro_f1"]["value"] <= brief["macro_f1"]["high"]
    assert all(round(cut, 2) == cut for cut in classifier.thresholds.values())
    card = (model / "README.md").read_text()
    assert "| bilstm | Bidirectional | n × time × 16 |" in card
    assert f"{brief['macro_f1']['value']:.3f}" in card


def test_the_cost_of_storage_is_not_that_of_long_texts(model: Path) -> None:
    """Texts longer than the network reads at once are cut by Keras alone; 32 bits cost nothing."""
    storage = json.loads((model / "training/storage.json").read_text())
    assert storage["macro_f1_onnx"] == pytest.approx(storage["macro_f1_keras"], abs=1e-9)
    assert storage["largest_difference"] < 1e-5


def test_average_pooling_without_a_test_split(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    (copy / "test.tsv").unlink()
    done = run_command(
        "train", "fit", "--data", copy, "--out", tmp_path / "m", "--epochs", "1", "--pooling", "average", *SMALL
    )
    assert done.returncode == 0, done.stderr
    assert not EmotionClassifier.from_pretrained(tmp_path / "m").has_attention


def test_killed_and_resumed_gives_the_same(model: Path, data: Path, tmp_path: Path) -> None:
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
    done = run_module("train", *arguments)
    assert done.returncode == 0, done.stderr
    assert "resuming after epoch" in done.stderr
    assert figures(out) == figures(model)
    assert not (tmp_path / "model.partial").exists()


def test_unfinished_run_with_other_options(data: Path, tmp_path: Path) -> None:
    partial = tmp_path / "m.partial"
    partial.mkdir()
    (partial / "options.json").write_text(json.dumps({"seed": 5}))
    (partial / "vectors.npy").touch()
    done = run_command("train", "fit", "--data", data, "--out", tmp_path / "m", *SMALL)
    assert done.returncode == 2
    assert "unfinished run with other" in done.stderr
    assert "--restart" in done.stderr
    assert partial.exists()


def test_evaluate_logs_every_run(model: Path) -> None:
    for count in (1, 2):
        done = run_command("train", "evaluate", model, "--split", "test")
        assert done.returncode == 0, done.stderr
        assert "macro-F1" in done.stdout
        log = (model / "training/evaluations.jsonl").read_text().splitlines()
        assert len(log) == count
        assert json.loads(log[-1])["split"] == "test"
    written = json.loads((model / "training/metrics-test.json").read_text())
    assert set(written) == {"tuned", "at_0.5", "tuned_without_overlap"}
    info = EmotionClassifier.from_pretrained(model).info
    assert info.metrics["test"]["macro_f1"]["value"] == round(written["tuned"]["macro_f1"]["value"], 4)
    assert "**Test split**" in (model / "README.md").read_text()


def test_export_writes_what_fit_wrote(model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "copy"))
    (folder / "model.onnx").unlink()
    before = figures(model)
    done = run_command("train", "export", folder)
    assert done.returncode == 0, done.stderr
    assert figures(folder) == before
    weights = (folder / "model.weights.h5").read_bytes()
    (folder / "model.weights.h5").write_bytes(weights[: len(weights) // 2])
    done = run_command("train", "export", folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "Keras cannot load the network, which may be damaged" in done.stderr
    assert not list(folder.glob("*.part"))
    (folder / "model.weights.h5").unlink()
    done = run_command("train", "export", folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "model.weights.h5 missing" in done.stderr


def test_bundle(model: Path, tmp_path: Path) -> None:
    assert run_command("train", "evaluate", model, "--split", "test").returncode == 0
    package, results = tmp_path / "package", tmp_path / "results.json"
    done = run_command("train", "bundle", model, "--package", package, "--results", results)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in package.iterdir())
    assert names == ["README.md", "emotions.json", "model.onnx", "tokenizer.json", "training"]
    content = json.loads(results.read_text())
    assert content["thresholds"] == dict(EmotionClassifier.from_pretrained(package).thresholds)
    assert content["metrics"]["test"]["tuned"]["rows"] == 133


@pytest.mark.parametrize(
    ("backend", "precision"),
    [
        ("torch", "float32"),
        pytest.param("jax", "mixed_bfloat16", marks=pytest.mark.slow),
        pytest.param("jax", "mixed_float16", marks=pytest.mark.slow),
    ],
)
def test_other_backends(data: Path, tmp_path: Path, backend: str, precision: str) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    options = ["--epochs", "1", "--precision", precision, *SMALL]
    done = run_module("train", "fit", "--data", data, "--out", tmp_path / "m", *options, KERAS_BACKEND=backend)
    assert done.returncode == 0, done.stderr
    storage = json.loads((tmp_path / "m/training/storage.json").read_text())
    assert storage["largest_difference"] < 1e-5


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--max-length", "7"], 2, "--max-length is 7; expected an even number"),
        (["--dropout", "1"], 2, "--dropout is 1.0; expected 0 to below 1"),
        (["--epochs", "0"], 2, "--epochs is 0"),
        (["--pooling", "sum"], 2, "'sum' is not one of 'attention', 'average'"),
        (["--vectors", "missing.vec"], 1, "missing.vec: no such vectors file"),
    ],
)
def test_wrong_options(data: Path, tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    done = run_command("train", "fit", "--data", data, "--out", tmp_path / "m", *SMALL, *arguments)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "m").exists()


def test_an_occupied_folder_is_refused_before_training(data: Path, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "mine.txt").write_text("precious")
    done = run_command("train", "fit", "--data", data, "--out", tmp_path / "m", *SMALL)
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        == f"error: {tmp_path / 'm'} exists already; choose another folder, or set overwrite (--overwrite)"
    )
    assert (tmp_path / "m" / "mine.txt").read_text() == "precious"


def test_no_backend(data: Path, tmp_path: Path) -> None:
    done = run_command("train", "fit", "--data", data, "--out", tmp_path / "m", *SMALL, KERAS_BACKEND="theano")
    assert done.returncode == 1
    assert "KERAS_BACKEND is 'theano', which is not installed" in done.stderr
