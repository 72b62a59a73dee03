"""Figure of docs/performance.md: texts per second of evenmood and of other models."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FIGURE = Path(__file__).parent.parent / "docs" / "figures" / "speed.png"
RECORD = "Description"
"""Field of the PNG file that holds the figures it was drawn from: pixels depend on fonts and versions."""


def rates(bench: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, float]:
    """Texts per second by title, slowest first; variants of evenmood's own networks are left out."""
    shown = [peer for name, peer in bench["peers"].items() if name in ours or name.startswith(("roberta", "teacher"))]
    found = {peer["title"]: float(peer["texts_a_second"]["median"]) for peer in shown}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def is_current(shown: Mapping[str, float]) -> bool:
    """Whether the figure was drawn from these rates."""
    from PIL import Image

    if not FIGURE.is_file():
        return False
    with Image.open(FIGURE) as image:
        return bool(image.info.get(RECORD) == json.dumps(shown))


def draw(shown: Mapping[str, float]) -> None:
    """Draw the rates as bars on a logarithmic axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colors = ["#30638e" if title.startswith("evenmood") else "#b0b7bf" for title in shown]
    bars = axes.barh(list(shown), list(shown.values()), color=colors)
    axes.bar_label(bars, [f"{rate:,.0f}" for rate in shown.values()], padding=4)
    axes.set_xscale("log")
    axes.set_xlim(10, 4 * max(shown.values()))
    axes.set_xlabel("texts per second, logarithmic")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(FIGURE, metadata={RECORD: json.dumps(shown)})
