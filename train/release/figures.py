"""Plots of training runs and of the experiments of the paper (arXiv 2511.14073)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evenmood.labels import GROUP_OF, GROUPS


def loss_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot training and validation loss by epoch, marking the best epoch (as in the paper's figures 6 to 8)."""
    figure = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    epochs = [entry["epoch"] for entry in history]
    axes.plot(epochs, [entry["loss"] for entry in history], "-o", color="#30638e", label="Training", markersize=4)
    validation = [entry["val_loss"] for entry in history]
    axes.plot(epochs, validation, "--s", color="#d1495b", label="Validation", markersize=4)
    best = min(range(len(epochs)), key=validation.__getitem__)
    axes.axvline(epochs[best], color="#888888", linewidth=1, linestyle=":")
    axes.annotate(f"Best: epoch {epochs[best]}", (epochs[best], max(validation)), (4, 0), textcoords="offset points")
    axes.set_xlabel("Epoch")
    axes.set_ylabel("Binary cross-entropy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)


def arm_losses(arms: Mapping[str, Sequence[Sequence[Sequence[float]]]], path: Path) -> None:
    """Plot training and validation losses of arms, with a line per run (as in the paper's figures 6 to 8).

    Args:
        arms: Training and validation loss by title, run and epoch.
        path: PNG file to write.
    """
    columns = max(2, min(3, len(arms)))
    lines = -(-len(arms) // columns)
    figure = Figure(figsize=(3.4 * columns, 3.2 * lines), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for axes in panels[len(arms) :]:
        axes.set_visible(False)
    for axes, (title, runs) in zip(panels, arms.items(), strict=False):
        for number, run in enumerate(runs):
            epochs = range(1, len(run) + 1)
            names = ("Training", "Validation") if number == 0 else (None, None)
            axes.plot(epochs, [losses[0] for losses in run], "-", color="#30638e", linewidth=1, label=names[0])
            axes.plot(epochs, [losses[1] for losses in run], "--", color="#d1495b", linewidth=1, label=names[1])
            best = min(range(len(run)), key=lambda epoch: run[epoch][1])
            axes.plot(best + 1, run[best][1], "o", color="#d1495b", markersize=4)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("Epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("Binary cross-entropy")
    panels[0].legend(fontsize=8)
    figure.savefig(path)


def label_similarity(content: Mapping[str, Any], path: Path) -> None:
    """Plot cosine similarities of labels as a heat map, with lines between groups (as in the paper's figure 4).

    Args:
        content: `labels`, ordered by group, and the square matrix of their `cosines`.
        path: PNG file to write.
    """
    labels, cosines = content["labels"], np.array(content["cosines"], float)
    off_diagonal = np.where(np.eye(len(labels), dtype=bool), np.nan, cosines)  # hide the diagonal, which is 1
    figure = Figure(figsize=(8.2, 7.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    limit = float(np.nanmax(np.abs(off_diagonal))) if len(labels) > 1 else 1.0
    image = axes.imshow(off_diagonal, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=8)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    for row in range(1, len(labels)):
        if GROUP_OF[labels[row]] != GROUP_OF[labels[row - 1]]:
            axes.axhline(row - 0.5, color="black", linewidth=1)
            axes.axvline(row - 0.5, color="black", linewidth=1)
    figure.colorbar(image, ax=axes, shrink=0.8, label="Cosine similarity")
    figure.savefig(path)


def label_differences(differences: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Plot differences of F1 per label with their intervals, largest on top."""
    labels = sorted(differences, key=lambda label: float(differences[label]["value"]))
    figure = Figure(figsize=(6, 6.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for row, label in enumerate(labels):
        low, high = differences[label]["low"], differences[label]["high"]
        color = "#2e7d4f" if low > 0 else "#d1495b" if high < 0 else "#888888"
        axes.plot([low, high], [row, row], color=color, linewidth=2)
        axes.plot(differences[label]["value"], row, "o", color=color, markersize=4)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set_xlabel("Difference in F1 (95% interval)")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path)


def grouped_order(labels: Sequence[str], cosines: np.ndarray) -> list[str]:
    """Order labels by group; within a group, start with the most central label and append the most similar one."""
    order: list[str] = []
    for group in GROUPS.values():
        remaining = [row for row, label in enumerate(labels) if label in group]
        if not remaining:
            continue
        chain = [max(remaining, key=lambda row: sum(cosines[row, other] for other in remaining))]
        remaining.remove(chain[0])
        while remaining:
            chain.append(max(remaining, key=lambda row: cosines[row, chain[-1]]))
            remaining.remove(chain[-1])
        order += [labels[row] for row in chain]
    return order


def reliability(table: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot a reliability diagram, with a point per row of `calibration.reliability`."""
    figure = Figure(figsize=(5, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], ":", color="#888888", linewidth=1, label="Perfect calibration")
    predicted, right = [row["probability"] for row in table], [row["right"] for row in table]
    below = [max(0, row["right"] - row["low"]) for row in table]  # rounding may make it negative
    above = [max(0, row["high"] - row["right"]) for row in table]
    axes.errorbar(
        predicted,
        right,
        (below, above),
        fmt="-o",
        color="#30638e",
        markersize=4,
        capsize=3,
        label="Measured (95% interval)",
    )
    axes.set_xlabel("Mean predicted probability")
    axes.set_ylabel("Fraction of positives")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    figure.savefig(path)
