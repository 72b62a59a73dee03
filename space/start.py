"""A quicker start: Gradio is imported without the help that it prepares for editors of programs."""

import functools
import gc
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import jinja2


@contextmanager
def quick_import() -> Iterator[None]:
    """What is imported within takes two thirds of its time; measured with Gradio 6.31.

    At each import Gradio writes the type stubs of its components anew; it leaves out those whose file it cannot find.
    It compiles the template of an event's docstring anew for each component that has the event. And the collector
    looks again and again through what will never be freed.
    """
    finder, templates = cast(Any, inspect), cast(Any, jinja2)
    kept = finder.getfile, templates.Template
    gc.disable()
    finder.getfile, templates.Template = _no_file, functools.cache(templates.Template)
    try:
        yield
    finally:
        finder.getfile, templates.Template = kept
        gc.enable()
        gc.freeze()


def _no_file(_: Any) -> str:
    raise OSError
