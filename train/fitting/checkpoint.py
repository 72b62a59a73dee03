"""Checkpoints, from which an interrupted training run resumes when the same command is run again."""

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
    """The checkpoint folder: options, tokenizer, vectors, history, and the networks of the last and the best epoch."""

    def __init__(self, out: Path, config: TrainConfig, restart: bool = False) -> None:
        """Open or create `OUT.partial`.

        Raises:
            UsageError: The folder has an unfinished run with different options, and `restart` is false.
        """
        self.folder = _folder_of(out)
        if restart:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        options = json.loads(json.dumps(asdict(config)))
        path = self.folder / OPTIONS_FILE
        if self._vectors.exists():  # without vectors there is nothing worth resuming
            before = json.loads(path.read_text(encoding="utf-8"))
            changed = sorted(name for name in options if options[name] != before.get(name, getattr(TrainConfig, name)))
            if changed:
                raise UsageError(
                    f"{self.folder}: an unfinished run has different options: {', '.join(changed)}; "
                    "repeat its options, or discard it with --restart"
                )
        else:
            write_text(path, json.dumps(options, indent=1))

    @property
    def history(self) -> list[dict[str, Any]]:
        """Entries of the completed epochs: `epoch`, `loss`, `val_loss`, `seconds`."""
        path = self.folder / HISTORY_FILE
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []

    @property
    def best_epoch(self) -> int:
        """Completed epoch with the lowest validation loss, counted from 1; 0 before the first."""
        return min(self.history, key=lambda entry: entry["val_loss"], default={"epoch": 0})["epoch"]

    @staticmethod
    def has_vectors(out: Path) -> bool:
        """Return whether the checkpoint of a model folder already has word vectors."""
        return (_folder_of(out) / VECTORS_FILE).exists()

    @property
    def _vectors(self) -> Path:
        return self.folder / VECTORS_FILE

    def network(self, epoch: int) -> Path:
        """Return the path of an epoch's network."""
        return self.folder / f"epoch-{epoch:03}.keras"

    def add_epoch(self, entry: dict[str, Any], save: Callable[[Path], None]) -> None:
        """Save an epoch's network, then its history entry, so that every listed epoch is complete; delete old ones."""
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
        """Create the tokenizer and word vectors, or load them when resuming."""
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
        """Delete the folder after the run has finished."""
        shutil.rmtree(self.folder)


def _folder_of(out: Path) -> Path:
    return out.with_name(out.name + ".partial")
