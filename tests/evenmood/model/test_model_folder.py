"""The model folder: one-line errors for corrupt folders, and atomic saving."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from evenmood import LABELS, EmotionClassifier, ModelError, UsageError
from evenmood.model.model_folder import INFO_FILE, ONNX_FILE, PREDICTION_FILES, TOKENIZER_FILE, atomic_folder, read_info
from evenmood.text.normalization import fit_tokenizer
from tests.fakes.hub_repository import files_of

TEXT = "so happy for you"
PROBABILITIES, ATTENTION = "probabilities", "attention"


def tiny_onnx(
    columns: int = 28, vocabulary_size: int = 0, outputs: tuple[str, ...] = (PROBABILITIES, ATTENTION)
) -> Any:
    """Return a minimal graph with the input and outputs of the model."""
    nodes = [helper.make_node("Shape", ["input_ids"], ["shape"])]
    nodes += [helper.make_node("Gather", ["row", "zero"], [name]) for name in outputs]
    rows = numpy_helper.from_array(np.zeros((1, columns), np.float32), "row")
    zero = numpy_helper.from_array(np.zeros(1, np.int64), "zero")
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT32, ["n", "time"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, columns]) for name in outputs],
        [rows, zero],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    helper.set_model_props(model, {"vocabulary_size": str(vocabulary_size)})
    return model


def write_onnx(**options: Any) -> Callable[[Path], object]:
    return lambda folder: (folder / ONNX_FILE).write_bytes(tiny_onnx(**options).SerializeToString())


def write_file(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(data)


def change_info(**fields: Any) -> Callable[[Path], object]:
    """Overwrite fields of `emotions.json`; a function receives the old value."""

    def apply(folder: Path) -> None:
        content = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
        content |= {key: new(content[key]) if callable(new) else new for key, new in fields.items()}
        (folder / INFO_FILE).write_text(json.dumps(content), encoding="utf-8")

    return apply


def set_threshold(value: Any) -> Callable[[Path], object]:
    return change_info(thresholds=lambda old: old | {"joy": value})


def rename_label(name: Any) -> Callable[[Path], object]:
    """Rename the first label, also in the thresholds."""
    return change_info(
        labels=lambda old: [name, *old[1:]],
        thresholds=lambda old: {name if key == LABELS[0] else key: value for key, value in old.items()},
    )


def set_metrics(**splits: Any) -> Callable[[Path], object]:
    return change_info(metrics=splits)


ROW = {"support": 3, "precision": 0.5, "recall": 0.5, "f1": 0.5}


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def truncate_onnx(folder: Path) -> None:
    content = (folder / ONNX_FILE).read_bytes()
    (folder / ONNX_FILE).write_bytes(content[: len(content) // 2])


def replace_vocabulary(folder: Path) -> None:
    fit_tokenizer(["just a few words"], min_frequency=1).save(str(folder / TOKENIZER_FILE))


def rename_word(old: str, new: str) -> Callable[[Path], object]:
    """Rename an entry of the vocabulary without changing its size."""

    def apply(folder: Path) -> None:
        content = json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
        vocabulary = content["model"]["vocab"]
        vocabulary[new] = vocabulary.pop(old)
        (folder / TOKENIZER_FILE).write_text(json.dumps(content), encoding="utf-8")

    return apply


FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    **{f"no {name}": (remove(name), name, "missing") for name in PREDICTION_FILES},
    "truncated ONNX": (truncate_onnx, ONNX_FILE, "corrupt"),
    "empty ONNX": (write_file(ONNX_FILE, ""), ONNX_FILE, "corrupt"),
    "not ONNX": (write_file(ONNX_FILE, "version https://git-lfs.github.com/spec/v1\n"), ONNX_FILE, "corrupt"),
    "27 outputs": (write_onnx(columns=27), ONNX_FILE, "27 output probabilities; expected 28"),
    "no probabilities": (write_onnx(outputs=(ATTENTION,)), ONNX_FILE, "expected input_ids and probabilities"),
    "no attention": (write_onnx(outputs=(PROBABILITIES,)), ONNX_FILE, "attention"),
    "ONNX of another vocabulary": (write_onnx(vocabulary_size=7), ONNX_FILE, "exported for 7 token ids"),
    "tokenizer of another vocabulary": (replace_vocabulary, TOKENIZER_FILE, "has 6"),
    "tokenizer garbage": (write_file(TOKENIZER_FILE, "garbage"), TOKENIZER_FILE, "not a tokenizer"),
    "tokenizer empty": (write_file(TOKENIZER_FILE, ""), TOKENIZER_FILE, "not a tokenizer"),
    "tokenizer other JSON": (write_file(TOKENIZER_FILE, "{}"), TOKENIZER_FILE, "not a tokenizer"),
    "tokenizer not UTF-8": (write_file(TOKENIZER_FILE, b"\xff\xfe"), TOKENIZER_FILE, "not a tokenizer"),
    "tokenizer without padding": (rename_word("[PAD]", "qzxpad"), TOKENIZER_FILE, "[PAD]"),
    "tokenizer without unknown": (rename_word("[UNK]", "qzxunk"), TOKENIZER_FILE, "[UNK]"),
    "27 thresholds": (change_info(thresholds=lambda old: dict(list(old.items())[:27])), INFO_FILE, "27 thresholds"),
    "no thresholds": (change_info(thresholds=None), INFO_FILE, "thresholds"),
    "threshold of an unknown label": (change_info(thresholds=lambda old: old | {"rage": 0.5}), INFO_FILE, "'rage'"),
    "threshold 1.3": (set_threshold(1.3), INFO_FILE, "'joy' is 1.3"),
    "threshold NaN": (set_threshold(float("nan")), INFO_FILE, "'joy' is nan"),
    "threshold infinite": (set_threshold(float("inf")), INFO_FILE, "'joy' is inf"),
    "threshold huge": (set_threshold(10**400), INFO_FILE, "'joy' is 1000"),
    "threshold a string": (set_threshold("0.5"), INFO_FILE, "'joy' is '0.5'"),
    "threshold true": (set_threshold(True), INFO_FILE, "'joy' is True"),
    "newer format": (change_info(format_version=2), INFO_FILE, "format version 2 is not supported"),
    "no format": (change_info(format_version=None), INFO_FILE, "format_version is None"),
    "not JSON": (write_file(INFO_FILE, '{"labels": ['), INFO_FILE, "not JSON"),
    "not UTF-8": (write_file(INFO_FILE, b"\xff\xfe{"), INFO_FILE, "not JSON"),
    "deeply nested JSON": (write_file(INFO_FILE, "[" * 200_000), INFO_FILE, "not JSON"),
    "JSON list": (write_file(INFO_FILE, "[]"), INFO_FILE, "expected an object"),
    "duplicate label": (change_info(labels=lambda old: [*old[:27], "joy"]), INFO_FILE, "duplicate label 'joy'"),
    "labels not strings": (change_info(labels=[1, 2]), INFO_FILE, "labels must be"),
    "label that moves the cursor": (rename_label("\x1b[2Jjoy"), INFO_FILE, "'\\x1b[2Jjoy'"),
    "label that sets the title": (rename_label("joy\x1b]0;owned\x07"), INFO_FILE, "unprintable characters"),
    "label with a line break": (rename_label("joy\nanger"), INFO_FILE, "unprintable characters"),
    "label with a tab": (rename_label("joy\t"), INFO_FILE, "unprintable characters"),
    "label with a C1 control": (rename_label("joy\x9b2J"), INFO_FILE, "unprintable characters"),
    "label with a right-to-left override": (rename_label("\u202eyoj"), INFO_FILE, "unprintable characters"),
    "label with an invisible character": (rename_label("joy\u200b"), INFO_FILE, "unprintable characters"),
    "label with a lone surrogate": (rename_label("joy\ud800"), INFO_FILE, "unprintable characters"),
    "label of a thousand characters": (rename_label("joy" * 1000), INFO_FILE, "3000 characters"),
    "label is a space": (rename_label(" "), INFO_FILE, "whitespace"),
    "label with trailing space": (rename_label("joy "), INFO_FILE, "label 'joy ' has surrounding whitespace"),
    "label with a comma": (rename_label("joy,anger"), INFO_FILE, "label 'joy,anger' contains a comma"),
    "label that is a formula": (rename_label('=HYPERLINK("http://x")'), INFO_FILE, "begins with '='"),
    "label that is a full-width formula": (rename_label("\uff1d1+1"), INFO_FILE, "formula"),
    "empty label": (rename_label(""), INFO_FILE, "labels must be"),
    "no labels": (change_info(labels=[], thresholds={}), INFO_FILE, "labels must be"),
    "labels an object": (change_info(labels={"joy": 1}), INFO_FILE, "labels must be"),
    "threshold of a long label": (change_info(thresholds=lambda old: old | {"x" * 10**6: 0.5}), INFO_FILE, "'xxx"),
    "format a long string": (change_info(format_version="x" * 10**6), INFO_FILE, "format_version is 'xxx"),
    "format a long number": (change_info(format_version=10**4000), INFO_FILE, "format version 1000"),
    "length a long string": (change_info(max_length="\x1b" * 10**6), INFO_FILE, "max_length is"),
    "metrics of a split a number": (set_metrics(test=3), INFO_FILE, "metrics of 'test' are 3"),
    "metrics of a split a list": (set_metrics(validation=[1]), INFO_FILE, "metrics of 'validation' are [1]"),
    "metrics of a split null": (set_metrics(test=None), INFO_FILE, "metrics of 'test' are None"),
    "metric a string": (set_metrics(test={"macro_f1": "high\x1b"}), INFO_FILE, "'macro_f1' is 'high"),
    "metric without interval": (set_metrics(test={"macro_f1": {"value": 1}}), INFO_FILE, "'macro_f1' is {"),
    "metric with invalid interval": (
        set_metrics(test={"macro_f1": {"value": 1, "low": "0", "high": 1}}),
        INFO_FILE,
        "'macro_f1' is {",
    ),
    "metrics per label a list": (set_metrics(test={"per_label": [1]}), INFO_FILE, "'per_label' is [1]"),
    "metrics of a label a number": (set_metrics(test={"per_label": {"joy": 0.5}}), INFO_FILE, "'per_label' is"),
    "label metrics incomplete": (set_metrics(test={"per_label": {"joy": {"f1": 0.5}}}), INFO_FILE, "'per_label' is"),
    "metrics of a label strings": (
        set_metrics(validation={"per_label": {"joy": ROW | {"support": "3"}}}),
        INFO_FILE,
        "'per_label' is",
    ),
    "origin with escape sequences": (change_info(trained_from={"data": "x\x1b[2J"}), INFO_FILE, "'data'"),
    "origin a list": (change_info(trained_from=[1]), INFO_FILE, "trained_from must be"),
    "27 labels": (
        change_info(labels=list(LABELS[:27]), thresholds=lambda old: {label: old[label] for label in LABELS[:27]}),
        ONNX_FILE,
        "28 output probabilities; expected 27",
    ),
    "length 0": (change_info(max_length=0), INFO_FILE, "max_length is 0"),
    "length a string": (change_info(max_length="30"), INFO_FILE, "max_length is '30'"),
    "attention a number": (change_info(attention=1), INFO_FILE, "attention must be"),
    "metrics a list": (change_info(metrics=[1]), INFO_FILE, "metrics must be"),
}


@pytest.mark.parametrize(("damage", "file", "cause"), FAULTS.values(), ids=FAULTS.keys())
def test_corrupt_folder_is_reported_with_the_cause(
    folder: Path, damage: Callable[[Path], object], file: str, cause: str
) -> None:
    damage(folder)
    with pytest.raises(ModelError) as error:
        EmotionClassifier.from_pretrained(folder)
    message = str(error.value)
    assert str(folder) in message
    assert file in message
    assert cause in message
    assert "\n" not in message
    assert "Traceback" not in message
    assert message.isprintable()
    assert len(message) < 500 + len(str(folder))


def test_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no folder .*nowhere"):
        EmotionClassifier.from_pretrained(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="file is a file"):
        EmotionClassifier.from_pretrained(tmp_path / "file")
    with pytest.raises(ModelError, match="missing files: " + ", ".join(PREDICTION_FILES)):
        EmotionClassifier.from_pretrained(tmp_path)


@pytest.mark.parametrize("absolute", [False, True])
def test_external_weights_are_rejected(folder: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool) -> None:
    model = onnx.load(folder / ONNX_FILE)
    onnx.save(model, folder / ONNX_FILE, save_as_external_data=True, location="weights.bin", size_threshold=0)
    if absolute:
        model = onnx.load(folder / ONNX_FILE, load_external_data=False)
        for tensor in model.graph.initializer:
            entry = next(entry for entry in tensor.external_data if entry.key == "location")
            entry.value = str(folder / "weights.bin")
        (folder / ONNX_FILE).write_bytes(model.SerializeToString())
    assert (folder / "weights.bin").stat().st_size > 1000
    monkeypatch.chdir(folder)  # where external data would be looked up
    with pytest.raises(ModelError) as error:
        EmotionClassifier.from_pretrained(folder)
    assert ONNX_FILE in str(error.value)
    assert "\n" not in str(error.value)


def test_save_round_trip(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_text("---\n---\n# Card\n\nAs measured.\n", encoding="utf-8")
    (folder / "model.weights.h5").write_bytes(b"weights")
    (folder / "training").mkdir()
    (folder / "training" / "config.json").write_text("{}", encoding="utf-8")
    (folder / "private-notes.txt").touch()
    model = EmotionClassifier.from_pretrained(folder)
    model.set_thresholds(joy=0.125, grief=1)
    target = model.save_pretrained(tmp_path / "a" / "b")
    thresholds = EmotionClassifier.from_pretrained(folder).thresholds
    reloaded = EmotionClassifier.from_pretrained(str(target))
    assert dict(reloaded.thresholds) == dict(model.thresholds)
    assert reloaded.thresholds["joy"] == 0.125
    assert (reloaded.labels, reloaded.info.trained_from) == (model.labels, model.info.trained_from)
    np.testing.assert_array_equal(reloaded.predict_proba(TEXT), model.predict_proba(TEXT))
    files, originals = files_of(target), files_of(folder)
    del originals["private-notes.txt"], originals[INFO_FILE], files[INFO_FILE], originals["README.md"]
    changes = f"grief 1 (was {thresholds['grief']:g}), joy 0.125 (was {thresholds['joy']:g})"
    note = f"**The metrics below were measured with the original thresholds; changed since: {changes}.**"
    card = f"---\n---\n# Card\n\n{note}\n\nAs measured.\n"
    assert files.pop("README.md").decode() == card
    assert files == originals
    assert (reloaded.save_pretrained(tmp_path / "c") / "README.md").read_text() == card


def test_model_overwrites_its_own_folder(folder: Path) -> None:
    model = EmotionClassifier.from_pretrained(folder)
    model.set_thresholds(joy=0.125)
    model.save_pretrained(folder, overwrite=True)
    assert read_info(folder).thresholds["joy"] == 0.125
    assert set(files_of(folder)) == set(PREDICTION_FILES)


def read_tree(root: Path) -> dict[str, bytes]:
    """Return all files in a folder, including hidden and temporary ones; empty folders count as files."""
    empty = [path for path in root.rglob("*") if path.is_dir() and not any(path.iterdir())]
    return files_of(root) | {f"{path.relative_to(root)}/": b"" for path in empty}


def test_existing_target_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("years", encoding="utf-8")
    (tmp_path / "file").touch()
    files_before = read_tree(tmp_path)
    for name, overwrite in (("used", False), ("file", False), ("file", True)):
        with pytest.raises(UsageError, match=name), atomic_folder(tmp_path / name, overwrite):
            pytest.fail("expected UsageError")
    assert read_tree(tmp_path) == files_before


@pytest.mark.parametrize("state", ["absent", "empty", "full", "link"])
def test_atomic_folder_replaces_the_target(tmp_path: Path, state: str) -> None:
    target = tmp_path / "target"
    if state == "link":
        (tmp_path / "elsewhere").mkdir()
        target.symlink_to("elsewhere", target_is_directory=True)
    elif state != "absent":
        target.mkdir()
    if state == "full":
        (target / "old").touch()
    with atomic_folder(target, overwrite=state in ("full", "link")) as work_folder:
        (work_folder / "new").write_bytes(b"1")
        assert "new" not in files_of(target)
    assert files_of(target) == {"new": b"1"}
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("exists", [False, True])
def test_atomic_folder_leaves_nothing_after_an_error(tmp_path: Path, exists: bool) -> None:
    if exists:
        (tmp_path / "target").mkdir()
        (tmp_path / "target" / "old").write_bytes(b"0")
    files_before = read_tree(tmp_path)
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "target", overwrite=True) as work_folder:
        (work_folder / "new").write_bytes((tmp_path / "nowhere").read_bytes())
    assert read_tree(tmp_path) == files_before


SAVE = """
from evenmood import EmotionClassifier
EmotionClassifier.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[2], overwrite=True)
"""
FULL_DISK = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))" + SAVE
KILLED = "import os, shutil, sys; shutil.copyfile = lambda a, b: os._exit(9)" + SAVE


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX resource limits")
@pytest.mark.parametrize("program", [FULL_DISK, KILLED], ids=["disk full", "killed"])
@pytest.mark.parametrize("exists", [False, True], ids=["new", "existing"])
def test_failed_save_keeps_the_target(folder: Path, tmp_path: Path, program: str, exists: bool) -> None:
    target = tmp_path / "saved"
    if exists:
        shutil.copytree(folder, target)
        (target / "mark").touch()
    files_before = files_of(target) if exists else None
    result = subprocess.run(
        [sys.executable, "-c", program, folder, target], capture_output=True, text=True, check=False
    )
    assert result.returncode == (9 if program == KILLED else 1), result.stderr
    assert ("File too large" in result.stderr) == (program == FULL_DISK)
    assert (files_of(target) if target.exists() else None) == files_before
    if program == FULL_DISK:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model", *(["saved"] if exists else [])]


def test_saving_below_a_file_fails(model: EmotionClassifier, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        model.save_pretrained(tmp_path / "file" / "model")
    assert read_tree(tmp_path) == {"file": b""}
