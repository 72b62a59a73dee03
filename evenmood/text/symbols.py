"""Replace emoji with their Unicode names, for encoders whose vocabulary lacks emoji."""

import re
import unicodedata
from collections.abc import Callable

NAMES = {
    "❤": "red heart",
    "☺": "smiling face",
    "☹": "frowning face",
    "😡": "enraged face",
    "😤": "face with steam from nose",
    "😓": "downcast face with sweat",
    "😥": "sad but relieved face",
    "🤬": "face with symbols on mouth",
    "🙏": "folded hands",
    "🙌": "raising hands",
    "💪": "flexed biceps",
    "👏": "clapping hands",
    "👍": "thumbs up",
    "👎": "thumbs down",
    "🙄": "face with rolling eyes",
    "😒": "unamused face",
}
"""Unicode CLDR short names (https://cldr.unicode.org), for symbols whose character name is outdated or misleading."""
SYMBOL = re.compile("[\u2190-\u21ff\u2300-\u28ff\u2b00-\u2bff\U0001f000-\U0001faff]")
MODIFIER = re.compile("[\ufe00-\ufe0f\u200d\U0001f3fb-\U0001f3ff]")
"""Variation selectors, joiners and skin tones, which are removed."""


def spell_out(text: str, is_known: Callable[[str], bool] = lambda symbol: False) -> str:
    """Replace symbols with their names, except those accepted by `is_known`.

    Args:
        text: Any text.
        is_known: Returns whether a symbol is in an encoder's vocabulary.
    """
    if text.isascii():
        return text
    return SYMBOL.sub(
        lambda match: match[0] if is_known(match[0]) else f" {name_of(match[0])} ", MODIFIER.sub("", text)
    )


def name_of(symbol: str) -> str:
    """Return the lower-case name of a symbol; empty if it has none."""
    return NAMES.get(symbol) or unicodedata.name(symbol, "").lower()
