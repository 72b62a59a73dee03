"""The complete data build on a miniature data set, and training on its output."""

import json
import shutil
from pathlib import Path

import pytest

from evenmood import LABELS, DataError
from evenmood.data.build_folder import read_manifest, read_rows
from evenmood.data.rows import text_hash
from evenmood.data.splits import load_split
from tests.commands import run_command
from tests.conftest import SMALL
from tests.fakes.local_hub import run_module


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("miniature") / "demo"
    result = run_module("tests.data_demo", "--out", folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_the_miniature_build(demo: Path) -> None:
    results = json.loads((demo / "dataset.json").read_text())
    assert set(results["rows_by_source"]) >= {"goemotions", "sentiment140", "generated"}
    assert min(results["label_counts_after"].values()) >= 7
    assert results["ratio_after"] <= 1.5
    dropped = results["dropped"]
    assert dropped["sentiment140"]["duplicate"] == 2
    assert dropped["sentiment140"]["not English"] >= 2
    assert dropped["verify"]["duplicate of a training text"] >= 2
    build = demo / "build"
    for row in read_rows(build, "balance").to_pylist():
        assert not row["reviewed"]
        assert (row["votes"] is None) == (row["source"] != "feedback")
        assert (row["source"] == "generated") == (row["generator"] == "recombines")
    manifest = read_manifest(build, "generate")
    assert manifest["rows_in"] == manifest["rows_out"] + sum(manifest["dropped"].values()) == 400
    for name, size in (("train", results["rows"]), ("validation", 28), ("test", 28)):
        assert len(load_split(f"{demo}/published:balanced", name).texts) == size
    assert len({row["text_hash"] for row in read_rows(build, "balance").to_pylist()}) == results["rows"]
    text = (demo / "dataset.md").read_text()
    assert "This build used `--alignment intended`" in text
    assert "without English function words" in text
    result = run_command(
        *("data_build", "report", demo / "no-build", "--results", demo / "dataset.json"),
        *("--document", demo / "regenerated.md"),
    )
    assert result.returncode == 0, result.stderr
    assert (demo / "regenerated.md").read_text() == text
    assert {path.name for path in (demo / "figures").glob("*.png")} == {"labels.png", "words.png", "co-occurrence.png"}
    assert "called *intended*" in (demo / "published" / "README.md").read_text()


def test_feedback_is_kept_if_the_teacher_confirms_it(demo: Path) -> None:
    build = demo / "build"
    assert read_manifest(build, "feedback")["dropped"] == {"no label": 1, "duplicate": 1}
    (row,) = (row for row in read_rows(build, "verify").to_pylist() if row["source"] == "feedback")
    assert row["text"].startswith("I am so grateful")  # neither the thank-you labeled grief nor the training text
    assert [LABELS[number] for number in row["labels"]] == ["gratitude"]
    assert sum(row["votes"]) == 1
    assert row["id"] in read_rows(build, "balance-unbalanced")["id"].to_pylist()


def test_both_training_sets_of_a_build_can_be_loaded(demo: Path) -> None:
    build = demo / "build"
    official = load_split(str(demo / "goemotions"), "train")
    balanced, all_rows = (load_split(f"{build}{name}", "train") for name in ("", ":unbalanced"))
    assert balanced.digest() == load_split(f"{build}:balanced", "train").digest()
    assert len(balanced) == read_manifest(build, "balance")["rows_out"] < len(all_rows)
    assert set(official.texts) | set(balanced.texts) <= set(all_rows.texts)
    assert len({text_hash(text) for text in all_rows.texts}) == len(all_rows)
    for name in ("validation", "test"):
        for source in (f"{build}", f"{build}:unbalanced"):
            assert load_split(source, name).digest() == load_split(str(demo / "goemotions"), name).digest()


@pytest.mark.parametrize("configuration", [pytest.param("", marks=pytest.mark.slow), ":unbalanced"])
def test_training_on_a_build(demo: Path, tmp_path: Path, configuration: str) -> None:
    build = demo / "build"
    expected = read_manifest(build, "balance-unbalanced" if configuration else "balance")["rows_out"]
    result = run_command(
        "train", "fit", "--data", f"{build}{configuration}", "--out", tmp_path / "model", "--epochs", "1", *SMALL
    )
    assert result.returncode == 0, result.stderr
    assert f"data: {expected} training and 28 validation texts from {build}{configuration}" in result.stderr


def test_errors_of_reading_a_build(demo: Path, tmp_path: Path) -> None:
    build = Path(shutil.copytree(demo / "build", tmp_path / "build"))
    result = run_command("train", "fit", "--data", f"{build}:even", "--out", tmp_path / "model", *SMALL)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert f"expected {build}:balanced or {build}:unbalanced" in result.stderr
    with pytest.raises(
        DataError, match=r"published: several candidates for the train split \(balanced/train\*.parquet, unb"
    ):
        load_split(str(demo / "published"), "train")
    (build / "balance" / "train-00001.parquet").write_bytes(b"what an earlier run left")  # not in the manifest
    load_split(str(build), "train")
    (build / "balance" / "train-00000.parquet").write_bytes(b"forged")
    with pytest.raises(DataError, match=r"differs from what the stage wrote; run: python -m data_build balance"):
        load_split(str(build), "train")
    manifest = build / "verify" / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(
        DataError, match=r"balance-unbalanced is older than its input verify; run: .* balance .* --restart"
    ):
        load_split(str(build), "train")
    shutil.rmtree(build / "balance")
    with pytest.raises(DataError, match="the stage balance has not been run; run: python -m data_build balance"):
        load_split(str(build), "validation")
