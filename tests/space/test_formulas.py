"""Escape formulas in the CSV downloads of the demo, without collisions."""

import itertools
import random
import re
import time

import pytest

from space.table.formulas import escape_formula

FORMULA = r"[\s\u200b\u2060\ufeff\u00ad\u200e\"]*[=+\-@\uff1d\uff0b\uff0d\uff20\u2212\ufe66]"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\nx", "'\nx"),
        ("  =1+1", "'  =1+1"),
        ("\xa0=1+1", "'\xa0=1+1"),
        ("\u200b=1+1", "'\u200b=1+1"),
        ("\ufeff\u2060 =1+1", "'\ufeff\u2060 =1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\uff0b1", "'\uff0b1"),
        ("\uff0d1", "'\uff0d1"),
        ("\uff20SUM(A1)", "'\uff20SUM(A1)"),
        ("\u22121", "'\u22121"),
        ("hi;=1+1", "hi;'=1+1"),
        ("hi; \u200b=1+1;+2", "hi;' \u200b=1+1;'+2"),
        ("hi\n=1+1", "hi\n'=1+1"),
        ("hi\t-1", "hi\t'-1"),
        ('hi;"=1+1"', 'hi;\'"=1+1"'),
        ("'=a", "''=a"),
        ("plain - text; more = less", "plain - text; more = less"),
        ("'quoted'", "'quoted'"),
        ("", ""),
        (";-)", "';'-)"),
        (1.5, 1.5),
        (None, None),
    ],
)
def test_formula_cells_are_escaped(cell: object, expected: object) -> None:
    assert escape_formula(cell) == expected


def test_escaped_cells_are_unique_and_not_formulas() -> None:
    parts = ["=", "'", ";", "\n", "a", " ", "\u200b", "\uff0b"]
    cells = ["".join(cell) for length in range(5) for cell in itertools.product(parts, repeat=length)]
    escaped = [escape_formula(cell) for cell in cells]
    assert len(set(escaped)) == len(cells)
    for cell in escaped:
        for part in re.split("[;\t\r\n]", cell):
            assert not re.match(FORMULA, part), cell


@pytest.mark.parametrize("cell", [" ", "\t", ";", "'", "; ", "a;", "=", ";=", "\u200b", "\n'"])
def test_escape_formula_takes_linear_time(cell: str) -> None:
    def seconds(length: int) -> float:
        text = cell * length + random.choice("xy")
        times = []
        for _ in range(3):
            start = time.process_time()
            escape_formula(text)
            times.append(time.process_time() - start)
        return min(times)

    seconds(10)
    assert seconds(20_000) < 200 * max(seconds(1_000), 1e-4)
