"""Quantize the weights of an encoder's graph to 8 and 4 bits.

onnxruntime computes float32 weights from them when it loads the model (constant folding), and predicts in float32.
Integer arithmetic would round activations: with a scale per batch, a text's probabilities would depend on the other
texts of its batch, by up to 0.16; with a scale per token, by up to 0.008, because a small difference in float32 becomes
another integer; with scales fixed in advance, logits have larger errors, and processors without VNNI saturate.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from train.encoder.graph import CONTRIBUTED, WORD_TABLE, WORDS

RESIDUAL_TABLE, RESIDUAL_ROWS = "residual_table", "residual_rows"
CONSTANTS = {"sixteenth": 1 / 16, "sixteen": 16.0, "eight": 8.0}
FLOAT, INT32 = 1, 6
"""Data types of ONNX."""
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


def quantize(model: Any, frequent: np.ndarray) -> None:
    """Quantize the token table and all matmuls except the small output layer.

    The matmuls of `int4_matmuls` are quantized to 4 bits, the others to 8 bits.

    Args:
        model: The `onnx.ModelProto` of `encoder_graph`, modified in place.
        frequent: Token ids whose vectors get a second table with the rounding errors of the first: int64 of shape (n,).
    """
    add_constants(model)
    matmuls = [node.name for node in model.graph.node if node.op_type == "MatMul"]
    int4 = int4_matmuls(matmuls)
    for name in matmuls[:-1]:
        quantize_matmul(model, name, 4 if name in int4 else 8)
    _quantize_table(model, frequent)


def int4_matmuls(matmuls: Sequence[str]) -> set[str]:
    """Select the matmuls whose rounding to 4 bits changes the logits least per saved byte.

    In a six-layer encoder, measured on validation texts with each matmul rounded alone, these are the feed-forward
    matmuls of the last two layers, except the last one, and the pooler. The last feed-forward matmul of the network is
    among the most sensitive.
    """
    feed_forward = [name for name in matmuls if name.endswith(("_inner_product", "_outer_product"))]
    return {*feed_forward[-4:-1], "pooler_product"}


def add_constants(model: Any) -> None:
    """Add the constants of `UNPACK_HALVES`."""
    from onnx import numpy_helper

    for name, value in CONSTANTS.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))


def quantize_matmul(model: Any, name: str, bits: int) -> None:
    """Replace the weights of a matmul by integers, their scales, and the operators that compute the weights.

    These are operators that all versions of onnxruntime compute in advance; it has none that does so for int4.
    """
    from onnx import helper, numpy_helper

    index, matmul = next((index, node) for index, node in enumerate(model.graph.node) if node.name == name)
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == matmul.input[1])
    columns = numpy_helper.to_array(weights).T
    codes, scales = round_blocks(columns, bits)
    codes = codes.reshape(*scales.shape, -1)
    tensors = {
        "codes": codes if bits == 8 else pack_halves(codes),
        "scales": scales[..., None],
        "shape": np.array(columns.shape, np.int64),
    }
    model.graph.initializer.remove(weights)
    for part, value in tensors.items():
        model.graph.initializer.append(numpy_helper.from_array(value, f"{weights.name}_{part}"))
    steps = [
        *(UNPACK_HALVES if bits == 4 else [("Cast", ["codes"], "centered", {"to": FLOAT})]),
        ("Mul", ["centered", "scales"], "blocks", {}),
        ("Reshape", ["blocks", "shape"], "columns", {}),
        ("Transpose", ["columns"], "", {"perm": [1, 0]}),
    ]
    for number, (operator, inputs, output, attributes) in enumerate(steps):
        names = [part if part in CONSTANTS else f"{weights.name}_{part}" for part in inputs]
        result = f"{weights.name}_{output}".removesuffix("_")
        node = helper.make_node(operator, names, [result], name=result, **attributes)
        model.graph.node.insert(index + number, node)


def pack_halves(codes: np.ndarray) -> np.ndarray:
    """Pack integers from -8 to 7 in bytes: the low bits are from the first half of the last axis."""
    low, high = np.split((codes + 8).astype(np.uint8), 2, axis=-1)
    return np.asarray(high << 4 | low)


def unpack_halves(packed: np.ndarray) -> np.ndarray:
    """Reverse `pack_halves`."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1).astype(np.int8) - 8


def _quantize_table(model: Any, frequent: np.ndarray) -> None:
    """Quantize the token table to 4 bits; a second table contains the rounding errors of frequent tokens, in 4 bits.

    A word's vector is the sum of a row of each table; infrequent tokens share a row of zeros.
    """
    from onnx import helper, numpy_helper

    weights = next(tensor for tensor in model.graph.initializer if tensor.name == WORD_TABLE)
    table = numpy_helper.to_array(weights)
    model.graph.initializer.remove(weights)
    index, gather = next((index, node) for index, node in enumerate(model.graph.node) if WORD_TABLE in node.input)
    model.graph.node.remove(gather)
    rounded = _add_table(model, WORD_TABLE, table)
    residuals = np.zeros((len(frequent) + 1, table.shape[1]), np.float32)
    residuals[:-1] = (table - rounded)[frequent]
    _add_table(model, RESIDUAL_TABLE, residuals)
    rows = np.full(len(table), len(frequent), np.int32)
    rows[frequent] = np.arange(len(frequent))
    model.graph.initializer.append(numpy_helper.from_array(rows, RESIDUAL_ROWS))
    ids = gather.input[1]
    for node in (
        _lookup(model, WORD_TABLE, ids, "rounded_words"),
        helper.make_node("Gather", [RESIDUAL_ROWS, ids], ["word_rows"], name="word_rows"),
        _lookup(model, RESIDUAL_TABLE, "word_rows", "word_residuals"),
        helper.make_node("Add", ["rounded_words", "word_residuals"], [WORDS], name=WORDS),
    ):
        model.graph.node.insert(index, node)
        index += 1


def _add_table(model: Any, name: str, table: np.ndarray) -> np.ndarray:
    """Add a table in int4 and its scales; return the table after rounding."""
    from onnx import TensorProto, helper, numpy_helper

    codes, scales = round_blocks(table, 4)
    packed = ((codes[:, 1::2] & 15) << 4 | codes[:, ::2] & 15).astype(np.uint8)
    model.graph.initializer.extend(
        [
            helper.make_tensor(name, TensorProto.INT4, codes.shape, packed.tobytes(), raw=True),
            numpy_helper.from_array(scales, f"{name}_scales"),
        ]
    )
    return restore(codes, scales)


def _lookup(model: Any, table: str, rows: str, output: str) -> Any:
    from onnx import helper

    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    return helper.make_node(
        "GatherBlockQuantized",
        [table, rows, f"{table}_scales"],
        [output],
        name=output,
        domain=CONTRIBUTED,
        gather_axis=0,
        quantize_axis=1,
        block_size=shapes[table][1] // shapes[f"{table}_scales"][1],
    )


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
