"""Misspellings in the vocabulary map to the id of the intended word and change nothing else."""

import json
from random import Random

import pytest
from tokenizers import Tokenizer

from evenmood.text.normalization import encode, fit_tokenizer
from train.perturb import misspell
from train.vectors.misspellings import misspellings, tokenizer_json, without_misspellings

TEXTS = ["happy happy happy happy nappy nappy cat"] * 2


@pytest.mark.parametrize("pieces", [0, 30])
def test_misspelling_gets_the_id_of_its_word(pieces: int) -> None:
    plain = fit_tokenizer(TEXTS, pieces=pieces)
    extended = Tokenizer.from_str(tokenizer_json(plain, 10))
    for misspelling in ("hapyp", "hapy", "happpy", "hsppy", "happu"):
        assert encode(extended, [misspelling]).tolist() == encode(plain, ["happy"]).tolist()
    assert encode(extended, ["nappt"]).tolist() == encode(plain, ["nappy"]).tolist()
    assert encode(extended, ["appy"]).tolist() == encode(plain, ["happy"]).tolist()  # nappy is less frequent
    assert encode(extended, TEXTS).tolist() == encode(plain, TEXTS).tolist()
    assert encode(extended, ["ca", "hello"]).tolist() == encode(plain, ["ca", "hello"]).tolist()
    assert json.loads(without_misspellings(tokenizer_json(plain, 10))) == json.loads(plain.to_str())
    ids = json.loads(tokenizer_json(plain, 10))["model"]["vocab"].values()
    assert sorted(set(ids)) == list(range(plain.get_vocab_size()))


def test_only_the_most_frequent_words_get_misspellings() -> None:
    plain = fit_tokenizer(TEXTS)
    extended = Tokenizer.from_str(tokenizer_json(plain, 1))
    assert extended.encode("hapy").ids[0] == plain.token_to_id("happy")
    assert extended.encode("nappt").ids[0] == plain.token_to_id("[UNK]")
    assert json.loads(tokenizer_json(plain, 0)) == json.loads(plain.to_str())


def test_all_typos_of_training_are_covered() -> None:
    known_typos, generator = set(misspellings("wonder")), Random(0)
    typos = {misspell("wonder", 1, generator) for _ in range(2000)}
    assert typos <= known_typos | {"wonder"}
    assert len(typos) > 30
