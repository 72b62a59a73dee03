"""Loading and saving: unusual model names, invalid tokenizers, changed folders, concurrent writers."""

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from evenmood import DataError, EmotionClassifier, EvenmoodError, ModelError, UsageError
from evenmood.data.teacher import Teacher
from evenmood.model.model_folder import INFO_FILE, ONNX_FILE, PREDICTION_FILES, TOKENIZER_FILE, atomic_folder
from evenmood.text.normalization import fit_tokenizer
from tests.commands import run_command
from tests.fakes.hub_repository import files_of
from tests.fakes.hub_server import HubServer
from train.network.onnx_metadata import add_vocabulary_digest

TEXT = "so happy for you"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "^'' is not an evenmood model folder"),
        ("  ", "^'  ' is not an evenmood model folder"),
        ("~nosuchuser", "'~nosuchuser': no such home folder"),
        ("~nosuchuser/model", "no such home folder"),
        (Path("~nosuchuser/model"), "no such home folder"),
        ("x" * 97, "neither a local folder nor a Hub id, which has at most 96 characters"),
        ("x" * 5000, "File name too long"),
        ("you/" + "x" * 5000, "File name too long"),
        ("x/" * 5000, "File name too long"),
        ("joy\x00", "unknown model"),
        ("joy\n\x1b[2J", "unknown model"),
        ("accurat", "unknown model 'accurat'; expected fast, accurate, a folder or a Hub id"),
        ("a/b/c", "neither a local folder nor a Hub id"),
    ],
)
def test_invalid_model_names_are_rejected(name: str | Path, message: str, hub: HubServer) -> None:
    with pytest.raises(ModelError, match=message) as error:
        EmotionClassifier.from_pretrained(name)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300
    assert not hub.requests


def test_empty_name_is_not_the_working_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(ModelError, match="not an evenmood model folder; expected"):
        EmotionClassifier.from_pretrained("")
    model = EmotionClassifier.from_pretrained(".")
    for name in ("", " "):
        with pytest.raises(UsageError, match="is empty"):
            model.save_pretrained(name, overwrite=True)
    with pytest.raises(EvenmoodError, match="no such home folder"):
        model.save_pretrained("~nosuchuser/model")
    assert set(files_of(folder)) == set(PREDICTION_FILES)


def test_revision_without_the_hub_is_rejected(folder: Path, hub: HubServer) -> None:
    with pytest.raises(UsageError, match="revision 'v2' requires a Hub id as model; the default model is bundled"):
        EmotionClassifier.from_pretrained(revision="v2")
    with pytest.raises(UsageError, match=r"revision 'v2' requires a Hub id as model; .* is a local folder"):
        EmotionClassifier.from_pretrained(folder, revision="v2")
    with pytest.raises(UsageError, match="revision is empty"):
        EmotionClassifier.from_pretrained("you/moods", revision="")
    assert not hub.requests


@pytest.mark.parametrize("command", [["info"], ["text", "hello"]])
def test_command_rejects_a_revision_of_the_default_model(command: list[str]) -> None:
    result = run_command("evenmood", *command, "--revision", "v2")
    assert result.returncode == 2
    assert "revision 'v2' requires a Hub id as model; the default model is bundled" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "teacher '' is not an evenmood model folder"),
        ("~nosuchuser", "no such home folder"),
        ("x" * 5000, "File name too long"),
    ],
)
def test_invalid_teacher_names_are_rejected(
    name: str, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(DataError, match=message):
        Teacher(name)


def update_content(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.update(fields)


def set_normalizer(*steps: Any) -> Callable[[dict[str, Any]], None]:
    return update_content(normalizer={"type": "Sequence", "normalizers": list(steps)})


def replace_step(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def add_word(number: int) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["model"]["vocab"].update({"happy": number})


ADDED_TOKEN = {"id": 7, "content": "joy", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}],
    "pair": [],
    "special_tokens": {},
}
TOKENIZERS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "id out of range": (add_word(10**9), "'happy' has id 1000000000"),
    "first id out of range": (lambda content: add_word(size_of(content) + 5)(content), "'happy' has id"),
    "negative id": (add_word(-1), "not a tokenizer"),
    "panicking normalizer": (set_normalizer({"type": "Precompiled", "precompiled_charsmap": "AAAA"}), "Precompiled"),
    "single panicking normalizer": (
        update_content(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        "Precompiled",
    ),
    "byte-level normalizer": (set_normalizer({"type": "ByteLevel"}), "unexpected normalizer ByteLevel"),
    "lengthening normalizer": (set_normalizer(replace_step(".", "x" * 10**6)), "can lengthen texts"),
    "doubling normalizer": (set_normalizer(*[replace_step("(?=.)", "x")] * 30), "can lengthen texts"),
    "invalid pattern": (set_normalizer(replace_step("(", "")), "not a tokenizer"),
    "byte-level pre-tokenizer": (
        update_content(pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}),
        "unexpected pre-token",
    ),
    "panicking post-processor": (update_content(post_processor=TEMPLATE), "unexpected post-processor"),
    "added tokens": (update_content(added_tokens=[ADDED_TOKEN | {"special": False}]), "added tokens"),
    "word with the id of padding": (add_word(0), "'happy' has id 0"),
    "no limit on word length": (
        lambda content: content["model"].update(max_input_chars_per_word=10**9),
        "max_input_chars_per_word is 1000000000; expected at most 60",
    ),
    "BPE model": (
        update_content(model={"type": "BPE", "vocab": {"[PAD]": 0, "[UNK]": 1}, "merges": []}),
        "unexpected model BPE",
    ),
    "no unknown token": (lambda content: content["model"].update(unk_token="[NONE]"), "'[NONE]'; expected [UNK]"),
}


def size_of(content: dict[str, Any]) -> int:
    vocabulary: dict[str, int] = content["model"]["vocab"]
    return max(vocabulary.values()) + 1


@pytest.mark.parametrize("name", TOKENIZERS)
def test_invalid_tokenizers_are_rejected(folder: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    change, message = TOKENIZERS[name]
    content = json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
    change(content)
    (folder / TOKENIZER_FILE).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelError) as error:
        EmotionClassifier.from_pretrained(folder)
    assert str(error.value).startswith(str(folder / TOKENIZER_FILE))
    assert message in str(error.value)
    assert str(error.value).isprintable()
    assert "panicked" not in capfd.readouterr().err


def test_failing_regular_expression_is_reported(folder: Path) -> None:
    """A regular expression that fails on some texts only passes the check on loading."""
    content = json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
    set_normalizer(replace_step("(a+)+$", ""))(content)
    (folder / TOKENIZER_FILE).write_text(json.dumps(content), encoding="utf-8")
    model = EmotionClassifier.from_pretrained(folder)
    text = "a" * 40 + "b"
    calls: list[Callable[[], Any]] = [
        lambda: model.predict(text),
        lambda: model.predict([*[TEXT] * 199, text]),
        lambda: model.explain(text),
        lambda: model.leave_one_out(text, "joy"),
    ]
    for call in calls:
        with pytest.raises(ModelError, match="the model failed on this text") as error:
            call()
        assert str(error.value).isprintable()


def test_nan_weights_are_reported(folder: Path) -> None:
    model: Any = onnx.load(folder / ONNX_FILE)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "logits_b")
    bias.CopyFrom(numpy_helper.from_array(np.full(28, np.nan, np.float32), "logits_b"))
    (folder / ONNX_FILE).write_bytes(model.SerializeToString())
    corrupt = EmotionClassifier.from_pretrained(folder)
    with pytest.raises(ModelError, match="NaN or infinite"):
        corrupt.predict(TEXT)


def test_out_of_range_id_with_a_matching_digest_is_reported(folder: Path) -> None:
    """With a forged digest, the error is raised for texts with the word."""
    content = json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
    add_word(10**9)(content)
    (folder / TOKENIZER_FILE).write_text(json.dumps(content), encoding="utf-8")
    renew_digest(folder)
    forged = EmotionClassifier.from_pretrained(folder)
    with pytest.raises(ModelError, match="the model failed on this text"):
        forged.predict(TEXT)


def renew_digest(folder: Path) -> None:
    model: Any = onnx.load(folder / ONNX_FILE)
    entries = [entry for entry in model.metadata_props if not entry.key.endswith("sha256")]
    del model.metadata_props[:]
    model.metadata_props.extend(entries)
    (folder / ONNX_FILE).write_bytes(model.SerializeToString())
    assert add_vocabulary_digest(folder)


def change_bias(folder: Path) -> None:
    model: Any = onnx.load(folder / ONNX_FILE)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "logits_b")
    bias.CopyFrom(numpy_helper.from_array(np.zeros(28, np.float32), "logits_b"))
    (folder / ONNX_FILE).write_bytes(model.SerializeToString())


def remove_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def replace_model(folder: Path) -> None:
    change_bias(folder)
    fit_tokenizer(["other words"], min_frequency=1).save(str(folder / TOKENIZER_FILE))
    info = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    (folder / INFO_FILE).write_text(json.dumps(info | {"max_length": 7}), encoding="utf-8")


@pytest.mark.parametrize("change", [change_bias, replace_model, remove_all])
def test_saving_after_the_folder_changed_saves_the_loaded_model(
    folder: Path, tmp_path: Path, change: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The saved folder never mixes two models, and has no Keras files of the new one."""
    (folder / "model.weights.h5").write_bytes(b"weights")
    files_before = files_of(folder)
    model = EmotionClassifier.from_pretrained(folder)
    expected = model.predict_proba(TEXT)
    change(folder)
    with caplog.at_level(logging.WARNING):
        saved_folder = model.save_pretrained(tmp_path / "saved")
    assert "now contains another model" in caplog.text
    files = files_of(saved_folder)
    assert set(files) == set(PREDICTION_FILES)
    assert {name: files[name] for name in (ONNX_FILE, TOKENIZER_FILE)} == {
        name: files_before[name] for name in (ONNX_FILE, TOKENIZER_FILE)
    }
    reloaded = EmotionClassifier.from_pretrained(saved_folder)
    np.testing.assert_array_equal(reloaded.predict_proba(TEXT), expected)
    assert reloaded.info == model.info


def test_overwriting_the_source_folder_keeps_keras_files(folder: Path) -> None:
    (folder / "model.weights.h5").write_bytes(b"weights")
    model = EmotionClassifier.from_pretrained(folder)
    for threshold in (0.125, 0.25):
        model.set_thresholds(joy=threshold)
        model.save_pretrained(folder, overwrite=True)
        assert EmotionClassifier.from_pretrained(folder).thresholds["joy"] == threshold
        assert (folder / "model.weights.h5").read_bytes() == b"weights"


def test_changed_folder_is_not_pushed(folder: Path, hub: HubServer, token: str) -> None:
    for name in ("config.json", "metadata.json", "model.weights.h5"):
        (folder / name).write_bytes(b"{}")
    (folder / "README.md").write_text("---\n---\n# Card\n", encoding="utf-8")
    model = EmotionClassifier.from_pretrained(folder)
    change_bias(folder)
    with pytest.raises(ModelError, match="has changed since the model was loaded"):
        model.push_to_hub("you/moods")
    assert not hub.requests


@pytest.mark.parametrize("exists", [False, True], ids=["new", "existing"])
def test_threads_save_to_one_folder(folder: Path, tmp_path: Path, exists: bool) -> None:
    model = EmotionClassifier.from_pretrained(folder)
    target = tmp_path / "parent" / "saved"
    if exists:
        model.save_pretrained(target)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            running = [pool.submit(model.save_pretrained, target, overwrite=True) for _ in range(8)]
            assert [future.result() for future in running] == [target] * 8
    assert [path.name for path in target.parent.iterdir()] == ["saved"]
    EmotionClassifier.from_pretrained(target)


def test_threads_overwrite_the_source_folder(folder: Path) -> None:
    (folder / "model.weights.h5").write_bytes(b"weights")
    model = EmotionClassifier.from_pretrained(folder)
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(model.save_pretrained, folder, overwrite=True) for _ in range(9)]
        assert [future.result() for future in running] == [folder] * 9
    assert set(files_of(folder)) == {*PREDICTION_FILES, "model.weights.h5"}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_only_one_writer_succeeds_without_overwrite(tmp_path: Path) -> None:
    def write(number: int) -> bool:
        try:
            with atomic_folder(tmp_path / "target") as work_folder:
                (work_folder / "number").write_text(str(number), encoding="utf-8")
        except UsageError:
            return False
        return True

    for _ in range(20):
        with ThreadPoolExecutor(8) as pool:
            successes = list(pool.map(write, range(8)))
        assert sum(successes) == 1
        assert files_of(tmp_path / "target") == {"number": str(successes.index(True)).encode()}
        assert [path.name for path in tmp_path.iterdir()] == ["target"]
        shutil.rmtree(tmp_path / "target")


SAVE_REPEATEDLY = """
import sys
from evenmood import EmotionClassifier
model = EmotionClassifier.from_pretrained(sys.argv[1])
for _ in range(10):
    model.save_pretrained(sys.argv[2], overwrite=True)
"""
REPLACE_REPEATEDLY = """
import sys
from pathlib import Path
from evenmood.model.model_folder import atomic_folder
for _ in range(200):
    with atomic_folder(Path(sys.argv[1]), overwrite=True) as work_folder:
        (work_folder / "file").write_text("content")
"""


def test_processes_save_to_one_folder(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "parent" / "saved"
    command = [sys.executable, "-c", SAVE_REPEATEDLY, str(folder), str(target)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [("", 0)] * 3
    assert [path.name for path in target.parent.iterdir()] == ["saved"]
    EmotionClassifier.from_pretrained(target)


def test_processes_replace_one_folder(tmp_path: Path) -> None:
    target = tmp_path / "parent" / "saved"
    command = [sys.executable, "-c", REPLACE_REPEATEDLY, str(target)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [("", 0)] * 3
    assert [path.name for path in target.parent.iterdir()] == ["saved"]
    assert files_of(target) == {"file": b"content"}
