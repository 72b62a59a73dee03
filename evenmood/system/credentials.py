"""Validate Hub tokens and API keys without ever showing them."""

import os
import re

from evenmood.errors import UsageError
from evenmood.system.redaction import register_secret

HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Environment variables read by huggingface_hub, in order of precedence."""
WELL_FORMED = re.compile(r"[!-~]+")
QUOTES = "\"'`"


def validate_secret(secret: str, name: str) -> str:
    """Strip and validate a token or key, and register it for redaction in messages.

    Args:
        secret: The token or key.
        name: Variable or argument that contains it, for the error message.

    Raises:
        UsageError: The value cannot be a token; the message gives the reason without showing it.
    """
    stripped = secret.strip()
    register_secret(stripped)
    if not stripped:
        problem = "empty"
    elif len(stripped.split()) > 1:
        problem = "contains whitespace"
    elif any(quote in stripped for quote in QUOTES) or any("\u2018" <= char <= "\u201f" for char in stripped):
        problem = "contains quotes"
    elif not WELL_FORMED.fullmatch(stripped):
        problem = "not printable ASCII"
    else:
        return stripped
    raise UsageError(f"{name}: not a valid token ({problem}); copy it again, without quotes or spaces")


def hub_token(token: str | bool | None, implicit: bool = True) -> str | bool | None:
    """Validate a `token` argument for huggingface_hub.

    Args:
        token: A token; None or True for the one in the environment, which is validated too; False for none.
        implicit: Whether to validate a token from the environment; False if no request is sent.

    Raises:
        UsageError: The token is malformed, or neither a string nor a boolean.
    """
    if isinstance(token, str):
        return validate_secret(token, "token")
    if token is not None and not isinstance(token, bool):
        raise UsageError(f"token must be a string, True, False or None, not {type(token).__name__}")
    if token is not False and implicit:
        check_environment()
    return token


def check_environment() -> None:
    """Validate the token that huggingface_hub reads from the environment.

    Raises:
        UsageError: The token is malformed.
    """
    name = next((name for name in HUB_TOKENS if os.environ.get(name)), None)
    if name and os.environ[name].strip():  # huggingface_hub ignores a blank token
        validate_secret(os.environ[name], name)
