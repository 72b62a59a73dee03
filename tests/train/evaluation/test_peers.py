"""`python -m train peers`: models from any source, evaluated on the same texts."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install --group data")

from evenmood import LABELS, ModelError
from tests.commands import run_command
from tests.evenmood.model.test_onnx_export import write_export
from tests.fakes.tiny_teacher import write_encoder
from train.evaluation.peers import open_model


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX export with the labels in reverse order."""
    source = write_encoder(tmp_path_factory.mktemp("source"), LABELS[::-1])
    return write_export(source, tmp_path_factory.mktemp("export"))


def test_peers_command(export: Path, small_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "peers.json"
    result = run_command("train", "peers", "fast", str(export), "--data", str(small_data), "--out", str(out))
    assert result.returncode == 0, result.stderr
    content = json.loads(out.read_text(encoding="utf-8"))
    fast, onnx_export = content["models"]
    assert (fast["model"], onnx_export["model"]) == ("fast", export.name)
    assert fast["everyday"]["macro_f1"]["value"] > 0.5 > onnx_export["everyday"]["macro_f1"]["value"]
    assert set(fast["tuned"]) == set(onnx_export["own_thresholds"])
    second_run = run_command("train", "peers", "fast", "--data", str(small_data), "--out", str(out))
    assert second_run.returncode == 2
    assert "use --overwrite" in second_run.stderr


def test_unsupported_folder_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"emotions\.json.*as an ONNX export.*config\.json"):
        open_model(str(tmp_path))
