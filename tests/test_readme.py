"""README and guides: snippets run, links lead somewhere, figures and the file list are current."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from data_build.publishing import publish
from data_build.stages import goemotions
from evenmood.cli.command import EXTRAS, GROUPS
from tests.commands import run_command
from tests.fakes.hub_repository import files_of
from tests.fakes.hub_server import HubServer
from tests.fresh_environment import NO_INDEX

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
NAMES = ("hub.md", "data-build.md", "training.md", "models.md", "report.md")
GUIDES = [README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs" / name for name in NAMES)]
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in GUIDES)
SNIPPETS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("snippet", [snippet for snippet in SNIPPETS if "gradio_client" not in snippet])
def test_python_snippets_run(
    snippet: str, tmp_path: Path, hub: HubServer, token: str, evaluated_model: Path, small_data: Path
) -> None:
    hub.add("you/evenmood", files_of(evaluated_model))
    if "load_dataset" in snippet:
        goemotions.run(tmp_path, print, str(small_data), any_size=True)
        publish.publish(tmp_path, "you/even-emotions", print)
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("evenmood ")])
def test_evenmood_commands_run(command: str, tmp_path: Path) -> None:
    rows = "id,text,date,product\n1,Thank you!,2026-01-05,kettle\n2,Oh no,2026-01-06,toaster\n"
    (tmp_path / "comments.csv").write_text(rows, encoding="utf-8")
    shell = f'PATH="{Path(sys.executable).parent}:$PATH"; {command}'
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if "report.html" in command:
        assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")
    elif "emotions.csv" in command:
        assert len((tmp_path / "emotions.csv").read_text().splitlines()) == 3
    else:
        assert done.stdout


def test_the_readme_works_in_a_clean_shell(tmp_path: Path) -> None:
    """A clone, and the commands in the README's order, in a shell that knows the system's Python alone."""
    text = README.read_text(encoding="utf-8")
    subprocess.run(["git", "clone", "--quiet", ROOT, tmp_path / "clone"], check=True)
    tracked = subprocess.run(
        ["git", "diff", "--name-only", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in tracked.stdout.splitlines():  # what is not committed yet
        if (ROOT / name).is_file():
            (tmp_path / "clone" / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "clone" / "comments.csv").write_text("text\nThank you!\n", encoding="utf-8")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.base_prefix + "/bin/python3")
    blocks = re.findall(r"```(bash|python)\n(.*?)```", text, re.DOTALL)
    script = "set -e\n"
    for language, block in blocks:
        script += block if language == "bash" else f"python <<'END'\n{block}END\n"
    script = re.sub(r"^make .*\n", "", script, flags=re.MULTILINE)  # tested by CI, in minutes
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name == "SSL_CERT_FILE"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path / "clone",
        capture_output=True,
        text=True,
        check=False,
        env={**kept, "HOME": str(tmp_path), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
    )
    if done.returncode and any(sign in done.stdout + done.stderr for sign in NO_INDEX):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clone" / "emotions.csv").is_file()
    assert "gratitude" in done.stdout


@pytest.mark.parametrize("target", sorted({line.split()[1] for line in COMMANDS if line.startswith("make ")}))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("python -m ")])
def test_module_commands_have_these_flags(command: str) -> None:
    module, *words = command.split()[2:]
    name = [] if "." in module else words[:1]
    done = run_command(module, *name, "--help")
    assert done.returncode == 0, done.stderr
    for flag in re.findall(r"--[a-z-]+", command):
        assert flag in done.stdout


def test_figures_output_and_file_tree_are_current() -> None:
    done = subprocess.run([sys.executable, "docs/build.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_pictures_and_links_exist(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text) + re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", text):
        assert (guide.parent / path).is_file(), path


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 180


def test_every_remedy_that_an_error_names_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(EXTRAS.values()) == set(project["project"]["optional-dependencies"])
    for group, modules in GROUPS.items():
        brought = re.findall(r"[\w-]+", " ".join(project["dependency-groups"][group]))
        for module in modules:
            assert {module, module.replace("_", "-"), f"{module}-community"} & set(brought), module


def test_changelog_has_this_version() -> None:
    import evenmood

    assert f"## [{evenmood.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_citation_has_this_version() -> None:
    import evenmood

    assert f"\nversion: {evenmood.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
