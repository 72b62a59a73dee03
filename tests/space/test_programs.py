"""API of the demo: named endpoints through the Gradio client, plain HTTP and MCP."""

import ast
import asyncio
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from gradio_client import Client

from docs.screenshot import ROOT, SENTENCE
from evenmood import LABELS, EmotionClassifier

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
ENDPOINTS = ["/analyze", "/explain", "/compare", "/batch", "/passages", "/models"]


@pytest.fixture(scope="module")
def client(demo: str) -> Iterator[Client]:
    client = Client(demo, verbose=False)
    yield client
    client.close()


def test_endpoint_matches_the_library(client: Client, model: EmotionClassifier) -> None:
    prediction = client.predict(SENTENCE, api_name="/analyze")
    expected = model.predict(SENTENCE)
    assert prediction["labels"] == expected.labels
    assert prediction["scores"][0]["probability"] == pytest.approx(expected.scores[0].probability)
    assert prediction["scores"][0]["threshold"] == pytest.approx(expected.scores[0].threshold)
    assert prediction["fallback"] is expected.fallback
    assert list(prediction["probabilities"]) == list(LABELS)
    assert client.predict(["", "a"], api_name="/batch")[0]["fallback"] is model.predict("").fallback


def test_endpoints_are_named_and_typed(client: Client) -> None:
    api = client.view_api(return_format="dict")
    assert list(api["named_endpoints"]) == ENDPOINTS
    assert api["unnamed_endpoints"] == {}
    for name, endpoint in api["named_endpoints"].items():
        assert endpoint["description"], name
        (return_value,) = endpoint["returns"]
        assert return_value["type"]["type"] in ("object", "array"), name
    analyze = api["named_endpoints"]["/analyze"]
    assert analyze["parameters"][0]["type"] == {"type": "string"}
    score = analyze["returns"][0]["type"]["properties"]["scores"]["items"]
    assert score["required"] == ["label", "probability", "threshold"]


def test_explain(client: Client, model: EmotionClassifier) -> None:
    by_attention = client.predict(SENTENCE, "", api_name="/explain")
    assert [word["text"] for word in by_attention] == [word.text for word in model.explain(SENTENCE)]
    leave_one_out = client.predict(SENTENCE, "gratitude", api_name="/explain")
    expected = model.leave_one_out(SENTENCE, "gratitude")
    assert [word["weight"] for word in leave_one_out] == pytest.approx([word.weight for word in expected], abs=1e-6)


def test_batch_passages_models_and_compare(client: Client, model: EmotionClassifier) -> None:
    texts = ["Thank you!", "", "I hate this", "x" * 20_000]
    predictions = client.predict(texts, api_name="/batch")
    assert [prediction["labels"] for prediction in predictions] == [
        prediction.labels for prediction in model.predict(texts)
    ]
    passages = client.predict("Ada: I am so sorry!\nBen: Thank you!", api_name="/passages")
    assert [(row["speaker"], row["answer"]["labels"][0]) for row in passages] == [
        ("Ada", "remorse"),
        ("Ben", "gratitude"),
    ]
    default, *other_models = client.predict(api_name="/models")
    assert default["name"] == "default"
    assert default["thresholds"]["joy"] == model.thresholds["joy"]
    assert [entry["title"] for entry in (default, *other_models)][:2] == ["fast", "accurate"]
    assert len(other_models) == 2  # the last one is the folder of --folder
    for name in ("accurate", other_models[-1]["name"]):
        labels = client.predict(SENTENCE, name, api_name="/analyze")["labels"]
        assert labels == client.predict([SENTENCE], name, api_name="/batch")[0]["labels"]
        assert labels == client.predict(SENTENCE, name, api_name="/passages")[0]["answer"]["labels"]
        assert labels == client.predict(SENTENCE, "default", name, api_name="/compare")["second"]["labels"]
    words = client.predict(SENTENCE, "", "accurate", api_name="/explain")
    assert sum(word["weight"] for word in words) == pytest.approx(1)
    comparison = client.predict(SENTENCE, "default", other_models[-1]["name"], api_name="/compare")
    assert comparison["first"]["labels"][0] == model.predict(SENTENCE).labels[0]
    labels = [set(comparison[side]["labels"]) for side in ("first", "second")]
    assert set(comparison["differ"]) == labels[0] ^ labels[1]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("/analyze", ["x" * 20_001], "20,001 characters; expected at most 20,000"),
        ("/analyze", [5], "must be a string, not int"),
        ("/explain", ["x", "fury"], "unknown label 'fury'"),
        ("/batch", [["a", 5]], "must be a string, not int"),
        ("/batch", [["a"] * 5_001], "5,001 texts; expected at most 5,000"),
        ("/passages", ["x" * 20_001], "at most 20,000"),
        ("/compare", ["x", "default", "../../etc"], "choose one from the list, or enter a Hub id"),
        ("/compare", ["x", "default", "/etc"], "choose one from the list, or enter a Hub id"),
        ("/compare", ["x", 5, "default"], "must be a name, not int"),
    ],
)
def test_invalid_calls_are_rejected(client: Client, name: str, arguments: list[Any], expected: str) -> None:
    with pytest.raises(Exception, match=expected):
        client.predict(*arguments, api_name=name)


REQUESTS = [
    ("passages", ["a \ud83d. b"], "complete"),
    ("analyze", ["a \ud83d"], "complete"),
    ("analyze", [None], "error"),
    ("analyze", [], "error"),
    ("show", [None, "default", "attention"], "error"),
    ("show", ["x", ["default"], "attention"], "error"),
    ("score", [None, None, "default", None, ""], "error"),
    ("score", [None, "a\nb", "default", None, ""], "complete"),
    ("score", [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "", "default", None, ""], "error"),
    ("score", [{"path": "../../etc/passwd", "meta": {"_type": "gradio.FileData"}}, "", "default", None, ""], "error"),
    ("sorted_rows", ["joy", "high", "word"], "complete"),
]


@pytest.mark.parametrize(("name", "data", "event"), REQUESTS)
def test_every_request_gets_a_response(demo: str, name: str, data: list[Any], event: str) -> None:
    body = json.dumps({"data": data}).encode()
    request = urllib.request.Request(f"{demo}/gradio_api/call/{name}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        event_id = json.load(response)["event_id"]
    with urllib.request.urlopen(f"{demo}/gradio_api/call/{name}/{event_id}", timeout=60) as stream:
        events = stream.read().decode()
    assert f"event: {event}" in events
    assert "root:" not in events


def call_endpoint(demo: str, route: str, data: list[Any]) -> tuple[str, Any]:
    """Call an endpoint with plain HTTP; return the final event and its data."""
    body = json.dumps({"data": data}).encode()
    request = urllib.request.Request(f"{demo}/gradio_api/{route}", body, {"Content-Type": "application/json"})
    if not route.startswith("call"):
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return "complete", json.load(response)["data"]
        except urllib.error.HTTPError as error:
            return "error", json.load(error)
    with urllib.request.urlopen(request, timeout=30) as response:
        event_id = json.load(response)["event_id"]
    with urllib.request.urlopen(f"{demo}/gradio_api/{route}/{event_id}", timeout=60) as stream:
        event, content = stream.read().decode().strip().splitlines()[-2:]
    return event.removeprefix("event: "), json.loads(content.removeprefix("data: "))


@pytest.mark.parametrize("prefix", ["call", "run", "api"])
def test_default_arguments(demo: str, prefix: str, model: EmotionClassifier) -> None:
    event, (words,) = call_endpoint(demo, f"{prefix}/explain", [SENTENCE])
    assert event == "complete"
    assert [word["text"] for word in words] == [word.text for word in model.explain(SENTENCE)]
    event, (comparison,) = call_endpoint(demo, f"{prefix}/compare", [SENTENCE, "default"])
    assert (event, comparison["first"], comparison["differ"]) == ("complete", comparison["second"], [])


@pytest.mark.parametrize("prefix", ["call", "run"])
@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("analyze", [], "missing argument: text; analyze takes text, model=''"),
        ("explain", [], "missing argument: text; explain takes text, label='', model=''"),
        ("compare", [], "missing argument: text, first; compare takes text, first, second='default'"),
        ("compare", [SENTENCE], "missing argument: first; compare takes text, first, second='default'"),
        ("batch", [], "missing argument: texts; batch takes texts, model=''"),
        ("passages", [], "missing argument: text; passages takes text, model=''"),
        ("analyze", [SENTENCE, "x", "y"], "3 arguments, but analyze takes 2: text, model=''"),
        ("models", ["x"], "1 arguments, but models takes 0"),
        ("analyze", [None], "must be a string, not NoneType"),
        ("analyze", [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}], "."),
        ("batch", [{"a": 1}], "must be a list of strings, not dict"),
        ("show", [SENTENCE], "missing argument: model_name, by; show takes content, model_name, by"),
        ("show", [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "default", "attention"], "."),
        ("score", [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "", "default", "", ""], "."),
        ("sorted_rows", [{}, []], "."),
        ("give_verdict", [], "."),
    ],
)
def test_every_error_has_a_message(demo: str, prefix: str, name: str, data: list[Any], expected: str) -> None:
    event, content = call_endpoint(demo, f"{prefix}/{name}", data)
    if event == "complete":  # endpoints of the page may ignore invalid input
        assert name == "sorted_rows"
        return
    assert isinstance(content["error"], str)
    assert re.search(expected.replace("(", r"\("), content["error"])
    assert "/etc" not in content["error"]


def test_too_large_requests_are_rejected(demo: str) -> None:
    body = b'{"data": ["' + b"x" * 23_000_000 + b'"]}'
    request = urllib.request.Request(f"{demo}/gradio_api/call/analyze", body, {"Content-Type": "application/json"})
    with pytest.raises((urllib.error.HTTPError, ConnectionError, urllib.error.URLError)) as error:
        urllib.request.urlopen(request, timeout=30)
    if isinstance(error.value, urllib.error.HTTPError):
        assert error.value.code == 413


def snippet(language: str, contains: str) -> str:
    """Return the code block of docs/how-to/serve.md that contains a string."""
    guide = (ROOT / "docs" / "how-to" / "serve.md").read_text(encoding="utf-8")
    (block,) = (block for block in re.findall(rf"```{language}\n(.*?)```", guide, re.DOTALL) if contains in block)
    return str(block)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(demo: str) -> None:
    shell = snippet("bash", "gradio_api/call").replace("http://127.0.0.1:7860", demo)
    result = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    event, data = result.stdout.strip().splitlines()
    assert event == "event: complete"
    (prediction,) = json.loads(data.removeprefix("data: "))
    assert prediction["labels"][0] == "gratitude"
    assert list(prediction["probabilities"]) == list(LABELS)


def test_python_client_of_the_guide(demo: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = snippet("python", "gradio_client").replace("http://127.0.0.1:7860", demo)
    exec(compile(code, "serve.md", "exec"), {})
    assert "gratitude" in capsys.readouterr().out


def test_mcp_tools(demo: str) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def call_tools() -> tuple[Any, Any, Any]:
        async with (
            streamable_http_client(f"{demo}/gradio_api/mcp/") as (read, write, *_),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = await session.list_tools()
            valid_result = await session.call_tool("analyze", {"text": "Thank you so much!"})
            return tools, valid_result, await session.call_tool("analyze", {"text": "x" * 20_001})

    tools, valid_result, invalid_result = asyncio.run(call_tools())
    by_name = {tool.name: tool for tool in tools.tools}
    assert set(by_name) == {name.strip("/") for name in ENDPOINTS}
    assert "most probable first" in by_name["analyze"].description
    assert by_name["batch"].inputSchema["properties"]["texts"]["type"] == "array"
    assert ast.literal_eval(valid_result.content[0].text)["labels"][0] == "gratitude"
    assert invalid_result.isError
    assert "at most 20,000" in invalid_result.content[0].text
