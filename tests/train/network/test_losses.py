"""The weighted loss: equal to Keras's own with equal weights; rarer labels have larger weights."""

import keras
import numpy as np
import pytest

from train.network.losses import WeightedCrossentropy, rarity_weights

TRUTH = np.array([[0, 1, 0.3], [1, 0, 0]], np.float32)
PROBABILITIES = np.array([[0.2, 0.9, 0.5], [0.6, 0.01, 1.0]], np.float32)


def test_equal_weights_match_keras() -> None:
    plain = float(keras.losses.BinaryCrossentropy()(TRUTH, PROBABILITIES))
    assert float(WeightedCrossentropy([1, 1, 1])(TRUTH, PROBABILITIES)) == pytest.approx(plain, rel=1e-5)


def test_weights_apply_per_label() -> None:
    entropy = -(
        TRUTH * np.log(PROBABILITIES.clip(1e-7, 1 - 1e-7))
        + (1 - TRUTH) * np.log(1 - PROBABILITIES.clip(1e-7, 1 - 1e-7))
    )
    expected = float((entropy * [3, 0, 0.5]).mean())
    assert float(WeightedCrossentropy([3, 0, 0.5])(TRUTH, PROBABILITIES)) == pytest.approx(expected, rel=1e-5)


def test_loss_is_serializable() -> None:
    loss = WeightedCrossentropy([1, 2])
    loaded_loss = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert loaded_loss.weights == [1, 2]


def test_rare_labels_have_larger_weights() -> None:
    weights = rarity_weights(np.array([0.25, 0.01, 0.0, 1e-4]))
    assert weights.mean() == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(5)
    assert weights[2] == weights[3] == weights.max()
