"""Compare rules for combining the windows of long texts, on the everyday benchmark."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from evenmood.classifier import EmotionClassifier
from evenmood.evaluation.bootstrap import BOOTSTRAP_SAMPLES, interval
from evenmood.evaluation.metrics import round_floats
from evenmood.model.model_folder import TOKENIZER_FILE, format_metric, write_text
from evenmood.text.fast_batch_tokenizer import BatchTokenizer
from evenmood.text.windows import combine, window_spans
from train.evaluation.everyday import EverydaySplit, bootstrap_samples, load_everyday

SPLIT = "long"
"""Split with texts of several hundred words, used only for this choice."""
PEAK_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of the maximum; the rest is the weight of the mean."""
METRICS = {"macro_f1": "macro-F1", "first_label_right": "top-1 accuracy", "macro_roc_auc": "macro ROC AUC"}
Rule = Callable[[np.ndarray], np.ndarray]
"""Function from the probabilities of windows, shape (windows, 28), to those of the text, shape (28,)."""


def rules() -> dict[str, Rule]:
    """Return the rules to compare: mixtures of mean and maximum, and the first window only."""
    shares: dict[str, Rule] = {f"{share:.0%} maximum": partial(combine, peak_share=share) for share in PEAK_SHARES}
    return {"first window": lambda windows: windows[0], **shares}


def study(folders: Sequence[Path], rows: EverydaySplit | None = None) -> dict[str, Any]:
    """Evaluate each rule on long texts: mean metrics of the models, with intervals from resampling texts.

    Args:
        folders: Model folders that differ only in their seed.
        rows: Texts and labels; by default, the long texts of the everyday benchmark.

    Returns:
        `texts`; `windows`, the mean number per text; and `rules`, with `macro_f1`, `first_label_right` and
        `macro_roc_auc` of each rule.
    """
    rows = rows or load_everyday(SPLIT)
    samples: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in rules()}
    counts = []
    for folder in folders:
        classifier = EmotionClassifier.from_pretrained(folder)
        thresholds = np.array([classifier.thresholds[label] for label in classifier.labels], np.float32)
        windows = _windows(classifier, rows.split.texts)
        counts += [len(part) for part in windows]
        for name, rule in rules().items():
            probabilities = np.stack([rule(part) for part in windows])
            samples[name].append(bootstrap_samples(rows, probabilities, thresholds))
    return {
        "texts": len(rows.split),
        "models": len(folders),
        "samples": BOOTSTRAP_SAMPLES,
        "windows": round(float(np.mean(counts)), 2),
        "rules": {
            name: {
                metric: round_floats(interval(np.mean([model[metric] for model in models], axis=0)))
                for metric in METRICS
            }
            for name, models in samples.items()
        },
    }


def write_study(content: dict[str, Any], out: Path) -> None:
    """Write the results as JSON."""
    write_text(out, json.dumps(content, indent=1) + "\n")


def table(content: dict[str, Any]) -> str:
    """Format the results as text."""
    lines = [f"{content['texts']} long texts, {content['windows']} windows each"]
    for rule, metrics in content["rules"].items():
        values = ", ".join(f"{title} {format_metric(metrics[name])}" for name, title in METRICS.items())
        lines.append(f"{rule:14} {values}")
    return "\n".join(lines)


def _windows(classifier: EmotionClassifier, texts: Sequence[str]) -> list[np.ndarray]:
    """Predict the windows of each text."""
    tokenizer = BatchTokenizer(Tokenizer.from_file(str(classifier.folder / TOKENIZER_FILE)), classifier.info.max_length)
    spans = [
        window_spans(text, classifier.info.max_length, lambda part: tokenizer.encode(part).token_counts)
        for text in texts
    ]
    parts = [text[slice(*span)] for text, text_spans in zip(texts, spans, strict=True) for span in text_spans]
    ends = np.cumsum([len(text_spans) for text_spans in spans])[:-1]
    return np.split(classifier.predict_proba(parts), ends)
