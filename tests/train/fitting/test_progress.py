"""Progress messages of long training steps."""

import gzip
import re
import time
from pathlib import Path
from typing import Any

import fasttext
import pytest

from train import progress
from train.config import TrainConfig
from train.progress import elapsed, with_progress
from train.vectors.encoder_vectors import encoder_vectors
from train.vectors.sources import load_vectors

WORDS = ["happy", "joy", "grateful", "the", "people", "sad"]
TEXTS = [f"the {first} people are {second}" for first in WORDS for second in WORDS]


@pytest.fixture(autouse=True)
def frequent_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PROGRESS_INTERVAL", 0.02)


def test_elapsed_time_is_logged_until_the_step_ends() -> None:
    messages: list[str] = []
    with elapsed(messages.append, "vectors: training"):
        time.sleep(0.5)
    assert 3 <= len(messages) <= 25
    assert messages[0] == "vectors: training: 0 s"
    assert all(re.fullmatch(r"vectors: training: \d+ s", message) for message in messages)
    count = len(messages)
    time.sleep(0.1)
    assert len(messages) == count
    with pytest.raises(KeyError), elapsed(messages.append, "x"):
        raise KeyError


def test_share_of_items_is_logged() -> None:
    messages: list[str] = []
    for _ in with_progress(range(10), messages.append, "encoding"):
        time.sleep(0.021)
    assert messages == [f"encoding: {share}%" for share in range(10, 100, 10)]
    assert list(with_progress([1, 2], messages.append, "fast")) == [1, 2]


def test_training_vectors_logs_elapsed_time() -> None:
    messages: list[str] = []
    config = TrainConfig(vectors="self", embedding_size=16, min_frequency=1)
    load_vectors(config, ["[PAD]", "[UNK]", *WORDS], TEXTS * 200, messages.append)
    assert messages[0] == "vectors: training on 7,200 texts"
    assert sum(re.fullmatch(r"vectors: training: \d+ s", line) is not None for line in messages) >= 2


def test_encoding_logs_the_share(tiny_encoder: Path) -> None:
    messages: list[str] = []
    encoder_vectors(str(tiny_encoder), [f"word{number}" for number in range(5000)], 4, messages.append)
    assert any(re.fullmatch(r"vectors: encoding 5,000 words: \d+%", line) for line in messages[:-1])


def test_reading_a_large_file_logs_elapsed_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.txt").write_text("\n".join(TEXTS))
    model: Any = fasttext.train_unsupervised(
        str(tmp_path / "c.txt"), dim=64, minCount=1, bucket=200_000, epoch=1, thread=1, verbose=0
    )
    model.save_model(str(tmp_path / "m.bin"))
    (tmp_path / "m.bin.gz").write_bytes(gzip.compress((tmp_path / "m.bin").read_bytes(), 1))
    messages: list[str] = []
    config = TrainConfig(vectors=str(tmp_path / "m.bin.gz"), embedding_size=64)
    load_vectors(config, ["[PAD]", "[UNK]", *WORDS], [], messages.append)
    assert any(re.fullmatch(r"vectors: reading \S+m\.bin\.gz: \d+ s", line) for line in messages)
