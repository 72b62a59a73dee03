"""Misspellings in the vocabulary: the word they belong to, and what they leave unchanged."""

import json
from random import Random

import pytest
from tokenizers import Tokenizer

from evenmood.text.normalization import encode, fit_tokenizer
from train.perturb import misspell
from train.vectors.misspellings import misspellings, tokenizer_json, without_misspellings

TEXTS = ["happy happy happy happy nappy nappy cat"] * 2


@pytest.mark.parametrize("pieces", [0, 30])
def test_a_misspelling_has_its_words_id(pieces: int) -> None:
    plain = fit_tokenizer(TEXTS, pieces=pieces)
    reading = Tokenizer.from_str(tokenizer_json(plain, 10))
    for wrong in ("hapyp", "hapy", "happpy", "hsppy", "happu"):
        assert encode(reading, [wrong]).tolist() == encode(plain, ["happy"]).tolist()
    assert encode(reading, ["nappt"]).tolist() == encode(plain, ["nappy"]).tolist()
    assert encode(reading, ["appy"]).tolist() == encode(plain, ["happy"]).tolist()  # nappy is less frequent
    assert encode(reading, TEXTS).tolist() == encode(plain, TEXTS).tolist()
    assert encode(reading, ["ca", "hello"]).tolist() == encode(plain, ["ca", "hello"]).tolist()
    assert json.loads(without_misspellings(tokenizer_json(plain, 10))) == json.loads(plain.to_str())
    ids = json.loads(tokenizer_json(plain, 10))["model"]["vocab"].values()
    assert sorted(set(ids)) == list(range(plain.get_vocab_size()))


def test_the_most_frequent_words_alone() -> None:
    plain = fit_tokenizer(TEXTS)
    reading = Tokenizer.from_str(tokenizer_json(plain, 1))
    assert reading.encode("hapy").ids[0] == plain.token_to_id("happy")
    assert reading.encode("nappt").ids[0] == plain.token_to_id("[UNK]")
    assert json.loads(tokenizer_json(plain, 0)) == json.loads(plain.to_str())


def test_every_error_that_training_makes_is_known() -> None:
    known, random = set(misspellings("wonder")), Random(0)
    drawn = {misspell("wonder", 1, random) for _ in range(2000)}
    assert drawn <= known | {"wonder"}
    assert len(drawn) > 30
