"""From a BERT encoder to an int8 model folder: `prune`, `teacher`, `encoder`, on synthetic data."""

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install --group data")

import torch
from safetensors.numpy import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from evenmood import LABELS, DataError, EmotionClassifier, ModelError, UsageError
from evenmood.data.splits import load_split
from evenmood.data.teacher import Teacher
from evenmood.model.model_folder import INFO_FILE, ONNX_FILE
from evenmood.text.normalization import clean
from tests.commands import run_command
from tests.fakes.tiny_teacher import write_encoder
from train.distillation.encoder import TeacherConfig
from train.distillation.teacher import train_teacher
from train.encoder.average import average
from train.encoder.dequantize import dequantize
from train.encoder.export import export
from train.encoder.graph import CONTRIBUTED, IR_VERSION, OPSET, encoder_graph
from train.encoder.quantize import quantize_weights, restore, round_blocks
from train.encoder.vocabulary import prune
from train.release.card import write_card


@pytest.fixture(scope="module")
def pruned_encoder(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = load_split(str(small_data), "train").texts
    words = sorted({word for text in texts for word in clean(text).split()})
    base = write_encoder(
        tmp_path_factory.mktemp("base"), ["0", "1"], [*words, *"abcdefgh", "never"], size=32, spread=0.1, layers=2
    )
    out = tmp_path_factory.mktemp("pruned") / "encoder"
    prune(str(base), [texts], 20_000, out)
    return out


@pytest.fixture(scope="module")
def teacher(pruned_encoder: Path, small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "teacher"
    config = TeacherConfig(
        str(pruned_encoder),
        str(small_data),
        epochs=6,
        batch_size=16,
        learning_rate=4e-3,
        head_factor=3,
        weights="float32",
    )
    train_teacher(config, out, print)
    return out


@pytest.fixture(scope="module")
def accurate_model(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("accurate") / "model"
    export(teacher, out, print)
    return out


@pytest.fixture(scope="module")
def classifier(accurate_model: Path) -> EmotionClassifier:
    return EmotionClassifier.from_pretrained(accurate_model)


def test_pruning_keeps_characters_and_adds_emoji(pruned_encoder: Path, small_data: Path, tmp_path: Path) -> None:
    tokens = json.loads((pruned_encoder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    assert [tokens[token] for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")] == [0, 1, 2, 3]
    assert {"a", "b", "😂", "🙏"} <= set(tokens)
    assert "never" not in tokens  # in no text
    with pytest.raises(UsageError, match="the number of special tokens, single characters and emoji"):
        prune(str(pruned_encoder), [["a"]], 100, tmp_path / "small")
    with pytest.raises(DataError, match="cannot be loaded"):
        prune(str(small_data), [["a"]], 5000, tmp_path / "small")


def test_export_matches_torch(accurate_model: Path, teacher: Path, classifier: EmotionClassifier) -> None:
    """Platt scaling is monotone, so each label ranks the texts equally, apart from rounding to 8 bits."""
    record = json.loads((accurate_model / "training" / "quantization.json").read_text(encoding="utf-8"))
    validation = record["validation"]
    assert validation["macro_f1_float32"] > 0.4
    assert abs(validation["macro_f1_int8"] - validation["macro_f1_float32"]) < 0.05
    rows = load_split(json.loads((teacher / "training.json").read_text(encoding="utf-8"))["config"]["data"], "test")
    column = LABELS.index("joy")
    exported_joy = classifier.predict_proba(rows.texts)[:, column]
    original_joy = Teacher(str(teacher)).probabilities(rows.texts)[:, column]
    assert np.corrcoef(exported_joy.argsort().argsort(), original_joy.argsort().argsort())[0, 1] > 0.95
    state = json.loads((accurate_model / "tokenizer.json").read_text(encoding="utf-8"))
    assert [step["type"] for step in state["normalizer"]["normalizers"]] == ["Replace", "BertNormalizer"]
    assert [step["type"] for step in state["pre_tokenizer"]["pretokenizers"]] == ["BertPreTokenizer", "Split"]
    weight_types = {
        tensor.data_type for tensor in onnx.load(accurate_model / ONNX_FILE).graph.initializer if len(tensor.dims) > 1
    }
    assert {onnx.TensorProto.INT4, onnx.TensorProto.INT8, onnx.TensorProto.UINT8} <= weight_types


@pytest.mark.parametrize("layers", [1, 2])
def test_graph_matches_torch(layers: int, tmp_path: Path) -> None:
    """The graph returns the encoder's probabilities, also in padded batches."""
    folder = write_encoder(tmp_path / "encoder", LABELS, layers=layers)
    session = onnxruntime.InferenceSession(encoder_graph(folder, 16).SerializeToString())
    network = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    batch = np.array([[2, 5, 6, 7, 3], [2, 8, 3, 0, 0], [2, 5, 5, 3, 0]], np.int32)
    for ids in (batch, batch[:1], batch[1:2, :3]):
        (probabilities,) = session.run(None, {"input_ids": ids})
        with torch.inference_mode():
            logits = network(torch.tensor(ids), attention_mask=torch.tensor(ids != 0).int()).logits
        np.testing.assert_allclose(probabilities, logits.sigmoid().numpy(), atol=1e-5)


def test_dequantized_encoder_matches_the_model(
    accurate_model: Path, classifier: EmotionClassifier, small_data: Path, tmp_path: Path
) -> None:
    """The dequantized encoder reproduces the model's probabilities, also in padded batches."""
    dequantize(str(accurate_model), tmp_path / "encoder")
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "encoder", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "encoder")
    texts = load_split(str(small_data), "test").texts
    with torch.inference_mode():
        probabilities = network(**tokenizer(texts, padding=True, return_tensors="pt")).logits.sigmoid().numpy()
    np.testing.assert_allclose(classifier.predict_proba(texts), probabilities, atol=1e-5)
    config = TeacherConfig(str(tmp_path / "encoder"), str(small_data), epochs=1, learning_rate=1e-7, warmup=0)
    entry = train_teacher(config, tmp_path / "continued", print)["history"][0]
    record = json.loads((accurate_model / "training" / "quantization.json").read_text(encoding="utf-8"))
    assert entry["val_macro_f1"] == pytest.approx(record["validation"]["macro_f1_float32"], abs=0.03)


def test_mean_of_two_seeds(pruned_encoder: Path, small_data: Path, tmp_path: Path) -> None:
    config = TeacherConfig(str(pruned_encoder), str(small_data), epochs=1, weights="float32")
    options = {"a": config, "b": replace(config, seed=1), "other": replace(config, seed=2, learning_rate=1e-3)}
    for name, teacher_config in options.items():
        train_teacher(teacher_config, tmp_path / name, print)
    result = run_command("train", "average", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "mean")
    assert result.returncode == 0, result.stderr
    assert "mean: validation macro-F1" in result.stderr
    first, second, mean = (load_file(tmp_path / name / "model.safetensors") for name in ("a", "b", "mean"))
    assert np.abs(first["classifier.weight"] - second["classifier.weight"]).max() > 1e-4
    for name in first:
        np.testing.assert_allclose(mean[name], (first[name] + second[name]) / 2, atol=1e-6)
    with pytest.raises(DataError, match=r"options differ from .*a: learning_rate; expected the same options"):
        average([tmp_path / "a", tmp_path / "other"], tmp_path / "invalid")
    with pytest.raises(DataError, match="duplicate seeds 0, 0"):
        average([tmp_path / "a", tmp_path / "a"], tmp_path / "invalid")
    with pytest.raises(UsageError, match="at least two teacher folders"):
        average([tmp_path / "a"], tmp_path / "invalid")
    export(tmp_path / "mean", tmp_path / "model", print)
    models = [tmp_path / "model-0", tmp_path / "model-1"]
    for name, out in zip("ab", models, strict=True):
        export(tmp_path / name, out, print)
    result = run_command("train", "seeds", *models, "--out", tmp_path / "model" / "training" / "seeds.json")
    assert result.returncode == 0, result.stderr
    write_card(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert (
        "The weights are the mean of those of 2 models** (seeds 0, 1), each of which alone has on the validation split"
        in card
    )


def test_only_encoders_are_dequantized(trained_model: Path, tmp_path: Path) -> None:
    result = run_command("train", "dequantize", trained_model, "--out", tmp_path / "encoder")
    assert result.returncode == 1
    assert "is a bilstm model; expected accurate, or a model from: train encoder" in result.stderr
    assert not (tmp_path / "encoder").exists()


def test_predictions_do_not_depend_on_the_batch(classifier: EmotionClassifier) -> None:
    texts = ["joy", "word " * 40, "grief and joy 😂", "", "[PAD] [SEP]", "x" * 300, *(["and so on"] * 60)]
    batched = classifier.predict_proba(texts)
    single = np.array([classifier.predict_proba(text) for text in texts])
    assert np.abs(batched - single).max() < 1e-4
    long_text = classifier.predict("joy and grief. " * 100)
    assert long_text.windows is not None
    assert long_text.windows > 1


def test_explain_uses_leave_one_out(classifier: EmotionClassifier) -> None:
    text = "So much joy, isn't it 😂"
    words = classifier.explain(text)
    assert [word.text for word in words] == ["So", "much", "joy", ",", "isn't", "it", "😂"]
    assert sum(word.weight for word in words) == pytest.approx(1)
    assert all(text[word.start : word.end] == word.text for word in words)
    assert classifier.explain("") == []
    weights = classifier.leave_one_out(text, "joy")
    full, without_word = classifier.predict_proba(text), classifier.predict_proba("So much  , isn't it 😂")
    column = LABELS.index("joy")
    assert weights[2].weight == pytest.approx(float(full[column] - without_word[column]), abs=1e-5)


def test_encoder_is_pickled_and_saved(classifier: EmotionClassifier, accurate_model: Path, tmp_path: Path) -> None:
    copy = pickle.loads(pickle.dumps(classifier))
    assert (copy.predict_proba("joy") == classifier.predict_proba("joy")).all()
    classifier.save_pretrained(tmp_path / "copy")
    assert EmotionClassifier(tmp_path / "copy").info.kind == "encoder"
    assert not classifier.has_attention
    assert "vocabulary entries" in repr(classifier)
    card = (accurate_model / "README.md").read_text(encoding="utf-8")
    assert "library_name: onnxruntime" in card
    assert "BERT encoder" in card


def test_card_shows_the_metrics_over_seeds(accurate_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(accurate_model, tmp_path / "model"))
    result = run_command("train", "seeds", folder)
    assert result.returncode == 0, result.stderr
    value = json.loads((folder / "training/seeds.json").read_text())["groups"][0]["metrics"]["macro_f1"]["value"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"on the validation split: macro-F1 {value:.3f}" in card


def change_operator(model: Any) -> None:
    model.graph.node[0].op_type = "Loop"


def change_domain(model: Any) -> None:
    model.graph.node[0].domain = "custom"


def add_subgraph(model: Any) -> None:
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("body", onnx.GraphProto()))


def rename_output(model: Any) -> None:
    model.graph.output[0].name = model.graph.node[-2].output[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_operator, "unexpected operator 'Loop'"),
        (change_domain, "unexpected operator 'custom"),
        (add_subgraph, "subgraph"),
        (rename_output, "expected input_ids and probabilities"),
    ],
)
def test_unexpected_graph_is_rejected(change: Any, message: str, classifier: EmotionClassifier, tmp_path: Path) -> None:
    folder = classifier.save_pretrained(tmp_path / "model")
    model = onnx.load(folder / ONNX_FILE)
    change(model)
    (folder / ONNX_FILE).write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=message):
        EmotionClassifier(folder)


def test_invalid_info_is_rejected(classifier: EmotionClassifier, tmp_path: Path) -> None:
    folder = classifier.save_pretrained(tmp_path / "model")
    info = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    (folder / INFO_FILE).write_text(json.dumps(info | {"kind": "gru"}), encoding="utf-8")
    with pytest.raises(ModelError, match="kind is 'gru'; expected bilstm or encoder"):
        EmotionClassifier(folder)
    fewer = {"labels": info["labels"][:5], "thresholds": dict.fromkeys(info["labels"][:5], 0.5)}
    (folder / INFO_FILE).write_text(json.dumps(info | fewer), encoding="utf-8")
    with pytest.raises(ModelError, match="for the 5 labels"):
        EmotionClassifier(folder)
    (folder / INFO_FILE).write_text(json.dumps(info | {"kind": "bilstm"}), encoding="utf-8")
    with pytest.raises(ModelError, match="post-processor"):
        EmotionClassifier(folder)


def test_unsupported_teachers_are_rejected(teacher: Path, tmp_path: Path, tiny_encoder: Path) -> None:
    with pytest.raises(DataError, match="train teacher"):
        export(tiny_encoder, tmp_path / "model", print)
    unpruned = Path(shutil.copytree(teacher, tmp_path / "unpruned"))
    state = json.loads((unpruned / "tokenizer.json").read_text(encoding="utf-8"))
    state["model"]["vocab"] |= {"[UNK]": 4, "joy": 1}  # as in BERT, where these tokens are not at the start
    (unpruned / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    with pytest.raises(DataError, match="unpruned: the vocabulary is not pruned"):
        export(unpruned, tmp_path / "model", print)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("bits", "gain"), [(4, 0.9), (8, 1.0)])
def test_rounded_blocks_minimize_the_error(bits: int, gain: float) -> None:
    table = np.random.default_rng(0).normal(size=(50, 256)).astype(np.float32)
    table[:, 0] = 8  # an outlier, where clipping reduces the error
    codes, scales = round_blocks(table, bits)
    half = 2 ** (bits - 1)
    assert (codes.min(), codes.max()) == (-half, half - 1)
    blocks = table.reshape(50, 2, 128)
    plain = np.abs(blocks).max(axis=-1, keepdims=True) / (half - 0.5)
    naive = (np.clip(np.round(blocks / plain), -half, half - 1) * plain).reshape(table.shape)
    errors, naive_errors = ((values - table) ** 2 for values in (restore(codes, scales), naive))
    assert (errors.reshape(blocks.shape).sum(-1) <= naive_errors.reshape(blocks.shape).sum(-1) + 1e-3).all()
    assert errors.sum() <= gain * naive_errors.sum()


@pytest.mark.parametrize("bits", [4, 8])
def test_product_matches_the_dequantized_product(bits: int) -> None:
    """onnxruntime unpacks the weights in the same order."""
    random = np.random.default_rng(0)
    weights, inputs = (random.normal(size=shape).astype(np.float32) for shape in ((200, 8), (5, 200)))
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "product",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 200])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 8])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opsets = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(CONTRIBUTED, 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    quantize_weights(model, "w", bits)
    (outputs,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": inputs})
    rounded = restore(*round_blocks(weights.T, bits)).T
    np.testing.assert_allclose(outputs, inputs @ rounded, atol=1e-4)
