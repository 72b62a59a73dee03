"""Shared fixtures: a fake Hub, the bundled models and copies of them, and small networks trained during the tests."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from docs.screenshot import running_demo
from evenmood import LABELS, EmotionClassifier
from evenmood.model.loading import BUNDLED
from evenmood.model.model_folder import ONNX_FILE, PREDICTION_FILES, TOKENIZER_FILE, ModelInfo, write_info
from evenmood.text.normalization import fit_tokenizer
from tests.commands import run_command
from tests.fakes.hub_server import HubServer
from tests.fakes.local_hub import HUB, TOKEN, run_module
from tests.fakes.openai_server import OpenAIServer
from tests.fakes.tiny_teacher import write_encoder
from tests.small_data import write_tsv

DEFAULT_MODEL = Path(str(resources.files("evenmood"))) / "default_model"


@pytest.fixture(scope="session")
def fast_model() -> EmotionClassifier:
    """The default model; tests that change its thresholds load another one."""
    return EmotionClassifier.from_pretrained()


@pytest.fixture(scope="session")
def model(fast_model: EmotionClassifier) -> EmotionClassifier:
    """The default model; test files that apply to both models override it with `each_model`."""
    return fast_model


@pytest.fixture(scope="session", params=list(BUNDLED))
def each_name(request: pytest.FixtureRequest) -> str:
    """The name of each bundled model, for tests that apply to both."""
    return str(request.param)


@pytest.fixture(scope="session")
def each_model(each_name: str) -> EmotionClassifier:
    """Each bundled model, for tests that apply to both."""
    return EmotionClassifier.from_pretrained(each_name)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """The fake Hub at `HF_ENDPOINT`, empty and without faults."""
    HUB.clear()
    yield HUB
    assert not [fault.request for fault in HUB.faults if fault.times > 0], "a simulated fault did not occur"


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    """A token with write access, in the environment."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return TOKEN


@pytest.fixture(scope="session")
def demo(average_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the demo with the bundled models and one without attention; feedback goes to the folder `feedback`."""
    feedback = str(tmp_path_factory.getbasetemp() / "feedback")
    trained = str(tmp_path_factory.mktemp("models"))  # not the models in the checkout
    with running_demo("--folder", str(average_folder), "--trained", trained, "--feedback", feedback) as url:
        yield url


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """An OpenAI-compatible endpoint on loopback."""
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def generate_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build folder that is ready for `generate`, with small shards."""
    from data_build.stages import generate, goemotions

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(generate, "REQUESTS_PER_SHARD", 4)
    goemotions.run(tmp_path / "build", print, str(write_tsv(tmp_path / "tsv")), any_size=True)
    return tmp_path / "build"


SMALL = [
    *("--vectors", "random", "--embedding-size", "16", "--filters", "8", "--lstm-units", "8", "--dense-units", "8"),
    *("--batch-size", "32", "--max-length", "12", "--min-frequency", "1", "--learning-rate", "0.01"),
]
"""Options of a training run that takes seconds."""


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set in GoEmotions' TSV format."""
    return made_once("small-data", lambda folder: write_tsv(folder, rows=400), tmp_path_factory)


def made_once(name: str, make: Callable[[Path], object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file or folder that all workers of a run share; the first one that needs it makes it."""
    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{path}.lock"):
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=path.parent) as temporary:  # no partial result if `make` fails
                make(Path(temporary) / name)
                (Path(temporary) / name).rename(path)
    return path


@pytest.fixture(scope="session")
def trained_model(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained for four epochs; tests that write to the folder copy it first.

    It is trained in a separate process, since TensorFlow's earlier work in this process could change the last bits.
    """

    def train(out: Path) -> None:
        result = run_module("train", "fit", "--data", small_data, "--out", out, "--epochs", "4", *SMALL)
        assert result.returncode == 0, result.stderr
        assert "epoch 4/4" in result.stderr
        assert "validation macro-F1" in result.stderr

    return made_once("trained-model", train, tmp_path_factory)


@pytest.fixture(scope="session")
def evaluated_model(trained_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model with metrics of the test split; tests that write to the folder copy it first."""

    def evaluate(out: Path) -> None:
        shutil.copytree(trained_model, out)
        result = run_command("train", "evaluate", out, "--split", "test")
        assert result.returncode == 0, result.stderr

    return made_once("evaluated-model", evaluate, tmp_path_factory)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundled model that tests may damage."""
    target = tmp_path / "model"
    target.mkdir()
    for name in PREDICTION_FILES:
        shutil.copyfile(DEFAULT_MODEL / name, target / name)
    return target


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers sequence classifier with the 28 labels and random weights."""
    pytest.importorskip("torch", reason="torch is not installed: pip install --group data")
    return write_encoder(tmp_path_factory.mktemp("encoder"), LABELS)


@pytest.fixture(scope="session")
def average_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a tiny, untrained network with average pooling instead of attention."""
    pytest.importorskip("keras", reason="keras is not installed: pip install --group train")
    from train.network.backend import choose_backend

    choose_backend()
    from train.config import TrainConfig
    from train.network.export import export_onnx
    from train.network.network import build_network

    config = TrainConfig(
        pooling="average", max_length=6, embedding_size=4, filters=3, kernel_size=3, lstm_units=2, dense_units=3
    )
    tokenizer = fit_tokenizer(["one two three four five"], min_frequency=1, max_length=config.max_length)
    vectors = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 4)).astype(np.float32)
    target = tmp_path_factory.mktemp("average")
    export_onnx(build_network(config, vectors, len(LABELS)), target / ONNX_FILE)
    tokenizer.save(str(target / TOKENIZER_FILE))
    write_info(target, ModelInfo(LABELS, dict.fromkeys(LABELS, 0.5), config.max_length, attention=False))
    return target
