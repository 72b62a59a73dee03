"""The model card, written from what lies in the model folder."""

import json
from pathlib import Path
from typing import Any

import jinja2

from evenmood.labels import GROUP_OF
from evenmood.model_folder import CARD_FILE, TRAINING_FOLDER, figure_text, read_info, write_text

AVERAGES = (
    ("macro_f1", "macro-F1"),
    ("micro_f1", "micro-F1"),
    ("macro_precision", "macro precision"),
    ("macro_recall", "macro recall"),
    ("macro_roc_auc", "macro ROC AUC"),
    ("macro_average_precision", "macro average precision"),
    ("subset_accuracy", "subset accuracy"),
    ("hamming_loss", "Hamming loss"),
)


def write_card(folder: Path) -> None:
    """Write the model folder's README.md from its `emotions.json` and its training record."""
    training = folder / TRAINING_FOLDER
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, from our own figures
    )
    environment.filters["interval"] = figure_text
    info = read_info(folder)
    history = training / "history.csv"
    text = environment.get_template("card.md.jinja").render(
        info=info,
        trained=info.trained_from,
        groups=GROUP_OF,
        averages=AVERAGES,
        splits=[
            (split, json.loads(path.read_text(encoding="utf-8")))
            for split in ("validation", "test")
            if (path := training / f"metrics-{split}.json").exists()
        ],
        layers=_read(training / "layers.json"),
        storage=_read(training / "storage.json"),
        losses=history.read_text(encoding="utf-8").splitlines()[1:] if history.exists() else [],
        has_figure=(training / "loss.png").exists(),
    )
    write_text(folder / CARD_FILE, text)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
