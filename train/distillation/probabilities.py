"""Read existing probabilities from the arrays of an npz file."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evenmood.data.build_folder import sha256
from evenmood.errors import DataError, EvenmoodError, UsageError
from evenmood.labels import LABELS
from evenmood.system.paths import expand_home


@dataclass(frozen=True)
class Array:
    """One array of an npz file."""

    file: Path
    name: str

    @property
    def record(self) -> dict[str, str]:
        """Entry that identifies the array in a record."""
        return {"file": self.file.name, "array": self.name, "sha256": sha256(self.file)[:16]}


def parse_array(argument: str) -> Array:
    """Parse `FILE.npz:NAME`.

    Raises:
        UsageError: The argument is malformed.
        DataError: The file does not exist.
    """
    file, _, name = argument.rpartition(":")
    if not file or not name:
        raise UsageError(f"{argument!r} is not an array; expected FILE.npz:NAME")
    path = expand_home(file)
    if not path.is_file():
        raise DataError(f"{file}: no such file")
    return Array(path, name)


def read_array(array: Array, rows: int, source: str) -> np.ndarray:
    """Read and validate probabilities, without unpickling.

    Args:
        array: File and name of the array.
        rows: Number of texts in the source.
        source: Name of the source, for error messages.

    Returns:
        Probabilities of shape (rows, 28), in the float type of the file.

    Raises:
        DataError: The file is not an npz file, the array does not exist, or its shape or values are invalid.
    """
    where = f"{array.file}, array {array.name}"
    try:
        with array.file.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if not isinstance(content, np.lib.npyio.NpzFile):
                raise DataError(f"{array.file}: a single array without a name; expected an npz file (np.savez)")
            if array.name not in content.files:
                names = ", ".join(content.files) or "none"
                raise DataError(f"{array.file}: no array {array.name!r}; the arrays are {names}")
            values = content[array.name]
    except EvenmoodError:
        raise
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{where}: not an npz file of numbers ({' '.join(str(error).split())[:100]})") from None
    if values.ndim != 2 or values.shape[1] != len(LABELS):
        raise DataError(f"{where}: shape {values.shape}; expected {len(LABELS)} columns, one per label")
    if len(values) != rows:
        raise DataError(f"{where}: {len(values):,} rows for the {rows:,} texts of {source}; expected one row per text")
    if not np.issubdtype(values.dtype, np.floating):
        raise DataError(f"{where}: {values.dtype} values; expected probabilities in floating point")
    invalid = ~((values >= 0) & (values <= 1)).all(axis=1)
    if invalid.any():
        row = int(invalid.argmax())
        raise DataError(f"{where}: row {row + 1} has values outside 0 to 1; expected probabilities, not logits")
    return values


def mean(arrays: list[np.ndarray]) -> np.ndarray:
    """Return the mean of arrays of equal shape: float32."""
    total = np.zeros(arrays[0].shape, np.float32)
    for array in arrays:
        total += array
    return total / np.float32(len(arrays))
