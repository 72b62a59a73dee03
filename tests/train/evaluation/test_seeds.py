"""Means over seeds: equal to the means of the models' own metrics, on original and misspelled texts."""

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
    """The same options with the seeds 0 and 1."""
    folder = tmp_path_factory.mktemp("seeds")
    first, second = folder / "first", folder / "second"
    shutil.copytree(trained_model, first)
    done = run_command("train", "fit", "--data", small_data, "--out", second, "--epochs", "4", "--seed", "1", *SMALL)
    assert done.returncode == 0, done.stderr
    return first, second


def own(folder: Path) -> float:
    metrics = json.loads((folder / "training/metrics-validation.json").read_text())
    return float(metrics["tuned"]["macro_f1"]["value"])


def test_a_mean_over_seeds_is_the_mean_of_their_figures(two_seeds: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = two_seeds
    done = run_command(
        *("train", "seeds", first, second, "--against", first, "--typos", "0.5", "--out", tmp_path / "seeds.json")
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "seeds.json").read_text())
    both, alone = content["groups"]
    assert both["seeds"] == [0, 1]
    assert both["figures"]["macro_f1"]["value"] == pytest.approx((own(first) + own(second)) / 2, abs=1e-4)
    assert alone["figures"]["macro_f1"]["value"] == pytest.approx(own(first), abs=1e-4)
    for group in (both, alone):
        figures, misspelled, drop = group["figures"], group["misspelled"], group["drop"]
        assert drop["macro_f1"]["value"] == pytest.approx(
            figures["macro_f1"]["value"] - misspelled["macro_f1"]["value"], abs=1e-4
        )
        assert figures["macro_f1"]["low"] < figures["macro_f1"]["value"] < figures["macro_f1"]["high"]
    kept = content["relative_drop"]["value"]
    assert kept == pytest.approx(both["drop"]["macro_f1"]["value"] / alone["drop"]["macro_f1"]["value"], rel=1e-2)
    assert "of the second's" in done.stdout
    assert content["rows"] == len(
        load_split(json.loads((first / "training/config.json").read_text())["data"], "validation")
    )


def test_the_card_shows_them(two_seeds: tuple[Path, Path]) -> None:
    first, second = two_seeds
    done = run_command("train", "seeds", first, second)
    assert done.returncode == 0, done.stderr
    assert (
        "**Mean of 2 models** with this configuration (seeds 0, 1) on the validation split"
        in (first / "README.md").read_text()
    )


def test_models_that_differ_in_more_than_the_seed(two_seeds: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = two_seeds
    other = tmp_path / "other"
    shutil.copytree(second, other)
    config = json.loads((other / "training/config.json").read_text())
    (other / "training/config.json").write_text(json.dumps({**config, "dropout": 0.25}))
    with pytest.raises(DataError, match=r"other: differs from .*first in dropout; expected only another seed"):
        over_seeds([[first, other]], "validation", print)
    with pytest.raises(DataError, match="expected a model folder written by"):
        over_seeds([[tmp_path]], "validation", print)
    with pytest.raises(DataError, match="seeds 0, 0; expected different seeds"):
        over_seeds([[first, first]], "validation", print)
    (tmp_path / "kept.json").write_text("mine")
    done = run_command("train", "seeds", first, second, "--out", tmp_path / "kept.json")
    assert (done.returncode, (tmp_path / "kept.json").read_text()) == (2, "mine")
    assert "exists already; choose another name, or replace it with --overwrite" in done.stderr


def test_misspelling_is_the_same_for_every_model(two_seeds: tuple[Path, Path]) -> None:
    first, _ = two_seeds
    content = over_seeds([[first], [first]], "validation", lambda line: None, typos=0.5)
    assert content["groups"][0]["misspelled"] == content["groups"][1]["misspelled"]
    assert content["relative_drop"]["value"] == 1
    assert np.isfinite(content["relative_drop"]["high"])
