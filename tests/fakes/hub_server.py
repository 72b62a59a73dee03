"""A small Hub on loopback, over HTTP: the real `huggingface_hub` and `datasets` clients talk to it, unpatched.

It speaks the part of the Hub's protocol that reading, writing, Spaces and jobs need. A route is one line of `ROUTES`;
what should go wrong is a `Fault` in `HubServer.faults`.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes import hub_writes
from tests.fakes.hub_repository import Fault, Files, RefusedError, Repository, entries, etag
from tests.fakes.loopback import LoopbackServer

Values = Mapping[str, str]


class HubServer(LoopbackServer):
    """The server; use it as a context manager, and point `HF_ENDPOINT` to `url`.

    Attributes:
        repositories: What it serves, by id (`namespace/name`, `datasets/namespace/name` or `spaces/namespace/name`).
        objects: Uploaded LFS objects, by SHA-256.
        jobs: Jobs that were asked for.
        tokens: Tokens that may read and write; any unknown one is answered with 401.
        readers: Tokens that may only read.
        faults: What goes wrong.
        requests: How often each `METHOD path` was asked for.
        authorized: How often each was asked for with a token.
        sent: Bytes of content sent, by `id/file`.
    """

    def __init__(self, tokens: Iterable[str] = (), readers: Iterable[str] = ()) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.jobs: list[dict[str, Any]] = []
        self.tokens, self.readers = tuple(tokens), tuple(readers)
        self.faults: list[Fault] = []
        self.requests: Counter[str] = Counter()
        self.authorized: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.lock = Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
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
        repository.commit(files, message="initial commit")
        self.repositories[repo_id] = repository
        return repository

    def fail(self, request: str, **how: Any) -> None:
        """Let the next requests of a kind fail, as `Fault` describes."""
        self.faults.append(Fault(request, **how))

    def clear(self) -> None:
        """Forget everything but the tokens."""
        counters = (self.requests, self.authorized, self.sent)
        for held in (self.repositories, self.objects, self.jobs, self.faults, *counters):
            held.clear()


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    cut: int | None = None
    body: bytes = b""

    @property
    def hub(self) -> HubServer:
        hub: HubServer = self.server.hub  # type: ignore[attr-defined]
        return hub

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""

    def answer(self, content: bytes = b"", status: int = 200, file: str = "", **headers: str) -> None:
        """Send a response; `file` is the name that its bytes are counted under."""
        self.send_response(status)
        for name, value in {"Content_Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.cut is not None:
            content, self.close_connection = content[: self.cut], True
        if self.command != "HEAD":
            if file:
                with self.hub.lock:
                    self.hub.sent[file] += len(content)
            self.wfile.write(content)

    def answer_json(self, content: Any, status: int = 200) -> None:
        self.answer(json.dumps(content).encode(), status, Content_Type="application/json")

    def handle_request(self) -> None:
        path = urlsplit(self.path).path
        request = f"{self.command} {path}"
        with self.hub.lock:
            self.hub.requests[request] += 1
            if self.given_token:
                self.hub.authorized[request] += 1
            fault = next((fault for fault in self.hub.faults if fault.strikes(request)), None)
        size = int(self.headers.get("Content-Length") or 0)
        self.cut = fault.cut if fault else None
        if fault:
            time.sleep(fault.delay)
            if fault.action:
                fault.action()
            if fault.cut_upload is not None:
                self.rfile.read(min(fault.cut_upload, size))
                self.close_connection = True
                return
        self.body = self.rfile.read(size)
        try:
            if fault and fault.status is not None:
                raise RefusedError(fault.status, message="a fault that a test asked for", **fault.headers)
            self.route(path)
        except RefusedError as refused:
            # An error as the Hub sends it: what went wrong stands in two headers.
            said = {"X_Error_Code": refused.code, "X_Error_Message": refused.message}
            self.answer(b"{}", refused.status, **said, **refused.headers)

    def route(self, path: str) -> None:
        for methods, pattern, handler in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in methods.split():
                values = {name: unquote(value or "") for name, value in match.groupdict().items()}
                if "id" in values:
                    repository = self.readable("/".join(filter(None, [values.get("kind"), values["id"]])))
                    if handler.__module__ == hub_writes.__name__:
                        self.require_writer()
                    handler(self, repository, values)
                else:
                    if handler is not hub_writes.put_object:  # its address is the permission
                        self.require_writer()
                    handler(self, values)
                return
        raise RefusedError(404, message=f"no route for {self.command} {path}")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_request  # noqa: N815

    @property
    def given_token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def require_writer(self) -> None:
        """Refuse whom the token does not allow to write."""
        if not self.given_token or self.given_token not in (*self.hub.tokens, *self.hub.readers):
            raise RefusedError(401, message="Invalid username or password.")
        if self.given_token in self.hub.readers and self.command != "GET":
            raise RefusedError(403, message="You don't have the rights to write with this token")

    def readable(self, repo_id: str) -> Repository:
        """Return the repository, or refuse."""
        repository = self.hub.repositories.get(repo_id)
        if self.given_token and self.given_token not in (*self.hub.tokens, *self.hub.readers):
            raise RefusedError(401, message="Invalid credentials in Authorization header")
        if repository is None or (repository.private and not self.given_token):
            raise RefusedError(404 if self.given_token else 401, "RepoNotFound", "Repository not found")
        return repository


def info(handler: Handler, repository: Repository, values: Values) -> None:
    sha = repository.resolve(values.get("revision") or "main")
    siblings = [{"rfilename": path, "size": len(content)} for path, content in repository.files(sha).items()]
    about = {"id": values["id"], "sha": sha, "private": repository.private, "siblings": siblings}
    handler.answer_json({**about, "tags": [], "downloads": 0, "likes": 0, "sdk": repository.sdk})


def tree(handler: Handler, repository: Repository, values: Values) -> None:
    found = entries(repository.files(values["revision"]))
    inside = f"{values['folder']}/" if values["folder"] else ""
    deep = handler.query.get("recursive", "").lower() == "true"
    below = [(entry["path"].removeprefix(inside), entry) for entry in found if entry["path"].startswith(inside)]
    handler.answer_json([entry for path, entry in below if deep or "/" not in path])


def paths_info(handler: Handler, repository: Repository, values: Values) -> None:
    asked = parse_qs(handler.body.decode()).get("paths", [])
    handler.answer_json([entry for entry in entries(repository.files(values["revision"])) if entry["path"] in asked])


def refs(handler: Handler, repository: Repository, values: Values) -> None:
    named = [(name, sha) for name, sha in repository.refs.items() if not name.startswith("refs/")]
    branches = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha} for name, sha in named]
    handler.answer_json({"branches": branches, "tags": [], "converts": []})


def commits(handler: Handler, repository: Repository, values: Values) -> None:
    shown = [
        {
            "id": sha,
            "title": repository.commits[sha].message,
            "message": "",
            "authors": [],
            "date": "2026-01-01T00:00:00.000Z",
        }
        for sha in repository.history(values["revision"])
    ]
    handler.answer_json(shown)


def resolve(handler: Handler, repository: Repository, values: Values) -> None:
    sha = repository.resolve(values["revision"])
    content = repository.files(sha).get(values["file"])
    if repository.gated:
        raise RefusedError(403, "GatedRepo", "Access to this model is restricted")
    if content is None:
        raise RefusedError(404, "EntryNotFound")
    headers = {"X_Repo_Commit": sha, "ETag": f'"{etag(values["file"], content)}"', "Accept_Ranges": "bytes"}
    name, size, status = f"{values['id']}/{values['file']}", len(content), 200
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range") or "")
    if asked:
        start, end = int(asked[1]), min(int(asked[2] or size - 1), size - 1)
        content, status = content[start : end + 1], 206
        headers["Content_Range"] = f"bytes {start}-{end}/{size}"
    handler.answer(content, status, name, **headers)


_ID = r"(?P<id>[^/]+(?:/[^/]+)?)"
_API = rf"/api/(?:models|(?P<kind>datasets|spaces))/{_ID}"
_FILES = rf"/(?:(?P<kind>datasets|spaces)/)?{_ID}"
_REVISION = r"(?P<revision>[^/]+)"
ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("GET", "/api/whoami-v2", hub_writes.whoami),
    ("POST", "/api/validate-yaml", hub_writes.validate_yaml),
    ("POST", "/api/repos/create", hub_writes.create),
    ("DELETE", "/api/repos/delete", hub_writes.delete),
    ("POST", r"/api/jobs/(?P<namespace>[^/]+)", hub_writes.run_job),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", hub_writes.put_object),
    ("POST", rf"{_FILES}\.git/info/lfs/objects/batch", hub_writes.batch),
    ("POST", rf"{_API}/preupload/{_REVISION}", hub_writes.preupload),
    ("POST", rf"{_API}/commit/{_REVISION}", hub_writes.commit),
    ("POST", rf"{_API}/branch/{_REVISION}", hub_writes.branch),
    ("GET POST DELETE", rf"{_API}/variables", hub_writes.variables),
    ("GET", rf"{_API}/tree/{_REVISION}(?:/(?P<folder>.+))?", tree),
    ("POST", rf"{_API}/paths-info/{_REVISION}", paths_info),
    ("GET", rf"{_API}/refs", refs),
    ("GET", rf"{_API}/commits/{_REVISION}", commits),
    ("GET", rf"{_API}/revision/{_REVISION}", info),
    ("GET", _API, info),
    ("GET HEAD", rf"{_FILES}/resolve/{_REVISION}/(?P<file>.+)", resolve),
]
