"""`.ci/python_version.py`: which interpreters the project accepts."""

import contextlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "python_version.py"


@pytest.mark.parametrize(
    ("version", "purpose", "message"),
    [
        ((2, 7), [], "error: Python 2.7.1 found; evenmood needs 3.11 to 3.14; run: make clean; make PYTHON="),
        ((3, 10), [], "evenmood needs 3.11 to 3.14"),
        ((3, 11), [], None),
        ((3, 11), ["training"], None),
        ((3, 13), ["training"], None),
        ((3, 14), [], None),
        ((3, 14), ["training"], "Python 3.14.1 found; training and the tests need 3.11 to 3.13"),
        ((3, 15), [], "evenmood needs 3.11 to 3.14"),
    ],
)
def test_supported_versions(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], purpose: list[str], message: str | None
) -> None:
    text = f"{version[0]}.{version[1]}.1 (main)"
    interpreter = SimpleNamespace(version_info=(*version, 1), version=text, argv=[str(SCRIPT), *purpose], exit=sys.exit)
    code = compile(SCRIPT.read_text(encoding="utf-8"), SCRIPT, "exec")
    monkeypatch.setitem(sys.modules, "sys", interpreter)
    with contextlib.ExitStack() as stack:
        if message:
            stack.enter_context(pytest.raises(SystemExit, match=re.escape(message)))
        exec(code, {"__name__": "__main__"})
