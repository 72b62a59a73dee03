"""Files that are named as `hf://datasets/OWNER/NAME[@REVISION]/PATH`, or `hf://OWNER/NAME/PATH` of a model."""

import re
from pathlib import Path
from typing import NamedTuple

from evenmood.errors import DataError, UsageError
from evenmood.model import hub
from evenmood.system.paths import expanded

SCHEME = "hf://"
FORM = re.compile(r"hf://(datasets/)?([\w.-]+/[\w.-]+?)(?:@([^/@]+))?/(.+)")


class HubFile(NamedTuple):
    """Where a file is on the Hub."""

    repo_type: str
    repo_id: str
    revision: str | None
    path: str


def hub_file(name: str) -> HubFile:
    """Read a name of the form above.

    Raises:
        UsageError: It is of another form.
    """
    match = FORM.fullmatch(name)
    if not match:
        raise UsageError(f"{name!r:.100}: expected hf://datasets/OWNER/NAME/PATH")
    return HubFile("dataset" if match[1] else "model", match[2], match[3], match[4])


def located(name: str) -> Path:
    """Path of a file here: `name` itself, or, where it is on the Hub, its download in the cache.

    Raises:
        DataError: The Hub has no such file, or cannot be reached.
    """
    if not name.startswith(SCHEME):
        return expanded(name)
    from huggingface_hub import hf_hub_download

    kind, repo_id, revision, path = hub_file(name)
    with hub.explained(name, DataError):
        return Path(hub.retrying(lambda: hf_hub_download(repo_id, path, repo_type=kind, revision=revision)))


def check_hub_file(option: str, name: str) -> None:
    """Raise `UsageError` unless a machine elsewhere can download the file."""
    if not name.startswith(SCHEME):
        raise UsageError(
            f"{option} {name}: a rented machine does not see this machine's files; "
            "upload the file to the Hub and give hf://datasets/OWNER/NAME/PATH"
        )
    from huggingface_hub import HfApi

    kind, repo_id, revision, path = hub_file(name)
    with hub.explained(name, DataError):
        there = hub.retrying(lambda: HfApi().file_exists(repo_id, path, repo_type=kind, revision=revision))
    if not there:
        raise UsageError(f"{option} {name}: no such file on the Hub")
