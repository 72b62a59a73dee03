"""ONNX files with external tensors: rejected before a session is created, wherever the tensor is."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from evenmood import DataError, EmotionClassifier, ModelError
from evenmood.data.teacher import Teacher
from evenmood.model.model_folder import ONNX_FILE
from evenmood.onnx.onnx_files import check_self_contained
from tests.evenmood.model.test_model_folder import tiny_onnx

SECRET = b"OPENAI_API_KEY=sk-secret-secret-secret-secret-secret-secret-secret-secret-secret-secret-secret-secret-12345"


def external_tensor(name: str = "row", location: str = ".env") -> Any:
    """Return a tensor whose 28 numbers are the first bytes of another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1, 28])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "112"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def as_initializer(model: Any) -> None:
    model.graph.initializer[0].CopyFrom(external_tensor())


def as_attribute(model: Any) -> None:
    model.graph.node.insert(0, helper.make_node("Constant", [], ["other"], value=external_tensor("value")))


def as_list_of_tensors(model: Any) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("strange", [external_tensor("value")]))


def in_a_subgraph(model: Any) -> None:
    inner = helper.make_graph([], "inner", [], [helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 28])])
    inner.initializer.append(external_tensor("a"))
    deeper = helper.make_graph(
        [helper.make_node("If", ["yes"], ["b"], then_branch=inner, else_branch=inner)], "deeper", [], []
    )
    model.graph.node.append(helper.make_node("If", ["yes"], ["c"], then_branch=deeper, else_branch=deeper))


def in_a_function(model: Any) -> None:
    node = helper.make_node("Constant", [], ["y"], value=external_tensor("value"))
    model.functions.append(
        helper.make_function("mine", "Read", [], ["y"], [node], [helper.make_opsetid("", 17)])  # never called
    )


def in_a_sparse_tensor(model: Any) -> None:
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(external_tensor("sparse"))


def in_training_info(model: Any) -> None:
    model.training_info.add().initialization.initializer.append(external_tensor("more"))


def without_data_location(model: Any) -> None:
    as_initializer(model)
    model.graph.initializer[0].ClearField("data_location")


PLACES = [
    as_initializer,
    as_attribute,
    as_list_of_tensors,
    in_a_subgraph,
    in_a_function,
    in_a_sparse_tensor,
    in_training_info,
    without_data_location,
]


@pytest.mark.parametrize("hide", PLACES)
def test_external_tensors_are_rejected(
    hide: Callable[[Any], None], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(folder / ONNX_FILE)
    hide(model)
    (folder / ONNX_FILE).write_bytes(model.SerializeToString())
    (tmp_path / ".env").write_bytes(SECRET + b" " * 1000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_: pytest.fail("a session was created"))
    with pytest.raises(ModelError, match="external tensor data is not supported") as error:
        EmotionClassifier.from_pretrained(folder)
    assert str(tmp_path) not in str(error.value).replace(str(folder), "")
    assert "sk-secret" not in str(error.value)


def test_onnxruntime_reads_external_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check, onnxruntime would read the file."""
    model = tiny_onnx()
    as_initializer(model)
    (tmp_path / ".env").write_bytes(SECRET + b" " * 1000)
    monkeypatch.chdir(tmp_path)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (row,) = session.run(["probabilities"], {"input_ids": np.ones((1, 2), np.int32)})
    assert row.tobytes().startswith(SECRET[:100])


def test_teacher_with_external_tensors_is_rejected(tmp_path: Path, tiny_encoder: Path) -> None:
    model = tiny_onnx()
    as_initializer(model)
    teacher_folder = Path(shutil.copytree(tiny_encoder, tmp_path / "teacher"))
    (teacher_folder / ONNX_FILE).write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match="external tensor data is not supported"):
        Teacher(str(teacher_folder), runtime="onnx")


def test_invalid_teacher_graphs_are_reported(tmp_path: Path, tiny_encoder: Path) -> None:
    """Teachers may have any graph; errors of onnxruntime and unexpected outputs are reported."""
    teacher_folder = Path(shutil.copytree(tiny_encoder, tmp_path / "teacher"))
    model = tiny_onnx(outputs=("probabilities",))
    model.graph.node[0].op_type = "NoSuchOperator"
    reshape = tiny_onnx(outputs=("logits",))
    reshape.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    reshape.graph.node.append(helper.make_node("Reshape", ["input_ids", "one"], ["impossible"]))
    reshape.graph.output[0].CopyFrom(helper.make_tensor_value_info("impossible", TensorProto.INT64, [1]))
    reshape.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    for graph, message in (
        (b"corrupt", "corrupt"),
        (model.SerializeToString(), "corrupt or not an ONNX model"),
        (tiny_onnx().SerializeToString(), "has the outputs probabilities, attention; expected"),
        (reshape.SerializeToString(), "failed to run"),
    ):
        (teacher_folder / ONNX_FILE).write_bytes(graph)
        with pytest.raises(DataError, match=message) as error:
            Teacher(str(teacher_folder), runtime="onnx").probabilities(["a b c"])
        assert str(error.value).isprintable()


@pytest.mark.parametrize("prefix", [b"\x08\x09", b""])
def test_other_formats_are_rejected(prefix: bytes) -> None:
    with pytest.raises(ModelError):
        check_self_contained(b"\x1c\x00\x00\x00ORTM" + bytes(100))
    with pytest.raises(ModelError, match="corrupt"):
        check_self_contained(prefix + b"\x3b\x3c")  # a group
    with pytest.raises(ModelError, match="corrupt"):
        check_self_contained(prefix + b"\x3a\xff\xff\xff\xff\x0f")  # longer than the file


def test_overlong_field_number_is_not_ignored() -> None:
    """C++ protobuf may ignore bits of a tag beyond the 32nd, so this field is still field 7, the graph."""
    graph = onnx.GraphProto(initializer=[external_tensor()]).SerializeToString()
    size = bytes([len(graph) & 0x7F | 0x80, len(graph) >> 7])
    content = b"\xba\x80\x80\x80\x10" + size + graph
    with pytest.raises(ModelError, match="external tensor data"):
        check_self_contained(content)


def test_deep_nesting_is_handled() -> None:
    content = b""
    for _ in range(3000):  # graph in attribute in node in graph …
        content = _field(6, content)
        content = _field(1, _field(5, content))
    check_self_contained(_field(7, content))


def test_bundled_model_is_accepted(folder: Path) -> None:
    check_self_contained((folder / ONNX_FILE).read_bytes())
    numpy_helper.to_array(onnx.load(folder / ONNX_FILE).graph.initializer[0])


def _field(number: int, content: bytes) -> bytes:
    size, remaining = b"", len(content)
    while True:
        size += bytes([remaining & 0x7F | (0x80 if remaining > 0x7F else 0)])
        remaining >>= 7
        if not remaining:
            return bytes([number << 3 | 2]) + size + content
