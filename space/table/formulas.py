"""Escape CSV cells that a spreadsheet could read as formulas, in any locale."""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

SIGNS = "=+-@"
"""First characters of formulas (OWASP, "CSV injection")."""
MORE_SIGNS = "\u2212"
"""Minus sign, which spreadsheets read as a hyphen in some locales."""
SEPARATORS = ";\t\r\n"
"""Characters after which a new cell starts if a spreadsheet splits at semicolons or tabs, even inside quotes."""
QUOTES = "'\"\u2018\u2019\u201c\u201d"
"""Quotation marks allowed before a sign, including the apostrophe that `escape_formula` inserts."""


def escape_formula(value: Any) -> Any:
    """Insert an apostrophe before anything that could start a formula; distinct texts stay distinct.

    Formulas can start at the beginning of the cell, and after a semicolon, tab or line break. White space and invisible
    characters may precede the sign, and full-width signs count too.
    """
    if not isinstance(value, str):
        return value
    return _pattern().sub(_escape_run, value)


def _escape_run(match: re.Match[str]) -> str:
    run, sign = match["run"], match["sign"] or ""
    last = max(run.rfind(separator) for separator in SEPARATORS) + 1  # 0: none
    if sign and last:
        run = f"{run[:last]}'{run[last:]}"
    if match.start() == 0 and (sign or re.search(r"[\t\r\n]", run)):
        run = f"'{run}"
    return run + sign


@cache
def _pattern() -> re.Pattern[str]:
    """Match a run of separators, quotes and invisible characters, and the sign after it, in linear time."""
    signs, invisible = [], []
    for code in (*range(0x10000), *range(0xE0000, 0xE1000)):
        character = chr(code)
        if unicodedata.normalize("NFKC", character) in tuple(SIGNS):
            signs.append(character)
        elif unicodedata.category(character) in ("Cc", "Cf", "Zs", "Zl", "Zp") or 0xFE00 <= code <= 0xFE0F:
            invisible.append(character)
    before = _character_class([*invisible, *QUOTES, *SEPARATORS])
    return re.compile(f"(?P<run>{before}++|^)(?P<sign>{_character_class([*signs, *MORE_SIGNS])})?")


def _character_class(characters: Iterable[str]) -> str:
    return f"[{''.join(map(re.escape, sorted(set(characters))))}]"
