"""The page's Gradio blocks: calls that leave out arguments get the defaults, and every error says what was wrong."""

import inspect
from typing import Any

import gradio as gr

from space.components.errors import page_error
from space.server.storage import Storage

REQUIRED = inspect.Parameter.empty


class Page(gr.Blocks):  # type: ignore[misc]
    """Blocks that keep visitors' files in a storage.

    Args:
        storage: Where uploads and results are.
        settings: As `gr.Blocks` takes them.
    """

    def __init__(self, storage: Storage, **settings: Any) -> None:
        super().__init__(**settings)
        self.storage = storage

    async def process_api(self, block_fn: Any, inputs: list[Any], **context: Any) -> dict[str, Any]:
        """As Gradio's, which answers a program `{"error": null}` where arguments are left out, or anything else fails.

        Raises:
            gr.Error: With a message, always.
        """
        function = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        if context.get("iterator") is None:  # else a job goes on whose inputs have been read
            inputs = completed(function, inputs)
        try:
            answer: dict[str, Any] = await super().process_api(function, inputs, **context)
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error("the server cannot process this request; see the types of its arguments") from error
        return answer


def completed(function: Any, inputs: list[Any]) -> list[Any]:
    """The inputs of a call, with the defaults of those that were left out at its end.

    Raises:
        gr.Error: An argument that has no default was left out, or there are more than the function takes.
    """
    wanted = len(function.inputs)
    if len(inputs) == wanted or function.fn is None:
        return inputs
    parameters = list(inspect.signature(function.fn).parameters.values())[:wanted]
    names = ", ".join(one.name if one.default is REQUIRED else f"{one.name}={one.default!r}" for one in parameters)
    if len(inputs) > wanted:
        raise page_error(f"{len(inputs)} arguments, but {function.api_name} takes {wanted}: {names}")
    absent = parameters[len(inputs) :]
    required = [one.name for one in absent if one.default is REQUIRED]
    if required or len(parameters) < wanted:
        missing = ", ".join(required) or "one"
        raise page_error(f"missing argument: {missing}; {function.api_name} takes {names}")
    return [*inputs, *(one.default for one in absent)]
