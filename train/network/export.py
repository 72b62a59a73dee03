"""Export a network to ONNX, operator by operator, with the same graph from every Keras backend.

Converters turn the masked LSTM into loops (tf2onnx) or a thousand unrolled nodes (torch), whereas ONNX has an LSTM
operator whose input `sequence_lens` is the mask. The graph is that of `evenmood.onnx.network_graph`; this module adds
the weights.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from evenmood.onnx.network_graph import IR_VERSION, OPSET, Sizes, Tensor, network_graph
from evenmood.onnx.vocabulary import SIZE_KEY, digests
from evenmood.text.normalization import PAD_ID

FOLDED_GROWTH = 2
"""Maximum size of the folded table relative to the embedding; wider convolutions are not folded."""

Layers = dict[str, list[np.ndarray]]
Weights = dict[str, np.ndarray]


def export_onnx(
    model: Any, path: Path, embedding_bits: int = 32, folded: bool | None = None, tokenizer: str | None = None
) -> None:
    """Export a network built by `build_network`; `network_graph` documents its interface.

    Embedding and convolution are linear, so their product can be folded into one table: a row contains the contribution
    of a word to each time step of the kernel, and the convolution becomes lookups and additions. The scale of batch
    normalization is folded into the table (a positive factor commutes with the ReLU), its shift into the bias of the
    LSTM.

    Args:
        model: The Keras network, of any backend.
        path: File to write.
        embedding_bits: Bits per weight of the table: 32, 16 (float16) or 8 (symmetric, a scale per word and column).
        folded: Whether to fold embedding and convolution; by default, if the table is at most twice the embedding.
        tokenizer: Content of `tokenizer.json`; if set, its digest is added to the metadata.
    """
    layers = {layer.name: [np.asarray(w) for w in layer.get_weights()] for layer in model.layers}
    kernel, bias, sign, shift = _with_norm(layers)
    width, size, filters = kernel.shape
    if folded is None:
        folded = width * filters <= FOLDED_GROWTH * size
    vectors = layers["embedding"][0].astype(np.float64)
    vectors[PAD_ID] = 0  # padding is masked with zeros
    weights, divisors = (_fold if folded else _unfold)(vectors, kernel, embedding_bits)
    weights |= {"conv_b": bias / divisors, "norm_sign": sign} | _bilstm(layers["bilstm"], divisors, shift)
    for name, layer in (("dense", "dense"), ("logits", "probabilities")):
        weights[f"{name}_w"], weights[f"{name}_b"] = layers[layer]
    if "attention_score" in layers:
        weights["attention_w"], weights["attention_b"] = layers["attention_hidden"]
        weights["attention_v"] = layers["attention_score"][0]
    graph = network_graph(
        Sizes(
            vocabulary=len(vectors),
            width=width,
            filters=filters,
            units=weights["lstm_r"].shape[2],
            dense=len(weights["dense_b"]),
            labels=len(weights["logits_b"]),
            embedding=0 if folded else size,
            attention=len(weights.get("attention_b", ())),
            bits=embedding_bits,
            has_negative_scale=bool((sign < 0).any()),
        )
    )
    onnx_graph = helper.make_graph(
        [
            helper.make_node(node.operator, node.inputs, node.outputs, node.outputs[0], **node.attributes)
            for node in graph.nodes
        ],
        "evenmood",
        *(
            [helper.make_tensor_value_info(v.name, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for v in values]
            for values in (graph.inputs, graph.outputs)
        ),
        [_tensor(name, tensor, weights) for name, tensor in graph.tensors.items()],
    )
    exported = helper.make_model(onnx_graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="evenmood")
    exported.ir_version = IR_VERSION
    helper.set_model_props(exported, {SIZE_KEY: str(len(vectors))} | (digests(tokenizer) if tokenizer else {}))
    onnx.checker.check_model(exported, full_check=True)
    path.write_bytes(exported.SerializeToString(deterministic=True))


def _tensor(name: str, tensor: Tensor, weights: Weights) -> onnx.TensorProto:
    if tensor.content is not None:
        values = np.frombuffer(tensor.content, tensor.dtype).reshape(tensor.shape)
    else:
        values = np.ascontiguousarray(weights[name], tensor.dtype)
    if values.shape != tensor.shape:
        raise ValueError(f"{name} has shape {values.shape}; expected {tensor.shape}")
    return numpy_helper.from_array(values, name)


def _with_norm(layers: Layers) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fold the magnitude of batch normalization's scale into the convolution; return kernel, bias, signs and shift.

    Max pooling commutes with a shift, but not with a negative factor.
    """
    kernel, bias = (values.astype(np.float64) for values in layers["conv"])
    gamma, beta, mean, variance = (values.astype(np.float64) for values in layers["batch_norm"])
    factor = gamma / np.sqrt(variance + 1e-3)  # epsilon: Keras's default
    return kernel * np.abs(factor), bias * np.abs(factor), np.sign(factor), beta - mean * factor


def _table(table: np.ndarray, bits: int) -> Weights:
    """Store a table with a number of bits per weight; for 8 bits, its columns must have equal scales."""
    if bits != 8:
        return {"table": table}
    # With a scale per word, the error is at most 1/254 of the word's largest weight.
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127
    return {"table": np.rint(table / scales), "scales": scales}


def _fold(vectors: np.ndarray, kernel: np.ndarray, bits: int) -> tuple[Weights, np.ndarray]:
    """Fold embedding and convolution into one table; also return the divisor of each filter."""
    width, size, filters = kernel.shape
    table = vectors @ kernel.transpose(1, 0, 2).reshape(size, width * filters)
    # With a common scale, a channel with small values would be rounded to zero.
    divisors = np.sqrt(np.square(table).reshape(-1, width, filters).mean(axis=(0, 1)))
    divisors = np.maximum(divisors, 1e-12) if bits == 8 else np.ones(filters)
    return _table(table / np.tile(divisors, width), bits), divisors


def _unfold(vectors: np.ndarray, kernel: np.ndarray, bits: int) -> tuple[Weights, np.ndarray]:
    """Keep embedding and convolution separate; return values as in `_fold`."""
    # The convolution is linear in each dimension, so its kernel can undo the divisor.
    divisors = np.maximum(vectors.std(axis=0), 1e-12) if bits == 8 else np.ones(vectors.shape[1])
    weights = _table(vectors / divisors, bits) | {"conv_w": (kernel * divisors[:, None]).transpose(2, 1, 0)}
    return weights, np.ones(kernel.shape[2])


def _bilstm(weights: list[np.ndarray], divisors: np.ndarray, shift: np.ndarray) -> Weights:
    """Convert LSTM weights from Keras's gate order (input, forget, cell, output) to ONNX's (i, o, f, c).

    The kernel undoes the divisors of the filters, and the bias includes the shift of batch normalization; both
    can be applied after the ReLU and the pooling.
    """
    units = weights[1].shape[0]

    def reorder(values: np.ndarray) -> np.ndarray:
        i, f, c, o = np.split(values, 4, axis=-1)
        return np.concatenate([i, o, f, c], axis=-1).T

    directions = (weights[:3], weights[3:])
    return {
        "lstm_w": np.stack([reorder(kernel * divisors[:, None]) for kernel, _, _ in directions]),
        "lstm_r": np.stack([reorder(recurrent) for _, recurrent, _ in directions]),
        "lstm_b": np.stack(
            [np.concatenate([reorder(bias + shift @ kernel), np.zeros(4 * units)]) for kernel, _, bias in directions]
        ),
    }
