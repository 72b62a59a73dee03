"""The static page as a Space: HTML, a script and the model, with no server."""

import shutil
from pathlib import Path

from evenmood.errors import DataError

SITE = Path(__file__).parent.parent / "web" / "site"
"""Where `make web` builds the page."""
START = "index.html"
CARD = """\
---
title: evenmood in the browser
emoji: 🎭
colorFrom: green
colorTo: blue
sdk: static
app_file: index.html
license: apache-2.0
short_description: 28 emotions of a text, found in your browser
pinned: false
---
# evenmood in the browser

Find the emotions in an English text: 28 GoEmotions labels, several at once, each with its own threshold. The model, 11 MB,
runs in the browser on onnxruntime-web; nothing that you type is sent anywhere. After the first visit the page works offline.

The Python library, the npm package, measured results and limits: https://github.com/evenmood/evenmood
"""


def build_static(out: Path) -> None:
    """Write the Space's folder: the built page and its card.

    Raises:
        DataError: The page is not built.
    """
    if not (SITE / START).is_file():
        raise DataError(f"{SITE}: not built; run: make web")
    shutil.copytree(SITE, out, dirs_exist_ok=True)
    (out / "README.md").write_text(CARD, encoding="utf-8")
