"""The model folder format: read, validate and write; shared by local folders, Hub repositories and bundled models."""

import errno
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from numbers import Real
from pathlib import Path
from time import sleep
from typing import Any, Literal

from evenmood.errors import EvenmoodError, ModelError, UsageError
from evenmood.labels import label_problem

ONNX_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
INFO_FILE = "emotions.json"
CARD_FILE = "README.md"
TRAINING_FOLDER = "training"
PREDICTION_FILES = (ONNX_FILE, TOKENIZER_FILE, INFO_FILE)
"""Files required for prediction: those that `from_pretrained` downloads and the wheel contains."""
NETWORK_FILES = (ONNX_FILE, TOKENIZER_FILE)
"""Files that identify a network; thresholds and metrics in `emotions.json` may change."""
KERAS_FILES = ("config.json", "metadata.json", "model.weights.h5")
"""Keras's own unzipped format; `keras.saving.load_model(folder)` reads it."""
FORMAT_VERSION = 1
Kind = Literal["bilstm", "encoder", "onnx"]
KINDS = ("bilstm", "encoder")
"""Kinds of networks that a model folder can contain."""
NOTE_START = "**The metrics below were measured with the original thresholds;"
NOTE = re.compile(rf"\n{re.escape(NOTE_START)}.*\n")
MAX_ATTEMPTS = 100
"""Maximum number of attempts to move a folder into place while other processes write to the same target."""
RETRY_SECONDS = 0.01
"""Seconds between attempts while a folder is in use."""
CARD_ID = "OWNER/MODEL"
"""Placeholder in the card of a model that is not on the Hub yet."""


@dataclass(frozen=True)
class ModelInfo:
    """Parsed `emotions.json`.

    Attributes:
        labels: Label of each output column.
        thresholds: Decision threshold of each label, in [0, 1].
        max_length: Maximum length of a text or window, in tokens.
        attention: Whether the network has attention weights; without them, `explain` works only for encoders
            (leave-one-out).
        trained_from: Data, vectors and configuration of the training.
        metrics: Metrics by split, per label and averaged.
        format_version: Version of the format.
        kind: `bilstm`, trained with `python -m train fit`; `encoder`, trained with `python -m train encoder`; or
            `onnx`, a model loaded with `from_onnx`, which is not stored in this format.
    """

    labels: tuple[str, ...]
    thresholds: Mapping[str, float]
    max_length: int
    attention: bool
    trained_from: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    kind: Kind = "bilstm"


def check_thresholds(
    thresholds: Mapping[str, float], labels: tuple[str, ...], where: str, error_class: type[EvenmoodError] = ModelError
) -> dict[str, float]:
    """Validate thresholds and return them as floats.

    Args:
        thresholds: Threshold by label.
        labels: Labels of the model.
        where: Source of the thresholds, for error messages.
        error_class: Exception class.

    Raises:
        EvenmoodError: A label is unknown, or a threshold is not a number in [0, 1]; `error_class` sets the class.
    """
    checked = {}
    for label, value in thresholds.items():
        if label not in labels:
            expected = f"{', '.join(labels):.400}"
            raise error_class(f"{where}: threshold for unknown label {label!r:.60}; expected one of: {expected}")
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= 1:  # also rejects NaN
            shown = " ".join(f"{value!r:.40}".split())
            raise error_class(f"{where}: threshold of {label!r} is {shown}; expected a number from 0 to 1")
        checked[label] = float(value)
    return checked


def read_info(folder: Path) -> ModelInfo:
    """Read and validate `emotions.json`.

    Raises:
        ModelError: The file is missing, is not JSON, has a newer format version, or a field is missing or invalid.
    """
    return parse_info(read_files(folder, [INFO_FILE])[INFO_FILE], folder / INFO_FILE)


def parse_info(data: bytes, path: Path) -> ModelInfo:
    """Validate the content of `emotions.json`; `path` is for error messages. Raises the same errors as `read_info`."""
    try:
        content = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not JSON ({error}); download or export the model again") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected an object, found {type(content).__name__}")
    version = content.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ModelError(f"{path}: format_version is {_shown(version)}; expected a number from 1 to {FORMAT_VERSION}")
    if version > FORMAT_VERSION:
        raise ModelError(
            f"{path}: format version {_shown(version)} is not supported by this version of evenmood "
            f"(at most {FORMAT_VERSION}); upgrade with: pip install --upgrade evenmood"
        )
    labels = content.get("labels")
    problem = label_problem(labels if isinstance(labels, list) else [])
    if not isinstance(labels, list) or problem:
        raise ModelError(f"{path}: {problem}")
    thresholds = content.get("thresholds")
    if not isinstance(thresholds, dict):
        raise ModelError(f"{path}: thresholds must be an object that maps labels to numbers")
    checked = check_thresholds(thresholds, tuple(labels), str(path))
    missing_labels = [label for label in labels if label not in checked]
    if missing_labels:
        raise ModelError(
            f"{path}: {len(checked)} thresholds for {len(labels)} labels; missing: {', '.join(missing_labels[:5])}"
            + (" and others" if len(missing_labels) > 5 else "")
        )
    max_length = content.get("max_length")
    if not isinstance(max_length, int) or isinstance(max_length, bool) or not 2 <= max_length <= 4096:
        raise ModelError(f"{path}: max_length is {_shown(max_length)}; expected an integer from 2 to 4096")
    if not isinstance(content.get("attention"), bool):
        raise ModelError(f"{path}: attention must be true or false")
    kind = content.get("kind", "bilstm")  # missing in models of earlier versions
    if kind not in KINDS:
        raise ModelError(
            f"{path}: kind is {_shown(kind)}; expected {' or '.join(KINDS)}; "
            "upgrade with: pip install --upgrade evenmood"
        )
    trained_from, metrics = content.get("trained_from", {}), content.get("metrics", {})
    if not isinstance(trained_from, dict):
        raise ModelError(f"{path}: trained_from must be an object")
    for key, value in trained_from.items():
        if not _printable(key) or (isinstance(value, str) and not _printable(value)):
            raise ModelError(f"{path}: trained_from has {_shown(key)} with unprintable characters")
    if problem := _metrics_problem(metrics):
        raise ModelError(f"{path}: {problem}")
    return ModelInfo(
        labels=tuple(labels),
        thresholds={label: checked[label] for label in labels},
        max_length=max_length,
        attention=content["attention"],
        trained_from=trained_from,
        metrics=metrics,
        format_version=version,
        kind=kind,
    )


def _metrics_problem(metrics: Any) -> str | None:
    """Describe what is wrong with `metrics`, which maps splits to numbers, numbers with intervals, or `per_label`."""
    if not isinstance(metrics, dict):
        return "metrics must be an object"
    for split, split_metrics in metrics.items():
        if not isinstance(split_metrics, dict) or not _printable(split):
            return f"metrics of {_shown(split)} are {_shown(split_metrics)}; expected an object"
        for name, value in split_metrics.items():
            if name != "per_label":
                valid = _is_metric(value)
            elif valid := isinstance(value, dict):
                strict = split in ("validation", "test")  # other splits may have a single number per label
                valid = all(_is_row(row) or (not strict and (row is None or _is_number(row))) for row in value.values())
            if not valid:
                return f"metrics of {_shown(split)}: {_shown(name)} is {_shown(value)}; expected numbers"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)  # NaN for a label without rows


def _is_metric(value: Any) -> bool:
    """Return whether a value is a number, with or without a confidence interval."""
    if isinstance(value, dict):
        return all(_is_number(value.get(key)) for key in ("value", "low", "high"))
    return _is_number(value)


def _is_row(value: Any) -> bool:
    """Return whether a value has the metrics of a label."""
    return isinstance(value, dict) and all(
        _is_number(value.get(key)) for key in ("support", "precision", "recall", "f1")
    )


def _printable(text: str) -> bool:
    return all(character.isprintable() for character in text)


def _shown(value: Any) -> str:
    """Format a value for an error message: printable and truncated."""
    return f"{value!a:.60}"


def write_info(folder: Path, info: ModelInfo) -> None:
    """Write `emotions.json` atomically."""
    content = {"format_version": info.format_version, **asdict(info)}
    write_text(folder / INFO_FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: readers see either the old or the new content."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def format_metric(metric: Any) -> str:
    """Format a metric with its interval, if any: `0.412 (0.398 to 0.425)`."""
    if isinstance(metric, dict):
        return f"{metric['value']:.3f} ({metric['low']:.3f} to {metric['high']:.3f})"
    return f"{metric:.3f}"


def missing_files_message(folder: Path, names: list[str]) -> str:
    """Return an error message for a folder that lacks files."""
    return f"{folder}: not an evenmood model folder, missing files: {', '.join(names)}"


def check_files(folder: Path, names: Sequence[str] = PREDICTION_FILES) -> None:
    """Raise `ModelError` if a file is missing; by default, of those required for prediction."""
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise ModelError(missing_files_message(folder, absent))


def read_files(folder: Path, names: Sequence[str] = PREDICTION_FILES) -> dict[str, bytes]:
    """Read files of a model folder; raise `ModelError` if any is missing."""
    check_files(folder, names)
    try:
        return {name: (folder / name).read_bytes() for name in names}
    except FileNotFoundError as error:  # removed in the meantime
        raise ModelError(missing_files_message(folder, [Path(error.filename).name])) from None


def copy_model(
    files: Mapping[str, bytes], info: ModelInfo, source: Path, target: Path, thresholds: Mapping[str, float]
) -> bool:
    """Write a loaded model with new thresholds; its card lists those that differ from the measured ones.

    Keras files, card and training record are copied from `source` if it still contains the same network.

    Args:
        files: Content of the files required for prediction.
        info: Parsed `emotions.json`.
        source: Folder from which the model was loaded.
        target: Folder to write to.
        thresholds: New threshold of each label.

    Returns:
        Whether `source` still contains the same network.
    """
    for name in files:
        with suppress(FileNotFoundError):
            shutil.copyfile(source / name, target / name)
    same = all((target / name).is_file() and (target / name).read_bytes() == files[name] for name in NETWORK_FILES)
    if same:
        for name in (*KERAS_FILES, CARD_FILE):
            if (source / name).is_file():
                shutil.copyfile(source / name, target / name)
        if (source / TRAINING_FOLDER).is_dir():
            shutil.copytree(source / TRAINING_FOLDER, target / TRAINING_FOLDER)
    else:
        for name in NETWORK_FILES:
            (target / name).write_bytes(files[name])
    write_info(target, replace(info, thresholds=dict(thresholds)))
    card = target / CARD_FILE
    if card.is_file():
        write_text(card, _with_note(card.read_text(encoding="utf-8"), info.thresholds, thresholds))
    return same


def _with_note(card: str, old_thresholds: Mapping[str, float], new_thresholds: Mapping[str, float]) -> str:
    """Add a note to a card on thresholds that differ from the original ones, replacing an earlier note."""
    note = NOTE.search(card)
    original = dict(re.findall(r"\b(\w++) [^\s(]++ \(was ([\d.e-]+)\)", note[0])) if note else {}
    original_thresholds = {label: float(original.get(label, value)) for label, value in old_thresholds.items()}
    changes = [
        f"{label} {new_thresholds[label]:g} (was {original_thresholds[label]:g})"
        for label in old_thresholds
        if new_thresholds[label] != original_thresholds[label]
    ]
    card = NOTE.sub("", card)
    if not changes:
        return card
    head, heading, tail = card.partition("\n# ")
    title, _, body = tail.partition("\n")
    return f"{head}{heading}{title}\n\n{NOTE_START} changed since: {', '.join(changes)}.**\n{body}"


def set_card_repo_id(folder: Path, repo_id: str) -> None:
    """Replace the repository named in the card with the one that the model is pushed to."""
    card = folder / CARD_FILE
    text = card.read_text(encoding="utf-8")
    match = re.search(r"^model-index:\n- name: (\S+)$", text, re.MULTILINE)
    for name in {CARD_ID, match[1] if match else CARD_ID}:
        text = re.sub(rf"(?<![\w./-]){re.escape(name)}(?![\w/-])", repo_id, text)
        text = text.replace(f'hf://{name}"', f'hf://{repo_id}"')
    write_text(card, text)


def check_target(target: Path, overwrite: bool = False) -> None:
    """Raise `UsageError` if `target` is a file, or a folder that is not empty and must not be overwritten."""
    try:
        occupied = any(target.iterdir())
    except FileNotFoundError:
        return
    except NotADirectoryError:
        if target.exists():
            raise UsageError(f"{target} is a file; choose another folder") from None
        return  # a parent is a file
    if occupied and not overwrite:
        raise UsageError(f"{target} exists; choose another folder, or use --overwrite (overwrite=True in Python)")


@contextmanager
def atomic_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that replaces the target at the end, or is removed on an error.

    If several processes write to one target, all succeed and the last one wins.

    Raises:
        UsageError: The target exists and is not an empty folder, and `overwrite` is false.
    """
    check_target(target, overwrite)
    target = target.resolve()  # replace the target of a symbolic link, not the link
    target.parent.mkdir(parents=True, exist_ok=True)
    work_folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    work_folder.chmod(0o755)
    try:
        yield work_folder
        _move(work_folder, target, overwrite)
    finally:
        shutil.rmtree(work_folder, ignore_errors=True)


def _move(work_folder: Path, target: Path, overwrite: bool) -> None:
    """Replace a folder with another one; restore it if the move fails."""
    for attempt in range(MAX_ATTEMPTS):
        check_target(target, overwrite)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-old-", dir=target.parent) as temporary:
            old = Path(temporary) / "model"
            if overwrite:
                try:
                    target.rename(old)
                except FileNotFoundError:
                    pass
                except PermissionError:  # on Windows, also while another process reads one of its files
                    if attempt == MAX_ATTEMPTS - 1:
                        raise
                    sleep(RETRY_SECONDS)
                    continue
            else:
                with suppress(OSError):  # the folder does not exist, or another process wrote to it
                    target.rmdir()
            try:
                work_folder.rename(target)
            except OSError as error:  # ENOTEMPTY and EEXIST: another process was faster
                occupied = error.errno in (errno.ENOTEMPTY, errno.EEXIST) or target.exists()
                if old.exists() and not occupied:
                    old.rename(target)
                if not occupied or attempt == MAX_ATTEMPTS - 1:
                    raise
            else:
                return
