"""Validate that a model file contains exactly the exported graph, including all shapes, before running it."""

import numpy as np

from evenmood.onnx.network_graph import IR_VERSION, OPSET, Sizes, Tensor, network_graph
from evenmood.onnx.onnx_files import OnnxFile
from evenmood.onnx.protobuf import unsupported_model_error

MAX_KERNEL_SIZE = 99


def check_graph(file: OnnxFile) -> Sizes:
    """Validate the graph and return the sizes of the network.

    Raises:
        ModelError: An operator, constant, weight, input or output differs from the exported graph.
    """
    if file.versions != (IR_VERSION, OPSET):
        raise unsupported_model_error(
            f"IR version and operator set are {file.versions}; expected {(IR_VERSION, OPSET)}"
        )
    sizes = _sizes(file)
    expected = network_graph(sizes)
    for index, (node, expected_node) in enumerate(zip(file.nodes, expected.nodes, strict=False)):
        if node != expected_node:
            raise unsupported_model_error(
                f"operator {index} is {node.operator!r:.40} or has other inputs, outputs or attributes than the "
                f"expected {expected_node.operator}"
            )
    if len(file.nodes) != len(expected.nodes):
        raise unsupported_model_error(f"the graph has {len(file.nodes)} operators; expected {len(expected.nodes)}")
    if (file.inputs, file.outputs) != (expected.inputs, expected.outputs):
        raise unsupported_model_error("inputs or outputs have unexpected names, types or shapes")
    for name, tensor in file.tensors.items():
        expected_tensor = expected.tensors.get(name)
        if expected_tensor is None:
            raise unsupported_model_error(f"unexpected weight {name!r:.40}")
        if tensor[:2] != expected_tensor[:2]:
            raise unsupported_model_error(f"weight {name} is {_shown(tensor)}; expected {_shown(expected_tensor)}")
        if expected_tensor.content is not None and tensor.content != expected_tensor.content:
            raise unsupported_model_error(f"constant {name} has an unexpected value")
    missing = [name for name in expected.tensors if name not in file.tensors]
    if missing:
        raise unsupported_model_error(f"weight {missing[0]} is missing")
    return sizes


def _sizes(file: OnnxFile) -> Sizes:
    """Derive the sizes from the shapes of the weights; `check_graph` validates the shapes."""

    def shape(name: str, axes: int) -> tuple[int, ...]:
        tensor = file.tensors.get(name)
        if tensor is None or len(tensor.shape) != axes or not all(tensor.shape):
            raise unsupported_model_error(f"weight {name} is {'missing' if tensor is None else _shown(tensor)}")
        return tensor.shape

    rows, columns = shape("table", 2)
    _, _, filters = shape("lstm_w", 3)
    folded = "conv_w" not in file.tensors
    width = columns // filters if folded else shape("conv_w", 3)[2]
    if not 1 <= width <= MAX_KERNEL_SIZE:
        raise unsupported_model_error(f"convolution over {width} words; expected 1 to {MAX_KERNEL_SIZE}")
    return Sizes(
        vocabulary=rows,
        width=width,
        filters=filters,
        units=shape("lstm_r", 3)[2],
        dense=shape("dense_w", 2)[1],
        labels=shape("logits_w", 2)[1],
        embedding=0 if folded else columns,
        attention=shape("attention_w", 2)[1] if "attention_w" in file.tensors else 0,
        bits={np.dtype(np.int8): 8, np.dtype(np.float16): 16}.get(file.tensors["table"].dtype, 32),
        has_negative_scale="norm_sign" in file.tensors,
    )


def _shown(tensor: Tensor) -> str:
    return f"{tensor.dtype.name}[{', '.join(map(str, tensor.shape))}]"[:60]
