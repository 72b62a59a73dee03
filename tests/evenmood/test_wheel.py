"""The wheel: its content, and prediction in an environment without anything else."""

import ast
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from evenmood.model.loading import BUNDLED
from evenmood.model.model_folder import PREDICTING_FILES
from tests.conftest import DEFAULT_MODEL
from tests.fresh_environment import ROOT, fresh_environment


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = target.iterdir()
    return wheel


def test_the_wheel_holds_the_library_and_its_model_alone(wheel: Path) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "evenmood").rglob("*.py")}
    modules = {name for name in modules if not name.startswith("evenmood/data/")}
    models = [{f"evenmood/{folder}/{name}" for name in PREDICTING_FILES} for folder in BUNDLED.values()]
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    assert "evenmood/classifier.py" in modules
    assert names == modules.union(*models, {"evenmood/py.typed", "evenmood/report/style.css"})
    for model, most in zip(models, (12_000_000, 13_000_000), strict=True):
        assert sum(sizes[name] for name in model) < most


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands' folder of a fresh virtual environment with the wheel in it, and no extras."""
    return fresh_environment(tmp_path_factory.mktemp("venv"), wheel)


PREDICT = """
import json, sys, evenmood
model = evenmood.EmotionClassifier.from_pretrained()
print(json.dumps({"where": evenmood.__file__, "probabilities": model.predict_proba("I am so happy").tolist(),
                  "names": model.predict("I am so happy").labels, "words": len(model.explain("I am so happy")),
                  "modules": sorted(sys.modules)}))
"""


def test_the_installed_library_predicts(environment: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [environment / "python", "-W", "error", "-c", PREDICT],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert Path(answer["where"]).is_relative_to(environment.parent)
    assert len(answer["probabilities"]) == 28
    assert len(answer["names"]) >= 1
    assert answer["words"] == 4
    assert not {"keras", "tensorflow", "torch", "pandas", "gradio", "train"} & set(answer["modules"])


def test_the_installed_command_predicts(environment: Path, tmp_path: Path) -> None:
    def evenmood(*arguments: str) -> str:
        done = subprocess.run(
            [environment / "evenmood", *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    bundled = evenmood("text", "I am so happy")
    assert bundled.strip()
    assert evenmood("text", "I am so happy", "--model", str(DEFAULT_MODEL)) == bundled


IMPORTS = """
import importlib, json, pkgutil, evenmood
found = {}
for module in pkgutil.walk_packages(evenmood.__path__, "evenmood."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
            found[module.name] = ""
        except ModuleNotFoundError as error:
            found[module.name] = str(error)
print(json.dumps(found))
"""


def test_every_module_imports_or_names_its_extra(environment: Path, tmp_path: Path) -> None:
    command = [str(environment / "python"), "-W", "error", "-c", IMPORTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) > 30
    assert found["evenmood.tables.frames"] == found["evenmood.distributed.ray_cluster"] == ""
    missing = {name: error for name, error in found.items() if error}
    assert list(missing) == ["evenmood.evaluation.metrics"]
    assert all('pip install "evenmood[' in error for error in missing.values())


def test_no_message_names_a_command_that_the_wheel_lacks(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                tree = ast.parse(archive.read(name))
                documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
                for node in ast.walk(tree):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
                        assert not re.search(r"python -m (train|data_build|space)|\bmake [a-z]+-", node.value), name
