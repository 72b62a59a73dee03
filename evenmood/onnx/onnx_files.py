"""Parse ONNX files without the onnx package, and reject external tensor data.

onnxruntime resolves a tensor with `data_location=EXTERNAL` relative to the working directory if a model is loaded from
bytes, otherwise relative to the model's folder: such a tensor can leak any file of the machine into the model's output.
Messages and fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

import math
from dataclasses import dataclass

import numpy as np

from evenmood.errors import ModelError
from evenmood.onnx.network_graph import Node, Tensor, Value
from evenmood.onnx.protobuf import BYTES, VARINT, Message, corrupt_file_error, fields, unsupported_model_error

_EXTERNAL_DATA = 13
"""Field `external_data` of TensorProto."""
_DATA_LOCATION = 14
"""Field `data_location` of TensorProto."""
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse_tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse_tensor", 23: "sparse_tensor"},
    "sparse_tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Fields of each message that may contain a tensor."""
MAX_FIELDS = 2_000_000
"""Maximum number of fields to check; a transformer of several hundred megabytes has about ten thousand."""
_ORT_FORMAT = b"ORTM"
"""Magic bytes, at offset 4, of onnxruntime's ORT format, which also supports external data."""


def check_self_contained(content: bytes) -> None:
    """Reject a model with external tensors in initializers, attributes, subgraphs or functions.

    Raises:
        ModelError: The model has an external tensor, or is not an ONNX model.
    """
    if content[4:8] == _ORT_FORMAT:
        raise ModelError("the model is in ORT format; expected ONNX")
    pending, count = [("model", 0, len(content))], 0
    while pending:  # no recursion: a malicious file may be nested to any depth
        message, start, end = pending.pop()
        nested = _FIELDS[message]
        for field, kind, begin, stop in fields(content, start, end):
            count += 1
            if count > MAX_FIELDS:
                raise ModelError(f"the model has more than {MAX_FIELDS:,} fields")
            if message == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and begin)):
                raise ModelError("external tensor data is not supported; re-export the model with all weights embedded")
            if kind == BYTES and field in nested:
                pending.append((nested[field], begin, stop))


@dataclass(frozen=True)
class OnnxFile:
    """Content of an ONNX file with plain operators and weights.

    Attributes:
        versions: IR version and operator set.
        nodes: Operators in order.
        tensors: Weights and constants by name.
        inputs: Inputs in order.
        outputs: Outputs in order.
        metadata: Metadata properties.
    """

    versions: tuple[int, int]
    nodes: list[Node]
    tensors: dict[str, Tensor]
    inputs: list[Value]
    outputs: list[Value]
    metadata: dict[str, str]


_MODEL = {1: VARINT, 5: VARINT} | dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), BYTES)
"""All fields of ModelProto."""
_INT = 2
"""Attribute type INT."""
_STRING = 3
"""Attribute type STRING."""
_INTS = 7
"""Attribute type INTS."""
_DTYPES = {1: np.float32, 3: np.int8, 6: np.int32, 7: np.int64, 10: np.float16}
"""Types of tensors."""


def read_onnx(content: bytes) -> OnnxFile:
    """Parse operators, weights and interface, without copying the values of weights.

    Raises:
        ModelError: The file is corrupt, or has unsupported elements: functions, subgraphs, sparse tensors, or weights
            whose size does not match their shape.
    """
    if any(_MODEL.get(field) != kind for field, kind, _, _ in fields(content, 0, len(content))):
        raise corrupt_file_error()
    model = Message(content, 0, len(content), "the model", {field: _MODEL[field] for field in (*range(1, 9), 14)})
    if not model.has(7):
        raise corrupt_file_error()
    graph = Message(content, *model.span(7), "the graph", dict.fromkeys((1, 2, 5, 10, 11, 12), BYTES))
    tensors = [_tensor(content, *span) for span in graph.spans(5)]
    if len(dict(tensors)) < len(tensors):
        raise unsupported_model_error("two weights have the same name")
    operators = Message(content, *model.span(8), "the operator set", {1: BYTES, 2: VARINT})
    if operators.text(1):
        raise unsupported_model_error(f"unknown operator set {operators.text(1)!r:.40}")
    metadata = [Message(content, *span, "metadata", {1: BYTES, 2: BYTES}) for span in model.spans(14)]
    return OnnxFile(
        versions=(model.integer(1), operators.integer(2)),
        nodes=[_node(content, *span) for span in graph.spans(1)],
        tensors=dict(tensors),
        inputs=[_value(content, *span) for span in graph.spans(11)],
        outputs=[_value(content, *span) for span in graph.spans(12)],
        metadata={entry.text(1): entry.text(2) for entry in metadata},
    )


def _node(content: bytes, begin: int, end: int) -> Node:
    node = Message(content, begin, end, "an operator", dict.fromkeys((1, 2, 3, 4, 5, 6, 7), BYTES))
    if node.text(7):
        raise unsupported_model_error(f"operator in an unknown domain {node.text(7)!r:.40}")
    attributes = dict(_attribute(content, *span) for span in node.spans(5))
    return Node(node.text(4), tuple(node.texts(1)), tuple(node.texts(2)), attributes)


def _attribute(content: bytes, begin: int, end: int) -> tuple[str, int | str | tuple[int, ...]]:
    kinds = {1: BYTES, 3: VARINT, 4: BYTES, 8: VARINT, 13: BYTES, 20: VARINT}
    attribute = Message(content, begin, end, "an attribute", kinds)
    kind = attribute.integer(20)
    if kind == _INT:
        return attribute.text(1), attribute.integer(3)
    if kind == _STRING:
        return attribute.text(1), attribute.text(4)
    if kind == _INTS:
        return attribute.text(1), attribute.integers(8)
    raise unsupported_model_error(f"attribute of type {kind}")


def _tensor(content: bytes, begin: int, end: int) -> tuple[str, Tensor]:
    kinds = {1: VARINT, 2: VARINT, 8: BYTES, 9: BYTES, 12: BYTES}
    tensor = Message(content, begin, end, "a weight", kinds)
    name, shape, dtype = tensor.text(8), tensor.integers(1), _DTYPES.get(tensor.integer(2))
    start, stop = tensor.span(9)
    if dtype is None or min(shape, default=0) < 0 or math.prod(shape) * np.dtype(dtype).itemsize != stop - start:
        raise unsupported_model_error(
            f"weight {name!r:.40} has {stop - start} bytes, which do not match its type and shape"
        )
    return name, Tensor(np.dtype(dtype), shape, content[start:stop] if stop - start <= 64 else None)


def _value(content: bytes, begin: int, end: int) -> Value:
    value = Message(content, begin, end, "an input or output", {1: BYTES, 2: BYTES, 3: BYTES})
    kind = Message(content, *value.span(2), "a type", {1: BYTES, 6: BYTES})
    tensor = Message(content, *kind.span(1), "a tensor's type", {1: VARINT, 2: BYTES})
    shape = Message(content, *tensor.span(2), "a shape", {1: BYTES})
    axes = [Message(content, *span, "an axis", {1: VARINT, 2: BYTES, 3: BYTES}) for span in shape.spans(1)]
    dtype = _DTYPES.get(tensor.integer(1))
    return Value(
        value.text(1),
        None if dtype is None else np.dtype(dtype),
        tuple(axis.integer(1) if axis.has(1) else axis.text(2) for axis in axes),
    )
