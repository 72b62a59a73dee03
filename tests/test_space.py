"""The demo: the real app, asked by the real Gradio client and walked through in a real browser."""

import json
import os
import runpy
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from gradio_client import Client
from playwright.sync_api import Browser, Page, Request

from docs.screenshot import ROOT, SENTENCE, ask, chromium, running_demo
from evenmood import LABELS, EmotionClassifier

APP = ROOT / "space" / "app.py"
needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    with running_demo() as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_the_endpoint_answers_as_the_library(demo: str, model: EmotionClassifier) -> None:
    client = Client(demo, verbose=False)
    try:
        answer = client.predict(SENTENCE, api_name="/analyse")
        expected = model.predict(SENTENCE)
        assert [row["label"] for row in answer["labels"]] == expected.names
        assert answer["labels"][0]["probability"] == pytest.approx(expected.labels[0].probability)
        assert answer["labels"][0]["threshold"] == pytest.approx(expected.labels[0].threshold)
        assert answer["fallback"] is expected.fallback
        assert list(answer["probabilities"]) == list(LABELS)
        endpoints = client.view_api(return_format="dict")["named_endpoints"]
        assert list(endpoints) == ["/analyse"]
        with pytest.raises(Exception, match="20,001 characters; at most 20,000"):
            client.predict("x" * 20_001, api_name="/analyse")
    finally:
        client.close()


def test_the_server_asks_nothing_of_the_outside() -> None:
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
        environment = {**dict.fromkeys(names, address), "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
        with running_demo(environment=environment):
            proxy.settimeout(12)  # onnxruntime's telemetry, where it is on, reports after about nine seconds
            with pytest.raises(TimeoutError):
                proxy.accept()


@pytest.mark.parametrize("figure", [0.4, {"value": 0.4}, {"value": "x", "low": 0, "high": 1}])
def test_a_model_with_odd_figures_is_shown_without_them(folder: Path, figure: Any) -> None:
    app = runpy.run_path(str(APP))
    info = json.loads((folder / "emotions.json").read_text()) | {"metrics": {"test": {"macro_f1": figure}}}
    (folder / "emotions.json").write_text(json.dumps(info))
    assert "Macro-F1" not in app["about"](EmotionClassifier.from_pretrained(folder), "odd")


def test_a_taken_port_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, str(APP), "--no-browser", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: cannot listen on port {port} of 127.0.0.1; choose another with --port\n"


def test_it_starts_quickly_and_without_a_training_framework() -> None:
    script = (
        "import runpy, sys\n"
        f"app = runpy.run_path({str(APP)!r})\n"
        "demo = app['build_demo'](app['EmotionClassifier'].from_pretrained(), 'x')\n"
        "print([name for name in ('tensorflow', 'keras', 'torch', 'jax') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    started = time.monotonic()
    with running_demo():
        assert time.monotonic() - started < 20  # 5 on an idle machine


@pytest.mark.parametrize("where", ["option", "environment"])
def test_a_wrong_model_is_one_line(tmp_path: Path, where: str) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    options = ["--model", str(folder)] if where == "option" else []
    environment = {**os.environ, **({"EVENMOOD_MODEL": str(folder)} if where == "environment" else {})}
    command = [sys.executable, str(APP), "--no-browser", *options]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {folder}: not an evenmood model folder, model.onnx and")
    assert len(done.stderr.splitlines()) == 1


def test_a_model_without_attention(average_folder: Path) -> None:
    with running_demo("--model", str(average_folder)) as url:
        client = Client(url, verbose=False)
        assert client.predict("one two", api_name="/analyse")["labels"]
        client.close()


def visit(browser: Browser, **options: Any) -> tuple[Page, list[str]]:
    page = browser.new_page(**options)
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    return page, asked


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_a_visit(demo: str, browser: Browser, model: EmotionClassifier, scheme: Any, width: int) -> None:
    page, asked = visit(browser, viewport={"width": width, "height": 800}, color_scheme=scheme)
    ask(page, demo, SENTENCE)
    names = [name.split("\n")[0] for name in page.locator("#result > * .given .name").all_inner_texts()]
    assert names == model.predict(SENTENCE).names
    assert page.locator("#result .bar .tick").count() == len(LABELS)
    assert page.locator("#words mark").all_inner_texts() == [word.text for word in model.explain(SENTENCE)]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    foreign = [url for url in asked if not url.startswith((demo, "data:", "blob:"))]
    assert foreign == []
    folder = os.environ.get("EVENMOOD_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"demo-{width}-{scheme}.png", full_page=True)
    page.close()


@needs_chromium
def test_text_is_never_html(demo: str, browser: Browser) -> None:
    page, _ = visit(browser)
    ask(page, demo, "<img src=x onerror=\"window.hacked=1\"> <b id='bold'>love</b> <script>window.hacked=1</script>")
    page.wait_for_timeout(500)
    assert page.evaluate("window.hacked") is None
    assert page.locator("#words img, #words b, #words script").count() == 0
    assert "<b id='bold'>" in page.locator("#words").inner_text()
    page.close()


@needs_chromium
def test_empty_text_examples_and_too_long_a_text(demo: str, browser: Browser) -> None:
    page, _ = visit(browser)
    page.goto(demo)
    page.get_by_role("button", name="Analyse").click()
    page.wait_for_selector("text=Write something, or choose an example.")
    page.get_by_text("I miss my grandmother").click()
    page.wait_for_selector("#result .given")
    page.get_by_label("Text").fill("word " * 5000)
    page.get_by_role("button", name="Analyse").click()
    page.wait_for_selector("text=at most 20,000 are taken")
    page.get_by_label("Text").fill("word " * 50)
    page.get_by_role("button", name="Analyse").click()
    page.wait_for_selector("text=the paler rest was not read")
    page.get_by_label("Text").fill("🙂 !!!")
    page.get_by_role("button", name="Analyse").click()
    page.wait_for_selector("text=No words to read here")
    page.close()


def test_front_matter_and_requirements_fit_the_project() -> None:
    front = yaml.safe_load((ROOT / "space/README.md").read_text().split("---")[1])
    constraints = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert front["sdk"] == "gradio"
    assert front["sdk_version"] == constraints["gradio"]
    assert front["python_version"] in ("3.11", "3.12", "3.13")
    assert (ROOT / "space" / front["app_file"]).is_file()
    assert len(front["short_description"]) <= 60
    project = (ROOT / "pyproject.toml").read_text()
    for line in (ROOT / "space/requirements.txt").read_text().splitlines():
        assert f'"{line}",' in project
