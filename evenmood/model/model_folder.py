"""The model folder: one format for a folder on disk, a repository on the Hub and the default model in the wheel."""

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
from evenmood.labels import label_fault

ONNX_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
INFO_FILE = "emotions.json"
CARD_FILE = "README.md"
TRAINING_FOLDER = "training"
PREDICTING_FILES = (ONNX_FILE, TOKENIZER_FILE, INFO_FILE)
"""Files required for prediction; `from_pretrained` downloads these and the wheel carries them."""
NETWORK_FILES = (ONNX_FILE, TOKENIZER_FILE)
"""What makes it the same network: thresholds and figures in `emotions.json` may change without it."""
KERAS_FILES = ("config.json", "metadata.json", "model.weights.h5")
"""Keras's own unzipped format; `keras.saving.load_model(folder)` reads it."""
FORMAT_VERSION = 1
Kind = Literal["bilstm", "encoder", "onnx"]
KINDS = ("bilstm", "encoder")
"""Files allowed in a model folder."""
NOTE_START = "**The thresholds below were measured;"
NOTE = re.compile(rf"\n{re.escape(NOTE_START)}.*\n")
TRIES = 100
"""Times that a folder is moved into place while others write to the same."""
PAUSE = 0.01
"""Seconds between tries where a folder is in use."""
CARD_ID = "OWNER/MODEL"
"""Stands in the card of a model that has no place on the Hub yet."""


@dataclass(frozen=True)
class ModelInfo:
    """What `emotions.json` says.

    Attributes:
        labels: Label of each output column.
        thresholds: Probability from which on a label is given, one per label, each in [0, 1].
        max_length: Tokens a text is cut to.
        attention: Whether the network has attention, which `explain` shows.
        trained_from: Data, vectors and configuration the model was trained with.
        metrics: Measured figures by split, per label and averaged.
        kind: `bilstm`, the network of `python -m train fit`, or `encoder`, that of `python -m train encoder`; `onnx`
            for another program's export, which is not in this format.
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
    thresholds: Mapping[str, float], labels: tuple[str, ...], where: str, kind: type[EvenmoodError] = ModelError
) -> dict[str, float]:
    """Return the thresholds as floats, or say which one is not a number in [0, 1] or names no label."""
    checked = {}
    for label, value in thresholds.items():
        if label not in labels:
            expected = f"{', '.join(labels):.400}"
            raise kind(f"{where}: threshold for unknown label {label!r:.60}; the labels are {expected}")
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not number or not 0 <= value <= 1:  # NaN is neither
            shown = " ".join(f"{value!r:.40}".split())
            raise kind(f"{where}: threshold of {label!r} is {shown}; it must be a number from 0 to 1")
        checked[label] = float(value)
    return checked


def read_info(folder: Path) -> ModelInfo:
    """Read and check `emotions.json`.

    Raises:
        ModelError: It is missing, is not JSON, has a newer format version, or lacks or distorts a field.
    """
    return parse_info(read_files(folder, [INFO_FILE])[INFO_FILE], folder / INFO_FILE)


def parse_info(data: bytes, path: Path) -> ModelInfo:
    """Check the content of `emotions.json`; `path` is for the errors, which are those of `read_info`."""
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
            f"{path}: format version {_shown(version)} is newer than this evenmood reads ({FORMAT_VERSION}); "
            "upgrade with: pip install --upgrade evenmood"
        )
    labels = content.get("labels")
    fault = label_fault(labels if isinstance(labels, list) else [])
    if not isinstance(labels, list) or fault:
        raise ModelError(f"{path}: {fault}")
    thresholds = content.get("thresholds")
    if not isinstance(thresholds, dict):
        raise ModelError(f"{path}: thresholds must be an object of label to number")
    checked = check_thresholds(thresholds, tuple(labels), str(path))
    without = [label for label in labels if label not in checked]
    if without:
        raise ModelError(
            f"{path}: {len(checked)} thresholds for {len(labels)} labels; none for {', '.join(without[:5])}"
            + (" and others" if len(without) > 5 else "")
        )
    max_length = content.get("max_length")
    if not isinstance(max_length, int) or isinstance(max_length, bool) or not 2 <= max_length <= 4096:
        raise ModelError(f"{path}: max_length is {_shown(max_length)}; expected a whole number from 2 to 4096")
    if not isinstance(content.get("attention"), bool):
        raise ModelError(f"{path}: attention must be true or false")
    kind = content.get("kind", "bilstm")  # absent where the model was made before there were two
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
            raise ModelError(f"{path}: trained_from has {_shown(key)} with characters that cannot be printed")
    if fault := _metrics_fault(metrics):
        raise ModelError(f"{path}: {fault}")
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


def _metrics_fault(metrics: Any) -> str | None:
    """What is wrong with `metrics`, an object of split to figures: numbers, with intervals or not, or per label."""
    if not isinstance(metrics, dict):
        return "metrics must be an object"
    for split, figures in metrics.items():
        if not isinstance(figures, dict) or not _printable(split):
            return f"metrics of {_shown(split)} are {_shown(figures)}; expected an object"
        for name, figure in figures.items():
            if name != "per_label":
                right = _is_figure(figure)
            elif right := isinstance(figure, dict):
                whole = split in ("validation", "test")  # of other splits one figure per label may do
                right = all(_is_row(row) or (not whole and (row is None or _is_number(row))) for row in figure.values())
            if not right:
                return f"metrics of {_shown(split)}: {_shown(name)} is {_shown(figure)}; expected numbers"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)  # NaN where no row has a label


def _is_figure(value: Any) -> bool:
    """A number, or one with its confidence interval."""
    if isinstance(value, dict):
        return all(_is_number(value.get(key)) for key in ("value", "low", "high"))
    return _is_number(value)


def _is_row(value: Any) -> bool:
    """What is measured of a label."""
    return isinstance(value, dict) and all(
        _is_number(value.get(key)) for key in ("support", "precision", "recall", "f1")
    )


def _printable(text: str) -> bool:
    return all(character.isprintable() for character in text)


def _shown(value: Any) -> str:
    """A value of a file, for an error: printable, and not too long."""
    return f"{value!a:.60}"


def write_info(folder: Path, info: ModelInfo) -> None:
    """Write `emotions.json`, replacing an older one in one step."""
    content = {"format_version": info.format_version, **asdict(info)}
    write_text(folder / INFO_FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old content or the new one, never a part of it."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def figure_text(figure: Any) -> str:
    """A measured figure to read: `0.412 (0.398 to 0.425)`, or the number alone where it has no interval."""
    if isinstance(figure, dict):
        return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
    return f"{figure:.3f}"


def missing(folder: Path, names: list[str]) -> str:
    """The message for a folder that lacks files."""
    return f"{folder}: not an evenmood model folder, {' and '.join(names)} missing"


def check_files(folder: Path, names: Sequence[str] = PREDICTING_FILES) -> None:
    """Raise `ModelError` naming each file missing from the folder; by default, those required for prediction."""
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise ModelError(missing(folder, absent))


def read_files(folder: Path, names: Sequence[str] = PREDICTING_FILES) -> dict[str, bytes]:
    """Content of files of a model folder; `ModelError` names each that is missing."""
    check_files(folder, names)
    try:
        return {name: (folder / name).read_bytes() for name in names}
    except FileNotFoundError as error:  # removed in between
        raise ModelError(missing(folder, [Path(error.filename).name])) from None


def copy_model(
    files: Mapping[str, bytes], info: ModelInfo, source: Path, target: Path, thresholds: Mapping[str, float]
) -> bool:
    """Write a model as it was loaded, with these thresholds; a card says where they are others.

    Keras's files, card and training record are copied from `source`, unless the folder no longer holds the model that
    was loaded.

    Args:
        files: Content of each file that predicting needs, as it was loaded.
        info: What its `emotions.json` says.
        source: Folder that it was loaded from.
        target: Folder to write to.
        thresholds: Threshold of each label.

    Returns:
        Whether `source` still holds the model.
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
        write_text(card, _noted(card.read_text(encoding="utf-8"), info.thresholds, thresholds))
    return same


def _noted(card: str, before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """The card with a note on thresholds that differ from the measured ones; an older note is taken up in it."""
    old = NOTE.search(card)
    noted = dict(re.findall(r"\b(\w++) [^\s(]++ \(was ([\d.e-]+)\)", old[0])) if old else {}
    measured = {label: float(noted.get(label, value)) for label, value in before.items()}
    changed = [
        f"{label} {after[label]:g} (was {measured[label]:g})" for label in before if after[label] != measured[label]
    ]
    card = NOTE.sub("", card)
    if not changed:
        return card
    head, heading, rest = card.partition("\n# ")
    title, _, body = rest.partition("\n")
    return f"{head}{heading}{title}\n\n{NOTE_START} changed since: {', '.join(changed)}.**\n{body}"


def name_in_card(folder: Path, repo_id: str) -> None:
    """Let the card name the repository that the model goes to, in the place of the one it came from, if any."""
    card = folder / CARD_FILE
    text = card.read_text(encoding="utf-8")
    came_from = re.search(r"^model-index:\n- name: (\S+)$", text, re.MULTILINE)
    for name in {CARD_ID, came_from[1] if came_from else CARD_ID}:
        text = re.sub(rf"(?<![\w./-]){re.escape(name)}(?![\w/-])", repo_id, text)
        text = text.replace(f'hf://{name}"', f'hf://{repo_id}"')
    write_text(card, text)


def check_target(target: Path, overwrite: bool = False) -> None:
    """Raise `UsageError` if a folder cannot be written at `target`, or something lies there and may not be replaced."""
    try:
        occupied = any(target.iterdir())
    except FileNotFoundError:
        return
    except NotADirectoryError:
        if target.exists():
            raise UsageError(f"{target} is a file; choose another folder") from None
        return  # a folder above it is a file
    if occupied and not overwrite:
        raise UsageError(f"{target} exists already; choose another folder or ask for overwriting")


@contextmanager
def whole_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder to fill; it takes the target's place at the end, or leaves no trace on an error.

    Where several write to one target, each of them succeeds, and the last one's folder stays.

    Raises:
        UsageError: The target exists and is not an empty folder, and `overwrite` is false.
    """
    check_target(target, overwrite)
    target = target.resolve()  # a link stays, what it points to is replaced
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    work.chmod(0o755)
    try:
        yield work
        _move(work, target, overwrite)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _move(work: Path, target: Path, overwrite: bool) -> None:
    """Move a folder to a place where another may be; that one goes away, or back if this one cannot be moved."""
    for attempt in range(TRIES):
        check_target(target, overwrite)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-old-", dir=target.parent) as place:
            old = Path(place) / "model"
            if overwrite:
                try:
                    target.rename(old)
                except FileNotFoundError:
                    pass
                except PermissionError:  # on Windows also while somebody reads a file in it
                    if attempt == TRIES - 1:
                        raise
                    sleep(PAUSE)
                    continue
            else:
                with suppress(OSError):  # there is none, or somebody else has put something in it
                    target.rmdir()
            try:
                work.rename(target)
            except OSError as error:  # ENOTEMPTY and EEXIST: somebody else was faster
                occupied = error.errno in (errno.ENOTEMPTY, errno.EEXIST) or target.exists()
                if old.exists() and not occupied:
                    old.rename(target)
                if not occupied or attempt == TRIES - 1:
                    raise
            else:
                return
