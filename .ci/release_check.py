"""Check what a release would publish: `make release-check`; takes about ten minutes and needs a package index.

The checks: versions and results agree in all documents; the source distribution and the wheel build and have valid
metadata; the wheel, without extras and with each of them, runs README's quickstart in a fresh environment.
"""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import venv
import zipfile
from collections.abc import Callable, Sequence
from email.parser import HeaderParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
MODELS = ("default_model", "accurate_model")
TABLE = "id,text,date,product\n1,Thank you!,2026-01-05,kettle\n2,Oh no,2026-01-06,toaster\n"
"""Content of comments.csv, which README's commands read."""
EXTRAS = {
    "parquet": ["evenmood predict comments.csv out.parquet", "evenmood predict out.parquet --emotions-only --proba"],
    "ray": [
        "evenmood predict comments.csv in.parquet",
        "evenmood predict in.parquet out.parquet --engine ray --emotions-only --id text",
    ],
    "eval": ["python -c 'import evenmood.evaluation.metrics as metrics; print(metrics.score)'"],
    "xlsx": ["evenmood predict comments.csv out.xlsx", "evenmood predict out.xlsx --emotions-only --proba"],
}
"""Commands that each extra enables."""
SCORE_TOLERANCE = 0.02
"""Maximum difference between scores in a card and on this machine, which may round differently."""


class CheckError(Exception):
    """A failed check; the message is one line."""


def versions(root: Path = ROOT, tag: str | None = None) -> list[str]:
    """Return differences between the package's version and those in the documents and the tag."""
    text = {
        name: (root / name).read_text(encoding="utf-8")
        for name in ("evenmood/__init__.py", "CHANGELOG.md", "CITATION.cff", "SECURITY.md", "docs/sample-report.html")
    }
    version = _first(r'^__version__ = "(.+)"$', text["evenmood/__init__.py"])
    day = _first(rf"^## \[{re.escape(version)}\] - (\d{{4}}-\d\d-\d\d)$", text["CHANGELOG.md"])
    comparisons = {
        "CHANGELOG.md: latest version": (_first(r"^## \[(\d.*?)\]", text["CHANGELOG.md"]), version),
        "CHANGELOG.md: link": (_first(r"^\[Unreleased\]: .*/v(.+)\.\.\.HEAD$", text["CHANGELOG.md"]), version),
        "CITATION.cff: version": (_first(r"^version: (.+)$", text["CITATION.cff"]), version),
        "CITATION.cff: date-released": (_first(r"^date-released: (.+)$", text["CITATION.cff"]), day),
        "SECURITY.md: supported version": (
            _first(r"^\| ([\d.]+) \| yes \|$", text["SECURITY.md"]),
            ".".join(version.split(".")[:2]),
        ),
        "docs/sample-report.html": (_first(r'content="evenmood (.+?)"', text["docs/sample-report.html"]), version),
    }
    if (root / "web/package.json").is_file():
        package = json.loads((root / "web/package.json").read_text(encoding="utf-8"))
        comparisons["web/package.json"] = (package["version"], version)
    if tag is not None:
        comparisons["tag"] = (tag, f"v{version}")
        comparisons["CHANGELOG.md: entries under Unreleased"] = (
            _first(r"^## \[Unreleased\]\s*((?s:.*?))\s*^## \[", text["CHANGELOG.md"]) or "none",
            "none",
        )
    return [
        f"{name}: {actual!r}, expected {expected!r}"
        for name, (actual, expected) in comparisons.items()
        if actual != expected
    ]


def _first(pattern: str, text: str) -> str:
    """Return the first group of the first match; empty if there is none."""
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else ""


def documents() -> list[str]:
    """Return errors about documents that are out of date with the results files."""
    from data_build.publishing import report
    from train.release import quality_log

    errors = []
    result = subprocess.run([sys.executable, "docs/build.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        errors.append(result.stderr.strip().removeprefix("error: "))
    content = json.loads((ROOT / "results/dataset.json").read_text(encoding="utf-8"))
    if report.render(content, "figures/dataset") != (ROOT / "docs/dataset.md").read_text(encoding="utf-8"):
        errors.append("docs/dataset.md differs from results/dataset.json; run: python -m data_build report")
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "log.md"
        quality_log.write_document(ROOT / "results/quality-log.jsonl", document)
        if document.read_bytes() != (ROOT / "docs/quality-log.md").read_bytes():
            errors.append("docs/quality-log.md differs from results/quality-log.jsonl; run: python -m train log")
    return errors


def models() -> list[str]:
    """Return differences between the bundled models, their cards and their results files."""
    return [error for name in MODELS for error in model(ROOT / "evenmood" / name, ROOT / f"results/{name}.json")]


def model(folder: Path, results: Path) -> list[str]:
    """Return differences between a bundled model, its card and its results file."""
    from evenmood.model.model_folder import CARD_FILE, PREDICTION_FILES, read_info
    from train.release.card import write_card

    errors = []
    info, content = read_info(folder), json.loads(results.read_text(encoding="utf-8"))
    if {name: (folder / name).stat().st_size for name in PREDICTION_FILES} != content["bytes"]:
        errors.append(f"{results.name}: file sizes differ from those in {folder.name}")
    differences = {abs(value - content["thresholds"].get(label, 1)) for label, value in info.thresholds.items()}
    if max(differences) > 1e-6:  # results files have six digits
        errors.append(f"{results.name}: thresholds differ from those in {folder.name}")
    with tempfile.TemporaryDirectory() as temporary:
        model_copy = Path(temporary) / folder.name
        shutil.copytree(folder, model_copy)
        write_card(model_copy)
        old_card, new_card = ((path / CARD_FILE).read_text(encoding="utf-8") for path in (folder, model_copy))
    (old_scores, old_numbers), (new_scores, new_numbers) = _card_parts(old_card), _card_parts(new_card)
    if old_numbers != new_numbers:
        errors.append(f"{folder.name}/{CARD_FILE}: metrics or version differ from those in the model's training record")
    differences = {abs(score - new_scores[key]) for key, score in old_scores.items() if key in new_scores} or {1.0}
    if max(differences) > SCORE_TOLERANCE:
        errors.append(f"{folder.name}/{CARD_FILE}: example scores differ from the model's by {max(differences):.3f}")
    return errors


def _card_parts(card: str) -> tuple[dict[tuple[str, str], float], list[str]]:
    """Return the scores of a card's examples, by text and label, and all other decimal numbers in it."""
    widget = _first(r"^widget:\n((?s:.*?))^\w", card)
    scores = {}
    for example in widget.split("- text: ")[1:]:
        for label, score in re.findall(r"- label: (\w+)\s+score: ([\d.]+)", example):
            scores[example.splitlines()[0], label] = float(score)
    return scores, re.findall(r"\d+\.\d+", card.replace(widget, ""))


def build() -> list[str]:
    """Build both distributions; return errors in their metadata and content."""
    DIST.mkdir(exist_ok=True)
    for old_file in DIST.glob("evenmood-*"):
        old_file.unlink()
    _run([sys.executable, "-m", "build", "--outdir", str(DIST), str(ROOT)])
    files = sorted(DIST.glob("evenmood-*"))
    _run([sys.executable, "-m", "twine", "check", "--strict", *map(str, files)])
    return contents(files)


def contents(files: Sequence[Path]) -> list[str]:
    """Return errors about missing files, wrong extras, and relative links in the descriptions of distributions."""
    errors = []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for file in files:
        if file.suffix == ".whl":
            with zipfile.ZipFile(file) as wheel:
                names = wheel.namelist()
                (name,) = (name for name in names if name.endswith(".dist-info/METADATA"))
                metadata = HeaderParser().parsestr(wheel.read(name).decode())
        else:
            with tarfile.open(file) as source:
                names = [name.partition("/")[2] for name in source.getnames()]
                content = source.extractfile(f"{file.name.removesuffix('.tar.gz')}/PKG-INFO")
                metadata = HeaderParser().parsestr(content.read().decode() if content else "")
        absent = [f"evenmood/{model}/model.onnx" for model in MODELS if f"evenmood/{model}/model.onnx" not in names]
        errors += [f"{file.name}: {name} is missing" for name in absent]
        if set(metadata.get_all("Provides-Extra", [])) != set(project["optional-dependencies"]):
            errors.append(f"{file.name}: extras differ from those in pyproject.toml")
        relative = re.findall(r"\]\((?!https?:|#)([^)]+)\)", str(metadata.get_payload()))
        errors += [f"{file.name}: the description has a relative link to {link}" for link in relative[:1]]
    return errors


def quickstart(commands: Path, folder: Path) -> None:
    """Run README's Python examples and commands, and compare the output with README's.

    Args:
        commands: Folder of the environment's commands.
        folder: Folder to run in.

    Raises:
        CheckError: An example fails, or its output differs.
    """
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```(?:\s|<!--.*?-->)*(?:```text\n(.*?)```)?", readme, re.DOTALL)
    for number, (code, output) in enumerate(examples, 1):
        if number == 2:  # README requires pandas from the second example on
            install(commands, "pandas")
        actual_output = _run([str(commands / "python"), "-W", "ignore", "-c", code], folder)
        if output and actual_output != output:
            raise CheckError(f"README.md: example {number} printed {actual_output!r}; expected {output!r}")
    blocks = "".join(re.findall(r"```bash\n(.*?)```", readme, re.DOTALL))
    run_all([line for line in blocks.splitlines() if line.startswith("evenmood ")], commands, folder)


def run_all(lines: Sequence[str], commands: Path, folder: Path) -> None:
    """Write the table to a folder, and run commands of an environment there."""
    (folder / "comments.csv").write_text(TABLE, encoding="utf-8")
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        _run([str(commands / program), *arguments], folder)


def install(commands: Path, *requirements: str) -> None:
    """Install packages into an environment."""
    pip = [sys.executable, "-m", "pip", "--python", str(commands / "python"), "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", *requirements])


def run_wheel(extra: str | None) -> list[str]:
    """Install the wheel into a fresh environment, with or without an extra; return errors of running it."""
    (wheel,) = DIST.glob("evenmood-*.whl")
    with tempfile.TemporaryDirectory() as temporary:
        work_folder = Path(temporary) / "work"
        work_folder.mkdir()
        venv.create(Path(temporary) / "venv", with_pip=False)
        commands = Path(temporary) / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
        install(commands, f"{wheel}[{extra}]" if extra else str(wheel))
        version = _run([str(commands / "evenmood"), "--version"], work_folder).strip()
        if version != wheel.name.split("-")[1]:
            return [f"{wheel.name}: evenmood --version prints {version}"]
        quickstart(commands, work_folder)
        if extra:
            run_all(EXTRAS[extra], commands, work_folder)
    return []


def _run(command: Sequence[str], folder: Path = ROOT) -> str:
    """Run a command and return its output.

    Raises:
        CheckError: The command fails; the message ends with its last line of output.
    """
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=1800)
    if result.returncode:
        lines = (result.stdout + result.stderr).strip().splitlines() or [f"exit code {result.returncode}"]
        reason = next((line for line in reversed(lines) if "error" in line.lower()), lines[-1])
        command_line = " ".join([Path(command[0]).name, *command[1:]])
        raise CheckError(f"{command_line:.100}: {' '.join(reason.split())}")
    return result.stdout


def main() -> None:
    """Run all checks; exit with 1 if one fails."""
    parser = argparse.ArgumentParser(description="Check what a release would publish.")
    parser.add_argument("--tag", help="Tag of the release, such as v1.2.3")
    parser.add_argument("--no-install", action="store_true", help="Do not install the wheel")
    options = parser.parse_args()
    checks: list[tuple[str, Callable[[], list[str]]]] = [
        ("versions", lambda: versions(tag=options.tag)),
        ("results in the documents", documents),
        ("models, cards and results", models),
        ("source distribution and wheel", build),
    ]
    if not options.no_install:
        checks.append(("wheel", lambda: run_wheel(None)))
        checks += [(f"wheel[{extra}]", lambda extra=extra: run_wheel(extra)) for extra in EXTRAS]  # type: ignore[misc]
    failures = 0
    for name, check in checks:
        started = time.monotonic()
        try:
            errors = check()
        except CheckError as failure:
            errors = [str(failure)]
        print(f"{'failed' if errors else 'ok':6}  {name}  ({time.monotonic() - started:.0f} s)", flush=True)
        for error in errors:
            print(f"error: {error}", file=sys.stderr, flush=True)
        failures += bool(errors)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
