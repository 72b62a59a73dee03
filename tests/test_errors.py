"""Each error of docs/reference/errors.md is provoked, with its exit code, and the document has its message."""

from tests import errors


def test_errors_are_as_documented() -> None:
    text = errors.DOCUMENT.read_text(encoding="utf-8")
    assert errors.MARK in text
    assert errors.document(text) == text, "docs/reference/errors.md is out of date; run: make docs"
