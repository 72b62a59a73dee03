"""Probabilities that somebody has computed already: arrays of an npz file, checked, a row for each text of a source."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evenmood.data.build_folder import sha256
from evenmood.errors import DataError, EvenmoodError, UsageError
from evenmood.labels import LABELS
from evenmood.system.paths import expanded


@dataclass(frozen=True)
class Array:
    """One array of an npz file."""

    file: Path
    name: str

    @property
    def about(self) -> dict[str, str]:
        """What tells this array from another in a record."""
        return {"file": self.file.name, "array": self.name, "sha256": sha256(self.file)[:16]}


def parse_array(given: str) -> Array:
    """Read `FILE.npz:NAME`.

    Raises:
        UsageError: A part is missing.
        DataError: No such file.
    """
    file, _, name = given.rpartition(":")
    if not file or not name:
        raise UsageError(f"{given!r} names no array; write FILE.npz:NAME")
    path = expanded(file)
    if not path.is_file():
        raise DataError(f"{file}: no such file")
    return Array(path, name)


def read_array(array: Array, rows: int, source: str) -> np.ndarray:
    """Read probabilities and check them; nothing is unpickled.

    Args:
        array: Where they lie.
        rows: Texts that the source has.
        source: Its name, for messages.

    Returns:
        Shape (rows, 28), floating point as stored.

    Raises:
        DataError: Not an npz file, no such array, another shape, or values that are no probabilities.
    """
    where = f"{array.file}, array {array.name}"
    try:
        with array.file.open("rb") as file:
            held = np.load(file, allow_pickle=False)
            if not isinstance(held, np.lib.npyio.NpzFile):
                raise DataError(f"{array.file}: one array without a name, not an npz file; np.savez writes one")
            if array.name not in held.files:
                raise DataError(f"{array.file}: no array {array.name!r}; it has {', '.join(held.files) or 'none'}")
            found = held[array.name]
    except EvenmoodError:
        raise
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{where}: not an npz file of numbers ({' '.join(str(error).split())[:100]})") from None
    if found.ndim != 2 or found.shape[1] != len(LABELS):
        raise DataError(f"{where}: shape {found.shape}; expected {len(LABELS)} columns, one per label")
    if len(found) != rows:
        raise DataError(f"{where}: {len(found):,} rows, and {source} has {rows:,} texts; expected one row per text")
    if not np.issubdtype(found.dtype, np.floating):
        raise DataError(f"{where}: {found.dtype} values; expected probabilities in floating point")
    wrong = ~((found >= 0) & (found <= 1)).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{where}: row {row + 1} has values outside 0 to 1; expected probabilities, not logits")
    return found


def mean(arrays: list[np.ndarray]) -> np.ndarray:
    """Mean of arrays of one shape, each weighing the same: float32."""
    total = np.zeros(arrays[0].shape, np.float32)
    for array in arrays:
        total += array
    return total / np.float32(len(arrays))
