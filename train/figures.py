"""Figures of a training run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def loss_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw training and validation loss by epoch, with the best epoch marked (as in the paper's figures 6 to 8)."""
    figure = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    epochs = [entry["epoch"] for entry in history]
    axes.plot(epochs, [entry["loss"] for entry in history], "-o", color="#30638e", label="training", markersize=4)
    validation = [entry["val_loss"] for entry in history]
    axes.plot(epochs, validation, "--s", color="#d1495b", label="validation", markersize=4)
    best = min(range(len(epochs)), key=validation.__getitem__)
    axes.axvline(epochs[best], color="#888888", linewidth=1, linestyle=":")
    axes.annotate(f"best: epoch {epochs[best]}", (epochs[best], max(validation)), (4, 0), textcoords="offset points")
    axes.set_xlabel("epoch")
    axes.set_ylabel("binary cross-entropy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
