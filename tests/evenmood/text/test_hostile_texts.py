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
    "a stamp and spaces": "1:1{}!",
    "a bracket and spaces": "[1:1{}]",
    "a name and spaces": "a{}:b",
    "digits": "1{}",
    "colons": ":{}",
    "an angle": "<{}",
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
"""What meets texts, with patterns that are built when they are used among it."""


def seconds(call: Callable[[str], object], text: str) -> float:
    started = time.thread_time()  # not what other processes take
    call(text)
    return time.thread_time() - started


@pytest.mark.parametrize("form", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_time_grows_with_the_length_alone(call: Callable[[str], object], form: str) -> None:
    split("warm up. And more.")
    for filler in FILLERS:
        short, long = (form.format(filler * (size // len(filler))) for size in (1_000, 20_000))
        assert seconds(call, long) < max(60 * seconds(call, short), 0.5), filler


def test_both_models_read_them_in_time(each_model: EmotionClassifier) -> None:
    for form, filler in zip(HOSTILE.values(), FILLERS[2::3], strict=True):
        assert seconds(each_model.predict, form.format(filler * (1_500 // len(filler)))) < 3, (form, filler)


def test_the_classifier_reads_them_in_time(model: EmotionClassifier) -> None:
    for filler in FILLERS:
        for form in HOSTILE.values():
            assert seconds(model.predict, form.format(filler * (20_000 // len(filler)))) < 3, (form, filler)
