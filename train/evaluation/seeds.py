"""Means over models of several seeds, groups of them compared, on texts as they are and on misspelt ones."""

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
from evenmood.evaluation.metrics import rounded
from evenmood.model.model_folder import TOKENIZER_FILE, TRAINING_FOLDER, write_text
from train.evaluation import everyday
from train.evaluation.evaluate import OFFICIAL_THRESHOLDS
from train.evaluation.resampling import PER_LABEL, Draws, arm_draws
from train.network.onnx_metadata import add_vocabulary_digest
from train.perturb import misspell
from train.release.card import SEEDS_FILE, write_card
from train.vectors.misspellings import without_misspellings

TYPO_SEED = 0


class Answers(NamedTuple):
    """What a model says of a split's texts, as `resampling.Scored`."""

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
    """Mean figures of groups of models, each of one configuration and several seeds.

    Intervals come from resampling texts, the same for all groups, and models of a group (`resampling`).

    Args:
        groups: Model folders; those of a group differ in their seed alone.
        split: Split of the models' own data to score.
        log: Receives progress.
        data: Data set in its place, as in `load_split`.
        typos: Share of the words that are misspelt for a second reading, the same way for every model; 0 for none.

    Returns:
        `split`, `rows`, `groups` (each with `folders`, `seeds`, `options`, `figures` and, with typos, `misspelt`
        and `drop`, that is figures as they are minus misspelt; of models whose thresholds suit everyday texts too,
        thresholds of the split are those tuned on the data's own validation alone, and `everyday` has the figures of
        the everyday texts at the models' own), and, of two groups, `typos_kept`: the first one's
        drop of macro-F1 as a share of the second one's.

    Raises:
        DataError: Models of a group differ in more than the seed, or two have the same one.
    """
    options = [[_options(folder) for folder in group] for group in groups]
    for group, found in zip(groups, options, strict=True):
        for folder, each in zip(group, found, strict=True):
            differing = [n for n in each if n != "seed" and each[n] != found[0].get(n)]
            if differing:
                raise DataError(f"{folder}: differs from {group[0]} in {', '.join(differing)}, not in the seed alone")
        seeds = [each["seed"] for each in found]
        if len(set(seeds)) < len(seeds):
            raise DataError(
                f"{', '.join(map(str, group))}: seeds {', '.join(map(str, seeds))}; each may stand there once"
            )
    rows = load_split(data or options[0][0]["data"], split)
    draw = Random(TYPO_SEED)  # noqa: S311 - not for secrets
    misspelt = [misspell(text, typos, draw) for text in rows.texts] if typos else []
    weights = row_weights(len(rows))
    content: dict[str, Any] = {"split": split, "rows": len(rows), "typos": typos, "groups": []}
    drops = []
    for number, group in enumerate(groups):
        log(f"{len(group)} models: {', '.join(map(str, group))}")
        mix = seed_weights(len(group), number)
        draws = _draws(group, rows, rows.texts, weights, mix)
        entry: dict[str, Any] = {
            "folders": [folder.name for folder in group],
            "seeds": [each["seed"] for each in options[number]],
            "options": {name: value for name, value in options[number][0].items() if name != "seed"},
            "figures": _figures(draws),
        }
        if misspelt:
            shaken = _draws(group, rows, misspelt, weights, mix)
            drop = {name: draws[name] - shaken[name] for name in draws if name != PER_LABEL}
            entry |= {"misspelt": _figures(shaken), "drop": {name: interval(drop[name]) for name in drop}}
            drops.append(drop["macro_f1"])
        if all((folder / TRAINING_FOLDER / OFFICIAL_THRESHOLDS).exists() for folder in group):
            entry["everyday"] = everyday.over_seeds(group, split)
        content["groups"].append(entry)
    if len(drops) == 2:
        content["typos_kept"] = interval(drops[0] / drops[1])
    return rounded(content, 5)  # type: ignore[no-any-return]


def plain_copies(folders: Sequence[Path], into: Path) -> list[Path]:
    """Copies of model folders whose tokenizers hold no misspellings."""
    copies = [into / f"{folder.name} without misspellings" for folder in folders]
    for folder, copy in zip(folders, copies, strict=True):
        shutil.copytree(folder, copy)
        tokenizer = copy / TOKENIZER_FILE
        write_text(tokenizer, without_misspellings(tokenizer.read_text(encoding="utf-8")))
        add_vocabulary_digest(copy, replace=True)
    return copies


def keep(content: Mapping[str, Any], folders: Sequence[Path], out: Path | None) -> None:
    """Write what `over_seeds` found into model folders and their cards, or into a file of its own."""
    text = json.dumps(content, indent=1) + "\n"
    if out:
        write_text(out, text)
    for folder in () if out else folders:
        write_text(folder / TRAINING_FOLDER / SEEDS_FILE, text)
        write_card(folder)


def _options(folder: Path) -> dict[str, Any]:
    path = folder / TRAINING_FOLDER / "config.json"
    if not path.is_file():
        raise DataError(f"{path} is missing; {folder} is no folder that fit wrote")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _draws(group: Sequence[Path], rows: Split, texts: Sequence[str], weights: np.ndarray, mix: np.ndarray) -> Draws:
    scored = []
    for folder in group:
        classifier = EmotionClassifier.from_pretrained(folder)
        own = folder / TRAINING_FOLDER / OFFICIAL_THRESHOLDS
        thresholds = json.loads(own.read_text(encoding="utf-8")) if own.exists() else classifier.thresholds
        cuts = np.array([thresholds[label] for label in classifier.labels], np.float32)
        scored.append(Answers(classifier.predict_proba(texts), cuts))
    return arm_draws(scored, rows.labels > 0, weights, mix)


def _figures(draws: Draws) -> dict[str, Any]:
    return {name: interval(values.clip(0, 1)) for name, values in draws.items() if name != PER_LABEL}
