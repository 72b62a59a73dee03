"""Export to ONNX: the graph is written operator by operator, so it is the same from every Keras backend.

Converters turn the masked LSTM into loops (tf2onnx) or a thousand unrolled nodes (torch); ONNX has an LSTM operator of
its own whose `sequence_lens` input is exactly the mask. The operators are those of `evenmood.onnx.network_graph`; this
module adds the weights.
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
"""How many times larger than the embedding the folded table may be; wider convolutions stay an operator."""

Layers = dict[str, list[np.ndarray]]
Weights = dict[str, np.ndarray]


def export_onnx(
    model: Any, path: Path, embedding_bits: int = 32, folded: bool | None = None, tokenizer: str | None = None
) -> None:
    """Write a network built by `build_network` as ONNX; `network_graph` says what it takes and gives.

    Embedding and convolution are both linear, so their product is one table: a word's row holds what the word adds to
    each of the time steps within the kernel's reach, and convolving is looking up and adding. Batch normalization's
    scale goes into the table (it is applied after the ReLU, which a positive factor passes through), its shift into
    the LSTM's bias.

    Args:
        model: The Keras network, of any backend.
        path: File to write.
        embedding_bits: 32, 16 (float16) or 8 (a scale per word and per column, symmetric) bits per weight of the table.
        folded: Whether embedding and convolution become one table; None: where it is at most twice the embedding.
        tokenizer: Content of `tokenizer.json`, whose digest goes into the metadata; None writes no digest.
    """
    layers = {layer.name: [np.asarray(w) for w in layer.get_weights()] for layer in model.layers}
    kernel, bias, sign, shift = _with_norm(layers)
    width, size, filters = kernel.shape
    if folded is None:
        folded = width * filters <= FOLDED_GROWTH * size
    vectors = layers["embedding"][0].astype(np.float64)
    vectors[PAD_ID] = 0  # the network multiplies padding by zero
    weights, spread = (_folded if folded else _unfolded)(vectors, kernel, embedding_bits)
    weights |= {"conv_b": bias / spread, "norm_sign": sign} | _bilstm(layers["bilstm"], spread, shift)
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
            signed=bool((sign < 0).any()),
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
    """Kernel (width, in, out) and bias that take in the size of batch normalization's factors; their signs; its shift.

    The maximum over a pool passes through a shift, but not through a negative factor.
    """
    kernel, bias = (values.astype(np.float64) for values in layers["conv"])
    gamma, beta, mean, variance = (values.astype(np.float64) for values in layers["batch_norm"])
    factor = gamma / np.sqrt(variance + 1e-3)  # epsilon: Keras's default
    return kernel * np.abs(factor), bias * np.abs(factor), np.sign(factor), beta - mean * factor


def _table(table: np.ndarray, bits: int) -> Weights:
    """A table in so many bits per weight; for 8 bits, its columns are to be scaled alike before."""
    if bits != 8:
        return {"table": table}
    # One scale per word keeps the error within 1/254 of the word's largest weight.
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127
    return {"table": np.rint(table / scales), "scales": scales}


def _folded(vectors: np.ndarray, kernel: np.ndarray, bits: int) -> tuple[Weights, np.ndarray]:
    """Embedding and convolution as one table; and what each filter was divided by."""
    width, size, filters = kernel.shape
    table = vectors @ kernel.transpose(1, 0, 2).reshape(size, width * filters)
    # A channel that is small beside the others would be rounded away by a scale for all of them.
    spread = np.sqrt(np.square(table).reshape(-1, width, filters).mean(axis=(0, 1)))
    spread = np.maximum(spread, 1e-12) if bits == 8 else np.ones(filters)
    return _table(table / np.tile(spread, width), bits), spread


def _unfolded(vectors: np.ndarray, kernel: np.ndarray, bits: int) -> tuple[Weights, np.ndarray]:
    """Embedding and convolution, one after the other: as `_folded`."""
    # The convolution is linear in each dimension: it takes back what the dimension is divided by.
    spread = np.maximum(vectors.std(axis=0), 1e-12) if bits == 8 else np.ones(vectors.shape[1])
    weights = _table(vectors / spread, bits) | {"conv_w": (kernel * spread[:, None]).transpose(2, 1, 0)}
    return weights, np.ones(kernel.shape[2])


def _bilstm(weights: list[np.ndarray], spread: np.ndarray, shift: np.ndarray) -> Weights:
    """Keras's gates are ordered input, forget, cell, output; ONNX's input, output, forget, cell.

    Its kernel takes back what the filters were divided by, and its bias takes in batch normalization's shift: neither
    changes what the ReLU and the pooling before it choose.
    """
    units = weights[1].shape[0]

    def reorder(values: np.ndarray) -> np.ndarray:
        i, f, c, o = np.split(values, 4, axis=-1)
        return np.concatenate([i, o, f, c], axis=-1).T

    directions = (weights[:3], weights[3:])
    return {
        "lstm_w": np.stack([reorder(kernel * spread[:, None]) for kernel, _, _ in directions]),
        "lstm_r": np.stack([reorder(recurrent) for _, recurrent, _ in directions]),
        "lstm_b": np.stack(
            [np.concatenate([reorder(bias + shift @ kernel), np.zeros(4 * units)]) for kernel, _, bias in directions]
        ),
    }
