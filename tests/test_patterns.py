"""Every regular expression of the source code takes time in proportion to a text's length, whatever the text."""

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Regex, normalizers

from tests.patterns import Use, uses, worst_texts

SHORT, LONG = 1_000, 20_000
LINEAR = 60
"""Times as long for 20 times the text, at the most; what is quadratic takes 400 times as long."""
UNNOTICED = 0.03
"""Seconds for the long text under which nobody cares, and clocks are not exact."""
SLOW = 1.0
"""Seconds after which there is no second try."""
FOUND, UNKNOWN = uses()
BUILT = {
    "evenmood/model/model_folder.py": 1,
    "evenmood/text/normalization.py": 3,
    "space/table/formulas.py": 1,
    "train/transfer/labelled.py": 1,
}
"""Patterns that are built when they are used; `test_hostile_texts` tries the functions that use them."""


def action(use: Use) -> Callable[[Any], object]:
    if use.kind == "tokenizers":
        return normalizers.Replace(Regex(str(use.pattern.pattern)), "").normalize_str
    if use.anchored:
        return use.pattern.match
    return lambda text: sum(1 for _ in use.pattern.finditer(text))


def seconds(call: Callable[[Any], object], text: Any) -> float:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        call(text)
        times.append(time.perf_counter() - started)
        if not UNNOTICED < times[-1] < SLOW:
            break
    return min(times)


def slow_text(use: Use, call: Callable[[Any], object]) -> str | None:
    """A text whose time does not grow with its length alone; None where there is none."""
    encode = (lambda text: text.encode()) if isinstance(use.pattern.pattern, bytes) else (lambda text: text)
    for short, long in zip(worst_texts(use.pattern, SHORT), worst_texts(use.pattern, LONG), strict=False):
        taken = seconds(call, encode(long))
        if taken > UNNOTICED and taken > LINEAR * seconds(call, encode(short)):
            return f"{long[:40]!r}…{long[-10:]!r}: {taken:.2f} s"
    return None


def test_all_patterns_are_known() -> None:
    assert Counter(place.split(":")[0] for place in UNKNOWN) == BUILT
    assert len(FOUND) > 50
    assert any(use.kind == "tokenizers" for use in FOUND)


@pytest.mark.parametrize("use", FOUND, ids=[use.place for use in FOUND])
def test_time_grows_with_the_length_alone(use: Use) -> None:
    assert slow_text(use, action(use)) is None


@pytest.mark.parametrize("pattern", [r"\s+$", r"<[^>]*>", r"\w+@\w+", r"a+b+c", r"x\s*-?\s*y"])
def test_a_slow_pattern_is_found(pattern: str) -> None:
    use = Use("here", re.compile(pattern), False, "re")
    assert slow_text(use, action(use))
