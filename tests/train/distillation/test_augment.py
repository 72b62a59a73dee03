"""Text augmentation: replaced and removed words, nearest words, the output file."""

from pathlib import Path
from random import Random

import numpy as np

from evenmood.data.splits import load_split
from evenmood.text.normalization import clean
from tests.commands import run_command
from train.distillation.augment import REMOVE_RATE, REPLACE_RATE, nearest_words, vary

NEIGHBORS = {"good": ["great"], "bad": ["awful"], "day": ["week"]}


def test_only_words_with_neighbors_are_replaced() -> None:
    random = Random(0)
    texts = [vary("GOOD day, bad... zzz?! :)", NEIGHBORS, random) for _ in range(400)]
    words = [word for text in texts for word in text.split()]
    assert set(words) == {"GOOD", "GREAT", "day,", "week,", "bad...", "awful...", "zzz?!", ":)"}
    share = sum(word in ("GREAT", "week,", "awful...") for word in words) / sum(
        word not in ("zzz?!", ":)") for word in words
    )
    assert abs(share - REPLACE_RATE) < 0.04
    assert any(len(text.split()) < 5 for text in texts)
    assert all(text for text in texts)


def test_short_text_is_never_emptied() -> None:
    random = Random(0)
    assert {vary("Good", NEIGHBORS, random) for _ in range(200)} == {"Good", "Great"}
    assert 0 < REMOVE_RATE < 1


def test_nearest_words_have_the_highest_cosine_similarity() -> None:
    vectors = np.array([[1, 0], [2, 0.1], [0, 1], [0.1, 3], [-1, 0]])
    near = nearest_words(["a", "b", "c", "d", "e"], vectors, count=2)
    assert near["a"] == ["b", "d"]
    assert near["d"] == ["c", "b"]
    assert "e" not in near["e"]


def test_command_writes_new_texts(small_data: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    options = ("--data", small_data, "--encoder", tiny_encoder, "--copies", "2")
    result = run_command("train", "augment", *options, "--out", tmp_path / "a.txt")
    assert result.returncode == 0, result.stderr
    lines = (tmp_path / "a.txt").read_text(encoding="utf-8").splitlines()
    train_texts = {clean(text) for text in load_split(str(small_data), "train").texts}
    assert len({clean(line) for line in lines}) == len(lines) > 100
    assert not train_texts.intersection(map(clean, lines))
    second_run = run_command("train", "augment", *options, "--out", tmp_path / "a.txt")
    assert (second_run.returncode, "use --overwrite" in second_run.stderr) == (2, True)
    run_command("train", "augment", *options, "--out", tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_bytes() == (tmp_path / "a.txt").read_bytes()
