"""The network: Keras compared with its ONNX export, and loading without evenmood."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from train.config import TrainConfig
from train.network.export import export_onnx
from train.network.network import build_network

VOCABULARY = 500
LENGTHS = np.random.default_rng(1).integers(1, 31, 1000)


def token_ids() -> np.ndarray:
    ids = np.random.default_rng(2).integers(1, VOCABULARY, (1000, 30)).astype(np.int32)
    ids[np.arange(30) >= LENGTHS[:, None]] = 0
    return ids


def random_network(config: TrainConfig) -> keras.Model:
    """A network whose every weight is random, as after training: batch norm's and biases' too."""
    random = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = build_network(config, random.normal(0, 0.3, (VOCABULARY, 300)).astype(np.float32), 28)
    for layer in model.layers:
        noise = [random.normal(0, 0.1, weight.shape) for weight in layer.get_weights()]
        noise = [np.abs(values) for values in noise] if layer.name == "batch_norm" else noise
        layer.set_weights([weight + offset for weight, offset in zip(layer.get_weights(), noise, strict=True)])
    return model


@pytest.fixture(scope="module")
def attention_model() -> keras.Model:
    return random_network(TrainConfig())


def run_onnx(path: Path, ids: np.ndarray) -> list[np.ndarray]:
    outputs: list[np.ndarray] = onnxruntime.InferenceSession(path).run(None, {"input_ids": ids})
    return outputs


def test_layer_sizes_match_the_paper(attention_model: keras.Model) -> None:
    shapes = {layer.name: tuple(layer.output.shape) for layer in attention_model.layers}
    assert shapes["embedding"] == (None, None, 300)
    assert shapes["conv"] == (None, None, 64)
    assert attention_model.get_layer("conv").kernel_size == (5,)
    assert shapes["max_pool"] == (None, None, 64)
    assert shapes["bilstm"] == (None, None, 256)
    assert shapes["dense"] == (None, 128)
    assert attention_model.get_layer("dropout").rate == 0.5
    assert shapes["probabilities"] == (None, 28)


def operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


@pytest.mark.parametrize("folded", [True, False])
def test_onnx_matches_keras(attention_model: keras.Model, tmp_path: Path, folded: bool) -> None:
    ids = token_ids()
    export_onnx(attention_model, tmp_path / "m.onnx", folded=folded)
    assert ("Conv" in operators(tmp_path / "m.onnx")) == (not folded)
    probabilities, attention = run_onnx(tmp_path / "m.onnx", ids)
    expected = attention_model.predict(ids, verbose=0)
    assert expected.std() > 0.01
    assert np.abs(probabilities - expected).max() < 1e-5
    layer = keras.Model(attention_model.input, attention_model.get_layer("attention").output)
    assert np.abs(attention - layer.predict(ids, verbose=0)[:, :, 0]).max() < 1e-5
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-5)
    steps = -(-LENGTHS // 2)
    assert attention[np.arange(15) >= steps[:, None]].max() == 0


@pytest.mark.parametrize("folded", [True, False])
def test_negative_batch_norm_gamma(tmp_path: Path, folded: bool) -> None:
    model = random_network(TrainConfig())
    layer = model.get_layer("batch_norm")
    gamma, *rest = layer.get_weights()
    layer.set_weights([gamma * np.where(np.arange(len(gamma)) % 3, 1, -1), *rest])
    export_onnx(model, tmp_path / "m.onnx", folded=folded)
    probabilities, _ = run_onnx(tmp_path / "m.onnx", token_ids())
    assert np.abs(probabilities - model.predict(token_ids(), verbose=0)).max() < 1e-5


def test_wide_convolution_is_not_folded_by_default(tmp_path: Path) -> None:
    wide = TrainConfig(filters=48, kernel_size=4, embedding_size=16)  # even kernel: Keras pads more on the right
    model = build_network(wide, np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32), 28)
    ids = np.where(token_ids() > 0, token_ids() % 49 + 1, 0).astype(np.int32)
    for folded, name in ((None, "m.onnx"), (True, "folded.onnx")):
        export_onnx(model, tmp_path / name, folded=folded)
        assert np.abs(run_onnx(tmp_path / name, ids)[0] - model.predict(ids, verbose=0)).max() < 1e-5
    assert "Conv" in operators(tmp_path / "m.onnx")
    assert "Conv" not in operators(tmp_path / "folded.onnx")


def test_average_pooling(tmp_path: Path) -> None:
    model = random_network(TrainConfig(pooling="average"))
    export_onnx(model, tmp_path / "m.onnx")
    outputs = run_onnx(tmp_path / "m.onnx", token_ids())
    assert len(outputs) == 1
    assert np.abs(outputs[0] - model.predict(token_ids(), verbose=0)).max() < 1e-5


def test_padding_does_not_change_the_output(attention_model: keras.Model, tmp_path: Path) -> None:
    export_onnx(attention_model, tmp_path / "m.onnx")
    ids = token_ids()
    full, _ = run_onnx(tmp_path / "m.onnx", ids)
    for length in (1, 2, 5, 12):
        rows = np.flatnonzero(length >= LENGTHS)
        short, _ = run_onnx(tmp_path / "m.onnx", ids[rows, : length + length % 2])
        assert np.abs(short - full[rows]).max() < 1e-6


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize(("bits", "tolerance", "share"), [(16, 1e-3, 0.6), (8, 0.02, 0.4)])
def test_reduced_embedding_precision(
    attention_model: keras.Model, tmp_path: Path, bits: int, tolerance: float, share: float, folded: bool
) -> None:
    export_onnx(attention_model, tmp_path / "full.onnx", folded=folded)
    export_onnx(attention_model, tmp_path / "small.onnx", bits, folded)
    full, small = (run_onnx(tmp_path / name, token_ids())[0] for name in ("full.onnx", "small.onnx"))
    assert 0 < np.abs(full - small).max() < tolerance
    weights = VOCABULARY * 300 * 4
    bytes_saved = (tmp_path / "full.onnx").stat().st_size - (tmp_path / "small.onnx").stat().st_size
    assert bytes_saved > weights * (1 - share)


def test_keras_loads_the_network_without_evenmood(attention_model: keras.Model, tmp_path: Path) -> None:
    ids = token_ids()[:20]
    attention_model.save(tmp_path / "model", zipped=False)
    np.save(tmp_path / "ids.npy", ids)
    script = (
        "import sys; sys.modules.update(evenmood=None, train=None)\n"
        "import keras, numpy as np\n"
        "np.save('out.npy', keras.saving.load_model('model').predict(np.load('ids.npy'), verbose=0))\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    expected = attention_model.predict(ids, verbose=0)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)


def test_prior_bias_matches_label_frequencies() -> None:
    frequencies = np.linspace(0.01, 0.4, 28)
    config = TrainConfig(prior_bias=True, embedding_size=8)
    model = build_network(config, np.zeros((10, 8), np.float32), 28, frequencies)
    bias = model.get_layer("probabilities").get_weights()[1]
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), frequencies, rtol=1e-4)
