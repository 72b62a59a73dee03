"""The npm package in Node: its tests, with reference results from Python and a fake Hub on loopback."""

import json
import os
import re
import subprocess
from pathlib import Path

from evenmood import EmotionClassifier
from evenmood.model.model_folder import PREDICTION_FILES
from tests.fakes.hub_server import HubServer
from tests.fakes.local_hub import TOKEN
from tests.web.reference import FUZZED, SCORED, fuzzed

SNIPPET = re.compile(r"```js\n(.*?)```", re.DOTALL)


def test_node_tests_pass(web: Path, reference_file: Path, hub: HubServer, token: str) -> None:
    folder = EmotionClassifier.from_pretrained().folder
    hub.add("me/evenmood", {name: (folder / name).read_bytes() for name in PREDICTION_FILES}, private=True)
    result = subprocess.run(
        ["node", "--test", "--test-reporter=spec", "test/"],
        cwd=web,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "EVENMOOD_REFERENCE": str(reference_file),
            "EVENMOOD_HUB": hub.url,
            "EVENMOOD_HUB_MODEL": "me/evenmood",
            "EVENMOOD_HUB_TOKEN": TOKEN,
        },
        timeout=600,
    )
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr
    assert TOKEN not in result.stdout + result.stderr
    assert re.search(r"\bfail 0\b", result.stdout), result.stdout
    assert re.search(r"\bskipped 0\b", result.stdout), result.stdout


def test_format_and_lint(web: Path) -> None:
    result = subprocess.run(["npm", "run", "--silent", "check"], cwd=web, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_reference_is_large_enough(reference: dict[str, dict[str, list[object]]]) -> None:
    assert len(set(fuzzed())) > 0.98 * FUZZED
    for name, results in reference.items():
        assert len(results["scored"]) == SCORED[name]
        assert len(results["texts"]) == len(results["ids"]) > FUZZED + 500


def test_snippet_of_the_readme(web: Path, tmp_path: Path) -> None:
    (snippet,) = SNIPPET.findall((web / "README.md").read_text("utf-8"))
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "evenmood").symlink_to(web)
    (tmp_path / "snippet.mjs").write_text(snippet)
    result = subprocess.run(["node", "snippet.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    expected = re.search(r"// (.*)", snippet)
    assert expected is not None
    assert (result.stdout.strip(), result.stderr) == (expected[1], "")


def test_packed_files(web: Path) -> None:
    result = subprocess.run(["npm", "pack", "--dry-run", "--json"], cwd=web, capture_output=True, text=True, check=True)
    output = json.loads(result.stdout)
    (package,) = output.values() if isinstance(output, dict) else output
    files = {entry["path"] for entry in package["files"]}
    assert {"dist/index.js", "dist/index.d.ts", "model/model.onnx", "README.md", "LICENSE", "package.json"} <= files
    assert not any(path.startswith(("src", "test", "demo", "site", "node_modules")) for path in files)
    assert package["unpackedSize"] < 12e6
    model = sum(entry["size"] for entry in package["files"] if entry["path"].startswith("model/"))
    for document in ("package.json", "README.md", "demo/space_card.md"):
        assert f"{model / 1e6:.0f} MB" in (web / document).read_text("utf-8"), document


def test_versions_agree(web: Path) -> None:
    import evenmood

    package = json.loads((web / "package.json").read_text("utf-8"))
    lock = json.loads((web / "package-lock.json").read_text("utf-8"))
    assert package["version"] == lock["version"] == evenmood.__version__
    assert not any("resolved" in entry for entry in lock["packages"].values())
