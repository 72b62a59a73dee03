"""Errors that visitors see: one plain line, without a traceback and without HTML."""

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import gradio as gr

from evenmood.errors import EvenmoodError
from space.components.answers import LONGEST_TEXT
from space.components.texts import say


def page_error(message: str) -> gr.Error:
    """Gradio error with a message of one line; Gradio shows messages as HTML, so it is escaped."""
    return gr.Error(escape(" ".join(message.split()), quote=False), print_exception=False)


@contextmanager
def page_errors() -> Iterator[None]:
    """Convert the library's exceptions into one-line Gradio errors."""
    try:
        yield
    except EvenmoodError as error:
        raise page_error(str(error)) from None


def check_length(language: str, text: object) -> None:
    """Raise an error in the visitor's language for a value that is not a string, or is too long."""
    if not isinstance(text, str):
        raise page_error(f"the text must be a string, not {type(text).__name__}")
    if len(text) > LONGEST_TEXT:
        raise page_error(say(language, "error_long", length=f"{len(text):,}", most=f"{LONGEST_TEXT:,}"))
