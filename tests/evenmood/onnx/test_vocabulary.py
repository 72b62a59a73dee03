"""The vocabulary digest that links `model.onnx` to `tokenizer.json`: written on export, checked on loading."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from evenmood import EmotionClassifier, ModelError
from evenmood.model.model_folder import ONNX_FILE, TOKENIZER_FILE
from evenmood.onnx.vocabulary import FILE_KEY, VOCABULARY_KEY
from tests.commands import run_command
from train.network.onnx_metadata import add_vocabulary_digest
from train.release.bundle import bundle


def metadata(folder: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(folder / ONNX_FILE).metadata_props}


def swap_words(folder: Path) -> None:
    """Swap two words of the vocabulary, as in the tokenizer of another model of the same size."""
    content = json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
    words: dict[str, int] = content["model"]["vocab"]
    first, second = (next(word for word, number in words.items() if number == word_id) for word_id in (10, 11))
    words[first], words[second] = words[second], words[first]
    (folder / TOKENIZER_FILE).write_text(json.dumps(content), encoding="utf-8")


def remove_digest(folder: Path) -> None:
    model: Any = onnx.load(folder / ONNX_FILE)
    entries = [entry for entry in model.metadata_props if entry.key not in (FILE_KEY, VOCABULARY_KEY)]
    del model.metadata_props[:]
    model.metadata_props.extend(entries)
    (folder / ONNX_FILE).write_bytes(model.SerializeToString())


def test_tokenizer_of_another_model_is_rejected(folder: Path) -> None:
    add_vocabulary_digest(folder)
    swap_words(folder)
    with pytest.raises(ModelError, match="vocabulary differs from the one") as error:
        EmotionClassifier.from_pretrained(folder)
    assert str(folder / TOKENIZER_FILE) in str(error.value)
    assert "\n" not in str(error.value)


def test_equal_vocabulary_in_another_order_loads(folder: Path, model: EmotionClassifier) -> None:
    add_vocabulary_digest(folder)
    content = json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
    content["model"]["vocab"] = dict(sorted(content["model"]["vocab"].items()))
    content["padding"] = None
    (folder / TOKENIZER_FILE).write_text(json.dumps(content, indent=3), encoding="utf-8")
    reloaded = EmotionClassifier.from_pretrained(folder)
    np.testing.assert_array_equal(reloaded.predict_proba("so happy for you"), model.predict_proba("so happy for you"))


def test_model_without_digest_loads(folder: Path) -> None:
    remove_digest(folder)
    assert VOCABULARY_KEY not in metadata(folder)
    EmotionClassifier.from_pretrained(folder)


def test_adding_the_digest_keeps_other_metadata(folder: Path, model: EmotionClassifier) -> None:
    remove_digest(folder)
    old_metadata = metadata(folder)
    assert add_vocabulary_digest(folder)
    new_metadata = metadata(folder)
    assert old_metadata == {key: value for key, value in new_metadata.items() if key in old_metadata}
    assert len(new_metadata[VOCABULARY_KEY]) == 64
    content = (folder / ONNX_FILE).read_bytes()
    assert not add_vocabulary_digest(folder)
    assert (folder / ONNX_FILE).read_bytes() == content
    reloaded = EmotionClassifier.from_pretrained(folder)
    np.testing.assert_array_equal(reloaded.predict_proba("so happy for you"), model.predict_proba("so happy for you"))


def test_training_and_export_write_the_digest(trained_model: Path, tmp_path: Path) -> None:
    expected = metadata(trained_model)
    folder = Path(shutil.copytree(trained_model, tmp_path / "model"))
    remove_digest(folder)
    result = run_command("train", "export", folder)
    assert result.returncode == 0, result.stderr
    assert metadata(folder) == expected
    remove_digest(folder)
    add_vocabulary_digest(folder)
    assert metadata(folder) == expected
    swap_words(folder)
    with pytest.raises(ModelError, match="vocabulary differs from the one"):
        EmotionClassifier.from_pretrained(folder)


def test_bundling_adds_the_digest(evaluated_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated_model, tmp_path / "model"))
    expected = metadata(folder)
    remove_digest(folder)
    storage = json.loads((folder / "training" / "storage.json").read_text(encoding="utf-8"))
    storage["macro_f1_onnx"] = storage["macro_f1_keras"]
    (folder / "training" / "storage.json").write_text(json.dumps(storage), encoding="utf-8")
    bundle(folder, tmp_path / "package", tmp_path / "results.json")
    assert metadata(tmp_path / "package") == metadata(folder) == expected
    EmotionClassifier.from_pretrained(tmp_path / "package")
    swap_words(folder)
    with pytest.raises(ModelError, match="vocabulary differs from the one"):
        bundle(folder, tmp_path / "other", tmp_path / "other.json")
    assert not (tmp_path / "other").exists()
