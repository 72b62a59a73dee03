"""`EmotionClassifier.from_onnx`: a transformers model exported by torch in optimum's layout."""

import copy
import json
import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install --group data")

from evenmood import EmotionClassifier, ModelError, UsageError
from tests.fakes.hub_server import HubServer
from tests.fakes.tiny_teacher import write_encoder

LABELS = ["joy", "anger", "calm"]
TEXTS = ["joy joy thank you", "anger so much!", "", "thank you " * 20]


def write_export(source: Path, folder: Path, name: str = "onnx/model.onnx", inputs: int = 3) -> Path:
    """Export a transformers classifier in the layout of optimum."""
    import torch
    from transformers import AutoModelForSequenceClassification

    names = ["input_ids", "attention_mask", "token_type_ids"][:inputs]
    network = AutoModelForSequenceClassification.from_pretrained(source, attn_implementation="eager").eval()
    ids = torch.ones(2, 5, dtype=torch.long)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation and tracer warnings
        torch.onnx.export(
            network,
            (ids, torch.ones_like(ids), torch.zeros_like(ids))[:inputs],
            str(folder / name),
            input_names=names,
            output_names=["logits"],
            dynamic_axes={input_name: {0: "texts", 1: "time"} for input_name in names} | {"logits": {0: "texts"}},
            opset_version=17,
            dynamo=False,
        )
    for file in ("config.json", "tokenizer.json"):
        shutil.copyfile(source / file, folder / file)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("source"), LABELS)


@pytest.fixture(scope="module")
def export(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_export(source, tmp_path_factory.mktemp("export"))


def transformers_probabilities(source: Path, texts: list[str]) -> np.ndarray:
    """Return the probabilities that transformers computes."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(source), top_k=None, function_to_apply="sigmoid", device="cpu")
    rows = [{score["label"]: score["score"] for score in scores} for scores in classify(texts)]
    return np.array([[row[label] for label in LABELS] for row in rows], np.float32)


def test_probabilities_match_transformers(source: Path, export: Path) -> None:
    classifier = EmotionClassifier.from_onnx(export)
    assert classifier.labels == tuple(LABELS)
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), transformers_probabilities(source, TEXTS), atol=1e-5)
    assert dict(classifier.thresholds) == dict.fromkeys(LABELS, 0.5)
    assert classifier.info.kind == "onnx"
    assert set(classifier.file_sizes()) == {"onnx/model.onnx", "tokenizer.json", "config.json"}


def test_labels_thresholds_and_max_length(export: Path) -> None:
    classifier = EmotionClassifier.from_onnx(
        export, labels=["a", "b", "c"], thresholds={"a": 0.2}, max_length=16, file_name="onnx/model.onnx"
    )
    assert dict(classifier.thresholds) == {"a": 0.2, "b": 0.5, "c": 0.5}
    long_text = classifier.predict("thank you. " * 30)
    assert long_text.windows is not None
    assert long_text.windows > 1
    for copied in (pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier)):
        assert (copied.labels, dict(copied.thresholds)) == (classifier.labels, dict(classifier.thresholds))
        assert (copied.predict_proba(TEXTS) == classifier.predict_proba(TEXTS)).all()
    tuned = classifier.tune_thresholds(["joy", "anger"], [["a"], ["b"]])
    assert tuned.unchanged == ("c",)
    assert len(classifier.explain("thank you")) == 2


def test_single_label_model_uses_softmax(export: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(export, tmp_path / "single"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["problem_type"] = "single_label_classification"
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert EmotionClassifier.from_onnx(folder).predict_proba(TEXTS).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_model_from_the_hub(hub: HubServer, export: Path, source: Path, token: str, tmp_path: Path) -> None:
    """The quantized file is downloaded only if the plain one is missing."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.url, token=token)
    api.create_repo("you/emotions-onnx")
    api.upload_folder(repo_id="you/emotions-onnx", folder_path=str(export))
    classifier = EmotionClassifier.from_onnx("you/emotions-onnx", cache_dir=tmp_path / "cache")
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), transformers_probabilities(source, TEXTS), atol=1e-5)
    with pytest.raises(ModelError, match="not an ONNX export"):
        EmotionClassifier.from_onnx("you/emotions-onnx", file_name="other.onnx", cache_dir=tmp_path / "cache")


def remove_labels(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["id2label"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def externalize_weights(folder: Path) -> None:
    import onnx

    model = onnx.load(folder / "onnx/model.onnx")
    onnx.save_model(
        model, folder / "onnx/model.onnx", save_as_external_data=True, location="external-weights.bin", size_threshold=0
    )


def damage_graph(folder: Path) -> None:
    path = folder / "onnx/model.onnx"
    path.write_bytes(path.read_bytes()[:1000])


def damage_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")


def remove_config(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove_labels, "pass labels="),
        (externalize_weights, "external tensor data"),
        (damage_graph, "corrupt"),
        (damage_tokenizer, "not a tokenizer"),
        (remove_config, "missing files: config.json"),
    ],
)
def test_invalid_exports_are_rejected(change: Any, message: str, export: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(export, tmp_path / "broken"))
    change(folder)
    with pytest.raises(ModelError, match=message):
        EmotionClassifier.from_onnx(folder)


def test_invalid_arguments_are_rejected(export: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 labels"):
        EmotionClassifier.from_onnx(export, labels=["a", "b"])
    with pytest.raises(UsageError, match="unknown label"):
        EmotionClassifier.from_onnx(export, thresholds={"hope": 0.5})
    with pytest.raises(UsageError, match="max_length is 4"):
        EmotionClassifier.from_onnx(export, max_length=4)
    classifier = EmotionClassifier.from_onnx(export)
    with pytest.raises(ModelError, match="cannot be saved"):
        classifier.save_pretrained(tmp_path / "copy")
    with pytest.raises(ModelError, match="cannot be pushed"):
        classifier.push_to_hub("someone/copy")


def test_memory_is_limited(export: Path, tmp_path: Path) -> None:
    """A graph that allocates more than 4 GiB raises an error."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder = Path(shutil.copytree(export, tmp_path / "huge"))
    shape = numpy_helper.from_array(np.array([1500, 1_000_000], np.int64), "shape")
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["one"], keepdims=0),
        helper.make_node("Expand", ["one", "shape"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "small"], ["logits"]),
    ]
    small = numpy_helper.from_array(np.array([1, 3], np.int64), "small")
    graph = helper.make_graph(
        nodes,
        "huge",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", "time"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", 3])],
        [shape, small],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "onnx/model.onnx")
    with pytest.raises(ModelError, match="the model failed on this text"):
        EmotionClassifier.from_onnx(folder).predict_proba("joy")
