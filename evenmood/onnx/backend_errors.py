"""Convert exceptions of tokenizers and onnxruntime to one-line `ModelError`s."""

from collections.abc import Iterator
from contextlib import contextmanager

from evenmood.errors import ModelError


@contextmanager
def convert_model_errors() -> Iterator[None]:
    """Convert exceptions of a running tokenizer or network to a one-line `ModelError`."""
    try:
        yield
    except BaseException as error:
        if not is_backend_error(error):
            raise
        raise ModelError(f"the model failed on this text ({one_line(error)})") from None


def is_backend_error(error: BaseException) -> bool:
    """Return whether tokenizers, which raises bare `Exception` and Rust panics, or onnxruntime raised an error."""
    kind = type(error)
    return kind is Exception or kind.__name__ == "PanicException" or kind.__module__.startswith("onnxruntime")


def one_line(error: BaseException) -> str:
    """Return the message of an error on one line, without control characters, truncated to 200 characters."""
    message = "".join(character if character.isprintable() else " " for character in str(error))
    return " ".join(message.split())[:200]
