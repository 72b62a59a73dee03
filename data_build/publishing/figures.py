"""Plots of the data set. Hatching distinguishes sources without color."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evenmood import LABELS

SOURCE_STYLES = {
    "goemotions": ("#30638e", ""),
    "feedback": ("#6a994e", ".."),
    "written": ("#9a8fbf", "\\\\"),
    "sentiment140": ("#edae49", "//"),
    "generated": ("#d1495b", "xx"),
}
"""Color and hatching of each source."""


def ratio(counts: Mapping[str, int]) -> float:
    """Return the ratio of the most frequent to the rarest label; a label without rows counts as having one row."""
    return max(counts.values()) / max(1, min(counts.values()))


def label_counts(
    counts: Mapping[str, Mapping[str, int]], by_source: Mapping[str, Mapping[str, int]], path: Path
) -> None:
    """Draw the number of rows per label, one panel per configuration (cf. figures 1, 2 of the paper, arXiv 2511.14073).

    Args:
        counts: Rows per label of each training split, keyed by panel title; `balanced` first, if there is one. The
            bars are in the order of the last entry.
        by_source: Rows per label of each source of the balanced split; empty if there is no balanced split.
        path: PNG file to write.
    """
    figure = Figure(figsize=(5 * len(counts) + 1, 7), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    *_, last_counts = counts.values()
    labels = sorted(last_counts, key=last_counts.__getitem__)
    for axes, (configuration, rows) in zip(panels, counts.items(), strict=True):
        parts = by_source if configuration == "balanced" else {"goemotions": rows}
        left = [0] * len(labels)
        for source in (name for name in SOURCE_STYLES if name in parts):
            part = parts[source]
            color, hatch = SOURCE_STYLES[source]
            values = [part[label] for label in labels]
            axes.barh(labels, values, left=left, color=color, hatch=hatch, edgecolor="white", label=source)
            left = [start + value for start, value in zip(left, values, strict=True)]
        for position, label in enumerate(labels):
            axes.annotate(
                f"{rows[label]:,}", (rows[label], position), (3, 0), textcoords="offset points", va="center", size=8
            )
        axes.set_title(f"{configuration}, largest / smallest label: {ratio(rows):.1f}")
        axes.set_xlabel("training rows with the label")
        axes.margins(x=0.12)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        if len(parts) > 1:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=len(parts), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def word_counts(words: Sequence[tuple[str, int]], path: Path) -> None:
    """Draw the counts of the most frequent words as bars, in two panels (like figure 3 of the paper)."""
    figure = Figure(figsize=(9, 6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    half = -(-len(words) // 2)
    for axes, part in zip(figure.subplots(1, 2, sharex=True), (words[:half], words[half:]), strict=True):
        axes.barh([word for word, _ in part], [count for _, count in part], color=SOURCE_STYLES["goemotions"][0])
        axes.invert_yaxis()
        axes.set_xlabel("occurrences in the balanced training texts")
        axes.tick_params(axis="y", labelsize=9)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def co_occurrence(labels: Sequence[Sequence[int]], path: Path) -> None:
    """Draw, for each pair of labels, the percentage of rows with the first label that also have the second."""
    size = len(LABELS)
    counts = np.zeros((size, size))
    for row in labels:
        for first in row:
            counts[first, list(row)] += 1
    totals = np.diag(counts).copy()
    shares = 100 * counts / np.maximum(totals, 1)[:, None]
    np.fill_diagonal(shares, np.nan)
    figure = Figure(figsize=(10, 9), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    top = max(1.0, float(np.nanmax(shares)))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=top)
    axes.set_xticks(range(size), LABELS, rotation=90)
    axes.set_yticks(range(size), LABELS)
    axes.set_ylabel("Label")
    axes.set_xlabel("Also has label (%)")
    for first, second in np.argwhere(shares >= 1):
        shade = "white" if shares[first, second] > top * 0.6 else "black"
        axes.text(second, first, f"{shares[first, second]:.0f}", ha="center", va="center", size=6.5, color=shade)
    figure.colorbar(image, label="percent", shrink=0.6)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
