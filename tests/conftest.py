"""What several test files need: the bundled model, copies of it, and a network small enough to build on the spot."""

import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from evenmood import LABELS, EmotionClassifier
from evenmood.model_folder import ONNX_FILE, PREDICTING_FILES, TOKENIZER_FILE, ModelInfo, write_info
from evenmood.text import fit_tokenizer

DEFAULT_MODEL = Path(str(resources.files("evenmood"))) / "default_model"


@pytest.fixture(scope="session")
def model() -> EmotionClassifier:
    """The bundled model; tests that change its thresholds load one of their own."""
    return EmotionClassifier.from_pretrained()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of what the bundled model predicts with, to damage."""
    target = tmp_path / "model"
    target.mkdir()
    for name in PREDICTING_FILES:
        shutil.copyfile(DEFAULT_MODEL / name, target / name)
    return target


@pytest.fixture(scope="session")
def average_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a tiny, untrained network that averages over time, and so has no attention."""
    from train.backend import choose_backend

    choose_backend()
    from train.config import TrainConfig
    from train.export import export_onnx
    from train.network import build_network

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
