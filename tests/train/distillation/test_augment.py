"""Text augmentation: replaced and removed words, nearest words, the output file."""

from pathlib import Path
from random import Random

import numpy as np

from evenmood.data.splits import load_split
from evenmood.text.normalization import clean
from tests.commands import run_command
from train.distillation.augment import REMOVED, REPLACED, nearest_words, vary

NEAR = {"good": ["great"], "bad": ["awful"], "day": ["week"]}


def test_words_are_replaced_and_all_else_stays() -> None:
    random = Random(0)
    texts = [vary("GOOD day, bad... zzz?! :)", NEAR, random) for _ in range(400)]
    words = [word for text in texts for word in text.split()]
    assert set(words) == {"GOOD", "GREAT", "day,", "week,", "bad...", "awful...", "zzz?!", ":)"}
    share = sum(word in ("GREAT", "week,", "awful...") for word in words) / sum(
        word not in ("zzz?!", ":)") for word in words
    )
    assert abs(share - REPLACED) < 0.04
    assert any(len(text.split()) < 5 for text in texts)
    assert all(text for text in texts)


def test_a_short_text_is_never_emptied() -> None:
    random = Random(0)
    assert {vary("Good", NEAR, random) for _ in range(200)} == {"Good", "Great"}
    assert 0 < REMOVED < 1


def test_nearest_words_are_those_of_highest_cosine() -> None:
    vectors = np.array([[1, 0], [2, 0.1], [0, 1], [0.1, 3], [-1, 0]])
    near = nearest_words(["a", "b", "c", "d", "e"], vectors, count=2)
    assert near["a"] == ["b", "d"]
    assert near["d"] == ["c", "b"]
    assert "e" not in near["e"]


def test_file_for_a_teacher(small_data: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    options = ("--data", small_data, "--encoder", tiny_encoder, "--copies", "2")
    done = run_command("train", "augment", *options, "--out", tmp_path / "a.txt")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "a.txt").read_text(encoding="utf-8").splitlines()
    own = {clean(text) for text in load_split(str(small_data), "train").texts}
    assert len({clean(line) for line in lines}) == len(lines) > 100
    assert not own.intersection(map(clean, lines))
    again = run_command("train", "augment", *options, "--out", tmp_path / "a.txt")
    assert (again.returncode, "set --overwrite" in again.stderr) == (2, True)
    run_command("train", "augment", *options, "--out", tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_bytes() == (tmp_path / "a.txt").read_bytes()
