"""The graph of a BiLSTM's `model.onnx`, operator by operator; no other BiLSTM graph is exported or loaded.

An arbitrary graph could use any amount of memory and time. Accepting only this graph makes it safe to load models from
untrusted sources. (Encoders are checked by `encoder_check`.)

Operators: https://onnx.ai/onnx/operators/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from evenmood.text.normalization import PAD_ID, POOL_SIZE

OPSET = 17
"""Oldest operator set with all operators used here, supported by onnxruntime 1.20 and older."""
IR_VERSION = 9
END = np.iinfo(np.int64).max
MASKED = -1e4
"""Added to the attention score of a padded step: it becomes 0 in the softmax, and fits into float16."""
_FLOAT = 1
"""ONNX type number of float32, for Cast."""
_INT32 = 6
"""ONNX type number of int32, for Cast."""

Attribute = int | str | tuple[int, ...]


class Node(NamedTuple):
    """An operator with its inputs, outputs and attributes."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


class Tensor(NamedTuple):
    """A weight, or a constant, whose content is the same in every model."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    content: bytes | None = None


class Value(NamedTuple):
    """An input or output; a dynamic axis has a name instead of a size."""

    name: str
    dtype: np.dtype[Any] | None
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Sizes:
    """Hyperparameters that determine the graph of a model.

    Attributes:
        vocabulary: Number of rows of the embedding.
        width: Kernel size of the convolution.
        filters: Number of filters of the convolution.
        units: LSTM units per direction.
        dense: Units of the dense layer.
        labels: Number of outputs.
        embedding: Size of the embedding; 0 if embedding and convolution are folded into one table.
        attention: Units of the attention's hidden layer; 0 for temporal average pooling.
        bits: Bits per weight of the table: 32, 16 or 8.
        has_negative_scale: Whether a scale of batch normalization is negative.
    """

    vocabulary: int
    width: int
    filters: int
    units: int
    dense: int
    labels: int
    embedding: int
    attention: int
    bits: int
    has_negative_scale: bool

    @property
    def floats_per_token(self) -> int:
        """Approximate number of floats computed per token of a batch."""
        rows = 2 * (self.embedding or self.width * self.filters)
        return rows + 4 * self.filters + 8 * self.units + self.attention


@dataclass
class Graph:
    """Operators and tensors of a graph; see `network_graph`."""

    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)

    def weight(self, name: str, *shape: int, dtype: Any = np.float32) -> str:
        """Add a weight and return its name."""
        self.tensors[name] = Tensor(np.dtype(dtype), shape)
        return name

    def constant(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        """Add a constant and return its name."""
        array = np.array(values, dtype, ndmin=1)
        self.tensors[name] = Tensor(array.dtype, array.shape, array.tobytes())
        return name

    def integers(self, *values: int) -> str:
        """Add a constant of integers, such as axes, shapes or limits; equal constants share a name."""
        parts = ["end" if value == END else str(value) for value in values]
        return self.constant("int_" + "_".join(parts), values, np.int64)

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Attribute) -> str:
        """Add an operator and return its output's name."""
        self.nodes.append(Node(operator, tuple(inputs), (output,), attributes))
        return output

    def strided_slice(self, step: int, first: int, values: str, output: str) -> str:
        """Slice every `step`-th entry of the first axis."""
        return self.node("Slice", [values, *map(self.integers, (first, END, 0, step))], output)


def network_graph(sizes: Sizes) -> Graph:
    """Build the graph of a network.

    The input is `input_ids`, int32 (n, time), with an even number of time steps. The outputs are `probabilities`,
    float32 (n, labels), and with attention also `attention`, float32 (n, time / 2), whose rows sum to 1. Padding does
    not change results. Up to the LSTM, time is the first axis, as the LSTM requires, to avoid transpositions.
    """
    graph = Graph()
    graph.node("Transpose", ["input_ids"], "ids_by_time", perm=(1, 0))
    hidden = (_convolution if sizes.embedding else _lookup)(graph, sizes)  # (time, n, filters)
    biased = graph.node("Add", [hidden, graph.weight("conv_b", sizes.filters)], "conv_biased")
    hidden = graph.node("Relu", [biased], "conv_relu")
    if sizes.has_negative_scale:
        hidden = graph.node("Mul", [hidden, graph.weight("norm_sign", sizes.filters)], "norm")
    parts = [graph.strided_slice(POOL_SIZE, first, hidden, f"pool_{first}") for first in range(POOL_SIZE)]
    hidden = graph.node("Max", parts, "pooled")  # (steps, n, filters)
    mask, steps = _lengths(graph)
    hidden = _bilstm(graph, hidden, steps, sizes)  # (n, steps, 2 * units)
    pooled = _attention(graph, hidden, mask, sizes) if sizes.attention else _average(graph, hidden, mask)
    dense = graph.node("Relu", [_dense(graph, pooled, "dense", 2 * sizes.units, sizes.dense)], "dense_relu")
    graph.node("Sigmoid", [_dense(graph, dense, "logits", sizes.dense, sizes.labels)], "probabilities")
    graph.inputs.append(Value("input_ids", np.dtype(np.int32), ("n", "time")))
    graph.outputs.append(Value("probabilities", np.dtype(np.float32), ("n", sizes.labels)))
    if sizes.attention:
        graph.outputs.append(Value("attention", np.dtype(np.float32), ("n", "steps")))
    return graph


def _rows(graph: Graph, sizes: Sizes, columns: int, ids: str) -> str:
    """Look up the rows of the table."""
    if sizes.bits == 32:
        return graph.node("Gather", [graph.weight("table", sizes.vocabulary, columns), ids], "rows")
    if sizes.bits == 16:
        table = graph.weight("table", sizes.vocabulary, columns, dtype=np.float16)
        return graph.node("Cast", [graph.node("Gather", [table, ids], "rows_half")], "rows", to=_FLOAT)
    table = graph.weight("table", sizes.vocabulary, columns, dtype=np.int8)
    whole = graph.node("Cast", [graph.node("Gather", [table, ids], "rows_int8")], "rows_float", to=_FLOAT)
    scale = graph.node("Gather", [graph.weight("scales", sizes.vocabulary, 1), ids], "rows_scale")
    return graph.node("Mul", [whole, scale], "rows")


def _lookup(graph: Graph, sizes: Sizes) -> str:
    """Add the embedding and convolution, folded into one table."""
    width, filters = sizes.width, sizes.filters
    before = padding_before(width)
    edges = graph.integers(before, 0, width - 1 - before, 0)
    ids = graph.node("Pad", ["ids_by_time", edges, graph.constant("pad", PAD_ID, np.int32)], "ids_with_edges")
    rows = _rows(graph, sizes, width * filters, ids)
    taps = []
    for tap in range(width):
        last = tap - width + 1
        start, end = graph.integers(tap, tap * filters), graph.integers(last or END, (tap + 1) * filters)
        taps.append(graph.node("Slice", [rows, start, end, graph.integers(0, 2)], f"tap_{tap}"))
    return graph.node("Sum", taps, "taps")


def _convolution(graph: Graph, sizes: Sizes) -> str:
    """Add the embedding, followed by the convolution."""
    before = padding_before(sizes.width)
    rows = _rows(graph, sizes, sizes.embedding, "input_ids")
    rows = graph.node("Transpose", [rows], "conv_in", perm=(0, 2, 1))
    weights = graph.weight("conv_w", sizes.filters, sizes.embedding, sizes.width)
    hidden = graph.node("Conv", [rows, weights], "conv", pads=(before, sizes.width - 1 - before))
    return graph.node("Transpose", [hidden], "conv_by_time", perm=(2, 0, 1))


def padding_before(width: int) -> int:
    """Return the time steps that Keras's "same" padding adds before a text: half of the padding, rounded down."""
    return (width - 1) // 2


def _lengths(graph: Graph) -> tuple[str, str]:
    """Add the mask of the time steps after pooling, float (n, steps), and the number of real steps, int32 (n,)."""
    is_word = graph.node("Greater", ["ids_by_time", graph.constant("pad", PAD_ID, np.int32)], "is_word")
    real = graph.node("Cast", [is_word], "is_word_int", to=_INT32)
    words = graph.node("ReduceSum", [real, graph.integers(0)], "word_count", keepdims=0)
    rounded_up = graph.node("Add", [words, graph.constant("pool_less_1", POOL_SIZE - 1, np.int32)], "word_count_up")
    steps = graph.node("Div", [rounded_up, graph.constant("pool_size", POOL_SIZE, np.int32)], "step_count")
    first = graph.strided_slice(POOL_SIZE, 0, real, "step_is_real")  # padding is at the end: check a step's first token
    by_row = graph.node("Transpose", [first], "step_is_real_by_row", perm=(1, 0))
    return graph.node("Cast", [by_row], "step_mask", to=_FLOAT), steps


def _bilstm(graph: Graph, hidden: str, steps: str, sizes: Sizes) -> str:
    units = sizes.units
    weights = [
        graph.weight("lstm_w", 2, 4 * units, sizes.filters),
        graph.weight("lstm_r", 2, 4 * units, units),
        graph.weight("lstm_b", 2, 8 * units),
    ]
    hidden = graph.node("LSTM", [hidden, *weights, steps], "lstm", hidden_size=units, direction="bidirectional")
    hidden = graph.node("Transpose", [hidden], "lstm_by_row", perm=(2, 0, 1, 3))  # from (steps, 2, n, units)
    return graph.node("Reshape", [hidden, graph.integers(0, 0, 2 * units)], "bilstm")


def _attention(graph: Graph, hidden: str, mask: str, sizes: Sizes) -> str:
    weights = graph.weight("attention_w", 2 * sizes.units, sizes.attention)
    scores = graph.node("MatMul", [hidden, weights], "attention_matmul")
    scores = graph.node("Add", [scores, graph.weight("attention_b", sizes.attention)], "attention_biased")
    scores = graph.node("Tanh", [scores], "attention_tanh")
    scores = graph.node("MatMul", [scores, graph.weight("attention_v", sizes.attention, 1)], "attention_score")
    scores = graph.node("Squeeze", [scores, graph.integers(2)], "attention_flat")
    missing = graph.node("Sub", [mask, graph.constant("one", 1.0)], "minus_padded")  # 0 for words, -1 for padding
    missing = graph.node("Mul", [missing, graph.constant("large", -MASKED)], "padded_score")
    attention = graph.node("Softmax", [graph.node("Add", [scores, missing], "masked_score")], "attention", axis=1)
    row = graph.node("Unsqueeze", [attention, graph.integers(1)], "attention_row")
    return graph.node("Squeeze", [graph.node("MatMul", [row, hidden], "weighted_sum"), graph.integers(1)], "context")


def _average(graph: Graph, hidden: str, mask: str) -> str:
    column = graph.node("Unsqueeze", [mask, graph.integers(2)], "step_mask_column")
    masked = graph.node("Mul", [hidden, column], "masked")
    total = graph.node("ReduceSum", [masked, graph.integers(1)], "total", keepdims=0)
    count = graph.node("ReduceSum", [column, graph.integers(1)], "real_steps", keepdims=0)
    return graph.node("Div", [total, count], "context")


def _dense(graph: Graph, hidden: str, name: str, inputs: int, units: int) -> str:
    weights = [graph.weight(f"{name}_w", inputs, units), graph.weight(f"{name}_b", units)]
    return graph.node("Gemm", [hidden, *weights], name)
