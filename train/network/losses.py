"""Training losses: binary cross-entropy with label weights."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

EPSILON = 1e-7
"""Minimum distance of probabilities from 0 and 1, as in Keras's cross-entropy."""
MIN_FREQUENCY = 1e-4
"""Lower limit of a label's frequency in the computation of its weight; rarer labels count as this frequent."""


@keras.saving.register_keras_serializable(package="evenmood")
class WeightedCrossentropy(keras.losses.Loss):  # type: ignore[misc]  # keras has no types
    """Binary cross-entropy with a weighted mean over labels."""

    def __init__(self, weights: Iterable[float], name: str = "weighted_crossentropy", **options: Any) -> None:
        """Set the weight of each label."""
        super().__init__(name=name, **options)
        self.weights = [float(weight) for weight in weights]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Compute the loss of each text: shape (n,)."""
        y_pred = ops.clip(y_pred, EPSILON, 1 - EPSILON)
        y_true = ops.cast(y_true, y_pred.dtype)
        entropy = -(y_true * ops.log(y_pred) + (1 - y_true) * ops.log(1 - y_pred))
        return ops.mean(entropy * ops.convert_to_tensor(self.weights, y_pred.dtype), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Serialize the loss, to resume a run."""
        return {**super().get_config(), "weights": self.weights}


def rarity_weights(frequencies: np.ndarray) -> np.ndarray:
    """Compute label weights proportional to the inverse square root of their frequency, with mean 1.

    With the inverse frequency, grief would have 180 times the weight of neutral. Cui et al. 2019
    (https://arxiv.org/abs/1901.05555) interpolate between these weightings.

    Args:
        frequencies: Share of texts with each label: shape (labels,).

    Returns:
        Weights of shape (labels,).
    """
    weights: np.ndarray = 1 / np.sqrt(np.maximum(frequencies, MIN_FREQUENCY))
    weights /= weights.mean()
    return weights
