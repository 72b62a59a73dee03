"""Hub tokens and API keys: stripped, checked, and refused without being shown."""

import os
import re

from evenmood.errors import UsageError
from evenmood.system.redaction import remember

HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Environment variables that the Hub's client reads, in its order."""
WELL_FORMED = re.compile(r"[!-~]+")
QUOTES = "\"'`"


def checked(secret: str, name: str) -> str:
    """A token or key without the white space around it, as files and clipboards add it.

    Args:
        secret: The token.
        name: Where it comes from, for the message: a variable or an argument.

    Raises:
        UsageError: It cannot be a token; the message says why and does not show it.
    """
    stripped = secret.strip()
    remember(stripped)
    if not stripped:
        problem = "empty"
    elif len(stripped.split()) > 1:
        problem = "more than one word"
    elif any(quote in stripped for quote in QUOTES) or any("\u2018" <= char <= "\u201f" for char in stripped):
        problem = "in quotes"
    elif not WELL_FORMED.fullmatch(stripped):
        problem = "not printable ASCII"
    else:
        return stripped
    raise UsageError(f"{name}: not a valid token ({problem}); copy it again, alone and without quotes")


def hub_token(token: str | bool | None, implicit: bool = True) -> str | bool | None:
    """The `token` of a call as the Hub's client takes it.

    Args:
        token: None and True take the environment's, which is checked too.
        implicit: False where no request is sent, and the environment's token does not matter.

    Raises:
        UsageError: It is no token, or not a string or a boolean.
    """
    if isinstance(token, str):
        return checked(token, "token")
    if token is not None and not isinstance(token, bool):
        raise UsageError(f"token must be a string, True, False or None, not {type(token).__name__}")
    if token is not False and implicit:
        check_environment()
    return token


def check_environment() -> None:
    """Check the token that the Hub's client takes from the environment.

    Raises:
        UsageError: It is malformed.
    """
    name = next((name for name in HUB_TOKENS if os.environ.get(name)), None)
    if name and os.environ[name].strip():  # the client takes a blank one for none
        checked(os.environ[name], name)
