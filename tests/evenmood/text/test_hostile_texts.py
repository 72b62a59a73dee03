"""Adversarial texts: every pattern applied to user input takes linear time."""

import time
from collections.abc import Callable

import pytest

from evenmood import EmotionClassifier
from evenmood.text.normalization import clean, normalizer, splitter
from evenmood.text.symbols import spell_out
from space.components.passages import split
from space.table.formulas import escape_formula

HOSTILE = {
    "timestamp": "1:1{}!",
    "bracketed timestamp": "[1:1{}]",
    "speaker name": "a{}:b",
    "digits": "1{}",
    "colons": ":{}",
    "angle bracket": "<{}",
}
FILLERS = (
    " ",
    ";",
    "\u200b",
    ":) ",
    "…",
    "\u0301",
    "1:",
    "a",
    "<",
    ".",
    "-",
    "\t",
    "@",
    "http",
    "www.",
    "!",
    "é",
    "😂",
    "x.",
    "’",
)


CALLS: dict[str, Callable[[str], object]] = {
    "split": split,
    "clean": clean,
    "spell_out": spell_out,
    "escape_formula": escape_formula,
    "normalizer": normalizer(symbols=True).normalize_str,
    "splitter": splitter(symbols=True).pre_tokenize_str,
}
"""Functions that apply regular expressions to texts of users."""


def seconds(call: Callable[[str], object], text: str) -> float:
    started = time.thread_time()  # excludes other threads and processes
    call(text)
    return time.thread_time() - started


@pytest.mark.parametrize("template", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_patterns_take_linear_time(call: Callable[[str], object], template: str) -> None:
    split("warm up. And more.")
    for filler in FILLERS:
        short, long = (template.format(filler * (size // len(filler))) for size in (1_000, 20_000))
        assert seconds(call, long) < max(60 * seconds(call, short), 0.5), filler


def test_both_models_are_fast_on_hostile_texts(each_model: EmotionClassifier) -> None:
    for template, filler in zip(HOSTILE.values(), FILLERS[2::3], strict=True):
        assert seconds(each_model.predict, template.format(filler * (1_500 // len(filler)))) < 3, (template, filler)


def test_fast_model_is_fast_on_long_hostile_texts(model: EmotionClassifier) -> None:
    for filler in FILLERS:
        for template in HOSTILE.values():
            assert seconds(model.predict, template.format(filler * (20_000 // len(filler)))) < 3, (template, filler)
