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
from train.progress import counted, elapsed
from train.vectors.encoder_vectors import encoder_vectors
from train.vectors.sources import load_vectors

WORDS = ["happy", "joy", "grateful", "the", "people", "sad"]
TEXTS = [f"the {one} people are {other}" for one in WORDS for other in WORDS]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PAUSE", 0.02)


def test_elapsed_time_is_logged_until_the_step_ends() -> None:
    said: list[str] = []
    with elapsed(said.append, "vectors: training"):
        time.sleep(0.5)
    assert 3 <= len(said) <= 25
    assert set(said) == {"vectors: training: 0 s"}
    count = len(said)
    time.sleep(0.1)
    assert len(said) == count
    with pytest.raises(KeyError), elapsed(said.append, "x"):
        raise KeyError


def test_share_of_items_is_logged() -> None:
    said: list[str] = []
    for _ in counted(range(10), said.append, "encoding"):
        time.sleep(0.021)
    assert said == [f"encoding: {share} %".replace(" %", "%") for share in range(10, 100, 10)]
    assert list(counted([1, 2], said.append, "fast")) == [1, 2]


def test_training_vectors_on_the_text_says_so() -> None:
    said: list[str] = []
    config = TrainConfig(vectors="self", embedding_size=16, min_frequency=1)
    load_vectors(config, ["[PAD]", "[UNK]", *WORDS], TEXTS * 200, said.append)
    assert said[0] == "vectors: training on 7,200 texts"
    assert sum(re.fullmatch(r"vectors: training: \d+ s", line) is not None for line in said) >= 2


def test_an_encoder_says_which_share_is_done(tiny_encoder: Path) -> None:
    said: list[str] = []
    encoder_vectors(str(tiny_encoder), [f"word{number}" for number in range(5000)], 4, said.append)
    assert any(re.fullmatch(r"vectors: encoding 5,000 words: \d+%", line) for line in said[:-1])


def test_reading_a_large_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.txt").write_text("\n".join(TEXTS))
    model: Any = fasttext.train_unsupervised(
        str(tmp_path / "c.txt"), dim=64, minCount=1, bucket=200_000, epoch=1, thread=1, verbose=0
    )
    model.save_model(str(tmp_path / "m.bin"))
    (tmp_path / "m.bin.gz").write_bytes(gzip.compress((tmp_path / "m.bin").read_bytes(), 1))
    said: list[str] = []
    config = TrainConfig(vectors=str(tmp_path / "m.bin.gz"), embedding_size=64)
    load_vectors(config, ["[PAD]", "[UNK]", *WORDS], [], said.append)
    assert any(re.fullmatch(r"vectors: reading \S+m\.bin\.gz: \d+ s", line) for line in said)
