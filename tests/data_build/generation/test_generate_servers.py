"""Generation with other OpenAI-compatible servers: wrapped or unusable completions, unsupported parameters."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_build.generation import batch, generator
from data_build.generation.generator import Generator, GeneratorError, read_completions
from data_build.generation.parsing import parse_json, parse_lines, parse_list
from data_build.stages import generate, generated_rows
from evenmood import DataError, UsageError
from evenmood.data.build_folder import read_manifest, read_rows
from tests.commands import run_command
from tests.data_build.generation import OPTIONS
from tests.fakes.hub_repository import files_of
from tests.fakes.openai_server import Handler, OpenAIServer, nonsense

WRAPPERS = {
    "reasoning": '<think>\nSome {{comments}}: ["no"]. {{"comments": ["a draft"]}}\n</think>\n\n{}',
    "reasoning without a start tag": "I should write.\n</think>{}",
    "another reasoning tag": "<reasoning>why</reasoning>{}",
    "channel header": "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{}",
    "JSON code fence": "```json\n{}\n```",
    "code fence": "```\n{}\n```",
    "prose": "Sure! Here [as asked] is the JSON:\n\n{}\n\nLet me know if you want {{more}}.",
    "reasoning and code fence": "<think>…</think>Here:\n```json\n{}\n```\nDone.",
    "end token": "{}<|im_end|>",
    "white space": "\n\n  {}  \n",
    "byte order mark": "\ufeff{}",
}


def wrap_completions(wrapper: str) -> Callable[[Handler], bool]:
    """Wrap the server's completions."""

    def fault(handler: Handler) -> bool:
        body = handler.owner.complete(handler.payload, True)
        message = body["choices"][0]["message"]
        message["content"] = wrapper.format(message["content"])
        handler.respond(body)
        return True

    return fault


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
def test_wrappers_are_removed(build: Path, server: OpenAIServer, wrapper: str) -> None:
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    expected = files_of(build)
    server.fault = wrap_completions(wrapper)
    generate.run(build, print, "small", base_url=server.url, restart=True, **OPTIONS)
    assert files_of(build) == expected


def test_other_completion_formats(build: Path, server: OpenAIServer) -> None:
    """A bare list, content in parts, finish reasons of other servers."""

    def other(handler: Handler) -> bool:
        body = handler.owner.complete(handler.payload, True)
        choice = body["choices"][0]
        content = choice["message"]["content"]
        choice["finish_reason"] = ["stop", None, "eos", "STOP"][handler.number % 4]
        if handler.number % 2:
            content = json.dumps(json.loads(content)["comments"])
        choice["message"]["content"] = [{"type": "text", "text": content}] if handler.number % 3 else content
        handler.respond(body)
        return True

    server.fault = other
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert not [reason for reason in read_manifest(build, "generate")["dropped"] if "not returned" in reason]


@pytest.mark.parametrize(
    ("content", "comments"),
    [
        ('{"comments": ["a", "b"]}', ("a", "b")),
        ('["a", "b"]', ("a", "b")),
        ('{"comments": []}', ()),
        ('{"comments": ["a", "b"', None),
        ('{"comments": ["a"], "x": }', None),
        ('{"texts": ["a"]}', None),
        ('{"comments": [1]}', None),
        ('<think>{"comments": ["a"]}', ("a",)),
        ('<think>{"comments": ["a"]}</think>', None),
        ("<html><body>welcome</body></html>", None),
        ("I'm sorry, I cannot.", None),
        ("", None),
        ("[" * 100_000, None),
        ('{"comments":' * 100_000, None),
    ],
)
def test_comments_are_extracted(content: str, comments: tuple[str, ...] | None) -> None:
    assert parse_json(content) == comments


def test_lists_in_plain_text() -> None:
    assert parse_list('Here you are:\n\n1. one fine day\n2) "two of us"\n\nEnjoy!') == ("one fine day", "two of us")
    assert parse_list("- one\n* two") == ("one", "two")
    assert parse_list("I'm sorry, I cannot help with that.") is None
    assert parse_lines("```\n- one\n2. two\n\nthree \n```") == ["one", "two", "three"]


@pytest.mark.parametrize("read", [parse_json, parse_list, parse_lines])
def test_parsing_takes_linear_time(read: Callable[[str], Any]) -> None:
    for piece in ("{", "[", "1", "1. ", "- ", "</think>", "<think>", " ", "\n- a", "```", '{"a":'):
        for text in (piece * (40_000 // len(piece)), "a" + piece + " " * 40_000 + "b"):
            start = time.perf_counter()
            read(text)
            assert time.perf_counter() - start < 0.5, piece


PAGE = b"<!DOCTYPE html><html><head><title>Sign in to the hotel</title></head>" + b"<p>x</p>" * 100
UNUSABLE: dict[str, tuple[Callable[[Handler], Any], str]] = {
    "HTML page": (lambda handler: PAGE, "Sign in to the hotel"),
    "an error with status 200": (
        lambda handler: {"error": {"message": "model 'small' is not loaded", "code": 503}},
        "model 'small' is not loaded",
    ),
    "prose": (
        lambda handler: chat_completion(handler, "I cannot write such comments. " * 50),
        "I cannot write such comments.",
    ),
    "only reasoning": (
        lambda handler: chat_completion(handler, "<think>" + "hm " * 500, "length"),
        "--omit max_completion_tokens",
    ),
    "empty body": (lambda handler: b"", "(empty)"),
}


def chat_completion(handler: Handler, content: str, reason: str = "stop") -> dict[str, Any]:
    body = handler.owner.completion(True, [], reason)
    body["choices"][0]["message"]["content"] = content
    return body


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_run_stops_when_no_completion_is_usable(build: Path, server: OpenAIServer, case: str) -> None:
    body, excerpt = UNUSABLE[case]

    def always(handler: Handler) -> bool:
        handler.respond(body(handler))
        return True

    server.fault = always
    with pytest.raises(GeneratorError, match="none of the first 4 responses is usable") as error:
        generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert excerpt in str(error.value)
    assert "\n" not in str(error.value)
    excerpt_in_message = str(error.value).partition("the first response begins: ")[2]
    assert len(excerpt_in_message) <= generator.EXCERPT_CHARS
    assert server.request_count < 8  # not the whole plan
    assert not (build / "generate" / "manifest.json").exists()
    server.fault = lambda handler: False  # with a working server, the same command sends all requests
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert len(server.prompts) == 8
    assert not [reason for reason in read_manifest(build, "generate")["dropped"] if "not returned" in reason]


def test_the_command_fails_without_usable_completions(build: Path, server: OpenAIServer) -> None:
    """There are fewer requests than trial completions, and none is usable."""

    def page(handler: Handler) -> bool:
        handler.respond(b"\x1b[31m" + PAGE, Content_Type="text/html")
        return True

    server.fault = page
    result = run_command("data_build", "generate", build, "--base-url", server.url, "--samples", "24")
    assert result.returncode == 1
    message = result.stderr.splitlines()[-1]
    assert message.startswith("error: none of the first 3 responses is usable (3 malformed)")
    assert "Sign in to the hotel" in message
    assert "\x1b" not in message


def test_a_run_continues_after_one_usable_completion(build: Path, server: OpenAIServer) -> None:
    def fail_all_but_one(handler: Handler) -> bool:
        if handler.number != 4:
            handler.respond(PAGE)
        return handler.number != 4

    server.fault = fail_all_but_one
    generate.run(build, print, "small", base_url=server.url, **{**OPTIONS, "concurrency": 1})
    manifest = read_manifest(build, "generate")
    assert manifest["rows_in"] == 64
    assert manifest["dropped"]["not returned: malformed"] == 56
    assert server.request_count == 8


def test_a_batch_without_a_usable_completion(
    build: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "POLL_INTERVAL", 0.0)
    monkeypatch.setattr(server.batches, "complete", lambda payload, chat: {"error": {"message": "not loaded"}})
    with pytest.raises(GeneratorError, match=r"none of the first 8 responses is usable.*not loaded"):
        generate.run(build, print, "small", base_url=server.url, as_batch=True, **OPTIONS)


def test_a_run_without_accepted_texts_fails(build: Path, server: OpenAIServer) -> None:
    """All completions are well-formed, but no text passes the filters."""
    server.write = lambda prompt, count, rng: ["short"] * count
    for _ in range(2):  # the second run reads the saved completions
        with pytest.raises(GeneratorError, match=r"none of 64 texts passed the filters \(64 too short or too long\)"):
            generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert not (build / "generate" / "manifest.json").exists()
    server.write = nonsense
    generate.run(build, print, "small", base_url=server.url, restart=True, **OPTIONS)
    assert read_rows(build, "generate").num_rows


def test_a_file_without_rows_is_rejected(build: Path, server: OpenAIServer, tmp_path: Path) -> None:
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    generated_rows.export_rows(build, set(), tmp_path / "empty.parquet")
    with pytest.raises(DataError, match="not a valid file of generated rows"):
        generated_rows.import_rows(build, print, tmp_path / "empty.parquet", restart=True)


def reject_parameters(*names: str) -> Callable[[Handler], bool]:
    """Reject some parameters, as some versions of vLLM, Ollama and LM Studio do."""

    def fault(handler: Handler) -> bool:
        response_format = handler.payload.get("response_format", {}).get("type")
        unknown = [name for name in names if name in handler.payload or name == response_format]
        if unknown:
            handler.respond({"error": {"message": f"Unrecognized request argument supplied: {unknown[0]}"}}, 400)
        return bool(unknown)

    return fault


ADVICE: dict[str, tuple[list[str], str, list[str]]] = {
    "json_schema": (["json_schema"], "--response-format json_object", ["--response-format", "json_object"]),
    "response_format": (["response_format"], "--response-format", ["--response-format", "text"]),
    "seed": (["seed"], "--omit seed", ["--omit", "seed"]),
    "max_completion_tokens": (
        ["max_completion_tokens", "seed"],
        "--omit",
        ["--omit", "max_completion_tokens", "--omit", "seed"],
    ),
}


@pytest.mark.parametrize("case", ADVICE)
def test_a_server_with_fewer_parameters(build: Path, server: OpenAIServer, case: str) -> None:
    unknown, advice, options = ADVICE[case]
    server.fault = reject_parameters(*unknown)
    command: list[str | Path] = ["data_build", "generate", build, "--base-url", server.url, "--samples", "24"]
    result = run_command(*command)
    assert result.returncode == 1
    assert advice in result.stderr.splitlines()[-1]
    result = run_command(*command, *options, "--restart")
    assert result.returncode == 0, result.stderr
    assert read_rows(build, "generate").num_rows > 0
    if "seed" in options:
        provenance = json.loads(read_rows(build, "generate")["prompt_id"].to_pylist()[0])
        assert provenance["seed"] is None


def test_completions_omit_parameters(build: Path, server: OpenAIServer) -> None:
    server.fault = reject_parameters("stop", "temperature", "max_tokens", "seed")
    options = {**OPTIONS, "base_url": server.url, "mode": "lines"}
    with pytest.raises(GeneratorError, match="--omit"):
        generate.run(build, print, "small", **options)
    generate.run(build, print, "small", omit=["stop", "temperature", "max_tokens", "seed"], restart=True, **options)
    assert read_rows(build, "generate").num_rows > 0


@pytest.mark.parametrize("form", ["json_object", "text"])
def test_the_prompt_describes_the_json_format(build: Path, server: OpenAIServer, form: Any) -> None:
    """OpenAI rejects json_object unless the prompt contains "JSON", and the model needs to know the key."""
    generate.run(build, print, "small", base_url=server.url, response_format=form, **OPTIONS)
    assert all('{"comments": [' in prompt and "JSON" in prompt for prompt in server.prompts)
    with pytest.raises(UsageError, match="an earlier run used a different response_format"):
        generate.run(build, print, "small", base_url=server.url, **OPTIONS)


def test_lists_in_text_completions(build: Path, server: OpenAIServer) -> None:
    def listing(handler: Handler) -> bool:
        body = handler.owner.complete(handler.payload, True)
        texts = json.loads(body["choices"][0]["message"]["content"])["comments"]
        numbered = "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))
        handler.respond(chat_completion(handler, f"Here are the comments:\n\n{numbered}"))
        return True

    generate.run(build, print, "small", base_url=server.url, response_format="text", **OPTIONS)
    expected = read_rows(build, "generate")["text"].to_pylist()
    server.fault = listing
    generate.run(build, print, "small", base_url=server.url, response_format="text", restart=True, **OPTIONS)
    assert read_rows(build, "generate")["text"].to_pylist() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--omit", "model"], "--omit: unknown parameter 'model'; expected one of: seed"),
        (["--mode", "lines", "--response-format", "text"], "--response-format requires --mode structured"),
        (["--base-url", "127.0.0.1:8000/v1"], "invalid base URL: '127.0.0.1:8000/v1'"),
        (["--base-url", "http://"], "invalid base URL"),
        (["--base-url", "http://127.0.0.1:port/v1"], "invalid base URL"),
    ],
)
def test_invalid_options(build: Path, options: list[str], message: str) -> None:
    result = run_command("data_build", "generate", build, "--base-url", "http://127.0.0.1:9/v1", *options)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr


def test_progress_messages_and_retry_warnings(
    build: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from data_build import stage

    monkeypatch.setattr(stage, "PROGRESS_INTERVAL", 0.0)
    monkeypatch.setattr(generate, "REQUESTS_PER_SHARD", 50)

    def busy(handler: Handler) -> bool:
        if handler.number == 1:
            handler.respond({"error": {"message": "slow down"}}, 429, Retry_After="0.1")
        return handler.number == 1

    server.fault = busy
    lines: list[str] = []
    generate.run(build, lines.append, "small", base_url=server.url, **OPTIONS)
    progress = [line for line in lines if "of 64" in line and "rows/s" in line]
    assert len(progress) == 8
    assert progress[0].startswith("generate: 8 rows of 64")
    assert "HTTP 429: " in caplog.text
    assert "retrying in" in caplog.text


def test_completions_of_earlier_versions_are_read(tmp_path: Path) -> None:
    line = {"number": 3, "texts": ["a"], "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 2}
    (tmp_path / "completions.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    (completion,) = read_completions(tmp_path / "completions.jsonl")
    assert (completion.texts, completion.excerpt) == (("a",), "")
    assert Generator("m", "http://127.0.0.1:9/v1", "lines", 1.0, 0).host == "127.0.0.1"
