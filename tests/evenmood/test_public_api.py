"""What users may rely on: names, signatures and first lines of docstrings, held against `public_api.txt`.

A change that is meant is recorded with: python -m tests.evenmood.test_public_api
"""

import inspect
from pathlib import Path

import evenmood

SNAPSHOT = Path(__file__).with_name("public_api.txt")


def described() -> str:
    """A line for each exported name, and for each public member of a class."""
    lines = []
    for name in sorted(evenmood.__all__):
        thing = getattr(evenmood, name)
        if inspect.isclass(thing):
            bases = ", ".join(base.__name__ for base in thing.__bases__)
            lines.append(f"class {name}({bases}): {_first(thing)}")
            own = {member for kind in thing.__mro__ if kind.__module__.startswith("evenmood") for member in vars(kind)}
            lines += [f"    {line}" for member in sorted(own) for line in _member(thing, member)]
        elif callable(thing):
            lines.append(f"{name}{inspect.signature(thing)}: {_first(thing)}")
        else:
            lines.append(f"{name}: {type(thing).__name__}")
    return "\n".join(lines).replace("pathlib._local.", "pathlib.") + "\n"  # as Python 3.13 calls it


def _member(owner: type, name: str) -> list[str]:
    if name.startswith("_") and name != "__init__":
        return []
    member = inspect.getattr_static(owner, name)
    if isinstance(member, property):
        return [f"{name}: {_first(member)}"]
    if isinstance(member, (classmethod, staticmethod)):
        member = member.__func__
    if not inspect.isfunction(member):
        return [] if name == "__init__" else [name]
    return [f"{name}{inspect.signature(member)}: {_first(member)}"]


def _first(thing: object) -> str:
    return (inspect.getdoc(thing) or "").split("\n")[0]


def test_the_public_api_is_as_recorded() -> None:
    assert described() == SNAPSHOT.read_text(encoding="utf-8")


def test_everything_public_is_documented() -> None:
    for line in described().splitlines():
        if "(" in line and ":" in line:
            assert not line.endswith(": "), line


if __name__ == "__main__":
    SNAPSHOT.write_text(described(), encoding="utf-8")
