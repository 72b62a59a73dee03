"""The paper's network, built of stock Keras layers and `keras.ops` alone.

`keras.saving.load_model` therefore reads a saved model where evenmood is not installed.
"""

import keras
import numpy as np
from keras import layers, ops

from evenmood.network_graph import MASKED
from evenmood.text import PAD_ID, POOL_SIZE
from train.config import TrainConfig

HEADS = ("logits", "extra_logits")
"""Names of the output layers of `with_two_heads`."""


def build_network(
    config: TrainConfig, vectors: np.ndarray, label_count: int, label_frequencies: np.ndarray | None = None
) -> keras.Model:
    """Build the network.

    Embedding, convolution, batch normalization, max pooling, bidirectional LSTM, attention (or temporal average
    pooling), dense layer with dropout, sigmoid. Padding is masked from the LSTM on, so a text's probabilities do not
    depend on how far it was padded.

    Args:
        config: Sizes.
        vectors: Word vectors, float32 of shape (vocabulary, embedding_size); row 0 is padding.
        label_count: Sigmoid outputs.
        label_frequencies: Share of the training texts that have each label, for `prior_bias`.

    Returns:
        Model from int32 token ids (n, time), time a multiple of `POOL_SIZE`, to probabilities (n, label_count).
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
    steps = ops.squeeze(words, -1) > 0  # (n, steps): a step is real where one of its words is
    lstm = layers.LSTM(config.lstm_units, return_sequences=True)
    hidden = layers.Bidirectional(lstm, name="bilstm")(hidden, mask=steps)
    if config.pooling == "attention":
        scores = layers.Dense(config.attention_units, activation="tanh", name="attention_hidden")(hidden)
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
        head.set_weights([head.get_weights()[0], log_odds(label_frequencies)])
    return keras.Model(ids, outputs, name="evenmood")


def log_odds(frequencies: np.ndarray) -> np.ndarray:
    """Logits of shares, those of 0 and 1 a little inside."""
    shares = np.clip(frequencies, 1e-6, 1 - 1e-6)
    odds: np.ndarray = np.log(shares / (1 - shares))
    return odds


def with_two_heads(network: keras.Model, config: TrainConfig, label_frequencies: np.ndarray) -> keras.Model:
    """The network with an output layer for each of two kinds of text, whose labels mean different things.

    Raters of Reddit comments mark what a comment says, those of everyday texts what its situation means; one output
    layer has to guess which of the two a text is. Here a text's logits are `(1 - share)` times those of the first layer
    plus `share` times those of the second: each learns from its own kind of text, and both learn from texts of a share
    in between. `with_one_head` makes them one.

    Args:
        network: From `build_network`.
        config: As there.
        label_frequencies: As there, shape (labels,).

    Returns:
        Model from token ids and the share, shape (n, 1), to probabilities.
    """
    share = keras.Input((1,), name="extra_share")
    hidden = network.get_layer("dropout").output
    heads = [layers.Dense(len(label_frequencies), dtype="float32", name=name) for name in HEADS]
    first, second = (head(hidden) for head in heads)
    outputs = layers.Activation("sigmoid", dtype="float32", name="mixed")((1 - share) * first + share * second)
    if config.prior_bias:
        for head in heads:
            head.set_weights([head.get_weights()[0], log_odds(label_frequencies)])
    return keras.Model([network.input, share], outputs, name="evenmood_two_heads")


def with_one_head(trained: keras.Model, network: keras.Model, share: float) -> keras.Model:
    """Give a network of one output layer the weights of a trained one of two, mixed.

    The logits are linear in the output layers, so one layer with the mix of their weights answers as both together.

    Args:
        trained: From `with_two_heads`.
        network: From `build_network`, with the same configuration; its weights are replaced.
        share: Of the second output layer.

    Returns:
        `network`.
    """
    for layer in network.layers:
        if layer.name == "probabilities":
            first, second = (trained.get_layer(name).get_weights() for name in HEADS)
            layer.set_weights([(1 - share) * a + share * b for a, b in zip(first, second, strict=True)])
        elif layer.weights:
            layer.set_weights(trained.get_layer(layer.name).get_weights())
    return network
