"""Generation with a failing endpoint: transient errors do not change the rows, and no completion is lost."""

import json
import time
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

from data_build.generation import completions, generator
from data_build.generation.generator import GeneratorError, read_completions
from data_build.stages import generate
from evenmood.data.build_folder import read_manifest
from tests.data_build.generation import OPTIONS
from tests.fakes.hub_repository import files_of
from tests.fakes.openai_server import Handler, OpenAIServer

FAULTS: dict[str, Callable[[Handler], bool]] = {}


def add_fault(function: Callable[[Handler], bool]) -> Callable[[Handler], bool]:
    FAULTS[function.__name__] = function
    return function


@add_fault
def rate_limit(handler: Handler) -> bool:
    if handler.number <= 3:
        handler.respond({"error": {"message": "slow down"}}, 429, Retry_After="1")
    return handler.number <= 3


@add_fault
def every_third_500(handler: Handler) -> bool:
    if handler.number % 3 == 0:
        handler.respond({"error": {"message": "oops"}}, 500)
    return handler.number % 3 == 0


@add_fault
def timeout(handler: Handler) -> bool:
    if handler.number == 2:
        time.sleep(3)
    return False


@add_fault
def dropped_connection(handler: Handler) -> bool:
    if handler.number == 2:
        handler.close_connection = True
    return handler.number == 2


@add_fault
def long_retry_after(handler: Handler) -> bool:
    """Send a Retry-After that is longer than necessary."""
    if handler.number <= 4:
        handler.respond({"error": {"message": "slow down"}}, 429, Retry_After="7200")
    return handler.number <= 4


@pytest.mark.parametrize("name", FAULTS)
def test_transient_errors_do_not_change_the_rows(
    build: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    expected = files_of(build)
    server.fault, server.request_count = FAULTS[name], 0
    monkeypatch.setattr(generator, "MAX_RETRY_DELAY", 1.0)
    generate.run(build, print, "small", base_url=server.url, timeout=2, restart=True, **OPTIONS)
    assert files_of(build) == expected


def rate_limited(seconds: float, pause: str) -> Callable[[Handler], bool]:
    """Respond with HTTP 429 for some seconds after the first request."""
    started: list[float] = []

    def fault(handler: Handler) -> bool:
        started.append(time.monotonic())
        is_busy = time.monotonic() - started[0] < seconds
        if is_busy:
            handler.respond({"error": {"message": "slow down"}}, 429, Retry_After=pause)
        return is_busy

    return fault


def test_retries_are_limited_by_time_and_not_by_number(
    build: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "MAX_OUTAGE", 4.0)
    server.fault = rate_limited(3.0, "0.1")
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert server.request_count > 60  # far more attempts per request than a fixed retry count would allow
    assert len(server.prompts) == 8


def test_a_permanent_rate_limit(build: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "MAX_OUTAGE", 1.0)
    server.fault = rate_limited(3600, "0.2")
    with pytest.raises(GeneratorError, match=r"HTTP 429.*slow down"):
        generate.run(build, print, "small", base_url=server.url, **OPTIONS)


def test_an_exhausted_quota_is_not_retried(build: Path, server: OpenAIServer) -> None:
    def exhausted(handler: Handler) -> bool:
        handler.respond({"error": {"message": "you exceeded your quota", "code": "insufficient_quota"}}, 429)
        return True

    server.fault = exhausted
    with pytest.raises(GeneratorError, match="you exceeded your quota"):
        generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert server.request_count <= OPTIONS["concurrency"]


@pytest.mark.slow
@pytest.mark.parametrize("pause", ["1", "45", ""])
def test_a_rate_limit_of_a_minute(build: Path, server: OpenAIServer, pause: str) -> None:
    server.fault = rate_limited(60, pause)
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert len(server.prompts) == 8


def respond_to_first_with(handler: Handler, body: Callable[[Handler], Any]) -> bool:
    if handler.number == 1:
        handler.respond(body(handler))
    return handler.number == 1


MALFORMED: dict[str, tuple[Callable[[Handler], Any], str]] = {
    "broken JSON": (lambda handler: _with_content(handler, '{"comments": ["a'), "malformed"),
    "another object": (lambda handler: _with_content(handler, '{"texts": []}'), "malformed"),
    "truncated": (lambda handler: handler.owner.completion(True, ["a b c d"], "length"), "length"),
    "filtered": (lambda handler: handler.owner.completion(True, [], "content_filter"), "content_filter"),
    "no choice": (lambda handler: {**handler.owner.completion(True, []), "choices": []}, "malformed"),
    "refusal": (lambda handler: _refusal(handler), "refused"),
    "HTML": (lambda handler: b"<html>welcome to the proxy</html>", "malformed"),
    "a list": (lambda handler: [], "malformed"),
    "a string": (lambda handler: "fine", "malformed"),
    "nothing": (lambda handler: b"", "malformed"),
    "bytes": (lambda handler: b"\xff\x00\xfe", "malformed"),
    "an empty choice": (lambda handler: {**handler.owner.completion(True, []), "choices": [{}]}, "malformed"),
    "a choice that is none": (lambda handler: {**handler.owner.completion(True, []), "choices": ["x"]}, "malformed"),
    "no message": (
        lambda handler: {"choices": [{"message": None, "finish_reason": "stop"}], "usage": None},
        "malformed",
    ),
    "no tokens": (lambda handler: {"choices": [], "usage": {}}, "malformed"),
    "lone surrogate": (lambda handler: _with_content(handler, '{"comments": ["\\ud800"]}'), "malformed"),
}


def _with_content(handler: Handler, content: str) -> dict[str, Any]:
    body = handler.owner.completion(True, [])
    body["choices"][0]["message"]["content"] = content
    return body


def _refusal(handler: Handler) -> dict[str, Any]:
    body = handler.owner.completion(True, [])
    body["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "I cannot"}
    return body


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_completions_are_counted(build: Path, server: OpenAIServer, case: str) -> None:
    body, reason = MALFORMED[case]
    server.fault = lambda handler: respond_to_first_with(handler, body)
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    dropped = read_manifest(build, "generate")["dropped"]
    assert dropped[f"not returned: {reason}"] == 8


def test_an_html_page_instead_of_a_completion(build: Path, server: OpenAIServer) -> None:
    def page(handler: Handler) -> bool:
        if handler.number == 1:
            handler.respond(b"<html></html>", Content_Type="text/html")
        return handler.number == 1

    server.fault = page
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert read_manifest(build, "generate")["dropped"]["not returned: malformed"] == 8


def test_saved_completions_without_token_counts(build: Path, server: OpenAIServer) -> None:
    def fail(handler: Handler) -> bool:
        handler.respond({"error": {"message": "no such model"}}, 404)
        return True

    server.fault = fail
    with pytest.raises(GeneratorError, match="HTTP 404"):
        generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    line = {"number": 0, "texts": [], "finish_reason": "malformed", "prompt_tokens": None, "completion_tokens": None}
    (build / "generate" / "completions-part-00000.jsonl").write_text(json.dumps(line) + "\n")
    server.fault = lambda handler: False
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert len(server.prompts) == 7


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_completions_are_saved_after_an_unexpected_error(
    build: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    """One request raises an unexpected exception, or the run is interrupted, while three others are in flight."""

    def respond_late(handler: Handler) -> bool:
        time.sleep(0.3)
        return False

    server.fault = respond_late
    with monkeypatch.context() as broken:
        if kind is KeyboardInterrupt:
            broken.setattr(completions, "wait", interrupted(wait))
        else:
            broken.setattr(generator.Generator, "parse", fails_once(generator.Generator.parse))
        with pytest.raises(kind):
            generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    saved_count = 4 - (kind is RuntimeError)
    assert len(list(read_completions(build / "generate" / "completions-part-00000.jsonl"))) == saved_count
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert len(server.prompts) == 12 - saved_count


def interrupted(wait: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `wait` so that its first call raises `KeyboardInterrupt`."""
    calls: list[int] = []

    def first(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return wait(*arguments, **options)

    return first


def fails_once(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `parse` so that it raises an unexpected exception for the first request."""

    def wrapper(self: Any, request: Any, body: bytes) -> Any:
        if request.number == 0:
            raise RuntimeError("unexpected")
        return parse(self, request, body)

    return wrapper
