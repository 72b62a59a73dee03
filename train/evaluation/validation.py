"""Validation rows for tuning thresholds and calibrating probabilities."""

from dataclasses import dataclass

import numpy as np

from evenmood.data.splits import Split
from train.evaluation.everyday import load_everyday


@dataclass(frozen=True)
class ValidationRows:
    """Rows of the validation split and, optionally, of the everyday benchmark.

    Both sets have equal total weight. Ignored labels are treated as absent, with probability 0.

    Attributes:
        texts: n texts.
        labels: 0 or 1, shape (n, labels).
        ignored: Labels to ignore: bool of shape (n, labels).
        repeats: Integer weight of each row: shape (n,).
    """

    texts: list[str]
    labels: np.ndarray
    ignored: np.ndarray
    repeats: np.ndarray

    @classmethod
    def of(cls, validation: Split, everyday: bool) -> "ValidationRows":
        """Collect the rows of the validation split and, if `everyday`, of the everyday benchmark."""
        none_ignored, ones = np.zeros(validation.labels.shape, bool), np.ones(len(validation), np.int64)
        if not everyday:
            return cls(validation.texts, validation.labels, none_ignored, ones)
        benchmark = load_everyday("validation")
        factor = max(1, round(len(validation) / len(benchmark.split)))
        return cls(
            [*validation.texts, *benchmark.split.texts],
            np.concatenate([validation.labels, benchmark.split.labels]),
            np.concatenate([none_ignored, benchmark.ignored]),
            np.concatenate([ones, np.full(len(benchmark.split), factor)]),
        )

    def mask(self, probabilities: np.ndarray) -> np.ndarray:
        """Set the probabilities of ignored labels to 0."""
        return np.where(self.ignored, np.float32(0), probabilities)

    def repeated(self, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Repeat labels and masked probabilities by the weights of their rows."""
        return (
            np.repeat(self.labels, self.repeats, axis=0),
            np.repeat(self.mask(probabilities), self.repeats, axis=0),
        )
