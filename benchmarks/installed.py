"""Installed size of distributions and their dependencies, without extras."""

from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def installed_size(names: tuple[str, ...]) -> int:
    """Return the total size of the installed files, in bytes."""
    counted: set[str] = set()
    pending = list(names)
    size = 0
    while pending:
        name = canonicalize_name(pending.pop())
        if name in counted:
            continue
        counted.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # not required on this platform
            continue
        for file in distribution.files or []:
            path = Path(str(distribution.locate_file(file)))
            size += path.stat().st_size if path.is_file() else 0
        for line in distribution.requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                pending.append(requirement.name)
    return size
