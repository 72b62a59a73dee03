"""Multi-label metrics as an offline `evaluate` module: `evaluate.load("train/emotion_metrics.py")`."""

from typing import Any

import datasets
import evaluate
import numpy as np

from evenmood.evaluation.metrics import score
from evenmood.labels import LABELS

DESCRIPTION = """
Metrics of multi-label emotion predictions: subset accuracy, Hamming loss, micro, macro and weighted precision, recall
and F1, ROC AUC and average precision, and precision, recall and F1 per label.
"""
INPUTS = """
Args:
    predictions: Probabilities: for each text, a list of 28.
    references: Labels, 0 or 1: for each text, a list of 28.
    thresholds: One number for all labels, or a list of 28. Defaults to 0.5.
    resamples: Number of bootstrap samples for 95% intervals. Defaults to 0, for no intervals.
"""


class EmotionMetrics(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """Adapter of `evenmood.evaluation.metrics.score` for the evaluate library."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.List(datasets.Value("float32")),
                    "references": datasets.List(datasets.Value("int8")),
                }
            ),
        )

    def _compute(
        self, predictions: Any, references: Any, thresholds: float | list[float] = 0.5, resamples: int = 0
    ) -> dict[str, Any]:
        probabilities = np.array(predictions, np.float32)
        return score(np.array(references), probabilities, np.asarray(thresholds), LABELS, resamples)
