"""Export to ONNX: the graph is written operator by operator, so it is the same from every Keras backend.

Converters turn the masked LSTM into loops (tf2onnx) or a thousand unrolled nodes (torch); ONNX has an LSTM operator of
its own whose `sequence_lens` input is exactly the mask. Operators: https://onnx.ai/onnx/operators/

Up to that operator everything runs time first, as it wants it, so nothing is transposed on the way.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from evenmood.text import PAD_ID, POOL_SIZE
from evenmood.vocabulary import SIZE_KEY, digests
from train.network import MASKED

OPSET = 17
"""Oldest operator set that has all that is used here; onnxruntime 1.20 and older ones read it."""
IR_VERSION = 9
FOLDED_GROWTH = 2
"""How many times larger than the embedding the folded table may be; wider convolutions stay an operator."""
END = np.iinfo(np.int64).max

Layers = dict[str, list[np.ndarray]]


class _Graph:
    """Nodes and weights of a graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}

    def weight(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(values, dtype), name)
        return name

    def integers(self, *values: int) -> str:
        """Axes, shapes and limits, under one name wherever they are the same."""
        shown = ["end" if value == END else str(value) for value in values]
        return self.weight("int_" + "_".join(shown), values, np.int64)

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def every(self, step: int, first: int, values: str, output: str) -> str:
        """Every so-many-th entry of the first axis."""
        return self.node("Slice", [values, *map(self.integers, (first, END, 0, step))], output)


def export_onnx(
    model: Any, path: Path, embedding_bits: int = 32, folded: bool | None = None, tokenizer: str | None = None
) -> None:
    """Write a network built by `build_network` as ONNX.

    The graph takes `input_ids`, int32 (n, time), time even, and gives `probabilities`, float32 (n, labels), and
    with attention also `attention`, float32 (n, time / 2), each row summing to 1. Padding changes no result.

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
    graph = _Graph()
    kernel, bias, sign, shift = _with_norm(layers)
    if folded is None:
        folded = kernel.shape[0] * kernel.shape[2] <= FOLDED_GROWTH * kernel.shape[1]
    vectors = layers["embedding"][0].astype(np.float64)
    vectors[PAD_ID] = 0  # the network multiplies padding by zero
    graph.node("Transpose", ["input_ids"], "ids_by_time", perm=[1, 0])
    hidden, spread = (_lookup if folded else _convolution)(graph, vectors, kernel, embedding_bits)
    biased = graph.node("Add", [hidden, graph.weight("conv_b", bias / spread)], "conv_biased")
    hidden = graph.node("Relu", [biased], "conv_relu")
    if (sign < 0).any():
        hidden = graph.node("Mul", [hidden, graph.weight("norm_sign", sign)], "norm")
    parts = [graph.every(POOL_SIZE, first, hidden, f"pool_{first}") for first in range(POOL_SIZE)]
    hidden = graph.node("Max", parts, "pooled")  # (steps, n, filters)
    mask, steps = _lengths(graph)
    hidden = _bilstm(graph, hidden, steps, layers["bilstm"], spread, shift)  # (n, steps, 2 * units)
    has_attention = "attention_score" in layers
    pooled = _attention(graph, hidden, mask, layers) if has_attention else _average(graph, hidden, mask)
    dense = graph.node("Relu", [_dense(graph, pooled, "dense", layers["dense"])], "dense_relu")
    graph.node("Sigmoid", [_dense(graph, dense, "logits", layers["probabilities"])], "probabilities")

    labels = len(layers["probabilities"][1])
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", labels])]
    if has_attention:
        outputs.append(helper.make_tensor_value_info("attention", TensorProto.FLOAT, ["n", "steps"]))
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT32, ["n", "time"])
    onnx_graph = helper.make_graph(graph.nodes, "evenmood", [ids], outputs, list(graph.weights.values()))
    exported = helper.make_model(onnx_graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="evenmood")
    exported.ir_version = IR_VERSION
    helper.set_model_props(exported, {SIZE_KEY: str(len(vectors))} | (digests(tokenizer) if tokenizer else {}))
    onnx.checker.check_model(exported, full_check=True)
    path.write_bytes(exported.SerializeToString(deterministic=True))


def _with_norm(layers: Layers) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Kernel (width, in, out) and bias that take in the size of batch normalization's factors; their signs; its shift.

    The maximum over a pool passes through a shift, but not through a negative factor.
    """
    kernel, bias = (values.astype(np.float64) for values in layers["conv"])
    gamma, beta, mean, variance = (values.astype(np.float64) for values in layers["batch_norm"])
    factor = gamma / np.sqrt(variance + 1e-3)  # epsilon: Keras's default
    return kernel * np.abs(factor), bias * np.abs(factor), np.sign(factor), beta - mean * factor


def _rows(graph: _Graph, table: np.ndarray, ids: str, bits: int) -> str:
    """The rows of a table for ids; stored in 8 bits, its columns are to be scaled alike before."""
    if bits == 32:
        return graph.node("Gather", [graph.weight("table", table), ids], "rows")
    if bits == 16:
        halves = graph.node("Gather", [graph.weight("table", table, np.float16), ids], "rows_half")
        return graph.node("Cast", [halves], "rows", to=TensorProto.FLOAT)
    # One scale per word keeps the error within 1/254 of the word's largest weight.
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127
    whole = graph.node("Gather", [graph.weight("table", np.rint(table / scales), np.int8), ids], "rows_int8")
    whole = graph.node("Cast", [whole], "rows_float", to=TensorProto.FLOAT)
    scale = graph.node("Gather", [graph.weight("scales", scales), ids], "rows_scale")
    return graph.node("Mul", [whole, scale], "rows")


def _lookup(graph: _Graph, vectors: np.ndarray, kernel: np.ndarray, bits: int) -> tuple[str, np.ndarray]:
    """Embedding and convolution as one table: float (time, n, filters), and what each filter was divided by."""
    width, size, filters = kernel.shape
    table = vectors @ kernel.transpose(1, 0, 2).reshape(size, width * filters)
    # A channel that is small beside the others would be rounded away by a scale for all of them.
    spread = np.sqrt(np.square(table).reshape(-1, width, filters).mean(axis=(0, 1)))
    spread = np.maximum(spread, 1e-12) if bits == 8 else np.ones(filters)
    before = (width - 1) // 2  # Keras's "same" padding puts the odd one behind
    edges = graph.integers(before, 0, width - 1 - before, 0)
    ids = graph.node("Pad", ["ids_by_time", edges, graph.weight("pad", PAD_ID, np.int32)], "ids_with_edges")
    rows = _rows(graph, table / np.tile(spread, width), ids, bits)
    taps = []
    for tap in range(width):
        last = tap - width + 1
        start, end = graph.integers(tap, tap * filters), graph.integers(last or END, (tap + 1) * filters)
        taps.append(graph.node("Slice", [rows, start, end, graph.integers(0, 2)], f"tap_{tap}"))
    return graph.node("Sum", taps, "taps"), spread


def _convolution(graph: _Graph, vectors: np.ndarray, kernel: np.ndarray, bits: int) -> tuple[str, np.ndarray]:
    """Embedding and convolution, one after the other: as `_lookup`."""
    width = kernel.shape[0]
    before = (width - 1) // 2
    # The convolution is linear in each dimension: it takes back what the dimension is divided by.
    spread = np.maximum(vectors.std(axis=0), 1e-12) if bits == 8 else np.ones(vectors.shape[1])
    rows = _rows(graph, vectors / spread, "input_ids", bits)
    rows = graph.node("Transpose", [rows], "conv_in", perm=[0, 2, 1])
    weights = graph.weight("conv_w", (kernel * spread[:, None]).transpose(2, 1, 0))
    hidden = graph.node("Conv", [rows, weights], "conv", pads=[before, width - 1 - before])
    return graph.node("Transpose", [hidden], "conv_by_time", perm=[2, 0, 1]), np.ones(kernel.shape[2])


def _lengths(graph: _Graph) -> tuple[str, str]:
    """Which time steps after pooling hold a word, float (n, steps); and how many do, int32 (n,)."""
    found = graph.node("Greater", ["ids_by_time", graph.weight("pad", PAD_ID, np.int32)], "is_word")
    real = graph.node("Cast", [found], "is_word_int", to=TensorProto.INT32)
    words = graph.node("ReduceSum", [real, graph.integers(0)], "word_count", keepdims=0)
    rounded = graph.node("Add", [words, graph.weight("pool_less_1", POOL_SIZE - 1, np.int32)], "word_count_up")
    steps = graph.node("Div", [rounded, graph.weight("pool_size", POOL_SIZE, np.int32)], "step_count")
    first = graph.every(POOL_SIZE, 0, real, "step_is_real")  # padding is at the end: a step's first word tells
    by_row = graph.node("Transpose", [first], "step_is_real_by_row", perm=[1, 0])
    return graph.node("Cast", [by_row], "step_mask", to=TensorProto.FLOAT), steps


def _bilstm(
    graph: _Graph, hidden: str, steps: str, weights: list[np.ndarray], spread: np.ndarray, shift: np.ndarray
) -> str:
    """Keras's gates are ordered input, forget, cell, output; ONNX's input, output, forget, cell.

    Its kernel takes back what the filters were divided by, and its bias takes in batch normalization's shift: neither
    changes what the ReLU and the pooling before it choose.
    """
    units = weights[1].shape[0]

    def reorder(values: np.ndarray) -> np.ndarray:
        i, f, c, o = np.split(values, 4, axis=-1)
        return np.concatenate([i, o, f, c], axis=-1).T

    directions = (weights[:3], weights[3:])
    w = np.stack([reorder(kernel * spread[:, None]) for kernel, _, _ in directions])
    r = np.stack([reorder(recurrent) for _, recurrent, _ in directions])
    b = np.stack(
        [np.concatenate([reorder(bias + shift @ kernel), np.zeros(4 * units)]) for kernel, _, bias in directions]
    )
    inputs = [hidden, graph.weight("lstm_w", w), graph.weight("lstm_r", r), graph.weight("lstm_b", b), steps]
    hidden = graph.node("LSTM", inputs, "lstm", hidden_size=units, direction="bidirectional")  # (steps, 2, n, units)
    hidden = graph.node("Transpose", [hidden], "lstm_by_row", perm=[2, 0, 1, 3])
    return graph.node("Reshape", [hidden, graph.integers(0, 0, 2 * units)], "bilstm")


def _attention(graph: _Graph, hidden: str, mask: str, layers: Layers) -> str:
    weights, bias = layers["attention_hidden"]
    scores = graph.node("MatMul", [hidden, graph.weight("attention_w", weights)], "attention_matmul")
    scores = graph.node("Add", [scores, graph.weight("attention_b", bias)], "attention_biased")
    scores = graph.node("Tanh", [scores], "attention_tanh")
    score = graph.weight("attention_v", layers["attention_score"][0])
    scores = graph.node("MatMul", [scores, score], "attention_score")  # (n, steps, 1)
    scores = graph.node("Squeeze", [scores, graph.integers(2)], "attention_flat")
    missing = graph.node("Sub", [mask, graph.weight("one", 1.0)], "minus_padded")  # 0 for words, -1 for padding
    missing = graph.node("Mul", [missing, graph.weight("large", -MASKED)], "padded_score")
    attention = graph.node("Softmax", [graph.node("Add", [scores, missing], "masked_score")], "attention", axis=1)
    row = graph.node("Unsqueeze", [attention, graph.integers(1)], "attention_row")
    return graph.node("Squeeze", [graph.node("MatMul", [row, hidden], "weighted_sum"), graph.integers(1)], "context")


def _average(graph: _Graph, hidden: str, mask: str) -> str:
    column = graph.node("Unsqueeze", [mask, graph.integers(2)], "step_mask_column")
    masked = graph.node("Mul", [hidden, column], "masked")
    total = graph.node("ReduceSum", [masked, graph.integers(1)], "total", keepdims=0)
    count = graph.node("ReduceSum", [column, graph.integers(1)], "real_steps", keepdims=0)
    return graph.node("Div", [total, count], "context")


def _dense(graph: _Graph, hidden: str, name: str, weights: list[np.ndarray]) -> str:
    return graph.node(
        "Gemm", [hidden, graph.weight(f"{name}_w", weights[0]), graph.weight(f"{name}_b", weights[1])], name
    )
