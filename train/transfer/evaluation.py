"""Score a model on labels other than its own, through a mapping: `evaluate MODEL --data … --mapping …`."""

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evenmood import EmotionClassifier
from evenmood.errors import DataError, UsageError
from evenmood.evaluation.bootstrap import SAMPLES
from evenmood.evaluation.metrics import score
from evenmood.model.model_folder import TRAINING_FOLDER, figure_text, write_text
from evenmood.system.paths import expanded
from evenmood.tables.table_files import check_output
from evenmood.thresholds import tune_thresholds
from train.transfer.labelled import Targets, only_scorable, read_targets
from train.transfer.mapping import LabelMapping, read_mapping

DRAWS = 20_000_000
"""Rows drawn in all bootstrap resamples together: a large set gets fewer than the usual 1,000, but 100 at the least."""
NEUTRAL_SCORE = 0.5
"""Combined score of a text that stands at the model's own threshold."""
EDGE = 1e-6
AVERAGES = (
    ("macro_f1", "macro-F1"),
    ("micro_f1", "micro-F1"),
    ("subset_accuracy", "subset accuracy"),
    ("macro_precision", "macro precision"),
    ("macro_recall", "macro recall"),
    ("macro_roc_auc", "macro ROC AUC"),
    ("macro_average_precision", "macro average precision"),
)


def evaluate_transfer(
    model: str,
    data: str,
    split: str,
    mapping: str,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    labels_are: str = "auto",
    all_labels: bool = False,
    tune_split: str | None = None,
    tune_data: str | None = None,
) -> dict[str, Any]:
    """Score a model on a labelled set, in the labels of a mapping.

    A single-label text gets the label whose combined score is highest relative to its threshold. Scores are measured
    against the model's own thresholds (see `combined`), and not compared as they are, because these thresholds differ
    by a factor of fifty: a rare label is given at 0.02, at which a frequent one means nothing. On GoEmotions'
    validation split, where one label is to be chosen, that gives the higher macro-F1, and an equal one for the maximum
    and noisy-or. A text may get several labels where the set is multi-label: all that reach their threshold.

    Nothing is tuned on what is scored: thresholds are the model's and the mapping's, unless other rows are named.

    Args:
        model: Model folder, or Hub id.
        data: As in `read_labelled`.
        split: Split of a folder or Hub data set.
        mapping: As in `read_mapping`.
        text_column: As in `read_labelled`.
        label_column: As in `read_labelled`.
        labels_are: `mapping`, `goemotions`, or `auto`: what label numbers are.
        all_labels: Choose among, and average over, labels that no text has.
        tune_split: Split whose F1 the thresholds of the combined scores are tuned for, with the rule `shrunk`: see
            `evenmood.thresholds`. Of `data` if alone.
        tune_data: Data set for the same.

    Returns:
        Figures as in `metrics.score`, and `data`, `mapping`, `multi_label`, `labels`, `combine`, `thresholds`,
        `tuned_on`, `read_as`, `notes`, `counts`, and, of single-label data, `confusion`.

    Raises:
        DataError: The data or the mapping cannot be read, or has labels that the mapping does not speak of.
        UsageError: Thresholds would be tuned on the rows that are scored.
    """
    rules = read_mapping(mapping)
    classifier = EmotionClassifier.from_pretrained(model)
    options = (rules, labels_are, text_column, label_column)
    found = read_targets(data, split, *options)
    one_each = found.truth.sum(axis=1)
    multi_label = bool(one_each.max() > 1) if rules.multi_label is None else rules.multi_label
    found = only_scorable(found, multi_label)
    kept = _kept_labels(found, rules, data, all_labels)
    scores = combined(classifier.predict_proba(found.texts), classifier, rules)
    names = list(rules.labels)
    cuts = np.array([rules.thresholds.get(name, NEUTRAL_SCORE) for name in names])
    tuned_on = None
    if tune_split or tune_data:
        place, part = tune_data or data, tune_split or split
        if expanded(place).resolve() == expanded(data).resolve() and (part == split or Path(place).is_file()):
            raise UsageError("thresholds would be tuned on the very rows that are scored; name another split or file")
        others = only_scorable(read_targets(place, part, *options), multi_label)
        own = set(found.texts)
        shared = sum(text in own for text in others.texts)
        if shared:
            found.notes.append(f"{shared:,} of the texts that thresholds were tuned on are scored as well")
        values = combined(classifier.predict_proba(others.texts), classifier, rules)
        cuts = tune_thresholds(others.truth.astype(np.float32), values, "shrunk").astype(float)
        tuned_on = f"{place}, {part}"
    truth, scores, cuts = found.truth[:, kept], scores[:, kept], cuts[kept]
    figures = _figures(truth, scores, cuts, [names[column] for column in kept], multi_label)
    figures |= {
        "model": model,
        "data": found.counts | {"name": found.name, "source": data, "read_as": found.read_as},
        "mapping": rules.name,
        "multi_label": multi_label,
        "combine": rules.combine,
        "labels": {names[column]: list(rules.labels[names[column]]) for column in kept},
        "thresholds": dict(zip([names[column] for column in kept], cuts.round(4).tolist(), strict=True)),
        "tuned_on": tuned_on,
        "notes": found.notes,
    }
    return figures


def combined(probabilities: np.ndarray, classifier: EmotionClassifier, rules: LabelMapping) -> np.ndarray:
    """Score of each of the mapping's labels: float64 in (0, 1), shape (n, labels of the mapping).

    The log odds of each GoEmotions label are counted from those of its own threshold, so that 0.5 stands for a
    probability at the threshold; a label of the mapping gets the maximum over its members, or noisy-or. With the
    maximum, 0.5 and more means that the model gives the text one of the members.
    """
    cuts = np.array([classifier.thresholds[label] for label in classifier.labels])
    odds = _log_odds(probabilities.astype(np.float64)) - _log_odds(cuts)
    relative = 1 / (1 + np.exp(-odds))
    columns = []
    for label, members in rules.labels.items():
        absent = [member for member in members if member not in classifier.labels]
        if absent:
            raise DataError(f"{rules.name}: {label!r} needs {absent[0]!r}, which the model does not have")
        chosen = relative[:, [classifier.labels.index(member) for member in members]]
        columns.append(chosen.max(axis=1) if rules.combine == "maximum" else 1 - np.prod(1 - chosen, axis=1))
    return np.stack(columns, axis=1)


def _log_odds(values: np.ndarray) -> np.ndarray:
    clipped = np.clip(values, EDGE, 1 - EDGE)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _kept_labels(found: Targets, rules: LabelMapping, data: str, all_labels: bool) -> np.ndarray:
    """Columns that are scored: those that some row has; the others are said."""
    present = np.asarray(found.truth.any(axis=0))
    scorable = present & ~found.truth.all(axis=0)
    if not len(found.texts):
        raise DataError(f"{data}: no row has a label that the mapping does not ignore: there is nothing to score")
    if not scorable.any():
        raise DataError(f"{data}: every row has the same labels ({len(found.texts):,} rows): there is nothing to score")
    absent = [name for name, there in zip(rules.labels, present, strict=True) if not there]
    if not absent or all_labels:
        return np.arange(len(present))
    found.notes.append(f"no row has {', '.join(absent)}: never chosen, and in no average (--all-labels puts them back)")
    return np.flatnonzero(present)


def _figures(
    truth: np.ndarray, scores: np.ndarray, cuts: np.ndarray, names: Sequence[str], multi_label: bool
) -> dict[str, Any]:
    """Figures of `metrics.score`; of single-label data also the confusion matrix."""
    resamples = int(min(SAMPLES, max(100, DRAWS // len(truth))))
    limits: Any = cuts
    if not multi_label:
        # Scores moved by the labels' thresholds, so that the highest is the choice; a tie goes to the first label.
        odds = _log_odds(scores) - _log_odds(cuts) - EDGE * np.arange(len(names))
        scores = odds
        limits = scores.max(axis=1, keepdims=True)  # one limit a row: the highest score alone reaches it
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # a figure that no resample has
        figures = score(truth, scores, limits, names, resamples)
    figures["resamples"] = resamples
    if not multi_label:
        table = np.zeros((len(names), len(names)), int)
        np.add.at(table, (truth.argmax(axis=1), scores.argmax(axis=1)), 1)
        figures["confusion"] = {
            name: dict(zip(names, row.tolist(), strict=True)) for name, row in zip(names, table, strict=True)
        }
    return figures


def report(figures: Mapping[str, Any]) -> str:
    """The figures as a table to read."""
    data, names = figures["data"], list(figures["per_label"])
    titles = dict(AVERAGES)
    if not figures["multi_label"]:  # one label given, one true: both are the share of texts that are right
        titles["micro_f1"] = "accuracy (micro-F1)"
        del titles["subset_accuracy"]
    kind = "any of" if figures["multi_label"] else "one of"
    rule = "each label from its threshold on" if figures["multi_label"] else "the highest score relative to thresholds"
    tuned = f"tuned on {figures['tuned_on']}" if figures["tuned_on"] else "the model's own and the mapping's"
    lines = [
        f"{data['name']}: {figures['rows']:,} texts, {kind} {len(names)} labels, by mapping "
        f"{figures['mapping']} ({figures['combine']})",
        f"read: {data['read_as']}",
        *(f"note: {note}" for note in figures["notes"]),
        f"decision: {rule}; thresholds {tuned}",
        "",
        *(f"{title:24} {_figure(figures[name])}" for name, title in titles.items()),
        "",
    ]
    width = max(12, *map(len, names)) + 1
    lines.append(f"{'label':{width}}{'texts':>8}{'precision':>11}{'recall':>8}  {'F1':21}{'ROC AUC':>8}")
    for name, row in figures["per_label"].items():
        f1 = figure_text({"value": row["f1"], "low": row["f1_low"], "high": row["f1_high"]})
        auc = "" if row["roc_auc"] is None else f"{row['roc_auc']:.3f}"
        lines.append(
            f"{name:{width}}{row['support']:>8,}{row['precision']:>11.3f}{row['recall']:>8.3f}  {f1:21}{auc:>8}"
        )
    if not figures["multi_label"]:
        cell = max(8, *map(len, names)) + 1
        lines += ["", "confusion (rows: the data's label, columns: the model's)"]
        lines.append(" " * width + "".join(f"{name:>{cell}}" for name in names))
        for name, counts in figures["confusion"].items():
            lines.append(f"{name:{width}}" + "".join(f"{counts[other]:>{cell},}" for other in names))
    return "\n".join(lines)


def _figure(figure: Any) -> str:
    """A figure to read; one that these rows do not have is a dash."""
    value = figure["value"] if isinstance(figure, dict) else figure
    return "-" if value is None else figure_text(figure)


def run_transfer(
    model: str,
    data: str | None,
    split: str,
    mapping: str,
    options: Mapping[str, Any],
    json_file: Path | None = None,
    overwrite: bool = False,
    save: bool = False,
) -> str:
    """Evaluate, write where asked, and return the table.

    Args:
        model: As in `evaluate_transfer`.
        data: As there; None for the data that the model was trained from.
        split: As there.
        mapping: As there.
        options: Its other arguments.
        json_file: Where all figures go.
        overwrite: Whether it may replace a file.
        save: Whether they also go into `training/transfer-MAPPING-DATA.json` of the model folder.

    Raises:
        UsageError: A file may not be replaced, or the model is no folder here that could keep the figures.
    """
    if json_file is not None:
        check_output(str(json_file), overwrite)
    if save and not Path(model).is_dir():
        raise UsageError(f"--save: {model} is no folder here; use --json")
    if data is None:
        data = str(EmotionClassifier.from_pretrained(model).info.trained_from.get("data", ""))
        if not data:
            raise UsageError("name the texts to score with --data")
    figures = _without_nan(evaluate_transfer(model, data, split, mapping, **options))
    text = json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if json_file is not None:
        write_text(json_file, text)
    if save:
        name = "-".join((figures["mapping"], Path(data).stem, split))
        folder = Path(model) / TRAINING_FOLDER
        folder.mkdir(exist_ok=True)
        write_text(folder / f"transfer-{re.sub(r'[^a-zA-Z0-9_.-]+', '-', name)}.json", text)
    return report(figures)


def _without_nan(value: Any) -> Any:
    """The same nested objects with None for what is not a number."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
