"""The tree is as docs/architecture.md says, and imports run one way, lazy ones too."""

import ast
import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("evenmood", "train", "data_build", "space")


def modules() -> dict[str, Path]:
    """Every module of the four packages; a package is its `__init__`."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports() -> dict[str, set[str]]:
    """Which modules of the project each one imports, anywhere in its code."""
    known = modules()
    found = {}
    for module, path in known.items():
        names = set[str]()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for_types = {id(node) for block in ast.walk(tree) if _is_for_types(block) for node in ast.walk(block)}
        for node in ast.walk(tree):
            if id(node) in for_types:  # never imported where the program runs
                continue
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}: a relative import"
                names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        found[module] = {name for name in names if name in known and name != module}
    return found


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_a_circle_is_found() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


def test_no_module_imports_itself_through_others() -> None:
    # A package imported together with one of its modules (`from evenmood.model import hub`) is no dependency on it.
    graph = imports()
    packages = {module for module, path in modules().items() if path.name == "__init__.py"}
    empty = {package for package in packages if not graph[package]}
    assert circle({module: names - empty for module, names in graph.items()}) == []


def test_no_folder_imports_itself_through_others() -> None:
    graph: dict[str, set[str]] = {}
    for module, names in imports().items():
        folder = _folder(module)
        if folder:
            own = {found for name in names if (found := _folder(name)) and found != folder}
            graph.setdefault(folder, set()).update(own)
    assert graph["train.cli"] >= {"train.fitting", "evenmood.model"}
    assert circle(graph) == []


def _folder(module: str) -> str | None:
    """The sub-package that a module lies in; None for one beside them."""
    parts = module.split(".")
    return ".".join(parts[:2]) if (ROOT / parts[0] / parts[-1 if len(parts) == 1 else 1]).is_dir() else None


@pytest.mark.parametrize("package", PACKAGES)
def test_only_the_library_is_imported_by_others(package: str) -> None:
    used = {
        name.split(".")[0] for module, names in imports().items() if module.split(".")[0] == package for name in names
    }
    assert used <= {package, "evenmood"}


def test_folders_are_those_of_the_document() -> None:
    document = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `([\w/]+)/` \|", document, re.MULTILINE))
    packages = {path.parent.relative_to(ROOT).as_posix() for path in modules().values() if path.name == "__init__.py"}
    tops = {path.name for path in ROOT.iterdir() if path.is_dir()} & {"benchmarks", "docs", "results", "tests"}
    assert described == packages | tops
