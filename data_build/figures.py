"""Figures of the data set, readable without colour."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

SHADES = {"goemotions": ("#30638e", ""), "sentiment140": ("#edae49", "//"), "generated": ("#d1495b", "xx")}
"""Colour and hatching of each source."""


def ratio(counts: Mapping[str, int]) -> float:
    """Rows of the most frequent label for each one of the rarest; a label without rows counts as one."""
    return max(counts.values()) / max(1, min(counts.values()))


def label_counts(
    counts: Mapping[str, Mapping[str, int]], by_source: Mapping[str, Mapping[str, int]], path: Path
) -> None:
    """Draw the rows of each label, a panel per configuration (the paper's figures 1 and 2).

    Args:
        counts: Rows per label of each configuration's training split.
        by_source: Rows per label of each source of the balanced one; empty where there is none.
        path: PNG to write.
    """
    figure = Figure(figsize=(5 * len(counts) + 1, 7), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    order = sorted(counts["unbalanced"], key=counts["unbalanced"].__getitem__)
    for axes, (configuration, rows) in zip(panels, counts.items(), strict=True):
        parts = by_source if configuration == "balanced" else {"goemotions": rows}
        start = [0] * len(order)
        for source, part in parts.items():
            colour, hatch = SHADES[source]
            values = [part[label] for label in order]
            axes.barh(order, values, left=start, color=colour, hatch=hatch, edgecolor="white", label=source)
            start = [before + value for before, value in zip(start, values, strict=True)]
        for position, label in enumerate(order):
            axes.annotate(
                f"{rows[label]:,}", (rows[label], position), (3, 0), textcoords="offset points", va="center", size=8
            )
        axes.set_title(f"{configuration}: most / fewest = {ratio(rows):.1f}")
        axes.set_xlabel("training rows with the label")
        axes.margins(x=0.12)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        if len(parts) > 1:
            axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
