"""What training minimises: cross-entropy of each label, the labels weighed alike or by how rare they are."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

SMALLEST = 1e-7
"""Probabilities are kept this far from 0 and 1, as Keras's own cross-entropy keeps them."""
RAREST = 1e-4
"""Share of the texts below which a label weighs no more for being rarer."""


@keras.saving.register_keras_serializable(package="evenmood")
class WeightedCrossentropy(keras.losses.Loss):  # type: ignore[misc]  # keras has no types
    """Binary cross-entropy, its mean over labels weighted."""

    def __init__(self, weights: Iterable[float], name: str = "weighted_crossentropy", **options: Any) -> None:
        """Take one weight a label."""
        super().__init__(name=name, **options)
        self.weights = [float(weight) for weight in weights]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each text: shape (n,)."""
        y_pred = ops.clip(y_pred, SMALLEST, 1 - SMALLEST)
        y_true = ops.cast(y_true, y_pred.dtype)
        entropy = -(y_true * ops.log(y_pred) + (1 - y_true) * ops.log(1 - y_pred))
        return ops.mean(entropy * ops.convert_to_tensor(self.weights, y_pred.dtype), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """What a saved, unfinished run needs to go on."""
        return {**super().get_config(), "weights": self.weights}


def rarity_weights(frequencies: np.ndarray) -> np.ndarray:
    """Weights of labels by the square root of how rare they are, 1 in the mean.

    By the inverse frequency itself (Cui et al. 2019, https://arxiv.org/abs/1901.05555, have it between the two) grief
    would weigh 180 times as much as neutral.

    Args:
        frequencies: Share of the texts that have each label, shape (labels,).
    """
    weights: np.ndarray = 1 / np.sqrt(np.maximum(frequencies, RAREST))
    weights /= weights.mean()
    return weights
