"""Paths that a user names."""

from pathlib import Path

from evenmood.errors import DataError, EvenmoodError


def expanded(path: str | Path, error: type[EvenmoodError] = DataError) -> Path:
    """A path with `~` replaced by the home folder; raises `error` where `~` names a user who does not exist."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise error(f"{str(path)!r:.100}: no such home folder; write the path in full") from None
