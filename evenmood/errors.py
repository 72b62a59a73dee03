"""Errors that a user can act on: one line each, saying what was wrong, where, and what to do."""

from evenmood.system.redaction import redact


class EvenmoodError(Exception):
    """Something that the caller can put right; commands print it as one line and exit with 1.

    Secrets in the message are redacted: part of it often comes from a server or a library.
    """

    def __init__(self, *args: object) -> None:
        """Take the message."""
        super().__init__(*(redact(arg) if isinstance(arg, str) else arg for arg in args))


class UsageError(EvenmoodError, ValueError):
    """An argument or option is wrong; commands exit with 2."""


class ModelError(EvenmoodError, OSError):
    """A model folder or Hub repository cannot be found, read or trusted."""


class HubError(EvenmoodError, OSError):
    """The Hugging Face Hub cannot be reached, or refuses what it is sent."""


class DataError(EvenmoodError, ValueError):
    """A table, data set or vectors file cannot be read or does not hold what it should."""
