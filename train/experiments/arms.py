"""Arms of the experiments of the paper (arXiv 2511.14073), and records of finished runs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evenmood.errors import DataError
from evenmood.model.model_folder import write_text

RECORDS = "runs"
"""Subfolder with the records of runs."""


@dataclass(frozen=True)
class Arm:
    """Training rows and pooling of an arm; everything else is the same for all arms.

    Attributes:
        title: Title in documents.
        rows: `balanced`: the balanced rows of the build; `unbalanced`: the official training split; `matched`: a random
            sample of it as large as the balanced rows, different for each seed; `all`: all training rows of the build.
        pooling: Pooling of the network, as in `TrainConfig`.
    """

    title: str
    rows: Literal["balanced", "unbalanced", "matched", "all"]
    pooling: Literal["attention", "average"]


ARMS: Mapping[str, Arm] = {
    "balanced": Arm("balanced, attention", "balanced", "attention"),
    "balanced-average": Arm("balanced, average", "balanced", "average"),
    "unbalanced": Arm("unbalanced, attention", "unbalanced", "attention"),
    "unbalanced-average": Arm("unbalanced, average", "unbalanced", "average"),
    "matched": Arm("unbalanced of equal size, attention", "matched", "attention"),
    "matched-average": Arm("unbalanced of equal size, average", "matched", "average"),
    "all-sources": Arm("all sources, not balanced, attention", "all", "attention"),
}
"""The paper's arms are `balanced`, `unbalanced` and `unbalanced-average` (its figures 6 to 8)."""
DEFAULT_ARMS = tuple(ARMS)[:-1]


@dataclass(frozen=True)
class Run:
    """A finished run of an arm.

    Attributes:
        arm: Name in `ARMS`.
        seed: Random seed.
        probabilities: Predictions of the test texts: float32 of shape (n, 28).
        thresholds: Thresholds tuned on validation: float32 of shape (28,).
        everyday: Predictions of the everyday test texts: float32 of shape (n, 28).
        label_vectors: Vector of each label in the trained embedding: float32 of shape (28, embedding size); NaN for a
            label without a word in the vocabulary.
        record: `config`, `history` (epochs), `train` and `test` (rows and digest), `words` (size of the vocabulary),
            `label_words` (words of each label's vector), `machine`.
    """

    arm: str
    seed: int
    probabilities: np.ndarray
    thresholds: np.ndarray
    everyday: np.ndarray
    label_vectors: np.ndarray
    record: dict[str, Any]

    @property
    def history(self) -> list[dict[str, float]]:
        """Entry of each epoch: `epoch`, `loss`, `val_loss`, `seconds`."""
        return self.record["history"]  # type: ignore[no-any-return]


def model_folder(out: Path, arm: str, seed: int) -> Path:
    """Return the model folder of a run: OUT/ARM for the first seed (shown in the demo), else OUT/seeds/ARM/SEED."""
    return out / arm if seed == 0 else out / "seeds" / arm / str(seed)


def write_run(out: Path, run: Run) -> None:
    """Write the record of a run: first the arrays, then the JSON file that marks it as complete."""
    arrays, record_path = _files(out, run.arm, run.seed)
    arrays.parent.mkdir(parents=True, exist_ok=True)
    part = arrays.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(
            file,
            probabilities=run.probabilities,
            thresholds=run.thresholds,
            everyday=run.everyday,
            label_vectors=run.label_vectors,
        )
    part.replace(arrays)
    write_text(record_path, json.dumps(run.record, indent=1) + "\n")


def read_run(out: Path, arm: str, seed: int) -> Run | None:
    """Read the record of a run; return None if the run is not finished.

    Raises:
        DataError: The record is corrupt.
    """
    arrays, record_path = _files(out, arm, seed)
    if not record_path.is_file():
        return None
    try:
        with np.load(arrays, allow_pickle=False) as content:
            return Run(
                arm,
                seed,
                content["probabilities"],
                content["thresholds"],
                content["everyday"],
                content["label_vectors"],
                json.loads(record_path.read_text(encoding="utf-8")),
            )
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{arrays}: corrupt ({error}); delete {record_path} and run the same command again") from None


def _files(out: Path, arm: str, seed: int) -> tuple[Path, Path]:
    return out / RECORDS / f"{arm}-{seed}.npz", out / RECORDS / f"{arm}-{seed}.json"
