"""The demo: start, network access, errors for invalid options, translations."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.screenshot import ROOT, running_demo
from evenmood import EmotionClassifier
from space.components.texts import LANGUAGES, TEXTS
from space.tabs.about import about

APP = ROOT / "space" / "app.py"


def run_app(*options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(APP), "--no-browser", *options]
    variables = {**os.environ, "EVENMOOD_FEEDBACK": "", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=variables, check=False, timeout=60)


def test_server_makes_no_outgoing_requests() -> None:
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
        environment = {**dict.fromkeys(names, address), "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
        with running_demo(environment=environment):
            proxy.settimeout(12)  # telemetry of onnxruntime, if enabled, starts after about nine seconds
            with pytest.raises(TimeoutError):
                proxy.accept()


@pytest.mark.parametrize("metric", [0.4, {"value": 0.4, "low": 0, "high": 1}])
def test_malformed_metrics_are_ignored(folder: Path, metric: Any) -> None:
    info = json.loads((folder / "emotions.json").read_text()) | {"metrics": {"test": {"macro_f1": metric}}}
    (folder / "emotions.json").write_text(json.dumps(info))
    html = about("en", {"odd": EmotionClassifier.from_pretrained(folder)})
    assert "odd" in html
    assert "has no measured results" in html


def test_port_in_use_is_reported() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        result = run_app("--port", port)
    assert result.returncode == 1
    assert result.stderr == f"error: cannot listen on port {port} of 127.0.0.1; choose another port with --port\n"


def test_demo_starts_quickly_without_training_frameworks(tmp_path: Path) -> None:
    script = (
        "import runpy, sys\n"
        f"app = runpy.run_path({str(APP)!r})\n"
        "print('gradio' in sys.modules)\n"  # slow: the app checks its options first
        "from space.demo import build_demo\n"
        "build_demo(app['Models'](), None, app['Path'](sys.argv[1]))\n"
        "print([name for name in ('tensorflow', 'keras', 'torch', 'jax') if name in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == ["False", "[]"]
    start = time.monotonic()
    with running_demo():
        assert time.monotonic() - start < 20  # under 5 on an idle machine: results/demo.json


def test_demo_starts_on_a_busy_machine(tmp_path: Path) -> None:
    """Gradio may check that the page responds within three seconds; the demo starts without this check."""
    script = (
        "import runpy, sys\n"
        "import gradio.networking\n"
        "gradio.networking.url_ok = lambda url: False\n"
        f"sys.argv = ['app.py', '--no-browser', '--feedback', '', '--trained', {str(tmp_path)!r}]\n"
        f"runpy.run_path({str(APP)!r}, run_name='__main__')\n"
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout
        try:
            assert any("/gradio_api/mcp/" in line for line in process.stdout)  # the last line before serving
        finally:
            process.terminate()


@pytest.mark.parametrize(
    "option", ["--model", *(pytest.param(option, marks=pytest.mark.slow) for option in ("--folder", "environment"))]
)
def test_invalid_model_is_rejected(tmp_path: Path, option: str) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    options = [option, str(folder)] if option != "environment" else []
    result = run_app(*options, **({"EVENMOOD_MODEL": str(folder)} if option == "environment" else {}))
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {folder}: not an evenmood model folder, missing files: model.onnx,")
    assert len(result.stderr.splitlines()) == 1


def test_invalid_feedback_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run_app("--feedback", str(tmp_path / "file" / "folder"))
    assert result.returncode == 1
    assert "choose another folder with --feedback, or '' for none" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_translations_are_complete_and_have_the_same_placeholders() -> None:
    import string

    def placeholders(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    english = TEXTS["en"]
    for language in LANGUAGES[1:]:
        texts = TEXTS[language]
        assert list(texts) == list(english), language
        assert list(texts["names"]) == list(english["names"]), language
        for key in english:
            if key != "names":
                assert placeholders(texts[key]) == placeholders(english[key]), (language, key)
                may_be_equal = key in ("comma", "macro_f1", "micro_f1", "macro_roc_auc")
                assert may_be_equal or texts[key] != english[key], (language, key)


def test_every_text_is_used() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "space").rglob("*.py"))
    prefixes = ("split_", "sort_", "left_out", "legend_")  # keys composed in the code
    for key in TEXTS["en"]:
        assert f'"{key}"' in source or f"'{key}'" in source or key.startswith(prefixes), key


def test_front_matter_and_requirements_match_the_project() -> None:
    metadata = yaml.safe_load((ROOT / "space/README.md").read_text().split("---")[1])
    constraints = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert metadata["sdk"] == "gradio"
    assert metadata["sdk_version"] == constraints["gradio"]
    assert metadata["python_version"] in ("3.11", "3.12", "3.13")
    assert (ROOT / "space" / metadata["app_file"]).is_file()
    assert len(metadata["short_description"]) <= 60
    project = (ROOT / "pyproject.toml").read_text()
    for line in (ROOT / "space/requirements.txt").read_text().splitlines():
        assert f'"{line}",' in project
