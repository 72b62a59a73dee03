"""Export to ONNX: the graph is written operator by operator, so it is the same from every Keras backend.

Converters turn the masked LSTM into loops (tf2onnx) or a thousand unrolled nodes (torch); ONNX has an LSTM operator of
its own whose `sequence_lens` input is exactly the mask. Operators: https://onnx.ai/onnx/operators/
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from evenmood.text import PAD_ID, POOL_SIZE
from train.network import MASKED

OPSET = 17
"""Oldest operator set that has all that is used here; onnxruntime 1.20 and older ones read it."""
IR_VERSION = 9


class _Graph:
    """Nodes and weights of a graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output


def export_onnx(model: Any, path: Path, embedding_bits: int = 32) -> None:
    """Write a network built by `build_network` as ONNX.

    The graph takes `input_ids`, int32 (n, time), time even, and gives `probabilities`, float32 (n, labels), and
    with attention also `attention`, float32 (n, time / 2), each row summing to 1. Padding changes no result.

    Args:
        model: The Keras network, of any backend.
        path: File to write.
        embedding_bits: 32, 16 (float16) or 8 (a scale per word and per dimension, symmetric) bits per embedding weight.
    """
    layers = {layer.name: [np.asarray(w) for w in layer.get_weights()] for layer in model.layers}
    graph = _Graph()
    vectors, (kernel, bias) = layers["embedding"][0], layers["conv"]
    if embedding_bits == 8:
        # A vector's leading dimensions are its largest, and one scale for all would round the others away. The
        # convolution is linear in each: it takes back what a dimension is divided by, and costs no time for it.
        spread = np.maximum(vectors.std(axis=0), 1e-12)
        vectors, layers["conv"] = vectors / spread, [kernel * spread[:, None], bias]
    hidden = _embedding(graph, vectors, embedding_bits)
    steps = _lengths(graph)
    hidden = _convolution(graph, hidden, layers)
    hidden = _bilstm(graph, hidden, steps, layers["bilstm"])  # (n, steps, 2 * units)
    has_attention = "attention_score" in layers
    pooled = _attention(graph, hidden, layers) if has_attention else _average(graph, hidden)
    dense = graph.node(
        "Gemm",
        [pooled, graph.weight("dense_w", layers["dense"][0]), graph.weight("dense_b", layers["dense"][1])],
        "dense",
    )
    dense = graph.node("Relu", [dense], "dense_relu")
    head_weights, head_bias = layers["probabilities"]
    logits = graph.node(
        "Gemm", [dense, graph.weight("head_w", head_weights), graph.weight("head_b", head_bias)], "logits"
    )
    graph.node("Sigmoid", [logits], "probabilities")

    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(head_bias)])]
    if has_attention:
        outputs.append(helper.make_tensor_value_info("attention", TensorProto.FLOAT, ["n", "steps"]))
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT32, ["n", "time"])
    onnx_graph = helper.make_graph(graph.nodes, "evenmood", [ids], outputs, graph.weights)
    exported = helper.make_model(onnx_graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="evenmood")
    exported.ir_version = IR_VERSION
    helper.set_model_props(exported, {"vocabulary_size": str(len(layers["embedding"][0]))})
    onnx.checker.check_model(exported, full_check=True)
    path.write_bytes(exported.SerializeToString(deterministic=True))


def _embedding(graph: _Graph, vectors: np.ndarray, bits: int) -> str:
    vectors = vectors.copy()
    vectors[PAD_ID] = 0  # the network multiplies padding by zero
    if bits == 32:
        return graph.node("Gather", [graph.weight("vectors", vectors), "input_ids"], "embedded")
    if bits == 16:
        rows = graph.node("Gather", [graph.weight("vectors", vectors, np.float16), "input_ids"], "embedded_half")
        return graph.node("Cast", [rows], "embedded", to=TensorProto.FLOAT)
    # One scale per word keeps the error within 1/254 of the word's largest weight.
    scales = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-12) / 127
    graph.weight("vectors", np.rint(vectors / scales), np.int8)
    rows = graph.node("Gather", ["vectors", "input_ids"], "embedded_int8")
    rows = graph.node("Cast", [rows], "embedded_float", to=TensorProto.FLOAT)
    scale = graph.node("Gather", [graph.weight("scales", scales), "input_ids"], "embedded_scale")
    return graph.node("Mul", [rows, scale], "embedded")


def _lengths(graph: _Graph) -> str:
    """Time steps after pooling that hold a word, int32 (n,); and the mask of the others, for attention and average."""
    pad = graph.weight("pad", PAD_ID, np.int32)
    real = graph.node(
        "Cast", [graph.node("Greater", ["input_ids", pad], "is_word")], "is_word_int", to=TensorProto.INT32
    )
    axis = graph.weight("axis_1", [1], np.int64)
    words = graph.node("ReduceSum", [real, axis], "word_count", keepdims=0)
    pool = graph.weight("pool_size", POOL_SIZE, np.int32)
    rounded = graph.node("Add", [words, graph.weight("pool_less_1", POOL_SIZE - 1, np.int32)], "word_count_up")
    steps = graph.node("Div", [rounded, pool], "step_count")
    pairs = graph.node("Reshape", [real, graph.weight("pair_shape", [0, -1, POOL_SIZE], np.int64)], "word_pairs")
    some = graph.node("ReduceMax", [pairs], "step_is_real", axes=[2], keepdims=0)
    graph.node("Cast", [some], "step_mask", to=TensorProto.FLOAT)
    return steps


def _convolution(graph: _Graph, hidden: str, layers: dict[str, list[np.ndarray]]) -> str:
    kernel, bias = layers["conv"]  # kernel: (width, in, out)
    width = kernel.shape[0]
    before = (width - 1) // 2  # Keras's "same" padding puts the odd one behind
    hidden = graph.node("Transpose", [hidden], "conv_in", perm=[0, 2, 1])
    weights = [graph.weight("conv_w", kernel.transpose(2, 1, 0)), graph.weight("conv_b", bias)]
    hidden = graph.node("Conv", [hidden, *weights], "conv", pads=[before, width - 1 - before])
    hidden = graph.node("Relu", [hidden], "conv_relu")
    gamma, beta, mean, variance = layers["batch_norm"]
    scale = gamma / np.sqrt(variance + 1e-3)  # epsilon: Keras's default
    scale_name = graph.weight("norm_scale", scale[:, None])
    hidden = graph.node("Mul", [hidden, scale_name], "norm_scaled")
    hidden = graph.node("Add", [hidden, graph.weight("norm_shift", (beta - mean * scale)[:, None])], "norm")
    hidden = graph.node("MaxPool", [hidden], "pooled", kernel_shape=[POOL_SIZE], strides=[POOL_SIZE])
    return graph.node("Transpose", [hidden], "lstm_in", perm=[2, 0, 1])


def _bilstm(graph: _Graph, hidden: str, steps: str, weights: list[np.ndarray]) -> str:
    """Keras's gates are ordered input, forget, cell, output; ONNX's input, output, forget, cell."""
    units = weights[1].shape[0]

    def reorder(values: np.ndarray) -> np.ndarray:
        i, f, c, o = np.split(values, 4, axis=-1)
        return np.concatenate([i, o, f, c], axis=-1).T

    directions = (weights[:3], weights[3:])
    w = np.stack([reorder(kernel) for kernel, _, _ in directions])
    r = np.stack([reorder(recurrent) for _, recurrent, _ in directions])
    b = np.stack([np.concatenate([reorder(bias), np.zeros(4 * units)]) for _, _, bias in directions])
    inputs = [hidden, graph.weight("lstm_w", w), graph.weight("lstm_r", r), graph.weight("lstm_b", b), steps]
    hidden = graph.node("LSTM", inputs, "lstm", hidden_size=units, direction="bidirectional")  # (steps, 2, n, units)
    hidden = graph.node("Transpose", [hidden], "lstm_by_row", perm=[2, 0, 1, 3])
    return graph.node("Reshape", [hidden, graph.weight("join", [0, 0, 2 * units], np.int64)], "bilstm")


def _attention(graph: _Graph, hidden: str, layers: dict[str, list[np.ndarray]]) -> str:
    weights, bias = layers["attention_hidden"]
    scores = graph.node("MatMul", [hidden, graph.weight("attention_w", weights)], "attention_matmul")
    scores = graph.node("Add", [scores, graph.weight("attention_b", bias)], "attention_biased")
    scores = graph.node("Tanh", [scores], "attention_tanh")
    scores = graph.node(
        "MatMul", [scores, graph.weight("attention_v", layers["attention_score"][0])], "attention_score"
    )
    last = graph.weight("last_axis", [2], np.int64)
    scores = graph.node("Squeeze", [scores, last], "attention_flat")
    missing = graph.node("Sub", ["step_mask", graph.weight("one", 1.0)], "minus_padded")  # 0 for words, -1 for padding
    missing = graph.node("Mul", [missing, graph.weight("large", -MASKED)], "padded_score")
    attention = graph.node("Softmax", [graph.node("Add", [scores, missing], "masked_score")], "attention", axis=1)
    row = graph.node("Unsqueeze", [attention, graph.weight("middle_axis", [1], np.int64)], "attention_row")
    return graph.node("Squeeze", [graph.node("MatMul", [row, hidden], "weighted_sum"), "middle_axis"], "context")


def _average(graph: _Graph, hidden: str) -> str:
    mask = graph.node("Unsqueeze", ["step_mask", graph.weight("last_axis", [2], np.int64)], "step_mask_column")
    total = graph.node("ReduceSum", [graph.node("Mul", [hidden, mask], "masked"), "axis_1"], "total", keepdims=0)
    count = graph.node("ReduceSum", ["step_mask", "axis_1"], "real_steps", keepdims=1)
    return graph.node("Div", [total, count], "context")
