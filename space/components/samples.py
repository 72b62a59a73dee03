"""Sample texts and tables that visitors can try with one click, from `space/samples/`."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "samples"
TABLE = FOLDER / "reviews.csv"
"""200 reviews with dates."""
CHAT = (FOLDER / "chat.txt").read_text(encoding="utf-8").strip()
LETTER = (FOLDER / "letter.txt").read_text(encoding="utf-8").strip()
OPENING = "Thanks for explaining, but I'm still confused."
"""Text that the page initially shows with its prediction."""
SENTENCES = [
    OPENING,
    "Thank you so much, you really made my day!",
    "I can't believe they cancelled it again. So annoying.",
    "I'm nervous about tomorrow, but I hope it goes well.",
    "I miss my grandmother every single day.",
    "lol that is the funniest thing I've seen all week",
]
IRONIC = "Oh great, another Monday."
"""An ironic sentence for which the bundled models make different predictions."""
