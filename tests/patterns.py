"""Collect all regular expressions in the source code, and create worst-case texts for them."""

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = ("evenmood", "space", "train", "data_build")
CALLS = ("compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer")
ANCHORED = ("match", "fullmatch")
MIN_UPPER_BOUND = 50
"""Minimum upper bound of the repeats that are tested with long texts."""
ENDS = ("", "!", "\n", "\0", "a", "é")
MAX_TEXTS = 150


@dataclass(frozen=True)
class Use:
    """A pattern and how it is used.

    Attributes:
        location: File and line.
        pattern: Compiled pattern.
        anchored: Whether it is only matched at the beginning of texts.
        kind: `re`, or `tokenizers` for patterns of that library.
    """

    location: str
    pattern: re.Pattern[Any]
    anchored: bool
    kind: str


def find_uses() -> tuple[list[Use], list[str]]:
    """Return all patterns, and the locations of those that cannot be evaluated statically."""
    patterns, unknown = [], []
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in _sources()}
    methods = _methods(trees.values())
    for path, tree in trees.items():
        names = Names(tree, trees)
        variables = {id(node.value): node.targets[0].id for node in ast.walk(tree) if _assigns_to_a_name(node)}  # type: ignore[attr-defined]
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and node.args and (kind := _kind(node))):
                continue
            location = f"{path.relative_to(ROOT)}:{node.lineno}"
            try:
                pattern = _compile(node, kind, names)
            except (NameError, TypeError, KeyError, re.error):
                unknown.append(location)
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            methods_used = methods.get(variables.get(id(node), ""), set()) if name == "compile" else {name}
            patterns.append(Use(location, pattern, bool(methods_used) and methods_used <= set(ANCHORED), kind))
    return patterns, unknown


def _sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


class Names(dict[str, Any]):
    """Values of a module's constants, evaluated without importing the module, since some imports are slow."""

    def __init__(self, tree: ast.Module, trees: dict[Path, ast.Module]) -> None:
        super().__init__()
        self.tree, self.trees = tree, trees

    def __missing__(self, name: str) -> Any:
        """Evaluate the assignment of a name, in this module or in the module that it is imported from."""
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return _value(node.value, self)  # type: ignore[attr-defined]
            if isinstance(node, ast.Import) and name in [alias.asname or alias.name for alias in node.names]:
                return importlib.import_module(name)
            if isinstance(node, ast.ImportFrom) and name in [alias.asname or alias.name for alias in node.names]:
                imported = ROOT / f"{(node.module or '').replace('.', '/')}.py"
                if imported not in self.trees:
                    return getattr(importlib.import_module(node.module or ""), name)
                return Names(self.trees[imported], self.trees)[name]
        raise KeyError(name)


def _value(expression: ast.expr, names: Names) -> Any:
    return eval(compile(ast.Expression(expression), "constant", "eval"), {}, names)


def _kind(node: ast.Call) -> str | None:
    function = node.func
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "re":
        return "re" if function.attr in CALLS else None
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    return "tokenizers" if name == "Regex" else None


def _assigns_to_a_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)


def _methods(trees: Any) -> dict[str, set[str]]:
    """Return the methods called on each variable, by its name."""
    methods: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in CALLS:
                owner = node.value
                name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
                methods.setdefault(name, set()).add(node.attr)
    return methods


def _compile(node: ast.Call, kind: str, names: Names) -> re.Pattern[Any]:
    """Compile the pattern of a call whose arguments are constants of its module."""
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    position = {"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(name, 2)
    flags = keywords.get("flags") or (node.args[position] if kind == "re" and len(node.args) > position else None)
    return re.compile(_value(node.args[0], names), _value(flags, names) if flags else 0)


def worst_case_texts(pattern: re.Pattern[Any], size: int) -> list[str]:
    """Return texts that repeat a part of the pattern and then fail to match."""
    tree = _parser.parse(
        pattern.pattern, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
    )
    texts: dict[str, None] = {}
    for prefix, body in _pumps(list(tree), ""):
        for part in dict.fromkeys([body, prefix + body, body + prefix, f"{body} ", f"{body}\n", f"{prefix}{body}!"]):
            if part:
                for end in ENDS:
                    for start in dict.fromkeys(["", prefix]):
                        texts[f"{start}{(part * (size // len(part) + 1))[:size]}{end}"] = None
    return list(islice(texts, MAX_TEXTS))


def _pumps(tree: list[Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield, for each repeat, an example of the text before it, and examples of its body."""
    for operation, argument in tree:
        name = str(operation)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            _, maximum, body = argument
            if maximum >= MIN_UPPER_BOUND:
                for sample in _samples(list(body)):
                    yield prefix, sample
            yield from _pumps(list(body), prefix)
        elif name == "SUBPATTERN":
            yield from _pumps(list(argument[3]), prefix)
        elif name == "ATOMIC_GROUP":
            yield from _pumps(list(argument), prefix)
        elif name in ("ASSERT", "ASSERT_NOT"):
            yield from _pumps(list(argument[1]), prefix)
        elif name == "BRANCH":
            for branch in argument[1]:
                yield from _pumps(list(branch), prefix)
        prefix += next(_samples([(operation, argument)]), "")


def _samples(tree: list[Any]) -> Iterator[str]:
    """Yield texts that a part of a pattern matches, from its different branches and characters."""
    options: list[list[str]] = []
    for operation, argument in tree:
        name = str(operation)
        if name == "LITERAL":
            options.append([chr(argument)])
        elif name == "NOT_LITERAL":
            options.append(["a" if argument != ord("a") else "b", " "])
        elif name == "ANY":
            options.append(["a", " "])
        elif name == "IN":
            options.append(_class_samples(argument))
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            minimum, _, body = argument
            options.append([sample * max(minimum, 1) for sample in islice(_samples(list(body)), 4)])
        elif name == "SUBPATTERN":
            options.append(list(islice(_samples(list(argument[3])), 6)))
        elif name == "ATOMIC_GROUP":
            options.append(list(islice(_samples(list(argument)), 6)))
        elif name == "BRANCH":
            options.append([sample for branch in argument[1] for sample in islice(_samples(list(branch)), 2)])
    options = [option for option in options if option]
    for index in range(max(map(len, options), default=0)):
        yield "".join(option[index % len(option)] for option in options)


def _class_samples(items: list[Any]) -> list[str]:
    """Return sample characters of a character class."""
    characters, negated = [], False
    for operation, argument in items:
        name = str(operation)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            characters.append(chr(argument))
        elif name == "RANGE":
            characters.append(chr(argument[0]))
        elif name == "CATEGORY":
            kinds = {"DIGIT": "1", "SPACE": " ", "WORD": "a", "NOT_DIGIT": "a", "NOT_SPACE": "a", "NOT_WORD": " "}
            characters.append(kinds[str(argument).removeprefix("CATEGORY_")])
    if negated:
        return [character for character in "a 1.-é\t<:" if character not in characters][:4]
    return characters[:6]
