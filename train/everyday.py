"""The everyday benchmark: short texts of all kinds, written for this project, 12 or more for each label.

`validation` is for choosing between models, `test` for the report alone. Models wrote and annotated the texts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evenmood.errors import DataError
from evenmood.labels import LABELS
from evenmood.splits import Split

FOLDER = Path(__file__).parent / "everyday"


@dataclass(frozen=True)
class EverydaySplit:
    """One half of the benchmark.

    Attributes:
        split: Texts and labels.
        ignored: bool of shape (n, 28): labels that one could defend, which count neither as right nor as wrong.
    """

    split: Split
    ignored: np.ndarray


def load_everyday(name: str) -> EverydaySplit:
    """Read `validation` or `test`.

    Raises:
        DataError: No such half, or a row is broken; the message names file and line.
    """
    path = FOLDER / f"{name}.jsonl"
    if not path.is_file():
        raise DataError(f"no everyday split {name!r}; expected validation or test")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return EverydaySplit(
        Split([row["text"] for row in rows], _multi_hot([row["labels"] for row in rows]), [None] * len(rows)),
        _multi_hot([row["also"] for row in rows]) > 0,
    )


def _multi_hot(names: Sequence[Sequence[str]]) -> np.ndarray:
    labels = np.zeros((len(names), len(LABELS)), np.float32)
    for row, given in enumerate(names):
        labels[row, [LABELS.index(name) for name in given]] = 1
    return labels
