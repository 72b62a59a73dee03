"""Means over seeds equal the means of the models' metrics, on original and misspelled texts."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from evenmood import DataError
from evenmood.data.splits import load_split
from tests.commands import run_command
from tests.conftest import SMALL
from train.evaluation.seeds import over_seeds


@pytest.fixture(scope="module")
def two_seeds(trained_model: Path, small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models trained with the same options and the seeds 0 and 1."""
    folder = tmp_path_factory.mktemp("seeds")
    first, second = folder / "first", folder / "second"
    shutil.copytree(trained_model, first)
    result = run_command("train", "fit", "--data", small_data, "--out", second, "--epochs", "4", "--seed", "1", *SMALL)
    assert result.returncode == 0, result.stderr
    return first, second


def tuned_macro_f1(folder: Path) -> float:
    metrics = json.loads((folder / "training/metrics-validation.json").read_text())
    return float(metrics["tuned"]["macro_f1"]["value"])


def test_mean_over_seeds(two_seeds: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = two_seeds
    result = run_command(
        *("train", "seeds", first, second, "--against", first, "--typos", "0.5", "--out", tmp_path / "seeds.json")
    )
    assert result.returncode == 0, result.stderr
    content = json.loads((tmp_path / "seeds.json").read_text())
    pair, single = content["groups"]
    assert pair["seeds"] == [0, 1]
    assert pair["metrics"]["macro_f1"]["value"] == pytest.approx(
        (tuned_macro_f1(first) + tuned_macro_f1(second)) / 2, abs=1e-4
    )
    assert single["metrics"]["macro_f1"]["value"] == pytest.approx(tuned_macro_f1(first), abs=1e-4)
    for group in (pair, single):
        original, misspelled, drop = group["metrics"], group["misspelled"], group["drop"]
        assert drop["macro_f1"]["value"] == pytest.approx(
            original["macro_f1"]["value"] - misspelled["macro_f1"]["value"], abs=1e-4
        )
        assert original["macro_f1"]["low"] < original["macro_f1"]["value"] < original["macro_f1"]["high"]
    ratio = content["relative_drop"]["value"]
    assert ratio == pytest.approx(pair["drop"]["macro_f1"]["value"] / single["drop"]["macro_f1"]["value"], rel=1e-2)
    assert "macro-F1 drop of the first group relative to the second's" in result.stdout
    assert content["rows"] == len(
        load_split(json.loads((first / "training/config.json").read_text())["data"], "validation")
    )


def test_card_shows_the_mean(two_seeds: tuple[Path, Path]) -> None:
    first, second = two_seeds
    result = run_command("train", "seeds", first, second)
    assert result.returncode == 0, result.stderr
    value = json.loads((first / "training/seeds.json").read_text())["groups"][0]["metrics"]["macro_f1"]["value"]
    assert (
        f"**Mean of 2 models** with this configuration (seeds 0, 1) on the validation split: macro-F1 {value:.3f}"
        in (first / "README.md").read_text()
    )


def test_models_with_other_options_are_rejected(two_seeds: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = two_seeds
    other = tmp_path / "other"
    shutil.copytree(second, other)
    config = json.loads((other / "training/config.json").read_text())
    (other / "training/config.json").write_text(json.dumps({**config, "dropout": 0.25}))
    with pytest.raises(DataError, match=r"other: options differ from .*first: dropout; expected the same options"):
        over_seeds([[first, other]], "validation", print)
    with pytest.raises(DataError, match="expected a model folder written by"):
        over_seeds([[tmp_path]], "validation", print)
    with pytest.raises(DataError, match="duplicate seeds 0, 0; expected a different seed"):
        over_seeds([[first, first]], "validation", print)
    (tmp_path / "existing.json").write_text("mine")
    result = run_command("train", "seeds", first, second, "--out", tmp_path / "existing.json")
    assert (result.returncode, (tmp_path / "existing.json").read_text()) == (2, "mine")
    assert "exists; choose another name, or use --overwrite" in result.stderr


def test_all_models_read_the_same_misspellings(two_seeds: tuple[Path, Path]) -> None:
    first, _ = two_seeds
    content = over_seeds([[first], [first]], "validation", lambda line: None, typos=0.5)
    assert content["groups"][0]["misspelled"] == content["groups"][1]["misspelled"]
    assert content["relative_drop"]["value"] == 1
    assert np.isfinite(content["relative_drop"]["high"])
