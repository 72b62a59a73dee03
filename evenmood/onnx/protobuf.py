"""Protobuf's wire format, as far as ONNX files need it: https://protobuf.dev/programming-guides/encoding/."""

from collections.abc import Iterator

from evenmood.errors import ModelError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""
Field = tuple[int, int, int]
"""Wire type, and begin and end of the value; of a varint twice its value."""
MOST_FIELDS = 1000
"""Fields of a message that is kept in memory: an export has fewer than a hundred operators, weights and constants."""


def damaged() -> ModelError:
    """The error for bytes that are no protobuf message."""
    return ModelError("damaged or not an ONNX model")


def not_ours(reason: str) -> ModelError:
    """The error for a model that another program wrote."""
    return ModelError(f"not exported by evenmood: {reason}; export the model again")


def fields(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Field number, wire type, and begin and end of the value of each field of a message; of a varint its value."""
    while at < end:
        tag, at = _varint(content, at, end)
        tag &= 0xFFFFFFFF  # as protobuf reads it, which drops further bits
        field, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(content, at, end)
            yield field, kind, value, value
            continue
        if kind == BYTES:
            size, at = _varint(content, at, end)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:  # groups, which ONNX never had
            raise damaged()
        if at + size > end:
            raise damaged()
        yield field, kind, at, at + size
        at += size


class Message:
    """A message with no other fields than those expected, none of them of another type than expected."""

    def __init__(self, content: bytes, begin: int, end: int, name: str, expected: dict[int, int]) -> None:
        """Read the fields of a message.

        Args:
            content: The file.
            begin: Where the message begins.
            end: Where it ends.
            name: Name of the message, for errors.
            expected: Wire type of each field that it may have.

        Raises:
            ModelError: The message has another field, more fields than any of ours, or is damaged.
        """
        self._content, self._name = content, name
        self._found: dict[int, list[Field]] = {}
        for count, (field, kind, start, stop) in enumerate(fields(content, begin, end)):
            if expected.get(field) != kind:
                raise not_ours(f"unexpected field {field} in {name}")
            if count == MOST_FIELDS:
                raise not_ours(f"more than {MOST_FIELDS} entries in {name}")
            self._found.setdefault(field, []).append((kind, start, stop))

    def places(self, field: int) -> list[tuple[int, int]]:
        """Begin and end of each value of a repeated field of strings or messages."""
        return [(start, stop) for _, start, stop in self._found.get(field, [])]

    def place(self, field: int) -> tuple[int, int]:
        """Begin and end of the value of a field; the empty place where it is absent."""
        found = self.places(field)
        if len(found) > 1:  # protobuf takes the last one, or merges them
            raise not_ours(f"field {field} appears twice in {self._name}")
        return found[0] if found else (0, 0)

    def has(self, field: int) -> bool:
        """Whether the field is there."""
        return field in self._found

    def text(self, field: int) -> str:
        """A string; empty where it is absent."""
        return self._decoded(self.place(field))

    def texts(self, field: int) -> list[str]:
        """A repeated string."""
        return list(map(self._decoded, self.places(field)))

    def integer(self, field: int) -> int:
        """An int64; 0 where it is absent."""
        return _signed(self.place(field)[0])

    def integers(self, field: int) -> tuple[int, ...]:
        """A repeated int64, not packed."""
        return tuple(_signed(value) for value, _ in self.places(field))

    def _decoded(self, place: tuple[int, int]) -> str:
        return self._content[slice(*place)].decode("utf-8", "replace")


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise damaged()
