"""The README works in a clean shell, is short, and has current results and versions."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from evenmood.cli.command import DEPENDENCY_GROUPS, EXTRAS
from tests.fresh_environment import NETWORK_ERRORS

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


@pytest.mark.slow
def test_readme_works_in_a_clean_shell(tmp_path: Path) -> None:
    """Clone the repository and run the code blocks in order, in a shell with only the system Python."""
    text = README.read_text(encoding="utf-8")
    subprocess.run(["git", "clone", "--quiet", ROOT, tmp_path / "clone"], check=True)
    changed_files = subprocess.run(
        ["git", "diff", "--name-only", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in changed_files.stdout.splitlines():  # uncommitted changes
        if (ROOT / name).is_file():
            (tmp_path / "clone" / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "clone" / "comments.csv").write_text("text\nThank you!\n", encoding="utf-8")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.base_prefix + "/bin/python3")
    blocks = re.findall(r"```(bash|python)\n(.*?)```", text, re.DOTALL)
    script = "set -e\n"
    for language, block in blocks:
        script += block if language == "bash" else f"python <<'END'\n{block}END\n"
    script = re.sub(r"^make .*\n", "", script, flags=re.MULTILINE)  # slow; tested in CI
    base = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name == "SSL_CERT_FILE"}
    result = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path / "clone",
        capture_output=True,
        text=True,
        check=False,
        env={**base, "HOME": str(tmp_path), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
    )
    if result.returncode and any(error in result.stdout + result.stderr for error in NETWORK_ERRORS):
        pytest.skip("package index not reachable")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "clone" / "emotions.csv").is_file()
    assert "gratitude" in result.stdout


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 180


def test_extras_and_groups_in_errors_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(EXTRAS.values()) == set(project["project"]["optional-dependencies"])
    for group, modules in DEPENDENCY_GROUPS.items():
        requirements = re.findall(r"[\w-]+", " ".join(project["dependency-groups"][group]))
        for module in modules:
            assert {module, module.replace("_", "-"), f"{module}-community"} & set(requirements), module


def test_changelog_has_the_current_version() -> None:
    import evenmood

    assert f"## [{evenmood.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_citation_has_the_current_version() -> None:
    import evenmood

    assert f"\nversion: {evenmood.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
