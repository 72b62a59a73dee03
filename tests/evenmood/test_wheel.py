"""The wheel: its content, and prediction in an environment with only the wheel."""

import ast
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from evenmood.model.loading import BUNDLED
from evenmood.model.model_folder import PREDICTION_FILES
from tests.conftest import DEFAULT_MODEL
from tests.fresh_environment import ROOT, fresh_environment


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = target.iterdir()
    return wheel


def test_wheel_contains_only_the_library_and_its_models(wheel: Path) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "evenmood").rglob("*.py")}
    modules = {name for name in modules if not name.startswith("evenmood/data/")}
    models = [{f"evenmood/{folder}/{name}" for name in PREDICTION_FILES} for folder in BUNDLED.values()]
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    assert "evenmood/classifier.py" in modules
    assert names == modules.union(*models, {"evenmood/py.typed", "evenmood/report/style.css"})
    for model, limit in zip(models, (12_000_000, 13_000_000), strict=True):
        assert sum(sizes[name] for name in model) < limit


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a new virtual environment with the wheel, without extras."""
    return fresh_environment(tmp_path_factory.mktemp("venv"), wheel)


PREDICT = """
import json, sys, evenmood
model = evenmood.EmotionClassifier.from_pretrained()
print(json.dumps({"where": evenmood.__file__, "probabilities": model.predict_proba("I am so happy").tolist(),
                  "names": model.predict("I am so happy").labels, "words": len(model.explain("I am so happy")),
                  "modules": sorted(sys.modules)}))
"""


def test_installed_library_predicts(environment: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [environment / "python", "-W", "error", "-c", PREDICT],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    content = json.loads(result.stdout)
    assert Path(content["where"]).is_relative_to(environment.parent)
    assert len(content["probabilities"]) == 28
    assert len(content["names"]) >= 1
    assert content["words"] == 4
    assert not {"keras", "tensorflow", "torch", "pandas", "gradio", "train"} & set(content["modules"])


def test_installed_command_predicts(environment: Path, tmp_path: Path) -> None:
    def evenmood(*arguments: str) -> str:
        result = subprocess.run(
            [environment / "evenmood", *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    bundled = evenmood("text", "I am so happy")
    assert bundled.strip()
    assert evenmood("text", "I am so happy", "--model", str(DEFAULT_MODEL)) == bundled


IMPORTS = """
import importlib, json, pkgutil, evenmood
errors = {}
for module in pkgutil.walk_packages(evenmood.__path__, "evenmood."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
            errors[module.name] = ""
        except ModuleNotFoundError as error:
            errors[module.name] = str(error)
print(json.dumps(errors))
"""


def test_every_module_imports_or_names_its_extra(environment: Path, tmp_path: Path) -> None:
    command = [str(environment / "python"), "-W", "error", "-c", IMPORTS]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    errors = json.loads(result.stdout)
    assert len(errors) > 30
    assert errors["evenmood.tables.frames"] == errors["evenmood.distributed.ray_cluster"] == ""
    missing = {name: error for name, error in errors.items() if error}
    assert list(missing) == ["evenmood.evaluation.metrics"]
    assert all('pip install "evenmood[' in error for error in missing.values())


def test_messages_mention_only_commands_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                tree = ast.parse(archive.read(name))
                docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
                for node in ast.walk(tree):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                        assert not re.search(r"python -m (train|data_build|space)|\bmake [a-z]+-", node.value), name
