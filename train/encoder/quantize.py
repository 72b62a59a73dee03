"""Quantize an encoder's graph to int8 with onnxruntime, and its token table and some matmuls to int4.

Scales of activations are calibrated on training texts (static quantization). With dynamic quantization, they would
depend on the batch: the other texts of a batch would change a probability by up to 0.16.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.encoder.graph import CONTRIBUTED
from train.quantization.int4 import MATMUL_BLOCK, TABLE_BLOCK, int4_blocks

TABLE = "word_table"
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


class _Batches:
    """Calibration data reader of onnxruntime."""

    def __init__(self, batches: Sequence[np.ndarray]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"input_ids": batch}
