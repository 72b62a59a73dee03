"""Write src/text/unicode.ts: sets of characters with special handling in the `tokenizers` library.

    python web/scripts/unicode_tables.py

JavaScript engines implement newer, different versions of Unicode than `tokenizers`. Token ids must not depend on the
engine, so the sets are determined by passing each character through the library.
"""

import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from tokenizers import Regex, normalizers, pre_tokenizers

TARGET = Path(__file__).parents[1] / "src" / "text" / "unicode.ts"
CHARACTERS = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]


def main() -> None:
    """Write the tables."""
    TARGET.write_text(tables(), "utf-8")


def tables() -> str:
    """Content of `unicode.ts`."""
    sets = {
        "LETTERS": ("`\\p{L}`", _matched(r"\p{L}")),
        "NUMBERS": ("`\\p{N}`", _matched(r"\p{N}")),
        "MARKS": ("`\\p{M}`", _matched(r"\p{M}")),
        "OTHER_SYMBOLS": ("`\\p{So}`", _matched(r"\p{So}")),
        "WORD": ("`\\w`", _matched(r"\w")),
        "NOT_NORMALIZED": (
            "Characters that Unicode decomposes or reorders, but the library does not",
            _not_normalized(),
        ),
        "BERT_REMOVED": ("Characters removed by BERT's text cleaning", _bert_removed()),
        "BERT_PUNCTUATION": ("Characters that BERT splits off as punctuation", _bert_punctuation()),
        "BERT_ACCENTS": ("Characters removed by BERT's accent stripping", _bert_accents()),
    }
    lines = ["// Written by scripts/unicode_tables.py: ranges of characters, as the inside of a character class."]
    for name, (comment, characters) in sets.items():
        lines.append(f"\n/** {comment}. */\nexport const {name} =\n  {_literal(_ranges(characters))};")
    return "\n".join(lines) + "\n"


def _matched(pattern: str) -> list[str]:
    remove = normalizers.Replace(Regex(pattern), "")
    return [character for character in CHARACTERS if not remove.normalize_str(character)]


def _bert(**options: bool) -> Callable[[str], str]:
    chosen = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False} | options
    return normalizers.BertNormalizer(**chosen).normalize_str  # type: ignore[no-any-return]


def _bert_removed() -> list[str]:
    clean = _bert(clean_text=True)
    return [character for character in CHARACTERS if not clean(character)]


def _bert_accents() -> list[str]:
    strip = _bert(strip_accents=True)
    return [character for character in CHARACTERS if not strip(character)]


def _bert_punctuation() -> list[str]:
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    return [character for character in CHARACTERS if len(split(f"a{character}b")) == 3]


def _not_normalized() -> list[str]:
    """Characters in Python's `unicodedata`, plus `NEWER`, that the library normalizes differently."""
    nfkc, nfd = normalizers.NFKC().normalize_str, normalizers.NFD().normalize_str
    assigned = {c for c in CHARACTERS if unicodedata.category(c) != "Cn"}
    differ = {
        c for c in assigned if unicodedata.normalize("NFKC", c) != nfkc(c) or unicodedata.normalize("NFD", c) != nfd(c)
    }
    for character in assigned:
        for text in (
            f"a\u0345{character}",
            f"a{character}\u0334",
        ):  # combining classes 240 and 1, the last and the first
            if unicodedata.normalize("NFD", text) != nfd(text):
                differ.add(character)
    return sorted(differ | set(NEWER))


def _ranges(characters: Iterable[str]) -> str:
    runs: list[list[int]] = []
    for code in map(ord, characters):
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(_escaped(first) if first == last else f"{_escaped(first)}-{_escaped(last)}" for first, last in runs)


def _escaped(code: int) -> str:
    return f"\\\\u{{{code:x}}}"


def _literal(text: str) -> str:
    return f'"{text}"'


def _decoded(ranges: str) -> list[str]:
    characters: list[str] = []
    for part in ranges.split():
        first, _, last = part.partition("-")
        characters += map(chr, range(int(first, 16), int(last or first, 16) + 1))
    return characters


NEWER = _decoded(
    "897 1acf-1add 1ae0-1aeb a7f1 105c9 105e4 10d69-10d6d 10efa-10eff 11383 11385 1138e 11391 113c5 113c7-113c8 "
    "113ce-113d0 11f41-11f42 16121-16128 1612f 16d68-16d6a 1ccd6-1ccf9 1e030-1e06d 1e08f 1e4ec-1e4ef 1e5ee-1e5ef "
    "1e6e3 1e6e6 1e6ee-1e6ef 1e6f5"
)
"""Characters added in Unicode 15 to 17, missing from Python 3.11's `unicodedata`, that are decomposed or reordered."""

if __name__ == "__main__":
    main()
