"""Stream fastText's text (`.vec`) and binary (`.bin`) files, optionally gzipped."""

import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from evenmood.errors import DataError

EXTENSIONS = (".bin", ".vec", ".bin.gz", ".vec.gz")
GZIP_MAGIC = b"\x1f\x8b"
BLOCK_BYTES = 1_000_000
"""Bytes of the dictionary to read at a time."""
ENTRY_TAIL = 10
"""Bytes after a word in the dictionary: a zero, an 8-byte count, and a type byte."""
_MAGIC, _VERSION = 793712314, 12


def is_vectors_file(path: Path) -> bool:
    """Return whether a file has the extension of a vectors file."""
    return path.name.lower().endswith(EXTENSIONS)


def is_bin(path: Path) -> bool:
    """Return whether a file has the extension of a binary model."""
    return path.name.lower().removesuffix(".gz").endswith(".bin")


def read_vec(path: Path, words: Sequence[str], size: int) -> np.ndarray:
    """Read the vectors of words from a text file, optionally gzipped, without loading the other vectors.

    Returns:
        float32 of shape (len(words), size); NaN for words that the file lacks.

    Raises:
        DataError: The file cannot be read, is corrupt, or has another dimension.
    """
    row_of = {word.encode(): row for row, word in enumerate(words)}
    table = np.full((len(words), size), np.nan, np.float32)
    with open_file(path) as lines:
        rows = whole_lines(lines, path)
        header = next(rows, b"").split()
        if len(header) != 2 or not all(field.isdigit() for field in header):
            raise DataError(f"{path}, line 1: not a fastText header; expected the number of words and the dimension")
        count, dimension = map(int, header)
        _check_size(path, dimension, size)
        number = 1
        for number, line in enumerate(rows, 2):
            line = line.rstrip(b" \r\n")
            if line.count(b" ") != size:
                raise DataError(f"{path}, line {number}: invalid; expected a word and {size} numbers")
            word, _, values = line.partition(b" ")
            row = row_of.get(word)
            if row is not None:
                try:
                    table[row] = values.split()
                except ValueError:
                    raise DataError(f"{path}, line {number}: invalid; expected a word and {size} numbers") from None
    if number - 1 < count:
        raise DataError(
            f"{path}: {number - 1:,} vectors; expected {count:,} according to its first line; the file is truncated: "
            "download it again"
        )
    if number - 1 > count:
        raise DataError(
            f"{path}: {number - 1:,} vectors; expected {count:,} according to its first line; correct that line if the "
            "file is complete"
        )
    return table


def read_bin(path: Path, words: Sequence[str], size: int) -> np.ndarray:
    """Read the vectors of words from a binary model, without loading it; equal to the library's `get_word_vector`.

    The vector of a word is the mean of its row and the rows of its character n-grams (only the latter if the file lacks
    the word), normalized to length 1 as in fasttext-community; the archived original does not normalize. A gzipped
    file is decompressed as a stream.

    Format: `Args`, `Dictionary` and `DenseMatrix` of https://github.com/facebookresearch/fastText

    Returns:
        float32 of shape (len(words), size); NaN for words without a row and n-grams.

    Raises:
        DataError: The file cannot be read, is corrupt or quantized, or has another dimension.
    """
    message = f"{path}: corrupt or truncated; download it again"
    with open_file(path) as file:
        try:
            magic, version = _unpack(file, "<ii")
            if magic != _MAGIC or version != _VERSION:
                raise DataError(f"{path}: not a fastText model of format version {_VERSION}")
            dimension, _, _, _, _, _, _, _, buckets, shortest, longest, _, _ = _unpack(file, "<12id")
            _check_size(path, dimension, size)
            entries, word_count, _, _, pruned = _unpack(file, "<iiiqq")
            if pruned > 0:
                raise DataError(f"{path}: a pruned (quantized) model; expected a full model")
            ids = _word_ids(file, entries, words)
            quantized, rows, columns = _unpack(file, "<?qq")
            if quantized:
                raise DataError(f"{path}: a quantized model (.ftz); expected a full model (.bin)")
            start = file.tell()
            if columns != size or rows < 0:
                raise DataError(message)
            if not isinstance(file, gzip.GzipFile):
                _check_end(file, start, rows * columns * 4)
            members: list[tuple[int, int]] = []  # (row of the file, row of the table)
            for row, word in enumerate(words):
                if row in ids:
                    members.append((ids[row], row))
                for gram in _ngrams(word, shortest, longest) if buckets else ():
                    members.append((word_count + _hash(gram) % buckets, row))
            table = _means(file, start, size, members, len(words))
            if isinstance(file, gzip.GzipFile):  # last, because a stream can only move forward efficiently
                _check_end(file, start, rows * columns * 4)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise DataError(message) from None
    return table


def _read(file: BinaryIO, count: int) -> bytes:
    """Read exactly `count` bytes; raise `EOFError` if there are fewer."""
    content = file.read(count)
    if len(content) < count:
        raise EOFError
    return content


def _unpack(file: BinaryIO, fields: str) -> tuple[Any, ...]:
    return struct.unpack(fields, _read(file, struct.calcsize(fields)))


def _word_ids(file: BinaryIO, entries: int, words: Sequence[str]) -> dict[int, int]:
    """Return the dictionary entry of each word, by index, and position the file after the dictionary."""
    row_of = {word.encode(): row for row, word in enumerate(words)}
    ids = {}
    block, begin, position = b"", file.tell(), 0  # the block, its offset in the file, and the position in it
    for entry in range(entries):
        while (end := block.find(b"\0", position)) < 0 or end + ENTRY_TAIL > len(block):
            if len(block) - position > BLOCK_BYTES:  # longer than any word
                raise EOFError
            begin, block, position = begin + position, block[position:] + _next_block(file), 0
        row = row_of.get(block[position:end])
        if row is not None:
            ids[row] = entry
        position = end + ENTRY_TAIL
    file.seek(begin + position)
    return ids


def _next_block(file: BinaryIO) -> bytes:
    block = file.read(BLOCK_BYTES)
    if not block:
        raise EOFError
    return block


def _check_end(file: BinaryIO, start: int, length: int) -> None:
    """Raise `EOFError` if the file ends before `start + length`."""
    if length:
        file.seek(start + length - 1)
        _read(file, 1)


def _means(file: BinaryIO, start: int, size: int, members: list[tuple[int, int]], count: int) -> np.ndarray:
    """Compute the normalized mean of the file's rows for each row of the table; the file is read in order."""
    sums = np.zeros((count, size))
    if not members:
        return np.full((count, size), np.nan, np.float32)
    pairs = np.array(members)
    sources, inverse = np.unique(pairs[:, 0], return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    bounds = np.searchsorted(inverse[order], np.arange(len(sources) + 1))
    for index, source in enumerate(sources):
        file.seek(start + int(source) * size * 4)
        vector = np.frombuffer(_read(file, size * 4), np.float32)
        targets = pairs[order[bounds[index] : bounds[index + 1]], 1]
        np.add.at(sums, targets, vector)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(lengths > 0, sums / lengths, np.nan).astype(np.float32)


def _ngrams(word: str, shortest: int, longest: int) -> list[bytes]:
    marked = f"<{word}>"
    grams = []
    for start in range(len(marked)):
        for length in range(max(shortest, 1), min(longest, len(marked) - start) + 1):
            end = start + length
            if length == 1 and (start == 0 or end == len(marked)):
                continue
            grams.append(marked[start:end].encode())
    return grams


def _hash(gram: bytes) -> int:
    """Compute the FNV-1a hash with fastText's sign extension of bytes above 127."""
    value = 2166136261
    for byte in gram:
        value ^= byte if byte < 128 else byte | 0xFFFFFF00
        value = value * 16777619 & 0xFFFFFFFF
    return value


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading, decompressing gzip, which is detected by content.

    Raises:
        DataError: The file cannot be read, or is empty.
    """
    try:
        file = path.open("rb")
        magic = file.read(len(GZIP_MAGIC))
        file.seek(0)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if not magic:
        file.close()
        raise DataError(f"{path}: the file is empty")
    if magic == GZIP_MAGIC:
        file.close()
        return cast("BinaryIO", gzip.open(path))
    return file


def whole_lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield the lines of a file that may be gzipped.

    Raises:
        DataError: The gzipped file is corrupt or truncated.
    """
    try:
        yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: corrupt or truncated ({error}); download it again") from None


def _check_size(path: Path, dimension: int, size: int) -> None:
    if dimension != size:
        raise DataError(f"{path}: vectors of size {dimension}; expected --embedding-size {size}")
