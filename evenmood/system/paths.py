"""User-supplied paths."""

from pathlib import Path

from evenmood.errors import DataError, EvenmoodError


def expand_home(path: str | Path, error_class: type[EvenmoodError] = DataError) -> Path:
    """Expand `~` in a path; raise `error_class` if it names an unknown user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise error_class(f"{str(path)!r:.100}: no such home folder; use an absolute path") from None
