"""Evaluate a model on a data set with other labels, through a mapping."""

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evenmood import EmotionClassifier
from evenmood.errors import DataError, UsageError
from evenmood.evaluation.bootstrap import BOOTSTRAP_SAMPLES
from evenmood.evaluation.metrics import score
from evenmood.model.model_folder import TRAINING_FOLDER, format_metric, write_text
from evenmood.system.paths import expand_home
from evenmood.tables.table_files import check_output
from evenmood.thresholds import tune_thresholds
from train.transfer.mapping import LabelMapping, read_mapping
from train.transfer.targets import Targets, only_scorable, read_targets

SAMPLED_ROWS = 20_000_000
"""Maximum total number of rows in bootstrap samples: large data sets have fewer samples, but at least 100."""
NEUTRAL_SCORE = 0.5
"""Combined score of a probability equal to the model's threshold."""
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
    """Evaluate a model on a labeled data set, in the labels of a mapping.

    In single-label data, the predicted label is the one with the highest combined score relative to its threshold.
    Scores are relative to the model's thresholds (see `combine_probabilities`) because these differ by up to a factor
    of fifty: 0.02 may be a high probability for a rare label, and a low one for a frequent label. On the single-label
    rows of GoEmotions' validation split, relative scores result in a higher macro-F1. In multi-label data, all labels
    that reach their threshold are predicted.

    Thresholds are those of the model and the mapping, unless `tune_split` or `tune_data` is set.

    Args:
        model: Model folder or Hub id.
        data: Data set as in `read_labeled`.
        split: Split of a folder or Hub data set.
        mapping: Mapping as in `read_mapping`.
        text_column: As in `read_labeled`.
        label_column: As in `read_labeled`.
        labels_are: Label set of names and numbers in the data: `mapping`, `goemotions`, or `auto`.
        all_labels: Whether to include labels without texts in predictions and averages.
        tune_split: Split to tune thresholds on (method `shrunk`), of `tune_data` or `data`.
        tune_data: Data set to tune thresholds on.

    Returns:
        Metrics as from `metrics.score`; and `model`, `data`, `mapping`, `multi_label`, `labels`, `combine`,
        `thresholds`, `tuned_on`, `notes` and, for single-label data, `confusion`.

    Raises:
        DataError: The data or the mapping cannot be read, or the data has labels that the mapping does not mention.
        UsageError: Thresholds would be tuned on the rows to be scored.
    """
    rules = read_mapping(mapping)
    classifier = EmotionClassifier.from_pretrained(model)
    options = (rules, labels_are, text_column, label_column)
    targets = read_targets(data, split, *options)
    label_counts = targets.truth.sum(axis=1)
    multi_label = bool(label_counts.max() > 1) if rules.multi_label is None else rules.multi_label
    targets = only_scorable(targets, multi_label)
    columns = _included_labels(targets, rules, data, all_labels)
    scores = combine_probabilities(classifier.predict_proba(targets.texts), classifier, rules)
    names = list(rules.labels)
    thresholds = np.array([rules.thresholds.get(name, NEUTRAL_SCORE) for name in names])
    tuned_on = None
    if tune_split or tune_data:
        tuning_data, tuning_split = tune_data or data, tune_split or split
        same_data = expand_home(tuning_data).resolve() == expand_home(data).resolve()
        if same_data and (tuning_split == split or Path(tuning_data).is_file()):
            raise UsageError("thresholds would be tuned on the rows to be scored; choose another split or file")
        tuning = only_scorable(read_targets(tuning_data, tuning_split, *options), multi_label)
        scored_texts = set(targets.texts)
        shared = sum(text in scored_texts for text in tuning.texts)
        if shared:
            targets.notes.append(f"{shared:,} texts are used both for tuning thresholds and for scoring")
        values = combine_probabilities(classifier.predict_proba(tuning.texts), classifier, rules)
        thresholds = tune_thresholds(tuning.truth.astype(np.float32), values, "shrunk").astype(float)
        tuned_on = f"{tuning_data}, {tuning_split}"
    truth, scores, thresholds = targets.truth[:, columns], scores[:, columns], thresholds[columns]
    results = _compute_metrics(truth, scores, thresholds, [names[column] for column in columns], multi_label)
    results |= {
        "model": model,
        "data": targets.counts | {"name": targets.name, "source": data, "read_as": targets.read_as},
        "mapping": rules.name,
        "multi_label": multi_label,
        "combine": rules.combine,
        "labels": {names[column]: list(rules.labels[names[column]]) for column in columns},
        "thresholds": dict(zip([names[column] for column in columns], thresholds.round(4).tolist(), strict=True)),
        "tuned_on": tuned_on,
        "notes": targets.notes,
    }
    return results


def combine_probabilities(probabilities: np.ndarray, classifier: EmotionClassifier, rules: LabelMapping) -> np.ndarray:
    """Combine probabilities into scores of the mapping's labels: float64 in (0, 1), shape (n, labels of the mapping).

    The log odds of each GoEmotions label are relative to those of its threshold, so that a score of 0.5 corresponds to
    a probability equal to the threshold. The score of a label is the maximum or the noisy-or of its members' scores.
    With the maximum, a score of at least 0.5 means that the model predicts one of the members.
    """
    thresholds = np.array([classifier.thresholds[label] for label in classifier.labels])
    odds = _log_odds(probabilities.astype(np.float64)) - _log_odds(thresholds)
    relative = 1 / (1 + np.exp(-odds))
    columns = []
    for label, members in rules.labels.items():
        missing = [member for member in members if member not in classifier.labels]
        if missing:
            raise DataError(f"{rules.name}: {label!r} requires {missing[0]!r}, which is not a label of the model")
        member_scores = relative[:, [classifier.labels.index(member) for member in members]]
        columns.append(
            member_scores.max(axis=1) if rules.combine == "maximum" else 1 - np.prod(1 - member_scores, axis=1)
        )
    return np.stack(columns, axis=1)


def _log_odds(values: np.ndarray) -> np.ndarray:
    clipped = np.clip(values, EDGE, 1 - EDGE)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _included_labels(targets: Targets, rules: LabelMapping, data: str, all_labels: bool) -> np.ndarray:
    """Return the columns of labels that occur in the data (or all, if `all_labels`), and note the excluded ones."""
    present = np.asarray(targets.truth.any(axis=0))
    scorable = present & ~targets.truth.all(axis=0)
    if not len(targets.texts):
        raise DataError(
            f"{data}: nothing to score: no row has exactly one of the mapping's labels; "
            'set "multi_label": true in the mapping if texts have several labels'
        )
    if not scorable.any():
        raise DataError(f"{data}: nothing to score: all {len(targets.texts):,} rows have the same labels")
    absent = [name for name, is_present in zip(rules.labels, present, strict=True) if not is_present]
    if not absent or all_labels:
        return np.arange(len(present))
    targets.notes.append(f"excluded labels without rows: {', '.join(absent)} (--all-labels includes them)")
    return np.flatnonzero(present)


def _compute_metrics(
    truth: np.ndarray, scores: np.ndarray, thresholds: np.ndarray, names: Sequence[str], multi_label: bool
) -> dict[str, Any]:
    """Compute the metrics of `metrics.score` and, for single-label data, the confusion matrix."""
    resamples = int(min(BOOTSTRAP_SAMPLES, max(100, SAMPLED_ROWS // len(truth))))
    limits: Any = thresholds
    if not multi_label:
        # Scores relative to thresholds, so that the highest one is predicted; ties go to the first label.
        scores = _log_odds(scores) - _log_odds(thresholds) - EDGE * np.arange(len(names))
        limits = scores.max(axis=1, keepdims=True)  # a threshold per row that only the highest score reaches
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # a metric that is undefined in all samples
        metrics = score(truth, scores, limits, names, resamples)
    metrics["resamples"] = resamples
    if not multi_label:
        table = np.zeros((len(names), len(names)), int)
        np.add.at(table, (truth.argmax(axis=1), scores.argmax(axis=1)), 1)
        metrics["confusion"] = {
            name: dict(zip(names, row.tolist(), strict=True)) for name, row in zip(names, table, strict=True)
        }
    return metrics


def report(results: Mapping[str, Any]) -> str:
    """Format the results as text."""
    data, names = results["data"], list(results["per_label"])
    titles = dict(AVERAGES)
    if not results["multi_label"]:  # micro-F1 and subset accuracy both equal accuracy
        titles["micro_f1"] = "accuracy (micro-F1)"
        del titles["subset_accuracy"]
    kind = "any of" if results["multi_label"] else "one of"
    rule = "all labels that reach their threshold" if results["multi_label"] else "highest score relative to thresholds"
    tuned = f"tuned on {results['tuned_on']}" if results["tuned_on"] else "of the model and the mapping"
    lines = [
        f"{data['name']}: {results['rows']:,} texts, {kind} {len(names)} labels, by mapping "
        f"{results['mapping']} ({results['combine']})",
        f"read: {data['read_as']}",
        *(f"note: {note}" for note in results["notes"]),
        f"decision: {rule}; thresholds {tuned}",
        "",
        *(f"{title:24} {_format(results[name])}" for name, title in titles.items()),
        "",
    ]
    width = max(12, *map(len, names)) + 1
    lines.append(f"{'label':{width}}{'texts':>8}{'precision':>11}{'recall':>8}  {'F1':21}{'ROC AUC':>8}")
    for name, row in results["per_label"].items():
        f1 = format_metric({"value": row["f1"], "low": row["f1_low"], "high": row["f1_high"]})
        auc = "" if row["roc_auc"] is None else f"{row['roc_auc']:.3f}"
        lines.append(
            f"{name:{width}}{row['support']:>8,}{row['precision']:>11.3f}{row['recall']:>8.3f}  {f1:21}{auc:>8}"
        )
    if not results["multi_label"]:
        cell = max(8, *map(len, names)) + 1
        lines += ["", "confusion (rows: the data's label, columns: the model's)"]
        lines.append(" " * width + "".join(f"{name:>{cell}}" for name in names))
        for name, counts in results["confusion"].items():
            lines.append(f"{name:{width}}" + "".join(f"{counts[other]:>{cell},}" for other in names))
    return "\n".join(lines)


def _format(metric: Any) -> str:
    """Format a metric; a dash if it is undefined."""
    value = metric["value"] if isinstance(metric, dict) else metric
    return "-" if value is None else format_metric(metric)


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
    """Evaluate, write the requested files, and return the results as text.

    Args:
        model: As in `evaluate_transfer`.
        data: As in `evaluate_transfer`; by default, the data set the model was trained on.
        split: As in `evaluate_transfer`.
        mapping: As in `evaluate_transfer`.
        options: Other arguments of `evaluate_transfer`.
        json_file: JSON file to write the results to, if any.
        overwrite: Whether to replace an existing file.
        save: Whether to also write `training/transfer-MAPPING-DATA.json` in the model folder.

    Raises:
        UsageError: The file exists and `overwrite` is false, or `save` is set and the model is not a local folder.
    """
    if json_file is not None:
        check_output(str(json_file), overwrite)
    if save and not Path(model).is_dir():
        raise UsageError(f"--save: {model} is not a local folder; use --json")
    if data is None:
        data = str(EmotionClassifier.from_pretrained(model).info.trained_from.get("data", ""))
        if not data:
            raise UsageError("the model does not record its training data; use --data")
    results = _without_nan(evaluate_transfer(model, data, split, mapping, **options))
    text = json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if json_file is not None:
        write_text(json_file, text)
    if save:
        name = "-".join((results["mapping"], Path(data).stem, split))
        folder = Path(model) / TRAINING_FOLDER
        folder.mkdir(exist_ok=True)
        write_text(folder / f"transfer-{re.sub(r'[^a-zA-Z0-9_.-]+', '-', name)}.json", text)
    return report(results)


def _without_nan(value: Any) -> Any:
    """Replace NaN with None in nested objects."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
