"""Quantize the weights of an encoder's graph to 8 and 4 bits.

onnxruntime computes float32 weights from them when it loads the model (constant folding), and predicts in float32.
Integer arithmetic would round activations. With a scale per batch, a text's probabilities depend on the other texts of
its batch; a scale per token amplifies rounding differences between batches; scales fixed in advance cost accuracy.
8-bit matmuls also saturate on processors without VNNI instructions, so results differ between processors.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from train.encoder.graph import CONTRIBUTED, POSITION_TABLE, WORD_TABLE

FLOAT, INT32 = 1, 6
"""Data types of ONNX."""
CONSTANTS = {
    "sixteenth": np.array(1 / 16, np.float32),
    "sixteen": np.array(16, np.float32),
    "eight": np.array(8, np.float32),
}
UNPACK_HALVES: list[tuple[str, list[str], str, dict[str, Any]]] = [
    ("Cast", ["codes"], "bytes", {"to": FLOAT}),
    ("Mul", ["bytes", "sixteenth"], "quotient", {}),
    ("Cast", ["quotient"], "integer", {"to": INT32}),  # rounds down
    ("Cast", ["integer"], "high", {"to": FLOAT}),
    ("Mul", ["high", "sixteen"], "product", {}),
    ("Sub", ["bytes", "product"], "low", {}),
    ("Concat", ["low", "high"], "halves", {"axis": 2}),
    ("Sub", ["halves", "eight"], "centered", {}),
]
"""Operators, inputs, output and attributes that compute the codes from bytes, as `unpack_halves` does."""
BLOCK = 128
"""Maximum number of weights that share a scale."""
SCALE_FACTORS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65)
"""Scales to try, relative to the smallest scale that clips no weight."""


def quantize(model: Any) -> None:
    """Quantize both embedding tables and the weights of all matmuls except those of the small output layer.

    Args:
        model: The `onnx.ModelProto` of `encoder_graph`, modified in place.
    """
    tensors = {tensor.name for tensor in model.graph.initializer}
    factors = [node.input[1] for node in model.graph.node if node.op_type == "MatMul"]
    *weights, _ = [name for name in factors if name in tensors]
    int4 = int4_weights(weights)
    for name in (POSITION_TABLE, *weights):
        quantize_weights(model, name, 4 if name in int4 else 8)
    _quantize_word_table(model)


def int4_weights(weights: Sequence[str]) -> set[str]:
    """Select the matmuls whose rounding to 4 bits changes the logits least per saved byte.

    In a six-layer encoder, measured on validation texts with each matmul rounded alone, these are the last feed-forward
    matmuls, except the very last one, and the pooler. The last feed-forward matmul is among the most sensitive.
    """
    feed_forward = [name for name in weights if name.endswith(("_inner_w", "_outer_w"))]
    return {*feed_forward[-5:-1], "pooler_w"}


def quantize_weights(model: Any, name: str, bits: int) -> None:
    """Replace a matrix by integers, their scales, and the operators that compute the matrix.

    These are operators that all versions of onnxruntime compute in advance; it has none that does so for int4.
    """
    from onnx import helper, numpy_helper

    weights = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    columns = numpy_helper.to_array(weights).T
    codes, scales = round_blocks(columns, bits)
    codes = codes.reshape(*scales.shape, -1)
    tensors = {"codes": codes, "scales": scales[..., None], "shape": np.array(columns.shape, np.int64)}
    unpack: list[tuple[str, list[str], str, dict[str, Any]]] = [("Cast", ["codes"], "centered", {"to": FLOAT})]
    if bits == 4:
        tensors |= {"codes": pack_halves(codes), **CONSTANTS}
        unpack = UNPACK_HALVES
    model.graph.initializer.remove(weights)
    for part, value in tensors.items():
        model.graph.initializer.append(numpy_helper.from_array(value, f"{name}_{part}"))
    steps = [
        *unpack,
        ("Mul", ["centered", "scales"], "blocks", {}),
        ("Reshape", ["blocks", "shape"], "columns", {}),
        ("Transpose", ["columns"], "", {"perm": [1, 0]}),
    ]
    for number, (operator, inputs, output, attributes) in enumerate(steps):
        names = [f"{name}_{part}" for part in inputs]
        result = f"{name}_{output}".removesuffix("_")
        node = helper.make_node(operator, names, [result], name=result, **attributes)
        model.graph.node.insert(number, node)


def pack_halves(codes: np.ndarray) -> np.ndarray:
    """Pack integers from -8 to 7 in bytes: the low bits are from the first half of the last axis."""
    low, high = np.split((codes + 8).astype(np.uint8), 2, axis=-1)
    return np.asarray(high << 4 | low)


def unpack_halves(packed: np.ndarray) -> np.ndarray:
    """Reverse `pack_halves`."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1).astype(np.int8) - 8


def _quantize_word_table(model: Any) -> None:
    """Quantize the token table to 4 bits; it is not expanded in advance: a prediction reads few of its rows."""
    from onnx import TensorProto, helper, numpy_helper

    table = next(tensor for tensor in model.graph.initializer if tensor.name == WORD_TABLE)
    codes, scales = round_blocks(numpy_helper.to_array(table), 4)
    packed = ((codes[:, 1::2] & 15) << 4 | codes[:, ::2] & 15).astype(np.uint8)
    model.graph.initializer.remove(table)
    model.graph.initializer.extend(
        [
            helper.make_tensor(WORD_TABLE, TensorProto.INT4, codes.shape, packed.tobytes(), raw=True),
            numpy_helper.from_array(scales, f"{WORD_TABLE}_scales"),
        ]
    )
    index, gather = next((index, node) for index, node in enumerate(model.graph.node) if WORD_TABLE in node.input)
    lookup = helper.make_node(
        "GatherBlockQuantized",
        [WORD_TABLE, gather.input[1], f"{WORD_TABLE}_scales"],
        gather.output,
        name=gather.name,
        domain=CONTRIBUTED,
        gather_axis=0,
        quantize_axis=1,
        block_size=codes.shape[1] // scales.shape[1],
    )
    model.graph.node.remove(gather)
    model.graph.node.insert(index, lookup)


def round_blocks(rows: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Round rows to integers with a scale per block that minimizes the squared error.

    The largest weight of a block is often an outlier: clipping it then costs less than a coarse scale.

    Args:
        rows: float32 of shape (rows, size).
        bits: 4 or 8.

    Returns:
        int8 of shape (rows, size), from -2**(bits - 1) to 2**(bits - 1) - 1, and float32 of shape (rows, blocks).
    """
    half = 2 ** (bits - 1)
    blocks = rows.reshape(len(rows), -1, math.gcd(rows.shape[1], BLOCK))
    largest = np.maximum(np.abs(blocks).max(axis=-1, keepdims=True), 1e-8) / (half - 0.5)
    best_error = np.full(largest.shape, np.inf)
    codes, scales = np.zeros(blocks.shape, np.int8), np.ones(largest.shape, np.float32)
    for factor in SCALE_FACTORS:
        scale = largest * factor
        candidates = np.clip(np.round(blocks / scale), -half, half - 1)
        error = ((candidates * scale - blocks) ** 2).sum(axis=-1, keepdims=True)
        better = error < best_error
        best_error = np.where(better, error, best_error)
        codes, scales = np.where(better, candidates, codes).astype(np.int8), np.where(better, scale, scales)
    return codes.reshape(rows.shape), scales[..., 0].astype(np.float32)


def restore(codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Multiply integers by the scales of their blocks: the inverse of `round_blocks`, apart from rounding."""
    return np.asarray(codes.reshape(*scales.shape, -1) * scales[..., None], np.float32).reshape(codes.shape)
