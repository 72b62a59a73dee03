"""Check that an ONNX file is self-contained, without the onnx package.

onnxruntime resolves a tensor with `data_location=EXTERNAL` against the working directory when a model is loaded from
bytes, and against the model's folder otherwise: such a tensor reads any file of the machine into the model's outputs.
Its file format is protobuf's: https://protobuf.dev/programming-guides/encoding/ and
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from collections.abc import Iterator

from evenmood.errors import ModelError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DATA_LOCATION, _EXTERNAL_DATA = 14, 13
"""Fields of TensorProto."""
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
"""By message, the fields that hold, or may hold, a tensor."""
_ORT_FORMAT = b"ORTM"
"""Stands at byte 4 of onnxruntime's own format, which has external data too."""


def check_self_contained(content: bytes) -> None:
    """Refuse a model any tensor of which lies in another file: initializers, attributes, subgraphs, functions.

    Raises:
        ModelError: There is such a tensor, or the content is not an ONNX model.
    """
    if content[4:8] == _ORT_FORMAT:
        raise ModelError("onnxruntime's own format; expected ONNX")
    waiting = [("model", 0, len(content))]
    while waiting:  # no recursion: a hostile file may nest as deep as it likes
        message, start, end = waiting.pop()
        inside = _FIELDS[message]
        for field, kind, begin, stop in _fields(content, start, end):
            if message == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and begin)):
                raise ModelError("external tensor data is not supported; re-export the model with all weights embedded")
            if kind == _BYTES and field in inside:
                waiting.append((inside[field], begin, stop))


def _fields(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Field number, wire type, and begin and end of the value of each field of a message; of a varint its value."""
    while at < end:
        tag, at = _varint(content, at, end)
        tag &= 0xFFFFFFFF  # as protobuf reads it, which drops further bits
        field, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(content, at, end)
            yield field, kind, value, value
            continue
        if kind == _BYTES:
            size, at = _varint(content, at, end)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:  # groups, which ONNX never had
            raise ModelError("damaged or not an ONNX model")
        if at + size > end:
            raise ModelError("damaged or not an ONNX model")
        yield field, kind, at, at + size
        at += size


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ModelError("damaged or not an ONNX model")
