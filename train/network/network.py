"""Network of the paper (arXiv 2511.14073), built only from stock Keras layers and `keras.ops`.

`keras.saving.load_model` can therefore load a saved model without evenmood.
"""

import keras
import numpy as np
from keras import layers, ops

from evenmood.onnx.network_graph import MASKED
from evenmood.text.normalization import PAD_ID, POOL_SIZE
from train.config import TrainConfig


def build_network(
    config: TrainConfig, vectors: np.ndarray, label_count: int, label_frequencies: np.ndarray | None = None
) -> keras.Model:
    """Build the network.

    Embedding, convolution, batch normalization, max pooling, bidirectional LSTM, attention (or temporal average
    pooling), dense layer with dropout, sigmoid. From the LSTM on, padding is masked, so that it does not affect the
    probabilities.

    Args:
        config: Hyperparameters.
        vectors: Word vectors: float32 of shape (vocabulary, embedding_size); row 0 is padding.
        label_count: Number of outputs.
        label_frequencies: Share of training texts with each label, for `prior_bias`: shape (label_count,).

    Returns:
        Model from int32 token ids (n, time), with time a multiple of `POOL_SIZE`, to probabilities (n, label_count).
    """
    ids = keras.Input((None,), dtype="int32", name="input_ids")
    embedding = layers.Embedding(*vectors.shape, trainable=config.train_embedding, name="embedding")
    real = ops.expand_dims(ops.not_equal(ids, PAD_ID), -1)  # (n, time, 1)
    hidden = embedding(ids)
    embedding.set_weights([vectors])
    if config.embedding_dropout:
        hidden = layers.SpatialDropout1D(config.embedding_dropout, name="embedding_dropout")(hidden)
    hidden = layers.Multiply(name="padding_to_zero")([hidden, ops.cast(real, hidden.dtype)])
    hidden = layers.Conv1D(config.filters, config.kernel_size, padding="same", activation="relu", name="conv")(hidden)
    hidden = layers.BatchNormalization(name="batch_norm")(hidden)
    hidden = layers.MaxPooling1D(POOL_SIZE, name="max_pool")(hidden)
    words = layers.MaxPooling1D(POOL_SIZE, name="step_mask")(ops.cast(real, hidden.dtype))
    steps = ops.squeeze(words, -1) > 0  # (n, steps): whether a step has a word
    lstm = layers.LSTM(config.lstm_units, return_sequences=True)
    hidden = layers.Bidirectional(lstm, name="bilstm")(hidden, mask=steps)
    if config.pooling == "attention":
        scores = layers.Dense(config.dense_units, activation="tanh", name="attention_hidden")(hidden)
        scores = layers.Dense(1, use_bias=False, name="attention_score")(scores)
        padded = ops.cast(ops.logical_not(steps), scores.dtype)
        scores = layers.Add(name="attention_mask")([scores, ops.expand_dims(padded, -1) * MASKED])
        weights = layers.Softmax(axis=1, name="attention")(scores)
        pooled = layers.Flatten(name="attention_pool")(layers.Dot(axes=1, name="weighted_sum")([weights, hidden]))
    else:
        pooled = layers.GlobalAveragePooling1D(name="average_pool")(hidden, mask=steps)
    dense = layers.Dense(config.dense_units, activation="relu", name="dense")(pooled)
    dense = layers.Dropout(config.dropout, name="dropout")(dense)
    head = layers.Dense(label_count, activation="sigmoid", dtype="float32", name="probabilities")
    outputs = head(dense)
    if config.prior_bias and label_frequencies is not None:
        prior = np.clip(label_frequencies, 1e-6, 1 - 1e-6)
        head.set_weights([head.get_weights()[0], np.log(prior / (1 - prior))])
    return keras.Model(ids, outputs, name="evenmood")
