"""Quantize an encoder's graph to int8 with onnxruntime, and its token table and some matmuls to int4.

Scales of activations are calibrated on training texts (static quantization). With dynamic quantization, they would
depend on the batch: the other texts of a batch would change a probability by up to 0.16.
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.encoder.graph import CONTRIBUTED

TABLE = "word_table"
TABLE_BLOCK = 128
"""Block size of a token's vector: weights that share a scale."""
MATMUL_BLOCK = 32
"""Block size of a column of a matmul."""
SCALE_FACTORS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65)
"""Scales to try, relative to the smallest scale that clips no weight."""
BATCH_TEXTS = 16


def quantize(model: Any, batches: Sequence[np.ndarray], int4: Sequence[str] = ()) -> Any:
    """Quantize matmuls statically to int8, and the token table to int4.

    Args:
        model: The `onnx.ModelProto` of `encoder_graph`.
        batches: Token ids of calibration texts: int32 of shape (texts, time) each.
        int4: Names of the matmuls to quantize to int4 weights, with float32 activations.

    Returns:
        The quantized `onnx.ModelProto`.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as temporary:
        source, target = Path(temporary) / "float.onnx", Path(temporary) / "int8.onnx"
        onnx.save(model, source)
        quantize_static(
            source,
            target,
            _Batches(batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(int4),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "OpTypesToExcludeOutputQuantization": ["MatMul"],
                "DefaultTensorType": onnx.TensorProto.FLOAT,  # output type of MultiHeadAttention
                "MatMulConstBOnly": True,
            },
        )
        model = onnx.load(target)
    for tensor in model.graph.initializer:
        # Convert one-element vectors to scalars: operator set 21 treats vectors as one scale per row.
        if tensor.name.endswith(("_scale", "_zero_point")) and list(tensor.dims) == [1]:
            del tensor.dims[:]
    for name in int4:
        quantize_matmul(model, name)
    return _quantize_table(model)


def _quantize_table(model: Any) -> Any:
    """Quantize the token table to int4, with a scale per block of a token's vector."""
    from onnx import TensorProto, helper, numpy_helper

    table = next(tensor for tensor in model.graph.initializer if tensor.name == TABLE)
    codes, scales = int4_blocks(numpy_helper.to_array(table), TABLE_BLOCK)
    packed = ((codes[:, 1::2] & 15) << 4 | codes[:, ::2] & 15).astype(np.uint8)
    model.graph.initializer.remove(table)
    model.graph.initializer.extend(
        [
            helper.make_tensor(TABLE, TensorProto.INT4, codes.shape, packed.tobytes(), raw=True),
            numpy_helper.from_array(scales, f"{TABLE}_scales"),
        ]
    )
    index, gather = next((index, node) for index, node in enumerate(model.graph.node) if TABLE in node.input)
    lookup = helper.make_node(
        "GatherBlockQuantized",
        [TABLE, gather.input[1], f"{TABLE}_scales"],
        gather.output,
        name=gather.name,
        domain=CONTRIBUTED,
        gather_axis=0,
        quantize_axis=1,
        block_size=codes.shape[1] // scales.shape[1],
    )
    model.graph.node.remove(gather)
    model.graph.node.insert(index, lookup)
    return model


def quantize_matmul(model: Any, name: str) -> None:
    """Quantize the weights of a matmul to int4, in the layout of MatMulNBits: unsigned codes, columns first."""
    from onnx import helper, numpy_helper

    index, matmul = next((index, node) for index, node in enumerate(model.graph.node) if node.name == name)
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == matmul.input[1])
    columns = numpy_helper.to_array(weights).T
    codes, scales = int4_blocks(columns, MATMUL_BLOCK)
    shifted = (codes + 8).astype(np.uint8)
    packed = (shifted[:, 1::2] << 4 | shifted[:, ::2]).reshape(*scales.shape, -1)
    model.graph.initializer.remove(weights)
    for suffix, value in (("", packed), ("_scales", scales)):
        model.graph.initializer.append(numpy_helper.from_array(value, f"{weights.name}{suffix}"))
    node = helper.make_node(
        "MatMulNBits",
        [matmul.input[0], weights.name, f"{weights.name}_scales"],
        matmul.output,
        name=name,
        domain=CONTRIBUTED,
        K=columns.shape[1],
        N=columns.shape[0],
        bits=4,
        block_size=columns.shape[1] // scales.shape[1],
    )
    model.graph.node.remove(matmul)
    model.graph.node.insert(index, node)


def int4_blocks(table: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Quantize rows to integers from -8 to 7 with a scale per block that minimizes the squared error.

    The largest weight of a block is often an outlier: clipping it then costs less than a coarse scale.

    Args:
        table: float32 of shape (rows, size).
        block: Maximum block size; reduced to a divisor of `size`.

    Returns:
        int8 of shape (rows, size), and float32 of shape (rows, blocks).
    """
    blocks = table.reshape(len(table), -1, math.gcd(table.shape[1], block))
    largest = np.maximum(np.abs(blocks).max(axis=-1, keepdims=True), 1e-8) / 7.5
    best_error = np.full(largest.shape, np.inf)
    codes, scales = np.zeros(blocks.shape, np.int8), np.ones(largest.shape, np.float32)
    for factor in SCALE_FACTORS:
        scale = largest * factor
        candidates = np.clip(np.round(blocks / scale), -8, 7)
        error = ((candidates * scale - blocks) ** 2).sum(axis=-1, keepdims=True)
        better = error < best_error
        best_error = np.where(better, error, best_error)
        codes, scales = np.where(better, candidates, codes).astype(np.int8), np.where(better, scale, scales)
    return codes.reshape(table.shape), scales[..., 0].astype(np.float32)


class _Batches:
    """Calibration data reader of onnxruntime."""

    def __init__(self, batches: Sequence[np.ndarray]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"input_ids": batch}
