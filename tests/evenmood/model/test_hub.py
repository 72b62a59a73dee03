"""Loading from the Hub: the real client against a Hub on loopback."""

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

from evenmood.model.model_folder import INFO_FILE, ONNX_FILE, PREDICTING_FILES, TOKENIZER_FILE
from tests.conftest import DEFAULT_MODEL
from tests.fakes.hub_repository import Files
from tests.fakes.hub_server import HubServer

TOKEN = "hf_theTokenThatNobodyMaySee"
STALE_TOKEN = "hf_aTokenThatHasExpired"
GOOD = "team/model"
CALLS = """
import json, sys
from evenmood import EmotionClassifier
for call in json.load(sys.stdin):
    try:
        model = EmotionClassifier.from_pretrained(call.pop("model"), **call)
        model.predict("hi")
        answer = {"joy": model.thresholds["joy"]}
    except Exception as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(answer))
"""


def model_files(joy: float = 0.5) -> dict[str, bytes]:
    """The bundled model with this threshold for joy, and with what else lies in a model's repository."""
    info = json.loads((DEFAULT_MODEL / INFO_FILE).read_bytes())
    info["thresholds"]["joy"] = joy
    big = {"model.weights.h5": bytes(3_000_000), "README.md": b"card", "training/model.onnx": b"not this one"}
    predicting = {name: (DEFAULT_MODEL / name).read_bytes() for name in PREDICTING_FILES}
    return predicting | {INFO_FILE: json.dumps(info).encode()} | big


def without(name: str) -> Files:
    return {path: content for path, content in model_files().items() if path != name}


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(tokens=(TOKEN,)) as hub:
        hub.add(GOOD, model_files())
        yield hub


def load(url: str, home: Path, *calls: dict[str, Any], **environment: str | Path) -> list[dict[str, Any]]:
    """Call `from_pretrained` for each of these arguments in a process of its own, and return what came of it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
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
        env=clean | {name: str(value) for name, value in settings.items()},
    )
    assert result.returncode == 0, result.stderr
    for token in (TOKEN, STALE_TOKEN):
        assert token not in result.stdout + result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_only_the_files_that_predicting_needs_are_downloaded(hub: HubServer, tmp_path: Path) -> None:
    repository = hub.repositories[GOOD]
    by_commit = {"model": GOOD, "revision": repository.refs["main"]}
    assert load(hub.url, tmp_path, {"model": GOOD}, {"model": GOOD}, by_commit) == [{"joy": 0.5}] * 3
    files = model_files()
    assert hub.sent == {f"{GOOD}/{name}": len(files[name]) for name in PREDICTING_FILES}  # and each one only once


def test_revision_and_cache_dir(hub: HubServer, tmp_path: Path) -> None:
    hub.repositories[GOOD].commit(model_files(joy=0.25), ref="v2")
    hub.repositories[GOOD].commit(model_files(joy=0.75), ref="refs/pr/1")
    cache = tmp_path / "cache"
    answers = load(
        hub.url,
        tmp_path / "home",
        {"model": GOOD, "revision": "v2", "cache_dir": str(cache)},
        {"model": GOOD, "revision": "refs/pr/1", "cache_dir": str(cache)},
        {"model": GOOD, "cache_dir": str(cache)},
    )
    assert [answer.get("joy") for answer in answers] == [0.25, 0.75, 0.5]
    assert any(cache.rglob(ONNX_FILE))
    assert not any((tmp_path / "home").rglob(ONNX_FILE))


def test_token(hub: HubServer, tmp_path: Path) -> None:
    hub.add("team/secret", model_files(), private=True)
    secret = {"model": "team/secret"}
    refused, stale, nobody = load(hub.url, tmp_path, secret, secret | {"token": STALE_TOKEN}, secret | {"token": True})
    assert refused["error"] == stale["error"] == nobody["error"] == "ModelError"
    assert "private" in refused["message"]
    assert "token" in stale["message"]
    assert "not logged in" in nobody["message"]
    assert not hub.sent
    assert load(hub.url, tmp_path, secret | {"token": TOKEN}) == [{"joy": 0.5}]


def test_token_of_the_environment(hub: HubServer, tmp_path: Path) -> None:
    hub.add("team/secret", model_files(), private=True)
    anonymous, own = load(
        hub.url, tmp_path, {"model": "team/secret", "token": False}, {"model": "team/secret"}, HF_TOKEN=TOKEN
    )
    assert "private" in anonymous["message"]
    assert own == {"joy": 0.5}


def test_local_files_only(hub: HubServer, tmp_path: Path) -> None:
    offline = {"model": GOOD, "local_files_only": True}
    before, loaded, after = load(hub.url, tmp_path, offline, {"model": GOOD}, offline)
    assert before["error"] == "ModelError"
    assert GOOD in before["message"]
    assert "local_files_only" in before["message"]
    assert loaded == after == {"joy": 0.5}


def test_what_is_cached_loads_without_the_hub(tmp_path: Path) -> None:
    with HubServer() as hub:
        hub.add(GOOD, model_files())
        assert load(hub.url, tmp_path, {"model": GOOD}) == [{"joy": 0.5}]
    start = time.monotonic()
    answers = load(
        hub.url, tmp_path, {"model": GOOD, "local_files_only": True}, {"model": GOOD}, {"model": "team/other"}
    )
    assert time.monotonic() - start < 30
    assert answers[:2] == [{"joy": 0.5}] * 2
    assert answers[2]["error"] == "ModelError"
    assert "team/other" in answers[2]["message"]
    assert "cannot be reached" in answers[2]["message"]


def test_a_download_that_breaks_off_is_taken_up_again(hub: HubServer, tmp_path: Path) -> None:
    hub.fail(f"GET .*{ONNX_FILE}", cut=200_000)
    assert load(hub.url, tmp_path, {"model": GOOD}) == [{"joy": 0.5}]
    assert hub.requests[f"GET /{GOOD}/resolve/{hub.repositories[GOOD].refs['main']}/{ONNX_FILE}"] == 2


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "500 once": ("GET /api/models", {"status": 500}),
    "500 once at a file": (f"HEAD .*{ONNX_FILE}", {"status": 500}),
    "rate limit": ("GET /api/models", {"status": 429, "headers": {"Retry_After": "1"}}),
    "rate limit at a file": (f"GET .*{ONNX_FILE}", {"status": 429, "headers": {"Retry_After": "1"}}),
    "connection dropped": ("GET /api/models", {"cut_upload": 0}),
    "slow": (f"GET .*{ONNX_FILE}", {"delay": 2.0}),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_passes_is_tried_again(hub: HubServer, tmp_path: Path, case: str) -> None:
    request, how = FAULTS[case]
    hub.fail(request, **how)
    assert load(hub.url, tmp_path, {"model": GOOD}) == [{"joy": 0.5}]
    assert hub.faults[0].times == 0


def test_a_cut_download_never_loads_as_if_whole(hub: HubServer, tmp_path: Path) -> None:
    hub.fail(f"GET .*{ONNX_FILE}", cut=200_000)
    hub.fail(f"GET .*{ONNX_FILE}", status=403, times=99)
    (first,) = load(hub.url, tmp_path, {"model": GOOD})
    assert first["error"] == "ModelError"
    assert GOOD in first["message"]
    without_network = load("http://127.0.0.1:9", tmp_path, {"model": GOOD}, {"model": GOOD, "local_files_only": True})
    assert [answer.get("error") for answer in without_network] == ["ModelError"] * 2
    hub.faults.clear()
    assert load(hub.url, tmp_path, {"model": GOOD}) == [{"joy": 0.5}]


def test_a_folder_goes_before_the_hub(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "team" / "model"
    folder.mkdir(parents=True)
    for name in PREDICTING_FILES:
        (folder / name).write_bytes(model_files(joy=0.125)[name])
    assert load(hub.url, tmp_path, {"model": GOOD}) == [{"joy": 0.125}]
    assert not hub.requests


ERRORS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no such repository": ({"model": "team/nothing"}, ["'team/nothing'", "no such repository"]),
    "no such name": ({"model": "nothing"}, ["'nothing'", "no such repository"]),
    "no such revision": ({"model": GOOD, "revision": "v9"}, [GOOD, "'v9'", "no such revision"]),
    "no such commit": ({"model": GOOD, "revision": "0" * 40}, [GOOD, "0" * 40, "no such revision"]),
    "no tokenizer": ({"model": "team/no-tokenizer"}, ["team/no-tokenizer", f"{TOKENIZER_FILE} missing"]),
    "another kind of model": ({"model": "team/bert"}, ["team/bert", " and ".join(PREDICTING_FILES), "missing"]),
    "damaged": ({"model": "team/damaged"}, [ONNX_FILE, "damaged"]),
    "gated": ({"model": "team/gated"}, ["team/gated", "gated"]),
    "server error": ({"model": "team/broken"}, ["team/broken", "500"]),
    "forbidden": ({"model": "team/forbidden"}, ["team/forbidden", "403"]),
    "connection cut": ({"model": "team/dropped"}, ["team/dropped"]),
    "login page": ({"model": "team/portal"}, ["team/portal"]),
    "too many parts": ({"model": "a/b/c"}, ["'a/b/c'", "neither a local folder nor a Hub id"]),
    "upwards": ({"model": "../x"}, ["'../x'", "neither a local folder nor a Hub id"]),
    "absolute": ({"model": "/nowhere/model"}, ["'/nowhere/model'", "neither a local folder nor a Hub id"]),
    "empty": ({"model": ""}, ["not an evenmood model folder"]),
    "white space": ({"model": "my model"}, ["'my model'", "neither a local folder nor a Hub id"]),
    "address": ({"model": "https://hub/team/model"}, ["neither a local folder nor a Hub id"]),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of each wrong call, all made in one process with a token in the environment."""
    with HubServer(tokens=(TOKEN,)) as hub:
        hub.add(GOOD, model_files())
        hub.add("team/no-tokenizer", without(TOKENIZER_FILE))
        hub.add("team/bert", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
        hub.add("team/damaged", model_files() | {ONNX_FILE: b"damaged"})
        hub.add("team/gated", model_files(), gated=True)
        for name in ("broken", "forbidden", "portal", "dropped"):
            hub.add(f"team/{name}", model_files())
        hub.fail("team/broken", status=500, times=99)
        hub.fail("team/forbidden", status=403, times=99)
        hub.fail("team/portal", status=200, times=99)
        hub.fail("team/dropped", cut_upload=0, times=99)
        patient = ("server error", "connection cut")  # these are tried again, for seconds
        groups = [[case for case in ERRORS if case not in patient], *([case] for case in patient)]

        def ask(cases: list[str]) -> list[dict[str, Any]]:
            calls = [ERRORS[case][0] for case in cases]
            return load(hub.url, tmp_path_factory.mktemp("home"), *calls, HF_TOKEN=TOKEN)

        with ThreadPoolExecutor() as pool:
            return {
                case: answer
                for cases, answers in zip(groups, pool.map(ask, groups), strict=True)
                for case, answer in zip(cases, answers, strict=True)
            }


@pytest.mark.parametrize("case", ERRORS)
def test_what_went_wrong_is_one_line(answers: dict[str, dict[str, Any]], case: str) -> None:
    assert answers[case].get("error") == "ModelError", answers[case]
    message = answers[case]["message"]
    assert "\n" not in message
    for part in ERRORS[case][1]:
        assert part in message


def test_a_cache_that_cannot_be_written(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (answer,) = load(hub.url, tmp_path / "home", {"model": GOOD, "cache_dir": str(tmp_path / "file")})
    assert answer["error"] in ("ModelError", "NotADirectoryError", "FileExistsError")
    assert str(tmp_path / "file") in answer["message"]
