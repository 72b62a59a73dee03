"""The error messages and exit codes in docs/reference/errors.md are current."""

from tests import errors


def test_documented_errors_are_current() -> None:
    text = errors.DOCUMENT.read_text(encoding="utf-8")
    assert errors.MARK in text
    assert errors.document(text) == text, "docs/reference/errors.md is out of date; run: make docs"
