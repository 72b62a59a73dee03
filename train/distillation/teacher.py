"""Fine-tune a transformers encoder for the 28 labels, as a `Teacher`."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evenmood import __version__
from evenmood.data.rows import symbol_hash
from evenmood.data.splits import Split, load_split
from evenmood.data.teacher import Teacher, fingerprint
from evenmood.errors import DataError, UsageError
from evenmood.evaluation.metrics import score
from evenmood.labels import LABELS
from evenmood.model.model_folder import atomic_folder, check_target, write_text
from evenmood.system.paths import expand_home
from evenmood.thresholds import tune_thresholds
from train.distillation.encoder import EncoderRun, TeacherConfig, in_fold, load_encoder, quiet, save_encoder
from train.distillation.soft_targets import allowed_rows, load_extra, read_unique_soft_targets
from train.evaluation.everyday import load_everyday

Log = Callable[[str], None]
RECORD_FILE = "training.json"
"""File in the teacher folder with configuration, history and validation metrics."""
HISTORY_FILE, PLAN_FILE = "history.json", "plan.json"


def train_teacher(
    config: TeacherConfig, out: Path, log: Log, *, restart: bool = False, overwrite: bool = False
) -> dict[str, Any]:
    """Fine-tune an encoder and write a teacher folder atomically.

    An interrupted run resumes after the last completed epoch, with the same result as an uninterrupted one.

    Args:
        config: Configuration of the run.
        out: Teacher folder; `OUT.partial` contains the checkpoint of an unfinished run.
        log: Called with progress messages.
        restart: Whether to discard an unfinished run.
        overwrite: Whether to replace an existing folder.

    Returns:
        The content of `training.json`: configuration, history, and validation metrics of the saved teacher.

    Raises:
        UsageError: `out` exists, or an unfinished run has different options.
        DataError: The data or the encoder cannot be read.
    """
    import torch

    check_target(out, overwrite)
    validation = {"validation": load_split(config.data, "validation")}
    train = training_split(config, log)
    if config.extra:
        validation["everyday"] = load_everyday("validation").split
    log(
        f"data: {len(train):,} training rows; validation: {', '.join(f'{len(v):,} {k}' for k, v in validation.items())}"
    )
    checkpoint = Checkpoint(out, config, train, restart)
    torch.manual_seed(config.seed)  # for the initialization of the head
    network, tokenizer = load_encoder(config.base, train.labels)
    run = EncoderRun(config, network, tokenizer, train, validation, log)
    if checkpoint.history:
        log(f"resuming after epoch {len(checkpoint.history)}")
        run.load_state(checkpoint.epoch(len(checkpoint.history)))
    for epoch in range(len(checkpoint.history) + 1, config.epochs + 1):
        entry = run.epoch(epoch)
        checkpoint.add(entry, run.state())
        best = " (best so far)" if checkpoint.best == epoch else ""
        log(
            f"epoch {epoch}/{config.epochs}: loss {entry['loss']:.4f}, validation loss {entry['val_loss']:.4f}, "
            f"macro-F1 {entry['val_macro_f1']:.4f}{best}, {entry['seconds']:.0f} s"
        )
    run.load_state(checkpoint.epoch(checkpoint.best), weights_only=True)
    with atomic_folder(out, overwrite) as work_folder:
        save_encoder(network, config.weights, work_folder)
        tokenizer.save_pretrained(work_folder)
        record = {
            "evenmood": __version__,
            "config": asdict(config),
            "base": fingerprint(config.base),
            "data": {"train": train.digest(), "validation": validation["validation"].digest()},
            "history": checkpoint.history,
            "best_epoch": checkpoint.best,
            **score_on_validation(work_folder, validation["validation"]),
        }
        write_text(work_folder / RECORD_FILE, json.dumps(record, indent=1) + "\n")
    checkpoint.remove()
    return record


def score_on_validation(folder: Path, validation: Split) -> dict[str, Any]:
    """Tune thresholds on the validation split, and return `thresholds` and the metrics, `validation`."""
    with quiet():
        probabilities = Teacher(str(folder)).probabilities(validation.texts)
    thresholds = tune_thresholds(validation.labels, probabilities)
    return {
        "thresholds": dict(zip(LABELS, thresholds.round(2).astype(float).tolist(), strict=True)),
        "validation": score(validation.labels, probabilities, thresholds, LABELS),
    }


def read_record(folder: Path) -> dict[str, Any]:
    """Read `training.json` of a teacher folder.

    Raises:
        DataError: The file is missing.
    """
    path = folder / RECORD_FILE
    if not path.is_file():
        raise DataError(f"{path} is missing; expected a folder written by: python -m train teacher")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def training_split(config: TeacherConfig, log: Log) -> Split:
    """Build the training split: labeled texts blended with soft targets, repeated extra texts, and unlabeled texts.

    Raises:
        DataError: A data set cannot be read, or the soft targets lack a training text.
    """
    train = load_split(config.data, "train")
    parts, extra = [train], Split([], np.empty((0, len(LABELS)), np.float32), [])
    if config.extra:
        extra = load_extra(config.extra, config.data, log)
        rows = [row for row, text in enumerate(extra.texts) if not (config.fold and in_fold(text, config.fold))]
        log(f"extra: {len(rows):,} texts, repeated {config.extra_repeats} times")
        rows *= config.extra_repeats
        parts.append(Split([extra.texts[row] for row in rows], extra.labels[rows], [extra.ids[row] for row in rows]))
    if config.soft_targets:
        parts[0], unlabeled = _with_soft_targets(train, extra, config, log)
        parts.append(unlabeled)
    return Split(
        [text for part in parts for text in part.texts],
        np.concatenate([part.labels for part in parts]).astype(np.float32),
        [row_id for part in parts for row_id in part.ids],
    )


def _with_soft_targets(train: Split, extra: Split, config: TeacherConfig, log: Log) -> tuple[Split, Split]:
    """Return the training split with blended targets, and the unlabeled texts.

    Unlabeled texts neither equal a labeled text nor duplicate or nearly duplicate a held-out text.
    """
    names = ", ".join(config.soft_targets)
    texts, soft, row_of = read_unique_soft_targets([expand_home(name) for name in config.soft_targets])
    hashes = [symbol_hash(text) for text in train.texts]
    missing = sum(text_hash not in row_of for text_hash in hashes)
    if missing:
        raise DataError(
            f"{names}: {missing:,} training texts of {config.data} are missing; write soft targets for them with: "
            f"python -m train label --texts {config.data}"
        )
    targets = soft[[row_of[text_hash] for text_hash in hashes]]
    blended = Split(train.texts, config.label_share * train.labels + (1 - config.label_share) * targets, train.ids)
    labeled = {*hashes, *(symbol_hash(text) for text in extra.texts)}
    rows = [row for text_hash, row in row_of.items() if text_hash not in labeled]
    if rows:
        rows = [rows[index] for index in allowed_rows([texts[row] for row in rows], names, config.data, log)]
    return blended, Split([texts[row] for row in rows], soft[rows], [None] * len(rows))


class Checkpoint:
    """The checkpoint folder `OUT.partial`: options, history, and states of the last and the best epoch."""

    def __init__(self, out: Path, config: TeacherConfig, train: Split, restart: bool) -> None:
        """Open or create the folder.

        Raises:
            UsageError: The folder has an unfinished run with different options, and `restart` is false.
        """
        self.folder = out.with_name(f"{out.name}.partial")
        plan = {**asdict(config), "base": fingerprint(config.base), "data": train.digest()}
        plan = json.loads(json.dumps(plan))  # with lists instead of tuples, as in the file
        if restart:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / PLAN_FILE
        before = json.loads(path.read_text(encoding="utf-8")) if self.history else plan
        if changed := [name for name in plan if plan[name] != before.get(name)]:
            raise UsageError(
                f"{self.folder}: an unfinished run has different options: {', '.join(changed)}; repeat its options, or "
                "discard it with --restart"
            )
        write_text(path, json.dumps(plan, indent=1))

    @property
    def history(self) -> list[dict[str, Any]]:
        """Entries of the completed epochs."""
        path = self.folder / HISTORY_FILE
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []

    @property
    def best(self) -> int:
        """Completed epoch with the highest macro-F1, summed over the validation sets, counted from 1."""

        def macro_f1(entry: dict[str, Any]) -> float:
            return float(sum(value for name, value in entry.items() if name.endswith("val_macro_f1")))

        return int(max(self.history, key=macro_f1)["epoch"])

    def epoch(self, number: int) -> Path:
        """Return the path of an epoch's state."""
        return self.folder / f"epoch-{number:03}.safetensors"

    def add(self, entry: dict[str, Any], state: dict[str, Any]) -> None:
        """Save an epoch's state, then its history entry, so that every listed epoch is complete; delete old ones."""
        from safetensors.torch import save_file

        part = self.folder / "part.safetensors"
        save_file(state, part)
        part.replace(self.epoch(entry["epoch"]))
        write_text(self.folder / HISTORY_FILE, json.dumps([*self.history, entry]))
        keep = {self.epoch(entry["epoch"]), self.epoch(self.best)}
        for path in self.folder.glob("epoch-*.safetensors"):
            if path not in keep:
                path.unlink()

    def remove(self) -> None:
        """Delete the folder after the run has finished."""
        shutil.rmtree(self.folder)
