"""The part of protobuf's wire format that ONNX files use: https://protobuf.dev/programming-guides/encoding/."""

from collections.abc import Iterator

from evenmood.errors import ModelError

VARINT = 0
"""Wire type of a variable-length integer."""
FIXED64 = 1
"""Wire type of 8 bytes."""
BYTES = 2
"""Wire type of a length-prefixed byte string."""
FIXED32 = 5
"""Wire type of 4 bytes."""
Field = tuple[int, int, int]
"""Wire type, and start and end of the value; for a varint, its value twice."""
MAX_FIELDS = 1000
"""Maximum number of fields per message; an export has fewer than a hundred operators, weights and constants."""


def corrupt_file_error() -> ModelError:
    """Return an error for an invalid protobuf message."""
    return ModelError("corrupt or not an ONNX model")


def unsupported_model_error(reason: str) -> ModelError:
    """Return an error for a model that evenmood did not export."""
    return ModelError(f"not exported by evenmood: {reason}; export the model again")


def fields(content: bytes, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, wire type, and start and end of the value of each field; for a varint, its value twice."""
    while position < end:
        tag, position = _varint(content, position, end)
        tag &= 0xFFFFFFFF  # like protobuf, which ignores higher bits
        field, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, position = _varint(content, position, end)
            yield field, kind, value, value
            continue
        if kind == BYTES:
            size, position = _varint(content, position, end)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:  # groups, which ONNX has never used
            raise corrupt_file_error()
        if position + size > end:
            raise corrupt_file_error()
        yield field, kind, position, position + size
        position += size


class Message:
    """A message with only expected fields of the expected types."""

    def __init__(self, content: bytes, begin: int, end: int, name: str, expected: dict[int, int]) -> None:
        """Parse the fields of a message.

        Args:
            content: The file.
            begin: Start of the message.
            end: End of the message.
            name: Name of the message, for error messages.
            expected: Wire type of each allowed field.

        Raises:
            ModelError: The message has an unexpected field or too many fields, or is corrupt.
        """
        self._content, self._name = content, name
        self._fields: dict[int, list[Field]] = {}
        for count, (field, kind, start, stop) in enumerate(fields(content, begin, end)):
            if expected.get(field) != kind:
                raise unsupported_model_error(f"unexpected field {field} in {name}")
            if count == MAX_FIELDS:
                raise unsupported_model_error(f"more than {MAX_FIELDS} fields in {name}")
            self._fields.setdefault(field, []).append((kind, start, stop))

    def spans(self, field: int) -> list[tuple[int, int]]:
        """Return the start and end of each value of a repeated field of strings or messages."""
        return [(start, stop) for _, start, stop in self._fields.get(field, [])]

    def span(self, field: int) -> tuple[int, int]:
        """Return the start and end of the value of a field; an empty span if it is missing."""
        spans = self.spans(field)
        if len(spans) > 1:  # protobuf would use the last one, or merge them
            raise unsupported_model_error(f"field {field} appears twice in {self._name}")
        return spans[0] if spans else (0, 0)

    def has(self, field: int) -> bool:
        """Return whether the field exists."""
        return field in self._fields

    def text(self, field: int) -> str:
        """Return the string value; empty if missing."""
        return self._decode(self.span(field))

    def texts(self, field: int) -> list[str]:
        """Return the repeated string."""
        return list(map(self._decode, self.spans(field)))

    def integer(self, field: int) -> int:
        """Return the int64 value; 0 if missing."""
        return _to_signed(self.span(field)[0])

    def integers(self, field: int) -> tuple[int, ...]:
        """Return the repeated int64, not packed."""
        return tuple(_to_signed(value) for value, _ in self.spans(field))

    def _decode(self, span: tuple[int, int]) -> str:
        return self._content[slice(*span)].decode("utf-8", "replace")


def _to_signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _varint(content: bytes, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
    raise corrupt_file_error()
