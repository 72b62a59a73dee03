"""Standard streams in various environments: ASCII terminal, cp1252, C locale, closed streams."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from docs.screenshot import ROOT, running_process
from evenmood import EmotionClassifier
from tests.conftest import DEFAULT_MODEL

STREAMS: dict[str, dict[str, str]] = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "latin-1, strict": {"PYTHONIOENCODING": "latin-1:strict"},
    "C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
NAME = "naïve–名前😂"


def run_raw(*arguments: str | Path, redirect: str = "", **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Run `python -m …` in a shell with redirections; return the output as bytes."""
    command = ["sh", "-c", f'exec "$@" {redirect}', "sh", sys.executable, "-m", *map(str, arguments)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG"))}
    return subprocess.run(command, capture_output=True, env={**inherited, **environment}, check=False, timeout=120)


RARE = "latin-1, strict"


def marks_of(environment: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if environment == RARE else []


@pytest.fixture(params=[pytest.param(STREAMS[name], id=name, marks=marks_of(name)) for name in STREAMS])
def streams(request: pytest.FixtureRequest) -> dict[str, str]:
    environment: dict[str, str] = request.param
    return environment


ASCII_STREAMS = ("ascii", "C locale")


@pytest.fixture(params=["ascii", pytest.param("C locale", marks=pytest.mark.slow)])
def ascii_streams(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environments without any non-ASCII character, for commands that take seconds to start."""
    environment: str = request.param
    return STREAMS[environment]


def test_text_with_bars(streams: dict[str, str], model: EmotionClassifier) -> None:
    """The text is read as UTF-8 even if Python decodes arguments as ASCII."""
    text = "I am so happy 😂"
    result = run_raw("evenmood", text, "--proba", **streams)
    assert (result.returncode, result.stderr) == (0, b"")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert len(rows) == 28
    expected = dict(zip(model.labels, model.predict_proba([text])[0], strict=True))
    assert {row[0].decode(): float(row[1]) for row in rows} == {
        label: round(float(value), 2) for label, value in expected.items()
    }
    assert b"####" in result.stdout
    assert b"?" not in result.stdout


def test_json_output(streams: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / NAME
    folder.mkdir()
    for path in DEFAULT_MODEL.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    info = json.loads((folder / "emotions.json").read_bytes())
    info["trained_from"] = {**info["trained_from"], "data": NAME}
    (folder / "emotions.json").write_text(json.dumps(info), encoding="utf-8")
    for arguments in (("info", "--json"), ("text", "Thank you! 😂", "--json", "--proba")):
        result = run_raw("evenmood", *arguments, "--model", str(folder), **streams)
        assert result.returncode == 0, result.stderr
        content = json.loads(result.stdout.decode(streams.get("PYTHONIOENCODING", "ascii").partition(":")[0]))
        if arguments[0] == "info":
            assert content["trained_from"]["data"] == NAME


def test_tables_are_utf8(streams: dict[str, str], tmp_path: Path) -> None:
    table = tmp_path / "in.csv"
    table.write_text(f"text,{NAME}\nThank you 😂,{NAME}\n", encoding="utf-8")
    result = run_raw("evenmood", "predict", table, **streams)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.decode("utf-8").splitlines()
    assert lines[0].startswith(f"text,{NAME},")
    assert lines[1].startswith(f"Thank you 😂,{NAME},")


ERRORS: dict[str, tuple[str, ...]] = {
    "evenmood": ("evenmood", "predict", f"{NAME}.csv"),
    "label": ("evenmood", "predict", "-", "--input-format", "csv", "--labels", NAME),
    "option": ("evenmood", "text", "hi", f"--{NAME}"),
    "train": ("train", "evaluate", NAME),
    "train options": ("train", "fit", "--data", NAME, "--out", f"{NAME}-out", "--soft-targets", f"{NAME}.parquet"),
    "data_build": ("data_build", "goemotions", f"{NAME}-build", "--data", NAME),
    "deploy": ("space.deploy", NAME),
}


@pytest.mark.parametrize(
    ("environment", "case"),
    [
        pytest.param(environment, case, marks=marks_of(environment))
        for environment in STREAMS
        for case, (program, *_) in ERRORS.items()
        if program == "evenmood" or environment in ASCII_STREAMS
    ],
)
def test_errors_are_one_line(environment: str, tmp_path: Path, case: str) -> None:
    folder = Path.cwd()
    os.chdir(tmp_path)
    try:
        result = run_raw(*ERRORS[case], redirect="</dev/null", PYTHONPATH=str(ROOT), **STREAMS[environment])
    finally:
        os.chdir(folder)
    assert result.returncode in (1, 2), result.stderr
    assert b"Traceback" not in result.stderr
    assert b"unexpected" not in result.stderr
    assert result.stderr.splitlines()[-1].lower().startswith(b"error: ")


@pytest.mark.parametrize("module", ["evenmood", "train", "data_build", "space.deploy"])
def test_closed_streams(module: str) -> None:
    """A closed standard output is an error if there are results to print; other streams may be closed."""
    for closed in ("2>&-", "<&-"):
        result = run_raw(module, "--help", redirect=closed)
        assert (result.returncode, result.stderr) == (0, b"")
        assert b"Usage" in result.stdout
    if module != "evenmood":
        result = run_raw(module, "--help", redirect=">&-")
        assert result.returncode == 1
        assert result.stderr == b"error: standard output is closed; there is nowhere to print to\n"
    result = run_raw(module, "--nothing", redirect=">&- 2>&-")
    assert result.returncode == 2


def test_demo_starts(ascii_streams: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, folder = f"http://127.0.0.1:{port}", tmp_path / NAME
    folder.mkdir()
    options = ["--no-browser", "--port", str(port), "--feedback", "", "--trained", str(folder)]
    command = [sys.executable, ROOT / "space" / "app.py", *options]
    environment = {**ascii_streams, "TMPDIR": str(tmp_path)}
    with running_process(command, url, environment), urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.status == 200


def test_errors_of_the_demo_are_one_line(ascii_streams: dict[str, str]) -> None:
    command = [sys.executable, str(ROOT / "space" / "app.py"), "--no-browser", "--model", f"/nowhere/{NAME}"]
    result = subprocess.run(command, capture_output=True, env={**os.environ, **ascii_streams}, check=False, timeout=120)
    assert result.returncode in (1, 2)
    assert b"Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith(b"error: ")
