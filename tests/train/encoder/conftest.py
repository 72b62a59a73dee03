"""A small BERT encoder with a pruned vocabulary, and a teacher fine-tuned from it."""

from pathlib import Path

import pytest

from evenmood.data.splits import load_split
from evenmood.text.normalization import clean
from tests.fakes.tiny_teacher import write_encoder
from train.distillation.encoder import TeacherConfig
from train.distillation.teacher import train_teacher
from train.encoder.vocabulary import prune


@pytest.fixture(scope="module")
def pruned_encoder(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = load_split(str(small_data), "train").texts
    words = sorted({word for text in texts for word in clean(text).split()})
    base = write_encoder(
        tmp_path_factory.mktemp("base"), ["0", "1"], [*words, *"abcdefgh", "never"], size=32, spread=0.1
    )
    out = tmp_path_factory.mktemp("pruned") / "encoder"
    prune(str(base), [texts], 20_000, out)
    return out


@pytest.fixture(scope="module")
def teacher(pruned_encoder: Path, small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "teacher"
    config = TeacherConfig(
        str(pruned_encoder),
        str(small_data),
        epochs=6,
        batch_size=16,
        learning_rate=4e-3,
        head_factor=3,
        weights="float32",
    )
    train_teacher(config, out, print)
    return out
