"""README and documents: examples run, commands exist, links are valid, and the site builds."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections import Counter
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas
import pytest
import typer

from data_build.publishing import publish
from data_build.stages import goemotions
from docs import site_check
from docs.command_pages import PROGRAMS
from evenmood.cli.commands import arguments_of
from tests.fakes.hub_repository import files_of
from tests.fakes.hub_server import HubServer
from tests.snippets import PAGES, ROOT, Snippet, snippets

PYTHON, SHELL = snippets("python"), snippets("bash")
COMMANDS = sorted({command for snippet in SHELL for command in snippet.commands})
NOT_RUN = {
    ("docs/how-to/models.md", "python"): 1,
    ("docs/how-to/ray.md", "bash"): 1,
    ("docs/how-to/retrain.md", "bash"): 1,
    ("docs/how-to/serve.md", "bash"): 1,
    ("docs/how-to/serve.md", "python"): 1,  # tests/space/test_programs.py runs it against a server
    ("docs/how-to/thresholds.md", "bash"): 1,
}
"""Number of blocks with a `not run` comment, by page and language."""


def page_of(snippet: Snippet) -> str:
    return snippet.page


def commands_of(program: str) -> list[str]:
    return [command for command in COMMANDS if command == program or command.startswith(f"{program} ")]


def test_skipped_snippets_are_listed() -> None:
    assert Counter((snippet.page, snippet.language) for snippet in (*PYTHON, *SHELL) if snippet.reason) == NOT_RUN


@pytest.mark.parametrize("snippet", [snippet for snippet in PYTHON if not snippet.reason], ids=page_of)
def test_python_snippets_run(
    snippet: Snippet, tmp_path: Path, hub: HubServer, token: str, evaluated_model: Path, small_data: Path
) -> None:
    hub.add("you/evenmood", files_of(evaluated_model))
    if "load_dataset" in snippet.code:
        goemotions.run(tmp_path, print, str(small_data), any_size=True)
        publish.publish(tmp_path, "you/even-emotions", print)
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    result = subprocess.run(
        [sys.executable, "-c", snippet.code], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout or "save_pretrained" in snippet.code


@pytest.mark.parametrize(
    "page", sorted({snippet.page for snippet in SHELL if re.search(r"^evenmood ", snippet.code, re.M)})
)
def test_evenmood_commands_run(page: str, tmp_path: Path) -> None:
    rows = [[1, "Thank you!", "2026-01-05", "kettle"], [2, "Oh no", "2026-01-06", "toaster"]]
    table = pandas.DataFrame(rows, columns=["id", "text", "date", "product"])
    blocks = [snippet for snippet in SHELL if snippet.page == page and not snippet.reason]
    for command in (command for block in blocks for command in block.commands if re.search(r"\bevenmood ", command)):
        for path in tmp_path.iterdir():
            path.unlink()
        table.to_csv(tmp_path / "comments.csv", index=False)
        shell = f'set -e -o pipefail; PATH="{Path(sys.executable).parent}:$PATH"; {command}'
        result = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{command}: {result.stderr}"
        created = [path.name for path in tmp_path.iterdir() if path.name != "comments.csv"]
        assert bool(result.stdout) is not bool(created), command
        assert all(name in command for name in created)


@pytest.mark.parametrize("program", PROGRAMS)
def test_commands_and_options_exist(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENMOOD_PASSPHRASE", "a passphrase for the annotation app")
    app: Any = typer.main.get_command(import_module(PROGRAMS[program][1]).app)
    lines = commands_of(program)
    assert lines
    for line in lines:
        words = shlex.split(re.split(r" [|>] ", line)[0])[len(program.split()) :]
        if program == "evenmood":
            words = arguments_of(words, piped=False)
        if "--help" in words:
            words.remove("--help")
            assert not words or words[0] in app.commands, line
            continue
        context = app.make_context(program, words)
        if hasattr(app, "commands"):
            name, command, rest = app.resolve_command(context, [*context._protected_args, *context.args])
            command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("target", sorted({line.split()[1] for line in commands_of("make")}))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_extras_and_groups_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for line in COMMANDS:
        if "pip install" in line:
            for extra in re.findall(r"\[([\w,]+)\]", line):
                assert set(extra.split(",")) <= set(project["project"]["optional-dependencies"]), line
            assert set(re.findall(r"--group (\w+)", line)) <= set(project["dependency-groups"]), line


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_images_and_links_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"\]\((?!\w+:)([^)#\s]+)(?:#[^)]*)?\)", text):
        assert (page.parent / path).is_file(), path


@pytest.mark.skipif(find_spec("zensical") is None, reason="zensical is not installed: pip install --group docs")
def test_site_builds_without_external_resources(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "docs/build_site.py", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    site = tmp_path / "site"
    assert (site / "search.json").stat().st_size > 100_000
    reference = (site / "reference/api.html").read_text(encoding="utf-8")
    assert all(f'id="evenmood.EmotionClassifier.{name}"' in reference for name in ("predict", "from_pretrained"))
    assert "--emotions-only" in (site / "reference/evenmood.html").read_text(encoding="utf-8")
    (site / "broken.html").write_text('<img src="nope.png"><a href="faq.html#nope"></a><script src="//cdn/x.js">')
    assert list(site_check.problems(site)) == [
        "broken.html loads //cdn/x.js",
        "broken.html links to faq.html#nope, which has no such anchor",
        "broken.html links to nope.png, which does not exist",
    ]
    assert list(site_check.nav_problems("\nnav:\n  - Home: home.md\n", tmp_path / "docs"))[-1].endswith(
        "nav names home.md, which does not exist"
    )
