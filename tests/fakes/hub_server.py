"""A fake Hub on loopback for the real `huggingface_hub` and `datasets` clients.

It implements the parts of the Hub's HTTP API that reading, writing, Spaces and jobs need. Routes are listed in
`ROUTES`, simulated faults in `HubServer.faults`.
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
    """Fake Hub; use it as a context manager, and set `HF_ENDPOINT` to `url`.

    Attributes:
        repositories: Repositories by id (`namespace/name`, `datasets/namespace/name` or `spaces/namespace/name`).
        objects: Uploaded LFS objects, by SHA-256.
        jobs: Submitted jobs.
        tokens: Tokens with read and write access; unknown tokens get 401.
        readers: Tokens with read access.
        faults: Simulated faults.
        requests: Number of requests by `METHOD path`.
        authorized: Number of requests with a token, by `METHOD path`.
        sent: Bytes sent, by `id/file`.
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
        """Value of `HF_ENDPOINT`."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def add(self, repo_id: str, files: Files, **options: Any) -> Repository:
        """Add a repository with these files in one commit on `main`."""
        repository = Repository(**options)
        repository.commit(files, message="initial commit")
        self.repositories[repo_id] = repository
        return repository

    def fail(self, request: str, **options: Any) -> None:
        """Add a `Fault` for the next matching requests."""
        self.faults.append(Fault(request, **options))

    def clear(self) -> None:
        """Remove everything except the tokens."""
        counters = (self.requests, self.authorized, self.sent)
        for collection in (self.repositories, self.objects, self.jobs, self.faults, *counters):
            collection.clear()


class Handler(BaseHTTPRequestHandler):
    """Handler of one request."""

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
        """Print nothing."""

    def respond(self, content: bytes = b"", status: int = 200, file: str = "", **headers: str) -> None:
        """Send a response; its bytes are counted for `file`."""
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

    def respond_json(self, content: Any, status: int = 200) -> None:
        self.respond(json.dumps(content).encode(), status, Content_Type="application/json")

    def handle_request(self) -> None:
        path = urlsplit(self.path).path
        request = f"{self.command} {path}"
        with self.hub.lock:
            self.hub.requests[request] += 1
            if self.token:
                self.hub.authorized[request] += 1
            fault = next((fault for fault in self.hub.faults if fault.matches(request)), None)
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
                raise RefusedError(fault.status, message="simulated fault", **fault.headers)
            self.route(path)
        except RefusedError as error:
            # As on the Hub, headers contain the error code and message.
            headers = {"X_Error_Code": error.code, "X_Error_Message": error.message, **error.headers}
            self.respond(b"{}", error.status, **headers)

    def route(self, path: str) -> None:
        for methods, pattern, handler in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in methods.split():
                values = {name: unquote(value or "") for name, value in match.groupdict().items()}
                if "id" in values:
                    repository = self.readable_repository("/".join(filter(None, [values.get("kind"), values["id"]])))
                    if handler.__module__ == hub_writes.__name__:
                        self.require_writer()
                    handler(self, repository, values)
                else:
                    if handler is not hub_writes.put_object:  # the URL itself grants access
                        self.require_writer()
                    handler(self, values)
                return
        raise RefusedError(404, message=f"no route for {self.command} {path}")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_request  # noqa: N815

    @property
    def token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def require_writer(self) -> None:
        """Raise `RefusedError` if the token has no write access."""
        if not self.token or self.token not in (*self.hub.tokens, *self.hub.readers):
            raise RefusedError(401, message="Invalid username or password.")
        if self.token in self.hub.readers and self.command != "GET":
            raise RefusedError(403, message="You don't have the rights to write with this token")

    def readable_repository(self, repo_id: str) -> Repository:
        """Return the repository; raise `RefusedError` if it is missing or not readable."""
        repository = self.hub.repositories.get(repo_id)
        if self.token and self.token not in (*self.hub.tokens, *self.hub.readers):
            raise RefusedError(401, message="Invalid credentials in Authorization header")
        if repository is None or (repository.private and not self.token):
            raise RefusedError(404 if self.token else 401, "RepoNotFound", "Repository not found")
        return repository


def info(handler: Handler, repository: Repository, values: Values) -> None:
    sha = repository.resolve(values.get("revision") or "main")
    siblings = [{"rfilename": path, "size": len(content)} for path, content in repository.files(sha).items()]
    fields = {"id": values["id"], "sha": sha, "private": repository.private, "siblings": siblings}
    handler.respond_json({**fields, "tags": [], "downloads": 0, "likes": 0, "sdk": repository.sdk})


def tree(handler: Handler, repository: Repository, values: Values) -> None:
    all_entries = entries(repository.files(values["revision"]))
    prefix = f"{values['folder']}/" if values["folder"] else ""
    recursive = handler.query.get("recursive", "").lower() == "true"
    inside = [(entry["path"].removeprefix(prefix), entry) for entry in all_entries if entry["path"].startswith(prefix)]
    handler.respond_json([entry for path, entry in inside if recursive or "/" not in path])


def paths_info(handler: Handler, repository: Repository, values: Values) -> None:
    paths = parse_qs(handler.body.decode()).get("paths", [])
    handler.respond_json([entry for entry in entries(repository.files(values["revision"])) if entry["path"] in paths])


def refs(handler: Handler, repository: Repository, values: Values) -> None:
    heads = [(name, sha) for name, sha in repository.refs.items() if not name.startswith("refs/")]
    branches = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha} for name, sha in heads]
    handler.respond_json({"branches": branches, "tags": [], "converts": []})


def commits(handler: Handler, repository: Repository, values: Values) -> None:
    history = [
        {
            "id": sha,
            "title": repository.commits[sha].message,
            "message": "",
            "authors": [],
            "date": "2026-01-01T00:00:00.000Z",
        }
        for sha in repository.history(values["revision"])
    ]
    handler.respond_json(history)


def resolve(handler: Handler, repository: Repository, values: Values) -> None:
    sha = repository.resolve(values["revision"])
    content = repository.files(sha).get(values["file"])
    if repository.gated:
        raise RefusedError(403, "GatedRepo", "Access to this model is restricted")
    if content is None:
        raise RefusedError(404, "EntryNotFound")
    headers = {"X_Repo_Commit": sha, "ETag": f'"{etag(values["file"], content)}"', "Accept_Ranges": "bytes"}
    name, size, status = f"{values['id']}/{values['file']}", len(content), 200
    byte_range = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range") or "")
    if byte_range:
        start, end = int(byte_range[1]), min(int(byte_range[2] or size - 1), size - 1)
        content, status = content[start : end + 1], 206
        headers["Content_Range"] = f"bytes {start}-{end}/{size}"
    handler.respond(content, status, name, **headers)


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
