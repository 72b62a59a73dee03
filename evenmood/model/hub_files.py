"""Hub files as URLs: `hf://datasets/OWNER/NAME[@REVISION]/PATH`, or `hf://OWNER/NAME/PATH` for a model."""

import re
from pathlib import Path
from typing import NamedTuple

from evenmood.errors import DataError, UsageError
from evenmood.model import hub
from evenmood.system.paths import expand_home

SCHEME = "hf://"
HUB_URL = re.compile(r"hf://(datasets/)?([\w.-]+/[\w.-]+?)(?:@([^/@]+))?/(.+)")


class HubFile(NamedTuple):
    """Location of a file on the Hub."""

    repo_type: str
    repo_id: str
    revision: str | None
    path: str


def parse_hub_url(name: str) -> HubFile:
    """Parse a Hub file URL.

    Raises:
        UsageError: The URL is malformed.
    """
    match = HUB_URL.fullmatch(name)
    if not match:
        raise UsageError(f"{name!r:.100} is not a Hub file; expected hf://datasets/OWNER/NAME/PATH")
    return HubFile("dataset" if match[1] else "model", match[2], match[3], match[4])


def local_path(name: str) -> Path:
    """Return the local path of a file, downloaded to the cache if `name` is a Hub file URL.

    Raises:
        DataError: The file does not exist on the Hub, or the Hub cannot be reached.
    """
    if not name.startswith(SCHEME):
        return expand_home(name)
    from huggingface_hub import hf_hub_download

    kind, repo_id, revision, path = parse_hub_url(name)
    with hub.convert_errors(name, DataError):
        return Path(hub.retry(lambda: hf_hub_download(repo_id, path, repo_type=kind, revision=revision)))


def check_hub_file(option: str, name: str) -> None:
    """Raise `UsageError` unless `name` is an existing file on the Hub, which a remote machine can download."""
    if not name.startswith(SCHEME):
        raise UsageError(
            f"{option} {name}: a remote job cannot read local files; "
            "upload the file to the Hub and pass hf://datasets/OWNER/NAME/PATH"
        )
    from huggingface_hub import HfApi

    kind, repo_id, revision, path = parse_hub_url(name)
    with hub.convert_errors(name, DataError):
        exists = hub.retry(lambda: HfApi().file_exists(repo_id, path, repo_type=kind, revision=revision))
    if not exists:
        raise UsageError(f"{option} {name}: no such file on the Hub")
