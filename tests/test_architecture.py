"""The folders match docs/architecture.md, and imports, including lazy ones, have no cycles."""

import ast
import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("evenmood", "train", "data_build", "space")


def modules() -> dict[str, Path]:
    """Return all modules of the four packages; the path of a package is its `__init__.py`."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports() -> dict[str, set[str]]:
    """Return the modules of the project that each module imports, anywhere in its code."""
    all_modules = modules()
    graph = {}
    for module, path in all_modules.items():
        names = set[str]()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for_types = {id(node) for block in ast.walk(tree) if _is_for_types(block) for node in ast.walk(block)}
        for node in ast.walk(tree):
            if id(node) in for_types:  # not imported at run time
                continue
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}: a relative import"
                names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        graph[module] = {name for name in names if name in all_modules and name != module}
    return graph


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def find_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_find_cycle() -> None:
    assert set(find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


def test_modules_have_no_import_cycles() -> None:
    # Importing a module of a package (`from evenmood.model import hub`) is not a dependency on the package.
    graph = imports()
    packages = {module for module, path in modules().items() if path.name == "__init__.py"}
    empty = {package for package in packages if not graph[package]}
    assert find_cycle({module: names - empty for module, names in graph.items()}) == []


def test_folders_have_no_import_cycles() -> None:
    graph: dict[str, set[str]] = {}
    for module, names in imports().items():
        folder = _folder(module)
        if folder:
            imported = {other for name in names if (other := _folder(name)) and other != folder}
            graph.setdefault(folder, set()).update(imported)
    assert graph["train.cli"] >= {"train.fitting", "evenmood.model"}
    assert find_cycle(graph) == []


def _folder(module: str) -> str | None:
    """Return the subpackage of a module; None for top-level modules."""
    parts = module.split(".")
    return ".".join(parts[:2]) if (ROOT / parts[0] / parts[-1 if len(parts) == 1 else 1]).is_dir() else None


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_the_library(package: str) -> None:
    used = {
        name.split(".")[0] for module, names in imports().items() if module.split(".")[0] == package for name in names
    }
    assert used <= {package, "evenmood"}


def test_folders_match_the_documentation() -> None:
    document = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([\w/]+)/` \|", document, re.MULTILINE))
    packages = {path.parent.relative_to(ROOT).as_posix() for path in modules().values() if path.name == "__init__.py"}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    others = folders & {"benchmarks", "docs", "results", "tests", "web"}
    assert documented == packages | others
