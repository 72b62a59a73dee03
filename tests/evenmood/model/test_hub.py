"""Load models with the real client from a fake Hub on loopback."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from evenmood.model.model_folder import INFO_FILE, ONNX_FILE, PREDICTION_FILES, TOKENIZER_FILE
from tests.conftest import DEFAULT_MODEL
from tests.fakes.hub_repository import Files
from tests.fakes.hub_server import HubServer

TOKEN = "hf_theSecretTokenOfTheTests"
STALE_TOKEN = "hf_aTokenThatHasExpired"
GOOD = "team/model"
CALLS = """
import json, sys
from evenmood import EmotionClassifier
for call in json.load(sys.stdin):
    try:
        model = EmotionClassifier.from_pretrained(call.pop("model"), **call)
        model.predict("hi")
        result = {"joy": model.thresholds["joy"]}
    except Exception as error:
        result = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(result))
"""


def model_files(joy: float = 0.5) -> dict[str, bytes]:
    """Return the bundled model with this threshold for joy, and other files of a model repository."""
    info = json.loads((DEFAULT_MODEL / INFO_FILE).read_bytes())
    info["thresholds"]["joy"] = joy
    unused_files = {"model.weights.h5": bytes(3_000_000), "README.md": b"card", "training/model.onnx": b"not this one"}
    predicting = {name: (DEFAULT_MODEL / name).read_bytes() for name in PREDICTION_FILES}
    return predicting | {INFO_FILE: json.dumps(info).encode()} | unused_files


def files_without(name: str) -> Files:
    return {path: content for path, content in model_files().items() if path != name}


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(tokens=(TOKEN,)) as hub:
        hub.add(GOOD, model_files())
        yield hub


def load_models(url: str, home: Path, *calls: dict[str, Any], **environment: str | Path) -> list[dict[str, Any]]:
    """Call `from_pretrained` with each of these arguments in a new process; return the results or errors."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {
        "HF_ENDPOINT": url,
        "HF_HOME": home,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        **environment,
    }
    home.mkdir(exist_ok=True)
    result = subprocess.run(
        [sys.executable, "-c", CALLS],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=home,
        env=inherited | {name: str(value) for name, value in settings.items()},
    )
    assert result.returncode == 0, result.stderr
    for token in (TOKEN, STALE_TOKEN):
        assert token not in result.stdout + result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_only_the_files_for_prediction_are_downloaded(hub: HubServer, tmp_path: Path) -> None:
    repository = hub.repositories[GOOD]
    by_commit = {"model": GOOD, "revision": repository.refs["main"]}
    assert load_models(hub.url, tmp_path, {"model": GOOD}, {"model": GOOD}, by_commit) == [{"joy": 0.5}] * 3
    files = model_files()
    assert hub.sent == {f"{GOOD}/{name}": len(files[name]) for name in PREDICTION_FILES}  # each only once


def test_revision_and_cache_dir(hub: HubServer, tmp_path: Path) -> None:
    hub.repositories[GOOD].commit(model_files(joy=0.25), ref="v2")
    hub.repositories[GOOD].commit(model_files(joy=0.75), ref="refs/pr/1")
    cache = tmp_path / "cache"
    results = load_models(
        hub.url,
        tmp_path / "home",
        {"model": GOOD, "revision": "v2", "cache_dir": str(cache)},
        {"model": GOOD, "revision": "refs/pr/1", "cache_dir": str(cache)},
        {"model": GOOD, "cache_dir": str(cache)},
    )
    assert [result.get("joy") for result in results] == [0.25, 0.75, 0.5]
    assert any(cache.rglob(ONNX_FILE))
    assert not any((tmp_path / "home").rglob(ONNX_FILE))


def test_token(hub: HubServer, tmp_path: Path) -> None:
    hub.add("team/secret", model_files(), private=True)
    secret = {"model": "team/secret"}
    without_token, expired, logged_out = load_models(
        hub.url, tmp_path, secret, secret | {"token": STALE_TOKEN}, secret | {"token": True}
    )
    assert without_token["error"] == expired["error"] == logged_out["error"] == "ModelError"
    assert "private" in without_token["message"]
    assert "token" in expired["message"]
    assert "not logged in" in logged_out["message"]
    assert not hub.sent
    assert load_models(hub.url, tmp_path, secret | {"token": TOKEN}) == [{"joy": 0.5}]


def test_token_from_the_environment(hub: HubServer, tmp_path: Path) -> None:
    hub.add("team/secret", model_files(), private=True)
    anonymous, logged_in = load_models(
        hub.url, tmp_path, {"model": "team/secret", "token": False}, {"model": "team/secret"}, HF_TOKEN=TOKEN
    )
    assert "private" in anonymous["message"]
    assert logged_in == {"joy": 0.5}


def test_local_files_only(hub: HubServer, tmp_path: Path) -> None:
    offline = {"model": GOOD, "local_files_only": True}
    not_cached, online, cached = load_models(hub.url, tmp_path, offline, {"model": GOOD}, offline)
    assert not_cached["error"] == "ModelError"
    assert GOOD in not_cached["message"]
    assert "local_files_only" in not_cached["message"]
    assert online == cached == {"joy": 0.5}


def test_cached_model_loads_without_the_hub(tmp_path: Path) -> None:
    with HubServer() as hub:
        hub.add(GOOD, model_files())
        assert load_models(hub.url, tmp_path, {"model": GOOD}) == [{"joy": 0.5}]
    start = time.monotonic()
    results = load_models(
        hub.url, tmp_path, {"model": GOOD, "local_files_only": True}, {"model": GOOD}, {"model": "team/other"}
    )
    assert time.monotonic() - start < 30
    assert results[:2] == [{"joy": 0.5}] * 2
    assert results[2]["error"] == "ModelError"
    assert "team/other" in results[2]["message"]
    assert "cannot be reached" in results[2]["message"]


def test_interrupted_download_is_resumed(hub: HubServer, tmp_path: Path) -> None:
    hub.fail(f"GET .*{ONNX_FILE}", cut=200_000)
    assert load_models(hub.url, tmp_path, {"model": GOOD}) == [{"joy": 0.5}]
    assert hub.requests[f"GET /{GOOD}/resolve/{hub.repositories[GOOD].refs['main']}/{ONNX_FILE}"] == 2


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "500": ("GET /api/models", {"status": 500}),
    "500 on a file": (f"HEAD .*{ONNX_FILE}", {"status": 500}),
    "rate limit": ("GET /api/models", {"status": 429, "headers": {"Retry_After": "1"}}),
    "rate limit on a file": (f"GET .*{ONNX_FILE}", {"status": 429, "headers": {"Retry_After": "1"}}),
    "dropped connection": ("GET /api/models", {"cut_upload": 0}),
    "slow response": (f"GET .*{ONNX_FILE}", {"delay": 2.0}),
}


@pytest.mark.parametrize("case", FAULTS)
def test_transient_errors_are_retried(hub: HubServer, tmp_path: Path, case: str) -> None:
    request, options = FAULTS[case]
    hub.fail(request, **options)
    assert load_models(hub.url, tmp_path, {"model": GOOD}) == [{"joy": 0.5}]
    assert hub.faults[0].times == 0


def test_incomplete_download_is_not_loaded(hub: HubServer, tmp_path: Path) -> None:
    hub.fail(f"GET .*{ONNX_FILE}", cut=200_000)
    hub.fail(f"GET .*{ONNX_FILE}", status=403, times=99)
    (result,) = load_models(hub.url, tmp_path, {"model": GOOD})
    assert result["error"] == "ModelError"
    assert GOOD in result["message"]
    without_network = load_models(
        "http://127.0.0.1:9", tmp_path, {"model": GOOD}, {"model": GOOD, "local_files_only": True}
    )
    assert [entry.get("error") for entry in without_network] == ["ModelError"] * 2
    hub.faults.clear()
    assert load_models(hub.url, tmp_path, {"model": GOOD}) == [{"joy": 0.5}]


def test_local_folder_takes_precedence_over_the_hub(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "team" / "model"
    folder.mkdir(parents=True)
    for name in PREDICTION_FILES:
        (folder / name).write_bytes(model_files(joy=0.125)[name])
    assert load_models(hub.url, tmp_path, {"model": GOOD}) == [{"joy": 0.125}]
    assert not hub.requests


ERRORS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no such repository": ({"model": "team/nothing"}, ["'team/nothing'", "nor an accessible Hub repository"]),
    "no such name": ({"model": "you/nothing"}, ["'you/nothing'", "nor an accessible Hub repository"]),
    "no such revision": ({"model": GOOD, "revision": "v9"}, [GOOD, "'v9'", "no such revision"]),
    "no such commit": ({"model": GOOD, "revision": "0" * 40}, [GOOD, "0" * 40, "no such revision"]),
    "no tokenizer": ({"model": "team/no-tokenizer"}, ["team/no-tokenizer", f"missing files: {TOKENIZER_FILE}"]),
    "other framework": ({"model": "team/bert"}, ["team/bert", "missing files: " + ", ".join(PREDICTION_FILES)]),
    "corrupt": ({"model": "team/corrupt"}, [ONNX_FILE, "corrupt"]),
    "gated": ({"model": "team/gated"}, ["team/gated", "gated"]),
    "server error": ({"model": "team/broken"}, ["team/broken", "500"]),
    "forbidden": ({"model": "team/forbidden"}, ["team/forbidden", "403"]),
    "dropped connection": ({"model": "team/dropped"}, ["team/dropped"]),
    "login page": ({"model": "team/portal"}, ["team/portal"]),
    "three parts": ({"model": "a/b/c"}, ["'a/b/c'", "neither a local folder nor a Hub id"]),
    "parent folder": ({"model": "../x"}, ["'../x'", "neither a local folder nor a Hub id"]),
    "absolute path": ({"model": "/nowhere/model"}, ["'/nowhere/model'", "neither a local folder nor a Hub id"]),
    "empty": ({"model": ""}, ["not an evenmood model folder"]),
    "white space": ({"model": "my model"}, ["unknown model 'my model'", "a folder or a Hub id"]),
    "URL": ({"model": "https://hub/team/model"}, ["neither a local folder nor a Hub id"]),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Results of all calls in `ERRORS`, made with a token in the environment."""
    with HubServer(tokens=(TOKEN,)) as hub:
        hub.add(GOOD, model_files())
        hub.add("team/no-tokenizer", files_without(TOKENIZER_FILE))
        hub.add("team/bert", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
        hub.add("team/corrupt", model_files() | {ONNX_FILE: b"corrupt"})
        hub.add("team/gated", model_files(), gated=True)
        for name in ("broken", "forbidden", "portal", "dropped"):
            hub.add(f"team/{name}", model_files())
        hub.fail("team/broken", status=500, times=99)
        hub.fail("team/forbidden", status=403, times=99)
        hub.fail("team/portal", status=200, times=99)
        hub.fail("team/dropped", cut_upload=0, times=99)
        retried = ("server error", "dropped connection")  # retried for seconds
        groups = [[case for case in ERRORS if case not in retried], *([case] for case in retried)]

        def load_cases(cases: list[str]) -> list[dict[str, Any]]:
            calls = [ERRORS[case][0] for case in cases]
            return load_models(hub.url, tmp_path_factory.mktemp("home"), *calls, HF_TOKEN=TOKEN)

        with ThreadPoolExecutor() as pool:
            return {
                case: result
                for cases, results in zip(groups, pool.map(load_cases, groups), strict=True)
                for case, result in zip(cases, results, strict=True)
            }


@pytest.mark.parametrize("case", ERRORS)
def test_error_messages_are_one_line(results: dict[str, dict[str, Any]], case: str) -> None:
    assert results[case].get("error") == "ModelError", results[case]
    message = results[case]["message"]
    assert "\n" not in message
    for part in ERRORS[case][1]:
        assert part in message


def test_unwritable_cache_is_reported(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (result,) = load_models(hub.url, tmp_path / "home", {"model": GOOD, "cache_dir": str(tmp_path / "file")})
    assert result["error"] in ("ModelError", "NotADirectoryError", "FileExistsError")
    assert str(tmp_path / "file") in result["message"]
