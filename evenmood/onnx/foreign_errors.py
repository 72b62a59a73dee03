"""Errors of the libraries that run a model, as `ModelError` of one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from evenmood.errors import ModelError


@contextmanager
def model_errors() -> Iterator[None]:
    """Turn what a model's tokenizer or network raises while it runs into a `ModelError` of one line."""
    try:
        yield
    except BaseException as error:
        if not is_foreign(error):
            raise
        raise ModelError(f"the model cannot read this text ({one_line(error)})") from None


def is_foreign(error: BaseException) -> bool:
    """Whether an error is of tokenizers, which raises bare `Exception` and Rust's panics, or of onnxruntime."""
    kind = type(error)
    return kind is Exception or kind.__name__ == "PanicException" or kind.__module__.startswith("onnxruntime")


def one_line(error: BaseException) -> str:
    """An error's message, without line ends and control characters, cut to a readable length."""
    message = "".join(character if character.isprintable() else " " for character in str(error))
    return " ".join(message.split())[:200]
