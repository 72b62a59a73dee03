"""A small Hub on loopback, over HTTP: the real `huggingface_hub` client talks to it, unpatched.

It speaks the part of the Hub's protocol that downloading needs. A route is one line of `ROUTES`; a fault is a field of
`Repository`.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from threading import Lock, Thread
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

Files = Mapping[str, bytes]

LFS_BYTES = 1_000_000
"""Files from this size on are listed as LFS files, as the Hub does for large or binary ones."""


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of every file of a folder, by its path in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@dataclass
class Repository:
    """A repository: commits, the branches and tags that point to them, and who may read it.

    Attributes:
        private: Whether it is hidden without a token.
        gated: Whether its files (not their list) are refused to everybody.
        status: HTTP status to answer everything with, or None.
        drops: Whether the connection is cut without an answer.
        cut: Bytes after which the first download of a file breaks off, by path.
    """

    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    status: int | None = None
    drops: bool = False
    cut: dict[str, int] = field(default_factory=dict)

    def commit(self, files: Files, ref: str = "main") -> str:
        """Add a commit of these files, let the branch or tag point to it, and return its hash."""
        digest = hashlib.sha1(f"{len(self.commits)} {ref}".encode(), usedforsecurity=False)
        for path, content in sorted(files.items()):
            digest.update(path.encode() + b"\0" + content)
        sha = digest.hexdigest()
        self.commits[sha] = dict(files)
        self.refs[ref] = sha
        return sha

    def resolve(self, revision: str) -> str | None:
        """Return the commit that a branch, tag or commit hash names."""
        return revision if revision in self.commits else self.refs.get(revision)


class HubServer:
    """The server; use it as a context manager, and point `HF_ENDPOINT` to `url`.

    Attributes:
        repositories: What it serves, by id (`namespace/name`, or `datasets/namespace/name`).
        tokens: Tokens that are accepted; any other one is answered with 401.
        requests: How often each `METHOD path` was asked for.
        sent: Bytes of content sent, by `id/file`.
    """

    def __init__(self, tokens: tuple[str, ...] = ()) -> None:
        self.repositories: dict[str, Repository] = {}
        self.tokens = tokens
        self.requests: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.lock = Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.hub = self  # type: ignore[attr-defined]
        self._thread = Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Address to set `HF_ENDPOINT` to."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def add(self, repo_id: str, files: Files, **options: Any) -> Repository:
        """Serve these files as a repository with one commit, on `main`."""
        repository = Repository(**options)
        repository.commit(files)
        self.repositories[repo_id] = repository
        return repository

    def __enter__(self) -> "HubServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> HubServer:
        hub: HubServer = self.server.hub  # type: ignore[attr-defined]
        return hub

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""

    def answer(self, content: bytes = b"", status: int = 200, file: str = "", **headers: str) -> None:
        """Send a response; `file` is the name that its bytes are counted under."""
        self.send_response(status)
        headers = {"Content_Length": str(len(content)), **headers}
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            if file:
                with self.hub.lock:
                    self.hub.sent[file] += len(content)
            self.wfile.write(content)

    def answer_json(self, content: Any) -> None:
        self.answer(json.dumps(content).encode(), Content_Type="application/json")

    def refuse(self, status: int, code: str = "", message: str = "") -> None:
        """Send an error as the Hub does: what went wrong stands in two headers."""
        self.answer(status=status, X_Error_Code=code, X_Error_Message=message or code)

    def handle_request(self) -> None:
        path = urlsplit(self.path).path
        with self.hub.lock:
            self.hub.requests[f"{self.command} {path}"] += 1
        for method, pattern, handler in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in method.split():
                values = {name: unquote(value or "") for name, value in match.groupdict().items()}
                repository = self.readable("/".join(filter(None, [values["kind"], values["id"]])))
                if repository is not None:
                    handler(self, repository, values)
                return
        self.refuse(404, message=f"no route for {self.command} {path}")

    do_GET = do_HEAD = handle_request  # noqa: N815

    def readable(self, repo_id: str) -> Repository | None:
        """Return the repository, or answer why it may not be read."""
        repository = self.hub.repositories.get(repo_id)
        given = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if repository is not None and repository.drops:
            self.close_connection = True
        elif repository is not None and repository.status is not None:
            self.refuse(repository.status)
        elif given and given not in self.hub.tokens:
            self.refuse(401, message="Invalid credentials in Authorization header")
        elif repository is None or (repository.private and not given):
            self.refuse(404 if given else 401, "RepoNotFound", "Repository not found")
        else:
            return repository
        return None

    def revision(self, repository: Repository, values: Mapping[str, str]) -> str | None:
        """Return the commit that a request names, or answer that there is none."""
        sha = repository.resolve(values.get("revision") or "main")
        if sha is None:
            self.refuse(404, "RevisionNotFound")
        return sha

    def info(self, repository: Repository, values: Mapping[str, str]) -> None:
        if sha := self.revision(repository, values):
            siblings = [{"rfilename": path} for path in repository.commits[sha]]
            about = {"id": values["id"], "sha": sha, "private": repository.private, "siblings": siblings}
            self.answer_json({**about, "tags": [], "downloads": 0, "likes": 0})

    def tree(self, repository: Repository, values: Mapping[str, str]) -> None:
        if sha := self.revision(repository, values):
            files = repository.commits[sha]
            entries = [_entry(path, content) for path, content in files.items()]
            folders = {parent.as_posix() for path in files for parent in PurePosixPath(path).parents} - {"."}
            entries += [{"type": "directory", "path": path, "size": 0, "oid": _etag(path.encode())} for path in folders]
            inside = f"{values['folder']}/" if values["folder"] else ""
            deep = "recursive=true" in urlsplit(self.path).query.lower()
            below = [
                (entry["path"].removeprefix(inside), entry) for entry in entries if entry["path"].startswith(inside)
            ]
            self.answer_json([entry for path, entry in below if deep or "/" not in path])

    def resolve(self, repository: Repository, values: Mapping[str, str]) -> None:
        if sha := self.revision(repository, values):
            content = repository.commits[sha].get(values["file"])
            if repository.gated:
                self.refuse(403, "GatedRepo", "Access to this model is restricted")
            elif content is None:
                self.refuse(404, "EntryNotFound")
            else:
                self.send_file(repository, sha, values, content)

    def send_file(self, repository: Repository, sha: str, values: Mapping[str, str], content: bytes) -> None:
        headers = {"X_Repo_Commit": sha, "ETag": f'"{_etag(content)}"', "Accept_Ranges": "bytes"}
        name, size, status = f"{values['id']}/{values['file']}", len(content), 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked:
            start, end = int(asked[1]), min(int(asked[2] or size - 1), size - 1)
            content, status = content[start : end + 1], 206
            headers["Content_Range"] = f"bytes {start}-{end}/{size}"
        cut = repository.cut.pop(values["file"], None) if self.command == "GET" else None
        if cut is not None:
            headers["Content_Length"] = str(len(content))
            content, self.close_connection = content[:cut], True
        self.answer(content, status, name, **headers)


def _etag(content: bytes) -> str:
    """Git's hash of a blob, or the SHA-256 of an LFS file: the client names its blobs after it."""
    if len(content) >= LFS_BYTES:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": _etag(content)}
    if len(content) >= LFS_BYTES:
        entry["lfs"] = {"oid": _etag(content), "size": len(content), "pointerSize": 134}
    return entry


_ID = r"(?P<id>[^/]+(?:/[^/]+)?)"
_KIND = r"(?:models|(?P<kind>datasets))"
_REVISION = r"(?P<revision>[^/]+)"
ROUTES: list[tuple[str, str, Callable[[_Handler, Repository, Mapping[str, str]], None]]] = [
    ("GET", rf"/api/{_KIND}/{_ID}/tree/{_REVISION}(?:/(?P<folder>.+))?", _Handler.tree),
    ("GET", rf"/api/{_KIND}/{_ID}/revision/{_REVISION}", _Handler.info),
    ("GET", rf"/api/{_KIND}/{_ID}", _Handler.info),
    ("GET HEAD", rf"/(?:(?P<kind>datasets)/)?{_ID}/resolve/{_REVISION}/(?P<file>.+)", _Handler.resolve),
]
