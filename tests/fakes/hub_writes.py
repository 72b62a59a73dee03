"""Routes of the fake Hub that change its state."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from tests.fakes.hub_repository import RefusedError, Repository, etag, is_lfs

if TYPE_CHECKING:
    from tests.fakes.hub_server import Handler

Values = Mapping[str, str]
LICENSES = {"apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "other"}
"""Licenses that the tests use and the Hub accepts."""


def whoami(handler: "Handler", values: Values) -> None:
    handler.respond_json({"type": "user", "name": "you", "orgs": [{"name": "team"}], "auth": {"type": "access_token"}})


def validate_yaml(handler: "Handler", values: Values) -> None:
    """Validate a card's front matter as the Hub does."""
    payload = json.loads(handler.body)
    parts = payload["content"].split("---\n", 2)
    errors = []
    try:
        metadata = yaml.safe_load(parts[1]) if payload["content"].startswith("---\n") and len(parts) == 3 else {}
    except yaml.YAMLError as error:
        metadata, errors = {}, [str(error).replace("\n", " ")]
    if isinstance(metadata, dict):
        if metadata.get("license", "other") not in LICENSES:
            errors.append('"license" must be one of the Hub\'s licenses')
        for entry in metadata.get("model-index") or []:
            if not entry.get("name") or not all(result.get("metrics") for result in entry.get("results", [{}])):
                errors.append('"model-index" needs a name, and metrics in each result')
        if payload["repoType"] == "space" and metadata.get("sdk") not in ("gradio", "docker", "static"):
            errors.append('"sdk" is required')
    else:
        errors.append("front matter must be an object")
    report = {"errors": [{"message": error} for error in errors], "warnings": []}
    handler.respond_json(report, 400 if errors else 200)


def _full_id(payload: Mapping[str, Any]) -> str:
    kind = payload.get("type") or "model"
    name = f"{payload.get('organization') or 'you'}/{payload['name']}"
    return name if kind == "model" else f"{kind}s/{name}"


def create(handler: "Handler", values: Values) -> None:
    payload = json.loads(handler.body)
    repo_id = _full_id(payload)
    if repo_id.split("/")[-2] not in ("you", "team"):
        raise RefusedError(403, message="You don't have the rights to create a repository in this namespace")
    address = {"url": f"{handler.hub.url}/{repo_id}"}
    with handler.hub.lock:
        if repo_id in handler.hub.repositories:
            handler.respond_json(address, 409)
            return
        private = payload.get("visibility") == "private" or bool(payload.get("private"))
        handler.hub.add(repo_id, {".gitattributes": b"*.onnx filter=lfs\n"}, private=private, sdk=payload.get("sdk"))
    handler.respond_json(address)


def delete(handler: "Handler", values: Values) -> None:
    if handler.hub.repositories.pop(_full_id(json.loads(handler.body)), None) is None:
        raise RefusedError(404, "RepoNotFound", "Repository not found")
    handler.respond()


def run_job(handler: "Handler", values: Values) -> None:
    """Record the job without running it."""
    payload = json.loads(handler.body)
    handler.hub.jobs.append(payload)
    job = {"id": f"job{len(handler.hub.jobs)}", "owner": {"id": "1", "name": values["namespace"], "type": "user"}}
    handler.respond_json({**job, **payload, "secrets": None, "status": {"stage": "RUNNING", "message": None}})


def put_object(handler: "Handler", values: Values) -> None:
    if hashlib.sha256(handler.body).hexdigest() != values["oid"]:
        raise RefusedError(400, message="the content does not have this hash")
    handler.hub.objects[values["oid"]] = handler.body
    handler.respond()


def batch(handler: "Handler", repository: Repository, values: Values) -> None:
    objects = []
    for payload in json.loads(handler.body)["objects"]:
        entry: dict[str, Any] = {"oid": payload["oid"], "size": payload["size"]}
        if payload["oid"] not in handler.hub.objects:
            entry["actions"] = {"upload": {"href": f"{handler.hub.url}/lfs/{payload['oid']}"}}
        objects.append(entry)
    handler.respond_json({"transfer": "basic", "objects": objects})


def preupload(handler: "Handler", repository: Repository, values: Values) -> None:
    current_files = repository.files(values["revision"])
    results = []
    for file in json.loads(handler.body)["files"]:
        path = file["path"]
        result = {"path": path, "uploadMode": "lfs" if is_lfs(path, file["size"]) else "regular", "shouldIgnore": False}
        if path in current_files:
            result["oid"] = etag(path, current_files[path])
        results.append(result)
    handler.respond_json({"files": results})


def commit(handler: "Handler", repository: Repository, values: Values) -> None:
    with handler.hub.lock:
        create_pr = handler.query.get("create_pr") == "1"
        sha, ref = repository.apply(handler.body, values["revision"], create_pr, handler.hub.objects)
    address = f"{handler.hub.url}/{'/'.join(filter(None, [values['kind'], values['id']]))}"
    pull_request = {"pullRequestUrl": f"{address}/discussions/{ref.split('/')[-1]}"} if create_pr else {}
    handler.respond_json({"success": True, "commitUrl": f"{address}/commit/{sha}", "commitOid": sha, **pull_request})


def branch(handler: "Handler", repository: Repository, values: Values) -> None:
    if values["revision"].startswith("refs/"):
        raise RefusedError(400, message="Invalid branch name")
    if values["revision"] in repository.refs:
        raise RefusedError(409, message="Reference already exists")
    repository.refs[values["revision"]] = repository.resolve("main")
    handler.respond_json({})


def variables(handler: "Handler", repository: Repository, values: Values) -> None:
    """List, set or delete a Space's variables."""
    payload = json.loads(handler.body or b"{}")
    if handler.command == "POST":
        repository.variables[payload["key"]] = payload["value"]
    elif handler.command == "DELETE":
        del repository.variables[payload["key"]]
    handler.respond_json({key: {"key": key, "value": value} for key, value in repository.variables.items()})
