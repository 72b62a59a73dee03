"""State of the fake Hub: repositories with their history, large files, and simulated faults."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

Files = Mapping[str, bytes]

LFS_BYTES = 1_000_000
"""Minimum size of LFS files, as on the Hub."""
LFS_SUFFIXES = (".parquet", ".onnx", ".h5", ".keras", ".npy", ".gz", ".png", ".bin")
"""File extensions of LFS files of any size, as in `.gitattributes` of a new repository."""


class RefusedError(Exception):
    """An error response: HTTP status, the Hub's error code, and a message."""

    def __init__(self, status: int, code: str = "", message: str = "", **headers: str) -> None:
        super().__init__(message or code)
        self.status, self.code, self.message, self.headers = status, code, message or code, headers


@dataclass
class Fault:
    """A simulated fault, which affects the next matching requests.

    Attributes:
        request: Regular expression, searched in `METHOD path`.
        times: Number of requests that fail.
        status: HTTP status of the response.
        headers: Headers of the response (`{"Retry_After": "1"}`).
        delay: Seconds before the response.
        cut: Number of response bytes after which the connection is closed; the request is processed.
        cut_upload: Number of bytes of the request body after which the connection is closed; the request is not
            processed.
        action: Called before the request is processed, to simulate a concurrent change.
    """

    request: str
    times: int = 1
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int | None = None
    cut_upload: int | None = None
    action: Callable[[], object] | None = None

    def matches(self, request: str) -> bool:
        """Return whether the request fails; if so, decrement `times`."""
        if self.times < 1 or not re.search(self.request, request):
            return False
        self.times -= 1
        return True


@dataclass(frozen=True)
class Commit:
    """A commit in a repository's history."""

    files: Files
    parent: str | None = None
    message: str = ""


@dataclass
class Repository:
    """A repository: commits; branches, tags and pull requests; access rights.

    Attributes:
        commits: Commits by hash.
        refs: Commit hash of each branch, tag and pull request.
        private: Whether reading requires a token.
        gated: Whether its files can be listed but not read.
        sdk: SDK of a Space.
        variables: Variables of a Space.
    """

    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    sdk: str | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Files, ref: str = "main", message: str = "") -> str:
        """Add a commit with these files to a branch or tag, and return its hash."""
        digest = hashlib.sha1(f"{len(self.commits)} {ref}".encode(), usedforsecurity=False)
        for path, content in sorted(files.items()):
            digest.update(path.encode() + b"\0" + content)
        sha = digest.hexdigest()
        self.commits[sha] = Commit(dict(files), self.refs.get(ref), message)
        self.refs[ref] = sha
        return sha

    def resolve(self, revision: str) -> str:
        """Return the commit hash of a branch, tag or commit."""
        sha = revision if revision in self.commits else self.refs.get(revision)
        if sha is None:
            raise RefusedError(404, "RevisionNotFound")
        return sha

    def files(self, revision: str = "main") -> Files:
        """Return the files of a revision."""
        return self.commits[self.resolve(revision)].files

    def history(self, revision: str = "main") -> list[str]:
        """Return the commits of a revision, newest first."""
        hashes: list[str] = []
        sha: str | None = self.resolve(revision)
        while sha is not None:
            hashes.append(sha)
            sha = self.commits[sha].parent
        return hashes

    def apply(self, payload: bytes, revision: str, create_pr: bool, objects: Mapping[str, bytes]) -> tuple[str, str]:
        """Process a commit request; return the commit's hash and its ref."""
        lines = [json.loads(line) for line in payload.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        head = self.resolve(revision)
        if not create_pr and header.get("parentCommit") not in (None, head):
            raise RefusedError(412, message="A commit has happened since. Please refresh and try again.")
        files = dict(self.commits[head].files)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in objects:
                    raise RefusedError(400, message=f"LFS object {value['oid']} was not uploaded")
                files[value["path"]] = objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            elif line["key"] == "deletedFolder":
                files = {path: content for path, content in files.items() if not path.startswith(value["path"])}
        ref = revision
        if create_pr:
            ref = f"refs/pr/{sum(name.startswith('refs/pr/') for name in self.refs) + 1}"
            self.refs[ref] = head
        return self.commit(files, ref, header["summary"]), ref


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of each file in a folder, by relative path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_lfs(path: str, size: int) -> bool:
    """Return whether a file is stored as an LFS file."""
    return size >= LFS_BYTES or path.endswith(LFS_SUFFIXES)


def etag(path: str, content: bytes) -> str:
    """Return the Git blob hash, or the SHA-256 of an LFS file; the client uses it to name cached files."""
    if is_lfs(path, len(content)):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def entries(files: Files) -> list[dict[str, Any]]:
    """Return files and folders in the format of the Hub's API."""
    items = []
    for path, content in files.items():
        oid = etag(path, content)
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": oid}
        if is_lfs(path, len(content)):
            entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 134}
        items.append(entry)
    folders = {parent.as_posix() for path in files for parent in PurePosixPath(path).parents} - {"."}
    return items + [{"type": "directory", "path": path, "size": 0, "oid": etag("", path.encode())} for path in folders]
