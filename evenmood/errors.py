"""Exceptions with one-line messages: what is wrong with which value, what is expected, what to do."""

from evenmood.system.redaction import redact


class EvenmoodError(Exception):
    """Base class of all errors that a user can fix; commands print the message and exit with code 1.

    Secrets in the message are redacted, since parts of it often come from a server or a library.
    """

    def __init__(self, *args: object) -> None:
        """Create the error with a redacted message."""
        super().__init__(*(redact(arg) if isinstance(arg, str) else arg for arg in args))


class UsageError(EvenmoodError, ValueError):
    """An argument or option is invalid; commands exit with code 2."""


class ModelError(EvenmoodError, OSError):
    """A model folder or Hub repository cannot be found, is corrupt, or is not an evenmood model."""


class HubError(EvenmoodError, OSError):
    """The Hugging Face Hub cannot be reached, or rejects a request."""


class DataError(EvenmoodError, ValueError):
    """A table, data set or vectors file cannot be read or is invalid."""
