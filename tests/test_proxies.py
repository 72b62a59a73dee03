"""Proxy variables: used only for network access, and named in errors."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from docs.screenshot import SENTENCE, running_demo
from evenmood.system import proxies
from tests.evenmood.model.test_hub import GOOD, load_models, model_files
from tests.fakes.hub_server import HubServer
from tests.fakes.local_hub import run_module

SOCKS = "socks://user:theProxyPassword@127.0.0.1:9/"
"""ALL_PROXY as GNOME sets it; Python's HTTP clients do not support the scheme."""
UNUSABLE = {
    "unknown scheme": SOCKS,
    "no host": "http://",
    "port": "http://127.0.0.1:eighty",
    "not an address": "http://[::1",
}


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in proxies.NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("no_proxy", raising=False)


@pytest.mark.parametrize("value", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "http_proxy"])
def test_unusable_variables_are_reported(
    no_proxies: None, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    message = proxies.find_problem()
    assert message is not None
    assert name in message
    assert "theProxyPassword" not in message


@pytest.mark.parametrize("value", ["http://127.0.0.1:9", "127.0.0.1:9", "https://user:pw@proxy.example:3128", "", None])
def test_usable_variables(no_proxies: None, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is not None:
        monkeypatch.setenv("ALL_PROXY", value)
    assert proxies.find_problem() is None


def test_unusable_matches_the_http_client(no_proxies: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """`find_problem` reports exactly the values that the HTTP client of the Hub rejects."""
    import httpx2

    for value in (*UNUSABLE.values(), "socks5://127.0.0.1:9", "http://127.0.0.1:9", "127.0.0.1:9"):
        monkeypatch.setenv("ALL_PROXY", value)
        try:
            httpx2.Client().close()
            rejected = False
        except (ValueError, ImportError, httpx2.InvalidURL):
            rejected = True
        assert rejected == bool(proxies.find_problem()) or value == "http://", value
    monkeypatch.setenv("ALL_PROXY", SOCKS)
    monkeypatch.setenv("NO_PROXY", "*")
    httpx2.Client().close()
    assert proxies.find_problem() is None


def test_cached_model_needs_no_proxy(tmp_path: Path) -> None:
    with HubServer() as hub:
        hub.add(GOOD, model_files())
        assert load_models(hub.url, tmp_path, {"model": GOOD}) == [{"joy": 0.5}]
    calls = ({"model": GOOD}, {"model": GOOD, "local_files_only": True})
    url = "http://127.0.0.1:9"
    assert load_models(url, tmp_path, *calls, ALL_PROXY=SOCKS, HF_HUB_OFFLINE="1") == [{"joy": 0.5}] * 2
    assert load_models(url, tmp_path, *calls, ALL_PROXY=SOCKS) == [{"joy": 0.5}] * 2
    not_cached = {"model": "team/other"}
    (offline,) = load_models(url, tmp_path, not_cached, ALL_PROXY=SOCKS, HF_HUB_OFFLINE="1")
    (online,) = load_models(url, tmp_path, not_cached, ALL_PROXY=SOCKS)
    assert offline["error"] == online["error"] == "ModelError"
    assert "HF_HUB_OFFLINE is set" in offline["message"]
    assert "ALL_PROXY" in online["message"]
    for result in (offline, online):
        assert "token" not in result["message"]
        assert "theProxyPassword" not in result["message"]


def test_unreachable_proxy_is_reported(tmp_path: Path) -> None:
    settings = {"HTTP_PROXY": "http://user:theProxyPassword@127.0.0.1:9", "NO_PROXY": ""}
    (result,) = load_models("http://hub.example", tmp_path, {"model": GOOD}, **settings)
    assert result["error"] == "ModelError"
    assert "cannot be reached" in result["message"]
    assert "HTTP_PROXY" in result["message"]
    assert "theProxyPassword" not in result["message"]


def test_push_reports_the_variable(evaluated_model: Path, token: str) -> None:
    result = run_module("train", "push", evaluated_model, "you/moods", ALL_PROXY=SOCKS)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "ALL_PROXY" in result.stderr
    assert "theProxyPassword" not in result.stderr


def test_offline_commands_ignore_the_proxy() -> None:
    result = run_module("evenmood", "text", "Thank you!", ALL_PROXY=SOCKS)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("gratitude")


@pytest.mark.parametrize("variable", ["ALL_PROXY", pytest.param("http_proxy", marks=pytest.mark.slow)])
def test_demo_ignores_the_proxy_for_loopback(variable: str, tmp_path: Path) -> None:
    """This includes the Gradio client in the demo process, which handles MCP calls."""
    value = SOCKS if variable == "ALL_PROXY" else "http://127.0.0.1:9"
    environment = {variable: value, "no_proxy": "", "NO_PROXY": "", "TMPDIR": str(tmp_path)}
    with running_demo(environment=environment) as url:
        client = Client(url, verbose=False)
        assert client.predict(SENTENCE, api_name="/analyze")["labels"][0] == "gratitude"
        if variable == "ALL_PROXY":  # errors of network access name the variable
            with pytest.raises(AppError, match="ALL_PROXY") as error:
                client.predict(SENTENCE, "default", "team/model", api_name="/compare")
            assert "theProxyPassword" not in str(error.value)
        client.close()
        call = {"name": "evenmood_analyze", "arguments": {"text": SENTENCE}}
        request = urllib.request.Request(
            f"{url}/gradio_api/mcp/",
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode(),
            {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            content = response.read().decode()
        names = [
            tool["name"]
            for line in content.splitlines()
            if line.startswith(("data:", "{"))
            for tool in json.loads(line.removeprefix("data:"))["result"]["tools"]
        ]
        call["name"] = next(name for name in names if name.endswith("analyze"))
        payload = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}
        request.data = json.dumps(payload).encode()
        with urllib.request.urlopen(request, timeout=30) as response:
            assert "gratitude" in response.read().decode()


def test_loopback_is_added_to_no_proxy_once(no_proxies: None) -> None:
    code = (
        "import os; from evenmood.system import proxies; proxies.exempt_loopback(); proxies.exempt_loopback();"
        "print(os.environ['no_proxy'], os.environ['NO_PROXY'])"
    )
    environment = {"HTTPS_PROXY": "http://127.0.0.1:9", "no_proxy": "intranet, localhost", "PATH": ""}
    root = Path(__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=root
    )
    assert result.stdout.split() == ["intranet,localhost,127.0.0.1,::1"] * 2
