"""Escape CSV cells that a spreadsheet could read as formulas, in any locale."""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

SIGNS = "=+-@"
"""What a formula begins with (OWASP, "CSV injection")."""
MORE_SIGNS = "\u2212"
"""The minus sign, which spreadsheets of some languages read as a hyphen."""
SEPARATORS = ";\t\r\n"
"""Where a spreadsheet that splits at semicolons or tabs begins a cell; it ignores quotation marks within one."""
PASSED_OVER = "'\"\u2018\u2019\u201c\u201d"
"""Quotation marks that may stand before a sign; the apostrophe is the one that `defused` inserts."""


def defused(value: Any) -> Any:
    """A cell with an apostrophe before anything that could start a formula; distinct texts stay distinct.

    Covered are the beginning of the cell and each place after a semicolon, tab or line break; white space and
    characters that are not seen may stand before the sign, and it may be a full-width one.
    """
    if not isinstance(value, str):
        return value
    return _pattern().sub(_defused_run, value)


def _defused_run(match: re.Match[str]) -> str:
    run, sign = match["run"], match["sign"] or ""
    last = max(run.rfind(separator) for separator in SEPARATORS) + 1  # 0: none
    if sign and last:
        run = f"{run[:last]}'{run[last:]}"
    if match.start() == 0 and (sign or re.search(r"[\t\r\n]", run)):
        run = f"'{run}"
    return run + sign


@cache
def _pattern() -> re.Pattern[str]:
    """Separators and what is passed over, as many as there are, and the sign after them; in linear time."""
    signs, unseen = [], []
    for code in (*range(0x10000), *range(0xE0000, 0xE1000)):
        character = chr(code)
        if unicodedata.normalize("NFKC", character) in tuple(SIGNS):
            signs.append(character)
        elif unicodedata.category(character) in ("Cc", "Cf", "Zs", "Zl", "Zp") or 0xFE00 <= code <= 0xFE0F:
            unseen.append(character)
    before = _character_class([*unseen, *PASSED_OVER, *SEPARATORS])
    return re.compile(f"(?P<run>{before}++|^)(?P<sign>{_character_class([*signs, *MORE_SIGNS])})?")


def _character_class(characters: Iterable[str]) -> str:
    return f"[{''.join(map(re.escape, sorted(set(characters))))}]"
