"""The public API (names, signatures, first lines of docstrings) equals the snapshot in `public_api.txt`.

Update the snapshot after an intended change: python -m tests.evenmood.test_public_api
"""

import inspect
from pathlib import Path

import evenmood

SNAPSHOT = Path(__file__).with_name("public_api.txt")


def describe_api() -> str:
    """Return a line for each exported name and for each public member of a class."""
    lines = []
    for name in sorted(evenmood.__all__):
        item = getattr(evenmood, name)
        if inspect.isclass(item):
            bases = ", ".join(base.__name__ for base in item.__bases__)
            lines.append(f"class {name}({bases}): {_summary(item)}")
            names = {member for kind in item.__mro__ if kind.__module__.startswith("evenmood") for member in vars(kind)}
            lines += [f"    {line}" for member in sorted(names) for line in _describe_member(item, member)]
        elif callable(item):
            lines.append(f"{name}{inspect.signature(item)}: {_summary(item)}")
        else:
            lines.append(f"{name}: {type(item).__name__}")
    return "\n".join(lines).replace("pathlib._local.", "pathlib.") + "\n"  # its module on Python 3.13


def _describe_member(owner: type, name: str) -> list[str]:
    if name.startswith("_") and name != "__init__":
        return []
    member = inspect.getattr_static(owner, name)
    if isinstance(member, property):
        return [f"{name}: {_summary(member)}"]
    if isinstance(member, (classmethod, staticmethod)):
        member = member.__func__
    if not inspect.isfunction(member):
        return [] if name == "__init__" else [name]
    return [f"{name}{inspect.signature(member)}: {_summary(member)}"]


def _summary(item: object) -> str:
    return (inspect.getdoc(item) or "").split("\n")[0]


def test_public_api_matches_the_snapshot() -> None:
    assert describe_api() == SNAPSHOT.read_text(encoding="utf-8")


def test_public_api_is_documented() -> None:
    for line in describe_api().splitlines():
        if "(" in line and ":" in line:
            assert not line.endswith(": "), line


if __name__ == "__main__":
    SNAPSHOT.write_text(describe_api(), encoding="utf-8")
