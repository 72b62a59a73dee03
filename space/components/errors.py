"""Error messages for visitors: one line, without traceback and HTML."""

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import gradio as gr

from evenmood.errors import EvenmoodError
from space.components.predictions import MAX_TEXT_CHARS
from space.components.texts import translate


def page_error(message: str) -> gr.Error:
    """Return a Gradio error with a one-line message, escaped because Gradio renders messages as HTML."""
    return gr.Error(escape(" ".join(message.split()), quote=False), print_exception=False)


@contextmanager
def convert_page_errors() -> Iterator[None]:
    """Convert the library's exceptions into one-line Gradio errors."""
    try:
        yield
    except EvenmoodError as error:
        raise page_error(str(error)) from None


def check_length(language: str, text: object) -> None:
    """Raise an error in the visitor's language if the text is not a string, or too long."""
    if not isinstance(text, str):
        raise page_error(f"the text must be a string, not {type(text).__name__}")
    if len(text) > MAX_TEXT_CHARS:
        raise page_error(translate(language, "error_long", length=f"{len(text):,}", most=f"{MAX_TEXT_CHARS:,}"))
