"""Speed plot in docs/performance.md: texts per second of evenmood and of other models."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FIGURE = Path(__file__).parent.parent / "docs" / "figures" / "speed.png"
RATES_FIELD = "Description"
"""PNG metadata field with the plotted rates. Pixels cannot be compared: they vary with fonts and library versions."""


def rates(bench: Mapping[str, Any], shown_models: Mapping[str, Any]) -> dict[str, float]:
    """Return texts per second by title, slowest first; variants of evenmood's own networks are left out."""
    peers = [
        peer for name, peer in bench["peers"].items() if name in shown_models or name.startswith(("roberta", "teacher"))
    ]
    by_title = {peer["title"]: float(peer["texts_per_second"]["median"]) for peer in peers}
    return dict(sorted(by_title.items(), key=lambda item: item[1]))


def is_current(rates_by_title: Mapping[str, float]) -> bool:
    """Return whether the plot was drawn from these rates."""
    from PIL import Image

    if not FIGURE.is_file():
        return False
    with Image.open(FIGURE) as image:
        return bool(image.info.get(RATES_FIELD) == json.dumps(rates_by_title))


def draw(rates_by_title: Mapping[str, float]) -> None:
    """Draw the rates as bars on a logarithmic axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colors = ["#30638e" if title.startswith("evenmood") else "#b0b7bf" for title in rates_by_title]
    bars = axes.barh(list(rates_by_title), list(rates_by_title.values()), color=colors)
    axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates_by_title.values()], padding=4)
    axes.set_xscale("log")
    axes.set_xlim(10, 4 * max(rates_by_title.values()))
    axes.set_xlabel("Texts per second (log scale)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(FIGURE, metadata={RATES_FIELD: json.dumps(rates_by_title)})
