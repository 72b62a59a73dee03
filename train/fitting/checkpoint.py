"""Checkpoints beside the output folder, from which the same command resumes an interrupted run."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from evenmood.errors import UsageError
from evenmood.model.model_folder import write_text
from train.config import TrainConfig

OPTIONS_FILE, HISTORY_FILE = "options.json", "history.json"


VECTORS_FILE = "vectors.npy"


class Checkpoint:
    """A folder of the run's options, tokenizer, vectors, history, and the networks of the last and the best epoch."""

    def __init__(self, out: Path, config: TrainConfig, restart: bool = False) -> None:
        """Open or create `OUT.partial`.

        Raises:
            UsageError: An unfinished run with other options lies there, and `restart` is false.
        """
        self.folder = _folder_of(out)
        if restart:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        options = json.loads(json.dumps(asdict(config)))
        path = self.folder / OPTIONS_FILE
        if self._vectors.exists():  # before that, nothing is lost by starting anew
            before = json.loads(path.read_text(encoding="utf-8"))
            changed = sorted(name for name in options if options[name] != before.get(name, getattr(TrainConfig, name)))
            if changed:
                raise UsageError(
                    f"{self.folder}: an unfinished run with other {', '.join(changed)}; "
                    "repeat its options, or start anew with --restart"
                )
        else:
            write_text(path, json.dumps(options, indent=1))

    @property
    def history(self) -> list[dict[str, Any]]:
        """One entry a finished epoch: `epoch`, `loss`, `val_loss`, `seconds`."""
        path = self.folder / HISTORY_FILE
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []

    @property
    def best_epoch(self) -> int:
        """The finished epoch of lowest validation loss, counted from 1; 0 before the first."""
        return min(self.history, key=lambda entry: entry["val_loss"], default={"epoch": 0})["epoch"]

    @staticmethod
    def has_vectors(out: Path) -> bool:
        """Whether an unfinished run of this model folder holds its word vectors already."""
        return (_folder_of(out) / VECTORS_FILE).exists()

    @property
    def _vectors(self) -> Path:
        return self.folder / VECTORS_FILE

    def network(self, epoch: int) -> Path:
        """Where an epoch's network lies."""
        return self.folder / f"epoch-{epoch:03}.keras"

    def add_epoch(self, entry: dict[str, Any], save: Callable[[Path], None]) -> None:
        """Save an epoch's network, then its history entry: what history lists is whole. Drop what is not needed."""
        part = self.folder / "part.keras"
        save(part)
        part.replace(self.network(entry["epoch"]))
        write_text(self.folder / HISTORY_FILE, json.dumps([*self.history, entry]))
        keep = {self.network(entry["epoch"]), self.network(self.best_epoch)}
        for path in self.folder.glob("epoch-*.keras"):
            if path not in keep:
                path.unlink()

    def vocabulary(
        self, make: Callable[[], Tokenizer], load: Callable[[Tokenizer], np.ndarray]
    ) -> tuple[Tokenizer, np.ndarray]:
        """Tokenizer and word vectors, made at the first start and read back at the next ones."""
        tokenizer_path = self.folder / "tokenizer.json"
        if self._vectors.exists():
            return Tokenizer.from_file(str(tokenizer_path)), np.load(self._vectors, allow_pickle=False)
        tokenizer = make()
        vectors = load(tokenizer)
        write_text(tokenizer_path, tokenizer.to_str())
        part = self.folder / "part.npy"
        np.save(part, vectors)
        part.replace(self._vectors)
        return tokenizer, vectors

    def remove(self) -> None:
        """Delete the folder: the run is finished."""
        shutil.rmtree(self.folder)


def _folder_of(out: Path) -> Path:
    return out.with_name(out.name + ".partial")
