"""Detect encoding, delimiter and line ends of text tables."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import BinaryIO, cast

from evenmood.errors import DataError, UsageError

DELIMITERS = ",;\t|"
"""Delimiters to detect, in order of preference."""
HEAD_BYTES = 65_536
"""Bytes to read ahead from a stream that is not seekable."""
BLOCK_BYTES = 1_000_000
"""Bytes per block in the search for the first non-ASCII block of a file."""
HEAD_ROWS = 50
"""Number of rows to detect the delimiter from."""
SINGLE_BYTE = "cp1252"
"""Assumed encoding of text that is not Unicode: that of Excel in Western Europe and America."""
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is a prefix of it
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NAMES = {"utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", SINGLE_BYTE: "Windows-1252"}
_DELIMITER_NAMES = {"\t": "tab", ";": "semicolon", ",": "comma", "|": "vertical bar"}
_SEP_LINE = re.compile(r'"?sep=(.)"?(\r\n|\r|\n)', re.IGNORECASE)
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_UNICODE = re.compile("[^\x00-\x7f\udc80-\udcff]|\udcf0\udc9f")  # or the first half of a truncated emoji


@dataclass(frozen=True)
class TextFormat:
    """Encoding and layout of a text table.

    Attributes:
        encoding: Python codec of the text after the byte order mark.
        mark: Whether the file begins with a byte order mark.
        delimiter: Delimiter between cells.
        quotes: Whether cells may be quoted.
        line_end: Line end of the first line.
        sep_line: Whether a line `sep=` with the delimiter, as Excel reads it, precedes the header.
    """

    encoding: str = "utf-8"
    mark: bool = False
    delimiter: str = ","
    quotes: bool = True
    line_end: str = "\n"
    sep_line: bool = False

    @property
    def encoding_name(self) -> str:
        """Common name of the encoding."""
        return _NAMES.get(self.encoding, self.encoding)

    @property
    def byte_order_mark(self) -> bytes:
        """Byte order mark; empty if the file has none."""
        return next(mark for mark, name in BYTE_ORDER_MARKS if name == self.encoding) if self.mark else b""

    def describe(self, kind: str) -> str:
        """Describe deviations from UTF-8 with commas (tabs in TSV) and LF or CR LF; empty without any."""
        parts = [] if self.encoding == "utf-8" else [self.encoding_name]
        if self.delimiter != ("\t" if kind == "tsv" else ",") and kind in ("csv", "tsv"):
            parts.append(f"{_DELIMITER_NAMES.get(self.delimiter, repr(self.delimiter))} as delimiter")
        if self.line_end == "\r":
            parts.append("CR line ends")
        return ", ".join(parts)


def check_delimiter(value: str | None, flag: str) -> str | None:
    r"""Validate a delimiter from the command line: a character, `tab` or `\t`; None stays None.

    Raises:
        UsageError: The value cannot be a delimiter; the message names the option `flag`.
    """
    if value is None:
        return None
    value = {"\\t": "\t", "tab": "\t"}.get(value.lower(), value)
    if len(value) != 1 or value in '"\r\n\0' or value.isalnum() or not value.isascii():
        raise UsageError(f"{flag} {value!r}: expected one character, such as ';', or 'tab'")
    return value


def check_encoding(name: str | None, flag: str) -> str | None:
    """Normalize the name of an encoding; None stays None.

    Raises:
        UsageError: The encoding is unknown; the message names the option `flag`.
    """
    if name is None:
        return None
    try:
        "a,\n".encode(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError):  # not a text encoding, or a name with NUL
        raise UsageError(
            f"{flag} {name!r:.60}: unknown encoding; expected one such as utf-8, utf-16 or windows-1252"
        ) from None


def override_format(text_format: TextFormat, kind: str, encoding: str | None, delimiter: str | None) -> TextFormat:
    """Replace encoding and delimiter of a text format; None keeps its own."""
    if encoding is not None:
        marked = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
        text_format = replace(text_format, encoding=marked.get(encoding, encoding), mark=encoding in marked)
    if delimiter is not None and kind == "csv":
        text_format = replace(text_format, delimiter=delimiter, quotes=True)
    return text_format


def detect_format(
    file: BinaryIO, name: str, kind: str, encoding: str | None, delimiter: str | None, columns: Sequence[str]
) -> tuple[TextFormat, BinaryIO]:
    """Detect the text format of a table.

    Args:
        file: File open for reading, at its beginning.
        name: File name, for error messages.
        kind: `csv`, `tsv`, `jsonl` or `txt`.
        encoding: Python codec; None to detect UTF-8, UTF-16 and Windows-1252.
        delimiter: Delimiter of a CSV file; None to detect it.
        columns: Likely column names, to detect the delimiter.

    Returns:
        The format, and the file positioned after the byte order mark and the `sep=` line.

    Raises:
        DataError: The encoding is not supported.
    """
    seekable = file.seekable()
    start = file.tell() if seekable else 0
    head = _head(file, BLOCK_BYTES if seekable else HEAD_BYTES)
    text_format, skipped = _encoding(head, encoding, name)
    if encoding is None and text_format.encoding == "utf-8" and not text_format.mark:
        text_format = replace(text_format, encoding=_byte_encoding(head, file if seekable else None))
    text = codecs.getincrementaldecoder(text_format.encoding)("replace").decode(head[skipped:])
    text_format, characters = _layout(text_format, text, kind, delimiter, columns)
    skipped += len(text[:characters].encode(text_format.encoding))
    if seekable:
        file.seek(start + skipped)
        return text_format, file
    return text_format, cast(BinaryIO, io.BufferedReader(_Joined(head[skipped:], file), HEAD_BYTES))


class _Joined(io.RawIOBase):
    """Bytes that were read ahead, followed by the rest of the stream."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head, self._stream = memoryview(head), stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._head:
            read = getattr(self._stream, "readinto1", None) or self._stream.readinto  # type: ignore[attr-defined]
            return int(read(buffer))
        count = min(len(buffer), len(self._head))
        buffer[:count] = self._head[:count]
        self._head = self._head[count:]
        return count


def _head(file: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, or up to the end of the file."""
    parts = []
    while size and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _encoding(head: bytes, requested: str | None, name: str) -> tuple[TextFormat, int]:
    """Detect the encoding by its byte order mark or by UTF-16's zero bytes; return the length of the mark too."""
    family = (requested or "").replace("-sig", "")
    for mark, encoding in BYTE_ORDER_MARKS:
        if head.startswith(mark) and (requested is None or encoding.startswith(family)):
            if requested is None and encoding.startswith("utf-32"):
                raise DataError(f"{name}: the encoding is UTF-32; expected UTF-8 or Windows-1252; save it as UTF-8")
            return TextFormat(encoding, mark=True), len(mark)
    if requested is not None:
        return TextFormat(
            {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(requested, requested)
        ), 0
    pairs = len(head) // 2
    zeros = [head[offset : pairs * 2 : 2].count(0) for offset in (0, 1)]
    for encoding, (low_count, high_count) in (("utf-16-le", zeros), ("utf-16-be", zeros[::-1])):
        if pairs and high_count > 0.6 * pairs and low_count < 0.1 * pairs:
            return TextFormat(encoding), 0
    return TextFormat(), 0


def _byte_encoding(head: bytes, file: BinaryIO | None) -> str:
    """Choose UTF-8 or Windows-1252 by the first block that is not ASCII; UTF-8 may have a few invalid bytes."""
    block = head
    while block.isascii():
        block = file.read(BLOCK_BYTES) if file else b""
        if not block:
            return "utf-8"
    complete = len(block) < (BLOCK_BYTES if file else HEAD_BYTES)  # otherwise it may end within a character
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(block, final=complete)
    if len(_NOT_UTF8.findall(text)) <= 3 * len(_UNICODE.findall(text)):
        return "utf-8"
    try:
        block.decode(SINGLE_BYTE)
    except UnicodeDecodeError:  # bytes that Windows-1252 does not define
        return "utf-8"
    return SINGLE_BYTE


def _layout(
    text_format: TextFormat, text: str, kind: str, delimiter: str | None, columns: Sequence[str]
) -> tuple[TextFormat, int]:
    """Detect delimiter, quotes and line ends from the first rows; return the length of a `sep=` line too."""
    sep = _SEP_LINE.match(text) if kind == "csv" else None
    skipped = sep.end() if sep else 0
    end = re.search(r"\r\n|\r|\n", text)
    text_format = replace(text_format, line_end=end[0] if end else "\n", sep_line=bool(sep))
    if kind == "tsv":
        return replace(text_format, delimiter="\t", quotes=False), 0
    if kind != "csv":
        return replace(text_format, line_end="\r" if "\r" in text and "\n" not in text else "\n"), 0
    if delimiter is None:
        delimiter = sep[1] if sep else _delimiter(text, columns)
        if delimiter == "\t":  # most programs do not quote tab-separated cells; Excel does
            rows = _rows(text[skipped:], delimiter)
            quoted = re.search(r'(?:^|[\t\r\n])"', text) and len({len(row) for row in rows}) == 1
            return replace(text_format, delimiter=delimiter, quotes=bool(quoted)), skipped
    return replace(text_format, delimiter=delimiter), skipped


def _delimiter(text: str, columns: Sequence[str]) -> str:
    """Choose the delimiter by expected column names, then by rows of equal length, then by the number of cells."""
    expected = {column.casefold() for column in columns}

    def fits(mark: str) -> tuple[bool, bool, float, int]:
        rows = _rows(text, mark) or [[]]
        width = len(rows[0])
        share = sum(len(row) == width for row in rows) / len(rows)
        return any(cell.strip().casefold() in expected for cell in rows[0]), width > 1, share, width

    return max(DELIMITERS, key=fits)


def _rows(text: str, delimiter: str) -> list[list[str]]:
    """Parse the first rows, without a last one that may be incomplete."""
    rows: list[list[str]] = []
    try:
        rows.extend(filter(None, islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), HEAD_ROWS)))
    except csv.Error:
        return rows
    return rows[:-1] if 1 < len(rows) < HEAD_ROWS and not text.endswith(("\n", "\r")) else rows


def decode_lines(file: BinaryIO, text_format: TextFormat, any_line_end: bool) -> io.TextIOWrapper:
    """Decode the lines of a file; invalid bytes become lone surrogates (see `broken_byte`).

    Args:
        file: The file; it stays open if the wrapper is detached.
        text_format: Encoding, and the line end (CR or LF) if `any_line_end` is false.
        any_line_end: Whether CR, LF and CR LF all end a line.
    """
    newline = "" if any_line_end else "\r" if text_format.line_end == "\r" else "\n"
    return io.TextIOWrapper(file, text_format.encoding, _errors(text_format), newline)


def broken_byte(line: str, text_format: TextFormat) -> int | None:
    """Return the index of the first invalid byte of a line; None if all are valid."""
    if line.isascii():
        return None
    try:
        line.encode("utf-8")
    except UnicodeEncodeError as error:
        return len(line[: error.start].encode(text_format.encoding, _errors(text_format)))
    return None


def _errors(text_format: TextFormat) -> str:
    return "surrogatepass" if text_format.encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
