"""How the page tells a visitor what was wrong: one line, never a traceback, never HTML."""

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import gradio as gr

from evenmood.errors import EvenmoodError
from space.components.answers import LONGEST_TEXT
from space.components.texts import say


def refusal(message: str) -> gr.Error:
    """The error to raise; Gradio shows messages as HTML, so it is escaped."""
    return gr.Error(escape(" ".join(message.split()), quote=False), print_exception=False)


@contextmanager
def told() -> Iterator[None]:
    """Turn what a visitor can put right into such an error."""
    try:
        yield
    except EvenmoodError as error:
        raise refusal(str(error)) from None


def check_length(language: str, text: object) -> None:
    """Refuse what is no text, and a text that is too long, in the visitor's language."""
    if not isinstance(text, str):
        raise refusal(f"the text must be a string, not {type(text).__name__}")
    if len(text) > LONGEST_TEXT:
        raise refusal(say(language, "error_long", length=f"{len(text):,}", most=f"{LONGEST_TEXT:,}"))
