"""Gradio blocks with default arguments in API calls, and a message in every error."""

import inspect
from typing import Any

import gradio as gr

from space.components.errors import page_error
from space.server.storage import Storage

REQUIRED = inspect.Parameter.empty


class Page(gr.Blocks):  # type: ignore[misc]
    """Blocks with a storage for visitors' files.

    Args:
        storage: Storage of uploads and results.
        settings: Arguments of `gr.Blocks`.
    """

    def __init__(self, storage: Storage, **settings: Any) -> None:
        super().__init__(**settings)
        self.storage = storage

    async def process_api(self, block_fn: Any, inputs: list[Any], **context: Any) -> dict[str, Any]:
        """Process a call; Gradio's implementation returns `{"error": null}` for missing arguments and other failures.

        Raises:
            gr.Error: The call failed; the error always has a message.
        """
        function = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        if context.get("iterator") is None:  # with an iterator, the job has already read its inputs
            inputs = fill_defaults(function, inputs)
        try:
            response: dict[str, Any] = await super().process_api(function, inputs, **context)
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error("the server cannot process this request; check the types of the arguments") from error
        return response


def fill_defaults(function: Any, inputs: list[Any]) -> list[Any]:
    """Append the default values of missing arguments.

    Raises:
        gr.Error: A required argument is missing, or there are too many arguments.
    """
    expected = len(function.inputs)
    if len(inputs) == expected or function.fn is None:
        return inputs
    parameters = list(inspect.signature(function.fn).parameters.values())[:expected]
    names = ", ".join(item.name if item.default is REQUIRED else f"{item.name}={item.default!r}" for item in parameters)
    if len(inputs) > expected:
        raise page_error(f"{len(inputs)} arguments, but {function.api_name} takes {expected}: {names}")
    missing = parameters[len(inputs) :]
    required = [item.name for item in missing if item.default is REQUIRED]
    if required or len(parameters) < expected:
        raise page_error(f"missing argument: {', '.join(required) or 'one'}; {function.api_name} takes {names}")
    return [*inputs, *(item.default for item in missing)]
