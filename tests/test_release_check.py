"""`make release-check`: errors in one line each; checks that need a package index are not run."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("evenmood/__init__.py", "CHANGELOG.md", "CITATION.cff", "SECURITY.md", "docs/sample-report.html")


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release_check", ROOT / ".ci" / "release_check.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the documents that contain the version."""
    for name in DOCUMENTS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def test_all_documents_have_the_same_version(check: ModuleType) -> None:
    assert check.versions() == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_other_version_is_reported(check: ModuleType, tree: Path, name: str) -> None:
    from evenmood import __version__

    short = __version__.rpartition(".")[0]
    text = (tree / name).read_text(encoding="utf-8")
    (tree / name).write_text(text.replace(__version__, "9.8.7").replace(f"| {short} |", "| 9.8 |"), encoding="utf-8")
    errors = check.versions(tree)
    assert errors
    assert any(error.startswith(name) for error in errors) or name == "evenmood/__init__.py"


def test_version_of_the_npm_package(check: ModuleType, tree: Path) -> None:
    (tree / "web").mkdir()
    (tree / "web" / "package.json").write_text('{"version": "9.8.7"}', encoding="utf-8")
    (error,) = check.versions(tree)
    assert error.startswith("web/package.json: '9.8.7', expected ")


def test_tag_requires_its_version_and_no_unreleased_changes(check: ModuleType, tree: Path) -> None:
    from evenmood import __version__

    changelog = (tree / "CHANGELOG.md").read_text(encoding="utf-8")
    header, _, rest = changelog.partition("## [Unreleased]\n")
    released = rest[rest.index("## [") :]
    (tree / "CHANGELOG.md").write_text(f"{header}## [Unreleased]\n\n{released}", encoding="utf-8")
    assert check.versions(tree, f"v{__version__}") == []
    assert check.versions(tree, "v9.8.7") == [f"tag: 'v9.8.7', expected 'v{__version__}'"]
    (tree / "CHANGELOG.md").write_text(f"{header}## [Unreleased]\n\n- New.\n\n{released}", encoding="utf-8")
    (error,) = check.versions(tree, f"v{__version__}")
    assert error == "CHANGELOG.md: entries under Unreleased: '- New.', expected 'none'"


def test_models_cards_and_results_agree(check: ModuleType) -> None:
    assert check.models() == []


def test_outdated_card_and_results_are_reported(check: ModuleType, tmp_path: Path) -> None:
    folder, results = tmp_path / "default_model", tmp_path / "default_model.json"
    shutil.copytree(ROOT / "evenmood" / folder.name, folder)
    content = json.loads((ROOT / "results" / results.name).read_text(encoding="utf-8"))
    content["bytes"]["model.onnx"] += 1
    content["thresholds"]["joy"] += 0.1
    results.write_text(json.dumps(content), encoding="utf-8")
    card = (folder / "README.md").read_text(encoding="utf-8")
    card = re.sub(r"score: ([\d.]+)", lambda match: f"score: {float(match[1]) - 0.2:.3f}", card, count=1)
    card = re.sub(r"evenmood \d+\.\d+\.\d+", "evenmood 9.8.7", card, count=1)
    (folder / "README.md").write_text(card, encoding="utf-8")
    *errors, scores = check.model(folder, results)
    assert errors == [
        "default_model.json: file sizes differ from those in default_model",
        "default_model.json: thresholds differ from those in default_model",
        "default_model/README.md: metrics or version differ from those in the model's training record",
    ]
    assert scores.startswith("default_model/README.md: example scores differ from the model's by 0.")


@pytest.mark.slow  # make check compares the documents as well
def test_documents_match_the_results_files(check: ModuleType) -> None:
    assert check.documents() == []


def test_invalid_wheel_is_reported(check: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "evenmood-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("evenmood-1.0.dist-info/METADATA", "Name: evenmood\nProvides-Extra: ray\n\n[a](docs/a.md)\n")
    assert check.contents([path]) == [
        f"{path.name}: evenmood/default_model/model.onnx is missing",
        f"{path.name}: evenmood/accurate_model/model.onnx is missing",
        f"{path.name}: extras differ from those in pyproject.toml",
        f"{path.name}: the description has a relative link to docs/a.md",
    ]


def test_all_extras_are_checked(check: ModuleType) -> None:
    from evenmood.cli.command import EXTRAS

    assert set(check.EXTRAS) == set(EXTRAS.values())


def test_quickstart_reports_different_output(
    check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "install", lambda commands, *requirements: None)  # already installed
    commands = Path(sys.executable).parent
    check.quickstart(commands, tmp_path)
    assert (tmp_path / "emotions.csv").is_file()
    (tmp_path / "README.md").write_text("```python\nprint(1)\n```\n\n<!-- x -->\n```text\n2\n```\n", encoding="utf-8")
    monkeypatch.setattr(check, "ROOT", tmp_path)
    with pytest.raises(check.CheckError, match=r"example 1 printed '1\\n'; expected '2\\n'"):
        check.quickstart(commands, tmp_path)


def test_failed_command_is_reported_in_one_line(check: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(check.CheckError, match=r"^python\S* -c .*: error: no label 'fury'$") as error:
        check._run([sys.executable, "-c", "import sys; sys.exit('a\\nerror: no label \\'fury\\'\\nend')"], tmp_path)
    assert "\n" not in str(error.value)


def test_command_exits_with_1(tmp_path: Path) -> None:
    """Run the script in a copy of the documents."""
    for name in (*DOCUMENTS, ".ci/release_check.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    command = [sys.executable, str(tmp_path / ".ci/release_check.py"), "--tag", "v9.8.7", "--no-install"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout.startswith("failed  versions  (0 s)\n")
    assert result.stderr.startswith("error: tag: 'v9.8.7', expected 'v")
