"""The static page as a Space: HTML, a script and the model, with no server."""

import shutil
from pathlib import Path

from evenmood.errors import DataError

SITE = Path(__file__).parent.parent / "web" / "site"
"""Where `make web` builds the page."""
CARD = SITE.parent / "demo" / "space_card.md"
"""The Space's README.md."""


def build_static(out: Path) -> None:
    """Write the Space's files: the built page and its card.

    Raises:
        DataError: The page has not been built.
    """
    if not (SITE / "index.html").is_file():
        raise DataError(f"{SITE}: not found; run: make web")
    shutil.copytree(SITE, out, dirs_exist_ok=True)
    shutil.copyfile(CARD, out / "README.md")
