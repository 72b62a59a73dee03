"""All regular expressions in the source code take linear time."""

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Regex, normalizers

from tests.patterns import Use, find_uses, worst_case_texts

SHORT, LONG = 1_000, 20_000
MAX_RATIO = 60
"""Maximum ratio of run times for a text that is 20 times as long; a quadratic pattern takes 400 times as long."""
NEGLIGIBLE = 0.03
"""Seconds; shorter run times are ignored, since they are inexact."""
SLOW = 1.0
"""Seconds; longer measurements are not repeated."""
PATTERNS, UNKNOWN = find_uses()
BUILT_AT_RUN_TIME = {
    "evenmood/model/model_folder.py": 1,
    "evenmood/text/normalization.py": 3,
    "space/table/formulas.py": 1,
    "train/transfer/labeled.py": 1,
}
"""Patterns built at run time; `test_hostile_texts` tests the functions that use them."""


def matcher(use: Use) -> Callable[[Any], object]:
    if use.kind == "tokenizers":
        return normalizers.Replace(Regex(str(use.pattern.pattern)), "").normalize_str
    if use.anchored:
        return use.pattern.match
    return lambda text: sum(1 for _ in use.pattern.finditer(text))


def seconds(call: Callable[[Any], object], text: Any) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        call(text)
        times.append(time.perf_counter() - start)
        if not NEGLIGIBLE < times[-1] < SLOW:
            break
    return min(times)


def slow_text(use: Use, call: Callable[[Any], object]) -> str | None:
    """Return a text for which the pattern takes more than linear time, or None."""
    encode = (lambda text: text.encode()) if isinstance(use.pattern.pattern, bytes) else (lambda text: text)
    for short, long in zip(worst_case_texts(use.pattern, SHORT), worst_case_texts(use.pattern, LONG), strict=False):
        duration = seconds(call, encode(long))
        if duration > NEGLIGIBLE and duration > MAX_RATIO * seconds(call, encode(short)):
            return f"{long[:40]!r}…{long[-10:]!r}: {duration:.2f} s"
    return None


def test_all_patterns_are_found() -> None:
    assert Counter(location.split(":")[0] for location in UNKNOWN) == BUILT_AT_RUN_TIME
    assert len(PATTERNS) > 50
    assert any(use.kind == "tokenizers" for use in PATTERNS)


@pytest.mark.parametrize("use", PATTERNS, ids=[use.location for use in PATTERNS])
def test_pattern_takes_linear_time(use: Use) -> None:
    assert slow_text(use, matcher(use)) is None


@pytest.mark.parametrize("pattern", [r"\s+$", r"<[^>]*>", r"\w+@\w+", r"a+b+c", r"x\s*-?\s*y"])
def test_slow_patterns_are_detected(pattern: str) -> None:
    use = Use("test", re.compile(pattern), False, "re")
    assert slow_text(use, matcher(use))
