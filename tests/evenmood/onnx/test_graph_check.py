"""Graph validation: only the exported graph is run, since other graphs could allocate any amount of memory."""

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from evenmood import EmotionClassifier, ModelError
from evenmood.model.model_folder import INFO_FILE, ONNX_FILE, TOKENIZER_FILE
from evenmood.onnx.graph_check import check_graph
from evenmood.onnx.onnx_files import read_onnx
from evenmood.text.normalization import fit_tokenizer


def initializer(model: Any, name: str) -> Any:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def node(model: Any, name: str) -> Any:
    return next(node for node in model.graph.node if node.output[0] == name)


def set_weight(model: Any, name: str, values: Any) -> None:
    initializer(model, name).CopyFrom(numpy_helper.from_array(np.asarray(values), name))


def outer_product(model: Any) -> None:
    """Multiply [N, 1] by [1, N]: a small file that allocates any amount of memory."""
    for name, shape in (("column", (-1, 1)), ("row", (1, -1))):
        model.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), f"to_{name}"))
        model.graph.node.append(helper.make_node("Reshape", ["conv_relu", f"to_{name}"], [name]))
    model.graph.node.append(helper.make_node("MatMul", ["column", "row"], ["bomb"]))


def constant_of_shape(model: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 40], np.int64), "huge"))
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["huge"], ["bomb"]))


def wide_padding(model: Any) -> None:
    set_weight(model, node(model, "ids_with_edges").input[1], np.array([1 << 20, 0, 0, 0], np.int64))


def loop(model: Any) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["never"], body=body))


def other_operator(model: Any) -> None:
    node(model, "conv_relu").op_type = "Exp"


def other_domain(model: Any) -> None:
    node(model, "conv_relu").domain = "com.microsoft"


def other_inputs(model: Any) -> None:
    """Multiply the LSTM output by itself, which takes quadratic memory."""
    node(model, "context").input[0] = "bilstm"


def other_attribute(model: Any) -> None:
    node(model, "dense").attribute.append(helper.make_attribute("transB", 1))


def missing_attribute(model: Any) -> None:
    del node(model, "lstm").attribute[:]


def other_width(model: Any) -> None:
    """Use fewer filters, so that the kernel covers more words than the taps."""
    weights = numpy_helper.to_array(initializer(model, "lstm_w"))
    set_weight(model, "lstm_w", weights[:, :, :32])


def weight_of_other_shape(model: Any) -> None:
    set_weight(model, "dense_b", np.zeros((1, 128), np.float32))


def broadcast_weight(model: Any) -> None:
    set_weight(model, "conv_b", np.zeros((1000, 1, 64), np.float32))


def weight_of_other_type(model: Any) -> None:
    set_weight(model, "dense_b", np.zeros(128, np.float64))


def shape_without_content(model: Any) -> None:
    initializer(model, "dense_b").dims[0] = 1 << 40


def additional_weight(model: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "more"))


def duplicate_weight(model: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1 << 10), np.float32), "conv_b"))


def missing_weight(model: Any) -> None:
    model.graph.initializer.remove(initializer(model, "logits_b"))


def typed_data(model: Any) -> None:
    tensor = TensorProto(name="dense_b", data_type=TensorProto.FLOAT, dims=[128], float_data=[0.0] * 128)
    initializer(model, "dense_b").CopyFrom(tensor)


def other_constant(model: Any) -> None:
    set_weight(model, "pool_size", np.array([0], np.int32))


def fixed_input(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 7


def additional_output(model: Any) -> None:
    model.graph.output.append(helper.make_tensor_value_info("lstm", TensorProto.FLOAT, None))


def other_operator_set(model: Any) -> None:
    model.opset_import[0].version = 18


def second_operator_set(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def function(model: Any) -> None:
    model.functions.append(
        helper.make_function("", "Relu", ["x"], ["y"], [], [helper.make_opsetid("", 17)])  # replaces the ONNX operator
    )


def sparse_weight(model: Any) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(numpy_helper.from_array(np.zeros(1, np.float32), "sparse"))


def many_operators(model: Any) -> None:
    for number in range(2000):
        model.graph.node.append(helper.make_node("Relu", ["conv_relu"], [f"more_{number}"]))


MODIFICATIONS: list[Callable[[Any], None]] = [
    outer_product,
    constant_of_shape,
    wide_padding,
    loop,
    other_operator,
    other_domain,
    other_inputs,
    other_attribute,
    missing_attribute,
    other_width,
    weight_of_other_shape,
    broadcast_weight,
    weight_of_other_type,
    shape_without_content,
    additional_weight,
    duplicate_weight,
    missing_weight,
    typed_data,
    other_constant,
    fixed_input,
    additional_output,
    other_operator_set,
    second_operator_set,
    function,
    sparse_weight,
    many_operators,
]


@pytest.mark.parametrize("change", MODIFICATIONS)
def test_modified_graph_is_rejected_before_running(
    folder: Path, change: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(folder / ONNX_FILE)
    change(model)
    (folder / ONNX_FILE).write_bytes(model.SerializeToString())
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_: pytest.fail("a session was created"))
    with pytest.raises(ModelError, match="not exported by evenmood") as error:
        EmotionClassifier.from_pretrained(folder)
    message = str(error.value)
    assert message.startswith(str(folder / ONNX_FILE))
    assert message.isprintable()
    assert len(message) < 300 + len(str(folder))


def test_duplicate_graph_is_rejected(folder: Path) -> None:
    """Protobuf merges repeated messages, so checking only one of them would miss operators."""
    extension = onnx.ModelProto()
    extension.graph.node.append(helper.make_node("Relu", ["conv_relu"], ["more"]))
    content = (folder / ONNX_FILE).read_bytes() + extension.SerializeToString()
    assert onnx.load_from_string(content).graph.node[-1].output[0] == "more"
    (folder / ONNX_FILE).write_bytes(content)
    with pytest.raises(ModelError, match="appears twice"):
        EmotionClassifier.from_pretrained(folder)


def test_control_characters_are_escaped(folder: Path) -> None:
    model = onnx.load(folder / ONNX_FILE)
    node(model, "conv_relu").op_type = "\x1b]0;owned\x07" * 100
    (folder / ONNX_FILE).write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="not exported by evenmood") as error:
        EmotionClassifier.from_pretrained(folder)
    assert str(error.value).isprintable()


def small_networks() -> Iterator[tuple[Any, int, bool | None, bool]]:
    """Yield small networks with all export options: bits, folding, and the sign of the batch norm factor."""
    from train.network.backend import choose_backend

    choose_backend()
    from train.config import TrainConfig
    from train.network.network import build_network

    random = np.random.default_rng(0)
    poolings: tuple[Literal["attention", "average"], ...] = ("attention", "average")
    for pooling, width, negative in itertools.product(poolings, (1, 2, 3, 5), (False, True)):
        config = TrainConfig(
            pooling=pooling, embedding_size=6, filters=4, kernel_size=width, lstm_units=3, dense_units=5
        )
        network = build_network(config, random.normal(size=(11, 6)).astype(np.float32), 28)
        if negative:
            norm = network.get_layer("batch_norm")
            gamma, *rest = norm.get_weights()
            norm.set_weights([-gamma, *rest])
        for bits, folded in itertools.product((32, 16, 8), (True, False, None)):
            yield network, bits, folded, negative


def test_all_exports_are_accepted(tmp_path: Path) -> None:
    from train.network.export import export_onnx

    count = 0
    for network, bits, folded, negative in small_networks():
        export_onnx(network, tmp_path / ONNX_FILE, bits, folded)
        sizes = check_graph(read_onnx((tmp_path / ONNX_FILE).read_bytes()))
        assert (sizes.bits, sizes.has_negative_scale, sizes.vocabulary, sizes.labels) == (bits, negative, 11, 28)
        assert folded is None or (sizes.embedding == 0) == folded
        count += 1
    assert count == 144


def test_bundled_model_is_accepted(model: EmotionClassifier) -> None:
    sizes = check_graph(read_onnx((model.folder / ONNX_FILE).read_bytes()))
    assert (sizes.labels, sizes.attention > 0) == (len(model.labels), model.has_attention)


@pytest.fixture
def small_folder(average_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(average_folder, tmp_path / "small"))


def test_excessive_memory_is_rejected(small_folder: Path) -> None:
    """A valid graph of 3 MB with 20,000 filters needs 90 GB per batch of long texts."""
    from train.network.backend import choose_backend

    choose_backend()
    from train.config import TrainConfig
    from train.network.export import export_onnx
    from train.network.network import build_network

    config = TrainConfig(pooling="average", embedding_size=1, filters=20_000, kernel_size=1, lstm_units=1)
    tokenizer = fit_tokenizer(["one"], min_frequency=1)
    vectors = np.ones((tokenizer.get_vocab_size(), 1), np.float32)
    export_onnx(build_network(config, vectors, 28), small_folder / ONNX_FILE, 32, folded=True)
    assert (small_folder / ONNX_FILE).stat().st_size < 3_000_000
    tokenizer.save(str(small_folder / TOKENIZER_FILE))
    EmotionClassifier.from_pretrained(small_folder)
    info = json.loads((small_folder / INFO_FILE).read_text(encoding="utf-8"))
    (small_folder / INFO_FILE).write_text(json.dumps(info | {"max_length": 4096}), encoding="utf-8")
    with pytest.raises(ModelError, match="GB of memory"):
        EmotionClassifier.from_pretrained(small_folder)
