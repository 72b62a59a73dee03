"""Generation with API keys and proxies from the environment."""

import re
import time
from pathlib import Path

import pytest

from data_build.generation import generator
from data_build.generation.generator import GeneratorError
from data_build.stages import generate
from tests.commands import run_command
from tests.data_build.generation import OPTIONS
from tests.fakes.openai_server import Handler, OpenAIServer

KEY = "sk-theKeyThatNobodyMaySee"


@pytest.mark.parametrize("form", ["{}\n", " {} ", "{}\r\n"])
def test_white_space_around_a_key(
    build: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    authorizations: set[str] = set()

    def record(handler: Handler) -> bool:
        authorizations.add(handler.headers["Authorization"])
        return False

    server.fault = record
    monkeypatch.setenv("OPENAI_API_KEY", form.format(KEY))
    generate.run(build, print, "small", base_url=server.url + "\n", **OPTIONS)
    assert authorizations == {f"Bearer {KEY}"}


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"])
@pytest.mark.parametrize("form", ["\u201c{}\u201d", "{}\nsk-more", "'{}'", "{}\u2026", "{}\x01"])
def test_a_malformed_key_is_rejected_immediately(build: Path, server: OpenAIServer, variable: str, form: str) -> None:
    start = time.monotonic()
    result = run_command("data_build", "generate", build, "--base-url", server.url, **{variable: form.format(KEY)})
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(f"error: {variable}: not a valid token")
    assert KEY not in result.stdout + result.stderr
    assert not server.request_count
    assert time.monotonic() - start < 30


SOCKS = "socks://user:theProxyPassword@127.0.0.1:9/"


def test_a_local_server_does_not_use_the_proxy(
    build: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", SOCKS)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert len(server.prompts) == 8


def test_errors_of_remote_servers_name_the_proxy(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_command("data_build", "generate", build, OPENAI_API_KEY=KEY, ALL_PROXY=SOCKS)
    assert result.returncode == 1
    assert re.search(r"^error: .*ALL_PROXY.*socks://", result.stderr, re.MULTILINE)
    assert "theProxyPassword" not in result.stderr
    monkeypatch.setattr(generator, "MAX_OUTAGE", 0.5)
    monkeypatch.setenv("HTTP_PROXY", "http://user:theProxyPassword@127.0.0.1:9")
    with pytest.raises(GeneratorError, match=r"no response from the endpoint.*HTTP_PROXY") as error:
        generate.run(build, print, "small", base_url="http://llm.example/v1", restart=True, **OPTIONS)
    assert "theProxyPassword" not in str(error.value)
    messages: list[str] = []
    monkeypatch.setenv("ALL_PROXY", SOCKS)
    generate.run(build, messages.append, "small", dry_run=True, **OPTIONS)  # sends no requests
    assert "8 requests" in messages[0]
