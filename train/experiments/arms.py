"""The arms of the paper's experiments, and what a finished run leaves for their comparison."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evenmood.errors import DataError
from evenmood.model.model_folder import write_text

RECORDS = "runs"
"""Folder of the runs' records, below the experiment's."""


@dataclass(frozen=True)
class Arm:
    """What an arm trains on and how it pools; all else is the same in every arm.

    Attributes:
        title: How documents call it.
        rows: `balanced`: the build's balanced rows; `unbalanced`: GoEmotions' own training split; `matched`: as many
            rows of that as the balanced set has, drawn anew for each seed; `all`: every row that the build chose from.
        pooling: Of the network, as in `TrainConfig`.
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
"""The paper's own are `balanced`, `unbalanced` and `unbalanced-average` (its figures 6 to 8)."""
DEFAULT_ARMS = tuple(ARMS)[:-1]


@dataclass(frozen=True)
class Run:
    """A finished run of an arm.

    Attributes:
        arm: Name in `ARMS`.
        seed: Of everything random in it.
        probabilities: Of the test texts, float32 of shape (n, 28).
        thresholds: Tuned on validation, float32 of shape (28,).
        everyday: Probabilities of the everyday test texts, float32 of shape (n, 28).
        label_vectors: Each label's vector in the trained embedding, float32 of shape (28, embedding size); NaN where
            the arm's vocabulary has no word for it.
        about: `config`, `history` (epochs), `train` and `test` (rows and digest), `words` (of the vocabulary),
            `label_words` (those of each label's vector), `machine`.
    """

    arm: str
    seed: int
    probabilities: np.ndarray
    thresholds: np.ndarray
    everyday: np.ndarray
    label_vectors: np.ndarray
    about: dict[str, Any]

    @property
    def history(self) -> list[dict[str, float]]:
        """One entry an epoch: `epoch`, `loss`, `val_loss`, `seconds`."""
        return self.about["history"]  # type: ignore[no-any-return]


def model_folder(out: Path, arm: str, seed: int) -> Path:
    """Where a run's model lies: an arm's first one as OUT/ARM, where the demo finds it, the others out of its way."""
    return out / arm if seed == 0 else out / "seeds" / arm / str(seed)


def write_run(out: Path, run: Run) -> None:
    """Keep a run's record: the arrays, then the file that says that it is whole."""
    arrays, about = _files(out, run.arm, run.seed)
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
    write_text(about, json.dumps(run.about, indent=1) + "\n")


def read_run(out: Path, arm: str, seed: int) -> Run | None:
    """A run's record; None where the run is not finished.

    Raises:
        DataError: The record is damaged.
    """
    arrays, about = _files(out, arm, seed)
    if not about.is_file():
        return None
    try:
        with np.load(arrays, allow_pickle=False) as held:
            return Run(
                arm,
                seed,
                held["probabilities"],
                held["thresholds"],
                held["everyday"],
                held["label_vectors"],
                json.loads(about.read_text(encoding="utf-8")),
            )
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{arrays}: damaged ({error}); delete {about} and run the same command again") from None


def _files(out: Path, arm: str, seed: int) -> tuple[Path, Path]:
    return out / RECORDS / f"{arm}-{seed}.npz", out / RECORDS / f"{arm}-{seed}.json"
