"""`python -m train peers`: models of any origin on the same texts."""

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
    """An export whose labels are in another order than ours."""
    source = write_encoder(tmp_path_factory.mktemp("source"), LABELS[::-1])
    return write_export(source, tmp_path_factory.mktemp("export"))


def test_bundled_models_and_exports_are_scored_alike(export: Path, small_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "peers.json"
    done = run_command("train", "peers", "fast", str(export), "--data", str(small_data), "--out", str(out))
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    fast, other = found["models"]
    assert (fast["model"], other["model"]) == ("fast", export.name)
    assert fast["everyday"]["macro_f1"]["value"] > 0.5 > other["everyday"]["macro_f1"]["value"]
    assert set(fast["tuned"]) == set(other["own_thresholds"])
    again = run_command("train", "peers", "fast", "--data", str(small_data), "--out", str(out))
    assert again.returncode == 2
    assert "use --overwrite" in again.stderr


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"emotions\.json.*as an ONNX export.*config\.json"):
        open_model(str(tmp_path))
