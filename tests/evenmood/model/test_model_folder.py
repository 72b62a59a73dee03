"""The model folder: one-line errors for damaged folders, and atomic saving."""

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
from evenmood.model.model_folder import INFO_FILE, ONNX_FILE, PREDICTING_FILES, TOKENIZER_FILE, atomic_folder, read_info
from evenmood.text.normalization import fit_tokenizer
from tests.fakes.hub_repository import files_of

TEXT = "so happy for you"
PROBABILITIES, ATTENTION = "probabilities", "attention"


def tiny_onnx(
    columns: int = 28, vocabulary_size: int = 0, outputs: tuple[str, ...] = (PROBABILITIES, ATTENTION)
) -> Any:
    """A graph with the model's input and outputs that computes nothing of use."""
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


def write(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(data)


def change(**fields: Any) -> Callable[[Path], object]:
    """Overwrite fields of `emotions.json`; a function is given the old value."""

    def apply(folder: Path) -> None:
        content = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
        content |= {key: new(content[key]) if callable(new) else new for key, new in fields.items()}
        (folder / INFO_FILE).write_text(json.dumps(content), encoding="utf-8")

    return apply


def threshold(value: Any) -> Callable[[Path], object]:
    return change(thresholds=lambda old: old | {"joy": value})


def label(name: Any) -> Callable[[Path], object]:
    """Rename the first label, in the thresholds too."""
    return change(
        labels=lambda old: [name, *old[1:]],
        thresholds=lambda old: {name if key == LABELS[0] else key: value for key, value in old.items()},
    )


def metrics(**splits: Any) -> Callable[[Path], object]:
    return change(metrics=splits)


ROW = {"support": 3, "precision": 0.5, "recall": 0.5, "f1": 0.5}


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def truncate(folder: Path) -> None:
    content = (folder / ONNX_FILE).read_bytes()
    (folder / ONNX_FILE).write_bytes(content[: len(content) // 2])


def other_vocabulary(folder: Path) -> None:
    fit_tokenizer(["just a few words"], min_frequency=1).save(str(folder / TOKENIZER_FILE))


def rename_word(old: str, new: str) -> Callable[[Path], object]:
    """Swap a reserved entry of the vocabulary for another word: its size stays as it was."""

    def apply(folder: Path) -> None:
        content = json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
        vocabulary = content["model"]["vocab"]
        vocabulary[new] = vocabulary.pop(old)
        (folder / TOKENIZER_FILE).write_text(json.dumps(content), encoding="utf-8")

    return apply


FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    **{f"no {name}": (remove(name), name, "missing") for name in PREDICTING_FILES},
    "truncated ONNX": (truncate, ONNX_FILE, "damaged"),
    "empty ONNX": (write(ONNX_FILE, ""), ONNX_FILE, "damaged"),
    "not ONNX": (write(ONNX_FILE, "version https://git-lfs.github.com/spec/v1\n"), ONNX_FILE, "damaged"),
    "27 outputs": (write_onnx(columns=27), ONNX_FILE, "27 output probabilities; expected 28"),
    "no probabilities": (write_onnx(outputs=(ATTENTION,)), ONNX_FILE, "expected input_ids and probabilities"),
    "no attention": (write_onnx(outputs=(PROBABILITIES,)), ONNX_FILE, "attention"),
    "ONNX of another vocabulary": (write_onnx(vocabulary_size=7), ONNX_FILE, "vocabulary of 7"),
    "tokenizer of another vocabulary": (other_vocabulary, TOKENIZER_FILE, "has 6"),
    "tokenizer garbage": (write(TOKENIZER_FILE, "garbage"), TOKENIZER_FILE, "not a tokenizer"),
    "tokenizer empty": (write(TOKENIZER_FILE, ""), TOKENIZER_FILE, "not a tokenizer"),
    "tokenizer other JSON": (write(TOKENIZER_FILE, "{}"), TOKENIZER_FILE, "not a tokenizer"),
    "tokenizer not UTF-8": (write(TOKENIZER_FILE, b"\xff\xfe"), TOKENIZER_FILE, "not a tokenizer"),
    "tokenizer without padding": (rename_word("[PAD]", "qzxpad"), TOKENIZER_FILE, "[PAD]"),
    "tokenizer without unknown": (rename_word("[UNK]", "qzxunk"), TOKENIZER_FILE, "[UNK]"),
    "27 thresholds": (change(thresholds=lambda old: dict(list(old.items())[:27])), INFO_FILE, "27 thresholds"),
    "no thresholds": (change(thresholds=None), INFO_FILE, "thresholds"),
    "threshold of an unknown label": (change(thresholds=lambda old: old | {"rage": 0.5}), INFO_FILE, "'rage'"),
    "threshold 1.3": (threshold(1.3), INFO_FILE, "'joy' is 1.3"),
    "threshold NaN": (threshold(float("nan")), INFO_FILE, "'joy' is nan"),
    "threshold infinite": (threshold(float("inf")), INFO_FILE, "'joy' is inf"),
    "threshold huge": (threshold(10**400), INFO_FILE, "'joy' is 1000"),
    "threshold a string": (threshold("0.5"), INFO_FILE, "'joy' is '0.5'"),
    "threshold true": (threshold(True), INFO_FILE, "'joy' is True"),
    "newer format": (change(format_version=2), INFO_FILE, "newer"),
    "no format": (change(format_version=None), INFO_FILE, "format_version is None"),
    "not JSON": (write(INFO_FILE, '{"labels": ['), INFO_FILE, "not JSON"),
    "not UTF-8": (write(INFO_FILE, b"\xff\xfe{"), INFO_FILE, "not JSON"),
    "JSON of bottomless depth": (write(INFO_FILE, "[" * 200_000), INFO_FILE, "not JSON"),
    "JSON list": (write(INFO_FILE, "[]"), INFO_FILE, "expected an object"),
    "a label twice": (change(labels=lambda old: [*old[:27], "joy"]), INFO_FILE, "twice"),
    "labels no names": (change(labels=[1, 2]), INFO_FILE, "labels must be"),
    "label that moves the cursor": (label("\x1b[2Jjoy"), INFO_FILE, "'\\x1b[2Jjoy'"),
    "label that sets the title": (label("joy\x1b]0;owned\x07"), INFO_FILE, "not printable"),
    "label of two lines": (label("joy\nanger"), INFO_FILE, "not printable"),
    "label with a tab": (label("joy\t"), INFO_FILE, "not printable"),
    "label with a C1 control": (label("joy\x9b2J"), INFO_FILE, "not printable"),
    "label written backwards": (label("\u202eyoj"), INFO_FILE, "not printable"),
    "label with an invisible character": (label("joy\u200b"), INFO_FILE, "not printable"),
    "label with a lone surrogate": (label("joy\ud800"), INFO_FILE, "not printable"),
    "label of a thousand characters": (label("joy" * 1000), INFO_FILE, "3000 characters"),
    "label of a space": (label(" "), INFO_FILE, "space"),
    "label with a space at its end": (label("joy "), INFO_FILE, "'joy '"),
    "label with a comma": (label("joy,anger"), INFO_FILE, "comma"),
    "label that is a formula": (label('=HYPERLINK("http://x")'), INFO_FILE, "formula"),
    "label that is a full-width formula": (label("\uff1d1+1"), INFO_FILE, "formula"),
    "empty label": (label(""), INFO_FILE, "labels must be"),
    "no labels": (change(labels=[], thresholds={}), INFO_FILE, "labels must be"),
    "labels an object": (change(labels={"joy": 1}), INFO_FILE, "labels must be"),
    "threshold of a long label": (change(thresholds=lambda old: old | {"x" * 10**6: 0.5}), INFO_FILE, "'xxx"),
    "format a long string": (change(format_version="x" * 10**6), INFO_FILE, "format_version is 'xxx"),
    "format a long number": (change(format_version=10**4000), INFO_FILE, "format version 1000"),
    "length a long string": (change(max_length="\x1b" * 10**6), INFO_FILE, "max_length is"),
    "metrics of a split a number": (metrics(test=3), INFO_FILE, "metrics of 'test' are 3"),
    "metrics of a split a list": (metrics(validation=[1]), INFO_FILE, "metrics of 'validation' are [1]"),
    "metrics of a split null": (metrics(test=None), INFO_FILE, "metrics of 'test' are None"),
    "a figure a string": (metrics(test={"macro_f1": "high\x1b"}), INFO_FILE, "'macro_f1' is 'high"),
    "a figure without interval": (metrics(test={"macro_f1": {"value": 1}}), INFO_FILE, "'macro_f1' is {"),
    "a figure with an odd interval": (
        metrics(test={"macro_f1": {"value": 1, "low": "0", "high": 1}}),
        INFO_FILE,
        "'macro_f1' is {",
    ),
    "figures per label a list": (metrics(test={"per_label": [1]}), INFO_FILE, "'per_label' is [1]"),
    "figures of a label a number": (metrics(test={"per_label": {"joy": 0.5}}), INFO_FILE, "'per_label' is"),
    "figures of a label short": (metrics(test={"per_label": {"joy": {"f1": 0.5}}}), INFO_FILE, "'per_label' is"),
    "figures of a label strings": (
        metrics(validation={"per_label": {"joy": ROW | {"support": "3"}}}),
        INFO_FILE,
        "'per_label' is",
    ),
    "origin with escape sequences": (change(trained_from={"data": "x\x1b[2J"}), INFO_FILE, "'data'"),
    "origin a list": (change(trained_from=[1]), INFO_FILE, "trained_from must be"),
    "27 labels": (
        change(labels=list(LABELS[:27]), thresholds=lambda old: {label: old[label] for label in LABELS[:27]}),
        ONNX_FILE,
        "28 output probabilities; expected 27",
    ),
    "length 0": (change(max_length=0), INFO_FILE, "max_length is 0"),
    "length a string": (change(max_length="30"), INFO_FILE, "max_length is '30'"),
    "attention a number": (change(attention=1), INFO_FILE, "attention must be"),
    "metrics a list": (change(metrics=[1]), INFO_FILE, "metrics must be"),
}


@pytest.mark.parametrize(("damage", "file", "cause"), FAULTS.values(), ids=FAULTS.keys())
def test_a_damaged_folder_is_named_with_the_cause(
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


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no folder .*nowhere"):
        EmotionClassifier.from_pretrained(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="file is a file"):
        EmotionClassifier.from_pretrained(tmp_path / "file")
    with pytest.raises(ModelError, match=" and ".join(PREDICTING_FILES)):
        EmotionClassifier.from_pretrained(tmp_path)


@pytest.mark.parametrize("absolute", [False, True])
def test_weights_in_other_files_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool) -> None:
    model = onnx.load(folder / ONNX_FILE)
    onnx.save(model, folder / ONNX_FILE, save_as_external_data=True, location="weights.bin", size_threshold=0)
    if absolute:
        model = onnx.load(folder / ONNX_FILE, load_external_data=False)
        for tensor in model.graph.initializer:
            entry = next(entry for entry in tensor.external_data if entry.key == "location")
            entry.value = str(folder / "weights.bin")
        (folder / ONNX_FILE).write_bytes(model.SerializeToString())
    assert (folder / "weights.bin").stat().st_size > 1000
    monkeypatch.chdir(folder)  # where a careless loader would look
    with pytest.raises(ModelError) as error:
        EmotionClassifier.from_pretrained(folder)
    assert ONNX_FILE in str(error.value)
    assert "\n" not in str(error.value)


def test_a_saved_model_is_the_same(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_text("---\n---\n# Card\n\nAs measured.\n", encoding="utf-8")
    (folder / "model.weights.h5").write_bytes(b"weights")
    (folder / "training").mkdir()
    (folder / "training" / "config.json").write_text("{}", encoding="utf-8")
    (folder / "private-notes.txt").touch()
    model = EmotionClassifier.from_pretrained(folder)
    model.set_thresholds(joy=0.125, grief=1)
    target = model.save_pretrained(tmp_path / "a" / "b")
    measured = EmotionClassifier.from_pretrained(folder).thresholds
    again = EmotionClassifier.from_pretrained(str(target))
    assert dict(again.thresholds) == dict(model.thresholds)
    assert again.thresholds["joy"] == 0.125
    assert (again.labels, again.info.trained_from) == (model.labels, model.info.trained_from)
    np.testing.assert_array_equal(again.predict_proba(TEXT), model.predict_proba(TEXT))
    saved, original = files_of(target), files_of(folder)
    del original["private-notes.txt"], original[INFO_FILE], saved[INFO_FILE], original["README.md"]
    was = f"grief 1 (was {measured['grief']:g}), joy 0.125 (was {measured['joy']:g})"
    note = f"**The thresholds below were measured; changed since: {was}.**"
    assert saved.pop("README.md").decode() == f"---\n---\n# Card\n\n{note}\n\nAs measured.\n"
    assert saved == original


def test_a_model_can_be_saved_over_itself(folder: Path) -> None:
    model = EmotionClassifier.from_pretrained(folder)
    model.set_thresholds(joy=0.125)
    model.save_pretrained(folder, overwrite=True)
    assert read_info(folder).thresholds["joy"] == 0.125
    assert set(files_of(folder)) == set(PREDICTING_FILES)


def contents(place: Path) -> dict[str, bytes]:
    """Every file below a place, hidden and temporary ones too; empty folders count as files."""
    empty = [path for path in place.rglob("*") if path.is_dir() and not any(path.iterdir())]
    return files_of(place) | {f"{path.relative_to(place)}/": b"" for path in empty}


def test_a_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("years", encoding="utf-8")
    (tmp_path / "file").touch()
    before = contents(tmp_path)
    for name, overwrite in (("used", False), ("file", False), ("file", True)):
        with pytest.raises(UsageError, match=name), atomic_folder(tmp_path / name, overwrite):
            pytest.fail("must not get here")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("there", ["absent", "empty", "full", "link"])
def test_an_atomic_folder_replaces_the_target(tmp_path: Path, there: str) -> None:
    target = tmp_path / "target"
    if there == "link":
        (tmp_path / "elsewhere").mkdir()
        target.symlink_to("elsewhere", target_is_directory=True)
    elif there != "absent":
        target.mkdir()
    if there == "full":
        (target / "old").touch()
    with atomic_folder(target, overwrite=there in ("full", "link")) as work:
        (work / "new").write_bytes(b"1")
        assert "new" not in files_of(target)
    assert files_of(target) == {"new": b"1"}
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("there", [False, True])
def test_an_error_leaves_no_trace(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "target").mkdir()
        (tmp_path / "target" / "old").write_bytes(b"0")
    before = contents(tmp_path)
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "target", overwrite=True) as work:
        (work / "new").write_bytes((tmp_path / "nowhere").read_bytes())
    assert contents(tmp_path) == before


SAVE = """
from evenmood import EmotionClassifier
EmotionClassifier.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[2], overwrite=True)
"""
FULL_DISK = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))" + SAVE
KILLED = "import os, shutil, sys; shutil.copyfile = lambda a, b: os._exit(9)" + SAVE


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX resource limits")
@pytest.mark.parametrize("program", [FULL_DISK, KILLED], ids=["disk full", "killed"])
@pytest.mark.parametrize("there", [False, True], ids=["absent", "there"])
def test_a_save_that_fails_leaves_the_target_as_it_was(folder: Path, tmp_path: Path, program: str, there: bool) -> None:
    target = tmp_path / "saved"
    if there:
        shutil.copytree(folder, target)
        (target / "mark").touch()
    before = files_of(target) if there else None
    result = subprocess.run(
        [sys.executable, "-c", program, folder, target], capture_output=True, text=True, check=False
    )
    assert result.returncode == (9 if program == KILLED else 1), result.stderr
    assert ("File too large" in result.stderr) == (program == FULL_DISK)
    assert (files_of(target) if target.exists() else None) == before
    if program == FULL_DISK:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model", *(["saved"] if there else [])]


def test_saving_where_no_folder_can_be(model: EmotionClassifier, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        model.save_pretrained(tmp_path / "file" / "model")
    assert contents(tmp_path) == {"file": b""}
