"""The rows that thresholds and calibration are tuned on."""

from dataclasses import dataclass

import numpy as np

from evenmood.data.splits import Split
from train.evaluation.everyday import load_everyday


@dataclass(frozen=True)
class ValidationRows:
    """Rows for tuning thresholds and calibration: the validation split, plus the everyday texts if `extra` is set.

    Both sets have equal weight. Ignored labels are treated as absent, with probability 0.

    Attributes:
        texts: n texts.
        labels: Shape (n, labels).
        ignored: bool, shape (n, labels).
        repeats: How many times each row counts, shape (n,).
    """

    texts: list[str]
    labels: np.ndarray
    ignored: np.ndarray
    repeats: np.ndarray

    @classmethod
    def of(cls, validation: Split, everyday: bool) -> "ValidationRows":
        """Collect the rows; the everyday texts take part where a model trains on further texts."""
        nothing, once = np.zeros(validation.labels.shape, bool), np.ones(len(validation), np.int64)
        if not everyday:
            return cls(validation.texts, validation.labels, nothing, once)
        further = load_everyday("validation")
        factor = max(1, round(len(validation) / len(further.split)))
        return cls(
            [*validation.texts, *further.split.texts],
            np.concatenate([validation.labels, further.split.labels]),
            np.concatenate([nothing, further.ignored]),
            np.concatenate([once, np.full(len(further.split), factor)]),
        )

    def masked(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities with 0 where a label does not count."""
        return np.where(self.ignored, np.float32(0), probabilities)

    def repeated(self, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels and masked probabilities, each row as often as it counts."""
        return (
            np.repeat(self.labels, self.repeats, axis=0),
            np.repeat(self.masked(probabilities), self.repeats, axis=0),
        )
