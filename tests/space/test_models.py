"""Models of the demo: the list, folders and experiment arms, accepted and rejected Hub models."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from evenmood.errors import ModelError
from evenmood.model.model_folder import INFO_FILE, ONNX_FILE, PREDICTION_FILES, TOKENIZER_FILE
from space.server import models as server_models
from space.server.models import DEFAULT_NAME, MAX_CACHED_MODELS, Models
from tests.conftest import DEFAULT_MODEL
from tests.fakes.hub_server import HubServer

FILES = {name: (DEFAULT_MODEL / name).read_bytes() for name in PREDICTION_FILES}


def memory_bomb() -> bytes:
    """Return a small graph that would exhaust the memory."""
    shape = onnx.helper.make_tensor("shape", onnx.TensorProto.INT64, [1], [5 * 10**8])
    node = onnx.helper.make_node("ConstantOfShape", ["shape"], ["probabilities"])
    output = onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [None, 28])
    graph = onnx.helper.make_graph([node], "bomb", [], [output], [shape])
    return bytes(onnx.helper.make_model(graph).SerializeToString())


def graph_with_padding(amount: int | None) -> bytes:
    """Return the bundled graph with another amount of padding; None: computed by another node."""
    model = onnx.load_from_string(FILES[ONNX_FILE])
    (pad,) = (node for node in model.graph.node if node.op_type == "Pad")
    if amount is None:
        pad.input[1] = "computed"
    else:
        (edges,) = (weight for weight in model.graph.initializer if weight.name == pad.input[1])
        edges.CopyFrom(onnx.numpy_helper.from_array(np.array([amount, 0, 2, 0]), edges.name))
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def models() -> Models:
    return Models()


def test_trained_models_are_listed(tmp_path: Path, average_folder: Path) -> None:
    models = Models(folders=[average_folder], trained=tmp_path / "models")
    assert [choice.name for choice in models.choices()] == [DEFAULT_NAME, "accurate", f"./{average_folder.name}"]
    for arm in ("balanced", "unbalanced", "unbalanced-average"):
        target = tmp_path / "models" / "ablation" / arm
        target.mkdir(parents=True)
        for name in PREDICTION_FILES:
            shutil.copyfile(average_folder / name, target / name)
    (tmp_path / "models" / "unfinished").mkdir()
    (tmp_path / "models" / "unfinished" / INFO_FILE).write_text("{}")
    titles = dict(models.titles())
    assert titles["balanced, attention (paper's arm, ablation/balanced)"] == "./ablation/balanced"
    assert "unbalanced, without attention (paper's arm, ablation/unbalanced-average)" in titles
    assert len(titles) == 6
    assert not models.get("./ablation/balanced").has_attention


def test_bundled_models_have_names(models: Models, folder: Path) -> None:
    assert [choice.title for choice in models.choices()] == ["fast", "accurate"]
    assert models.get("fast") is models.get("") is models.get(DEFAULT_NAME) is models.default
    assert models.get("accurate").info.kind == "encoder"
    assert models.second_choice() == "accurate"
    folder_models = Models(str(folder))
    assert [choice.name for choice in folder_models.choices()] == [DEFAULT_NAME, "fast", "accurate"]
    assert folder_models.get("fast").folder == models.default.folder != folder_models.get("").folder


def test_retrained_model_is_reloaded(tmp_path: Path, folder: Path) -> None:
    target = tmp_path / "models" / "mine"
    target.parent.mkdir()
    folder.rename(target)
    models = Models(trained=tmp_path / "models")
    cached = models.get("./mine")
    assert models.get("./mine") is cached
    info = json.loads((target / INFO_FILE).read_text())
    (target / INFO_FILE).write_text(json.dumps(info | {"thresholds": dict.fromkeys(info["labels"], 0.9)}))
    assert models.get("./mine").thresholds["joy"] == 0.9


def test_error_for_a_corrupt_folder_hides_its_path(tmp_path: Path, folder: Path) -> None:
    target = tmp_path / "models" / "mine"
    target.parent.mkdir()
    folder.rename(target)
    (target / ONNX_FILE).write_bytes(b"nothing")
    (tmp_path / "models" / "corrupt").mkdir()
    for name in PREDICTION_FILES:
        (tmp_path / "models" / "corrupt" / name).write_bytes(b"nothing")
    models = Models(trained=tmp_path / "models")
    assert [choice.name for choice in models.choices()] == [DEFAULT_NAME, "accurate", "./mine"]
    with pytest.raises(ModelError) as error:
        models.get("./mine")
    assert str(error.value).startswith("./mine: model.onnx: corrupt")
    assert str(tmp_path) not in str(error.value)


def test_hub_model(models: Models, hub: HubServer, token: str) -> None:
    hub.add("you/moods", FILES)
    classifier = models.get("you/moods")
    assert classifier.predict("Thank you!").labels == ["gratitude"]
    assert models.get(" you/moods ") is classifier  # downloaded once
    assert "you/moods" not in dict(models.titles()).values()  # visitors do not see each other's models
    assert sorted(hub.sent) == sorted(f"you/moods/{name}" for name in PREDICTION_FILES)
    assert hub.requests
    assert not hub.authorized  # the server's token is not used


@pytest.mark.parametrize(
    ("files", "options", "expected"),
    [
        (None, {}, "no public model 'you/moods' on the Hub"),
        (FILES, {"private": True}, "no public model 'you/moods' on the Hub"),
        (
            {"config.json": b"{}"},
            {},
            "'you/moods' on the Hub is not an evenmood model; missing files: model.onnx, tokenizer.json,",
        ),
        (FILES | {ONNX_FILE: b"x" * 100}, {}, "you/moods: model.onnx: corrupt or not an ONNX model"),
        (FILES | {ONNX_FILE: memory_bomb()}, {}, "you/moods: model.onnx: not exported by evenmood"),
        (
            FILES | {ONNX_FILE: graph_with_padding(10**9)},
            {},
            "you/moods: model.onnx: not exported by evenmood",
        ),
        (
            FILES | {ONNX_FILE: graph_with_padding(-65)},
            {},
            "you/moods: model.onnx: not exported by evenmood",
        ),
        (
            FILES | {ONNX_FILE: graph_with_padding(None)},
            {},
            "you/moods: model.onnx: not exported by evenmood",
        ),
        (FILES | {TOKENIZER_FILE: b"\x80\x04."}, {}, "you/moods: tokenizer.json: not a tokenizer"),
        (FILES | {INFO_FILE: b"[]"}, {}, "you/moods: emotions.json: expected an object"),
    ],
)
def test_invalid_hub_models_are_rejected(
    models: Models, hub: HubServer, token: str, files: dict[str, bytes] | None, options: dict[str, bool], expected: str
) -> None:
    if files is not None:
        hub.add("you/moods", files, **options)
    models._fetched.clear()
    with pytest.raises(ModelError, match="^" + expected.replace("(", r"\(")):
        models.get("you/moods")


def test_large_model_is_rejected_before_the_download(
    models: Models, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("you/large", FILES)
    monkeypatch.setattr(server_models, "MAX_MODEL_BYTES", 5_000_000)
    size = sum(map(len, FILES.values())) / 1e6
    with pytest.raises(ModelError, match=rf"is {size:.0f} MB; expected at most 5 MB"):
        models.get("you/large")
    assert not hub.sent


def test_external_tensor_data_is_rejected(models: Models, hub: HubServer, tmp_path: Path) -> None:
    graph = onnx.load_from_string(FILES[ONNX_FILE])
    onnx.save_model(
        graph, tmp_path / ONNX_FILE, save_as_external_data=True, location="weights.bin", size_threshold=1000
    )
    files = FILES | {name: (tmp_path / name).read_bytes() for name in (ONNX_FILE, "weights.bin")}
    hub.add("you/external", files)
    with pytest.raises(ModelError, match=r"^you/external: model\.onnx: external tensor data is not supported"):
        models.get("you/external")
    assert "you/external/weights.bin" not in hub.sent


def test_second_download_fails_immediately(models: Models, hub: HubServer) -> None:
    hub.add("you/slow", FILES)
    hub.fail("resolve/.*model.onnx", delay=4.0)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(models.get, "you/slow")
        time.sleep(1.0)
        start = time.monotonic()
        with pytest.raises(ModelError, match="another model is being downloaded; try again"):
            models.get("you/other")
        assert time.monotonic() - start < 2.5
        assert slow.result().labels


def test_three_hub_models_are_cached(models: Models, hub: HubServer) -> None:
    names = [f"you/m{number}" for number in range(MAX_CACHED_MODELS + 2)]
    caches = []
    for name in names:
        hub.add(name, FILES)
        models.get(name)
        caches.append(models._fetched[name][1])
    assert list(models._fetched) == names[-MAX_CACHED_MODELS:]
    assert [path.exists() for path in caches] == [False, False, True, True, True]


@pytest.mark.parametrize(
    "name", ["../x/y", "a/../b", "/etc", "./nothing", "x", "a/b/c", "a b/c", "<b>/x", "http://x/y"]
)
def test_invalid_names_are_rejected_without_a_request(models: Models, hub: HubServer, name: str) -> None:
    with pytest.raises(ModelError, match="choose one from the list, or enter a Hub id"):
        models.get(name)
    assert not hub.requests
