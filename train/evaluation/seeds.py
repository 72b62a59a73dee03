"""Mean metrics of models with different seeds, and comparisons of groups, on original and misspelled texts."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from evenmood import EmotionClassifier
from evenmood.data.splits import Split, load_split
from evenmood.errors import DataError
from evenmood.evaluation.bootstrap import interval, row_weights, seed_weights
from evenmood.evaluation.metrics import round_floats
from evenmood.model.model_folder import TOKENIZER_FILE, TRAINING_FOLDER, write_text
from train.evaluation import everyday
from train.evaluation.evaluate import OFFICIAL_THRESHOLDS
from train.evaluation.resampling import PER_LABEL, BootstrapSamples, arm_samples
from train.network.onnx_metadata import add_vocabulary_digest
from train.perturb import misspell
from train.release.card import SEEDS_FILE, write_card
from train.vectors.misspellings import without_misspellings

TYPO_SEED = 0


class Predictions(NamedTuple):
    """Predicted probabilities and thresholds of a model, as in `resampling.ModelPredictions`."""

    probabilities: np.ndarray
    thresholds: np.ndarray


def over_seeds(
    groups: Sequence[Sequence[Path]],
    split: str,
    log: Callable[[str], None],
    *,
    data: str | None = None,
    typos: float = 0,
) -> dict[str, Any]:
    """Compute mean metrics of groups of models, each with one configuration and several seeds.

    Intervals are computed by resampling texts (the same for all groups) and models (within a group). For models whose
    thresholds were tuned on the everyday benchmark too, thresholds tuned only on the validation split are used.

    Args:
        groups: Model folders by group; those of a group differ only in their seed.
        split: Split to score.
        log: Called with progress messages.
        data: Data set as in `load_split`; by default, the one the models were trained on.
        typos: Share of words to misspell for a second evaluation; 0 for none.

    Returns:
        `split`, `rows`, `typos`; `groups`, each with `folders`, `seeds`, `options`, `metrics` and, with typos,
        `misspelled` (metrics on misspelled texts) and `drop` (the differences), and `everyday` if available; and, for
        two groups with typos, `relative_drop`, the first group's drop of macro-F1 relative to the second's.

    Raises:
        DataError: Models of a group differ in more than the seed, or have the same seed.
    """
    options = [[_options(folder) for folder in group] for group in groups]
    for group, group_options in zip(groups, options, strict=True):
        for folder, folder_options in zip(group, group_options, strict=True):
            differing = [
                name for name, value in folder_options.items() if name != "seed" and value != group_options[0].get(name)
            ]
            if differing:
                raise DataError(
                    f"{folder}: options differ from {group[0]}: {', '.join(differing)}; expected the same options "
                    "except the seed"
                )
        seeds = [folder_options["seed"] for folder_options in group_options]
        if len(set(seeds)) < len(seeds):
            raise DataError(
                f"{', '.join(map(str, group))}: duplicate seeds {', '.join(map(str, seeds))}; expected a different "
                "seed for each model"
            )
    rows = load_split(data or options[0][0]["data"], split)
    random = Random(TYPO_SEED)  # noqa: S311 - not for secrets
    misspelled_texts = [misspell(text, typos, random) for text in rows.texts] if typos else []
    weights = row_weights(len(rows))
    content: dict[str, Any] = {"split": split, "rows": len(rows), "typos": typos, "groups": []}
    drops = []
    for number, group in enumerate(groups):
        log(f"{len(group)} models: {', '.join(map(str, group))}")
        run_weights = seed_weights(len(group), number)
        samples = _samples(group, rows, rows.texts, weights, run_weights)
        entry: dict[str, Any] = {
            "folders": [folder.name for folder in group],
            "seeds": [folder_options["seed"] for folder_options in options[number]],
            "options": {name: value for name, value in options[number][0].items() if name != "seed"},
            "metrics": _intervals(samples),
        }
        if misspelled_texts:
            misspelled_samples = _samples(group, rows, misspelled_texts, weights, run_weights)
            drop = {name: samples[name] - misspelled_samples[name] for name in samples if name != PER_LABEL}
            entry |= {
                "misspelled": _intervals(misspelled_samples),
                "drop": {name: interval(drop[name]) for name in drop},
            }
            drops.append(drop["macro_f1"])
        if all((folder / TRAINING_FOLDER / OFFICIAL_THRESHOLDS).exists() for folder in group):
            entry["everyday"] = everyday.over_seeds(group, split)
        content["groups"].append(entry)
    if len(drops) == 2:
        content["relative_drop"] = interval(drops[0] / drops[1])
    return round_floats(content, 5)  # type: ignore[no-any-return]


def copies_without_misspellings(folders: Sequence[Path], into: Path) -> list[Path]:
    """Copy model folders, removing misspellings from their tokenizers."""
    copies = [into / f"{folder.name} without misspellings" for folder in folders]
    for folder, copy in zip(folders, copies, strict=True):
        shutil.copytree(folder, copy)
        tokenizer = copy / TOKENIZER_FILE
        write_text(tokenizer, without_misspellings(tokenizer.read_text(encoding="utf-8")))
        add_vocabulary_digest(copy, replace=True)
    return copies


def write_results(content: Mapping[str, Any], folders: Sequence[Path], out: Path | None) -> None:
    """Write the result of `over_seeds` to `out`, or to the model folders and their cards."""
    text = json.dumps(content, indent=1) + "\n"
    if out:
        write_text(out, text)
    for folder in () if out else folders:
        write_text(folder / TRAINING_FOLDER / SEEDS_FILE, text)
        write_card(folder)


def _options(folder: Path) -> dict[str, Any]:
    path = folder / TRAINING_FOLDER / "config.json"
    if not path.is_file():
        raise DataError(f"{path} is missing; expected a model folder written by: python -m train fit")
    options: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return options


def _samples(
    group: Sequence[Path], rows: Split, texts: Sequence[str], weights: np.ndarray, run_weights: np.ndarray
) -> BootstrapSamples:
    predictions = []
    for folder in group:
        classifier = EmotionClassifier.from_pretrained(folder)
        official = folder / TRAINING_FOLDER / OFFICIAL_THRESHOLDS
        by_label = json.loads(official.read_text(encoding="utf-8")) if official.exists() else classifier.thresholds
        thresholds = np.array([by_label[label] for label in classifier.labels], np.float32)
        predictions.append(Predictions(classifier.predict_proba(texts), thresholds))
    return arm_samples(predictions, rows.labels > 0, weights, run_weights)


def _intervals(samples: BootstrapSamples) -> dict[str, Any]:
    return {name: interval(values.clip(0, 1)) for name, values in samples.items() if name != PER_LABEL}
