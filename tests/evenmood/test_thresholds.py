"""Shrunk thresholds of rare labels, and the study that compares tuning methods."""

import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tokenizers import Tokenizer

from evenmood.data.splits import load_split
from evenmood.evaluation.calibration import apply_platt, fit_platt
from evenmood.evaluation.metrics import score
from evenmood.model.model_folder import CARD_FILE
from evenmood.text.normalization import encode
from evenmood.thresholds import PRIOR_POSITIVES, SUPPORTED, Method, tune_thresholds
from tests.commands import run_command
from tests.conftest import DEFAULT_MODEL, SMALL
from train.config import PAPER, TrainConfig
from train.evaluation.evaluate import onnx_probabilities, write_metrics
from train.evaluation.threshold_study import assign_folds, compare_calibration, compare_thresholds
from train.network.backend import choose_backend
from train.release.card import write_card

REPORT = "training/calibration-validation.json"


def drawn(count: int, rate: float, seed: int, labels: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Labels of about this rate, and the true probabilities they were drawn with."""
    random = np.random.default_rng(seed)
    true = 1 / (1 + np.exp(-random.normal(np.log(rate) - 1, 2, (count, labels))))
    return (random.random((count, labels)) < true).astype(np.float32), true.astype(np.float32)


def test_rare_labels_gain_on_rows_that_were_not_tuned_on() -> None:
    for seed in range(3):
        labels, probabilities = drawn(600, 0.01, seed)
        others, their = drawn(10_000, 0.01, seed + 100)
        f1 = {}
        for method in get_args(Method):
            given = their >= tune_thresholds(labels, probabilities, method)
            f1[method] = (2 * (given * others).sum(axis=0) / (given.sum(axis=0) + others.sum(axis=0))).mean()
        assert f1["shrunk"] > f1["grid"] + 0.01


def test_of_calibrated_probabilities_the_threshold_is_half_of_the_f1() -> None:
    labels, probabilities = drawn(50_000, 0.05, 0, labels=4)
    cuts = tune_thresholds(labels, probabilities, "shrunk")
    figures = score(labels, probabilities, cuts, list("abcd"), 0)["per_label"]
    for cut, name in zip(cuts, "abcd", strict=True):
        assert cut == pytest.approx(figures[name]["f1"] / 2, abs=0.05)


def test_the_weights_are_those_of_the_docstring() -> None:
    labels, probabilities = drawn(500, 0.05, 0, labels=2)
    own = labels.sum(axis=0) / (labels.sum(axis=0) + PRIOR_POSITIVES)
    share = own * labels + (1 - own) * apply_platt(probabilities, *fit_platt(labels, probabilities))
    for label, cut in enumerate(tune_thresholds(labels, probabilities, "shrunk")):
        f1 = {}
        for step in range(1, 100):
            given = probabilities[:, label] >= np.float32(step) / 100
            f1[step] = 2 * share[given, label].sum() / (given.sum() + share[:, label].sum())
        assert f1[round(float(cut) * 100)] == pytest.approx(max(f1.values()), abs=1e-9)


@pytest.mark.parametrize("method", ["grid", "shrunk"])
def test_labels_without_positives_and_half_precision(method: str) -> None:
    labels, probabilities = drawn(300, 0.05, 0)
    labels[:, 3] = 0
    probabilities[:10], probabilities[10:20] = 0, 1
    cuts = tune_thresholds(labels, probabilities.astype(np.float16), method)  # type: ignore[arg-type]
    assert cuts[3] == 0.5
    assert cuts.dtype == np.float32
    assert ((cuts >= 0.01) & (cuts <= 0.99)).all()


def test_the_parts_share_each_label() -> None:
    labels, _ = drawn(1000, 0.02, 0)
    part = assign_folds(labels, 5, seed=1)
    assert np.bincount(part).tolist() == [200] * 5
    rarest = labels.sum(axis=0).argmin()
    counts = [labels[part == held, rarest].sum() for held in range(5)]
    assert max(counts) - min(counts) <= 1
    assert (part != assign_folds(labels, 5, seed=2)).any()


def test_the_study_on_synthetic_rows() -> None:
    labels, true = drawn(600, 0.02, 0, labels=8)
    wrong = apply_platt(true, np.full(8, 2.0), np.zeros(8))
    figures = compare_thresholds(labels, wrong, 2, repeats=3, resamples=100)
    assert figures["grid"]["difference"] == {"value": 0, "low": 0, "high": 0}
    apart = figures["shrunk"]["difference"]
    assert apart["value"] == pytest.approx(figures["shrunk"]["macro_f1"] - figures["grid"]["macro_f1"])
    assert apart["low"] < apart["value"] < apart["high"]
    ways = compare_calibration(labels, wrong, 2, repeats=2)
    assert list(ways) == ["none", "temperature", "platt", "isotonic"]
    assert ways["platt"]["log_loss"] < ways["none"]["log_loss"]
    assert ways["temperature"]["log_loss"] < ways["none"]["log_loss"]
    assert compare_thresholds(labels, wrong, 2, 3, 100) == figures


def test_the_command_and_the_card(small_data: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEFAULT_MODEL, tmp_path / "model"))
    done = run_command("train", "thresholds", folder, "--data", small_data, "--repeats", "2")
    assert done.returncode == 0, done.stderr
    figures = json.loads((folder / "training" / "thresholds.json").read_text())
    assert set(figures["thresholds"]) == set(figures["calibration"]) == {"2-fold", "5-fold"}
    assert not figures["calibrated"]  # not on these rows
    assert f"shrunk       {figures['thresholds']['5-fold']['shrunk']['macro_f1']:.4f}" in done.stdout
    for name in ("metrics-test.json", "calibration-test.json"):
        (folder / "training" / name).unlink(missing_ok=True)
    write_card(folder)
    assert ("## Calibration" in (folder / CARD_FILE).read_text()) is (folder / REPORT).exists()
    rows = load_split(str(small_data), "validation")
    write_metrics(folder, "validation", rows, onnx_probabilities(folder, rows.texts))
    write_card(folder)
    report = json.loads((folder / REPORT).read_text())
    text = (folder / CARD_FILE).read_text()
    assert f"The expected calibration error is {report['ece']:.4f}" in text
    for row in report["reliability"]:
        assert f"| {row['from']:.1f} to {row['to']:.1f} | {row['predictions']:,} | {row['probability']:.3f} |" in text
    assert (folder / "training" / "calibration-validation.png").exists()


def test_fit_holds_thresholds_of_rare_labels_back_unless_asked_for_the_papers_rule(
    trained_model: Path, small_data: Path, tmp_path: Path
) -> None:
    """The same network, once with the default and once with `--thresholds grid`."""
    choose_backend()
    import keras

    out = tmp_path / "paper"
    done = run_command(
        "train", "fit", "--data", small_data, "--out", out, "--epochs", "4", *SMALL, "--thresholds", "grid"
    )
    assert done.returncode == 0, done.stderr
    rows = load_split(str(small_data), "validation")
    written = {}
    for folder, method in ((trained_model, "shrunk"), (out, "grid")):
        assert json.loads((folder / "training/config.json").read_text())["thresholds"] == method
        ids = encode(Tokenizer.from_file(str(folder / "tokenizer.json")), rows.texts)
        probabilities = keras.saving.load_model(folder).predict(ids, batch_size=1024, verbose=0)
        cuts = tune_thresholds(rows.labels, probabilities, method)  # type: ignore[arg-type]
        written[method] = np.array(list(json.loads((folder / "emotions.json").read_text())["thresholds"].values()))
        np.testing.assert_allclose(written[method], cuts, atol=0.001)
    assert (written["grid"] != written["shrunk"]).any()


def test_only_the_rule_of_thresholds_is_not_the_papers() -> None:
    differing = {name for name, value in vars(PAPER).items() if value != getattr(TrainConfig(), name)}
    assert differing == {"thresholds"}
    assert (PAPER.thresholds, TrainConfig().thresholds) == ("grid", "shrunk")


def test_one_positive_row_decides_no_threshold() -> None:
    """A rare label's single hit at 0.02 is chance: by the paper's rule the threshold follows it, down to 0.02."""
    random = np.random.default_rng(0)
    labels, probabilities = np.zeros((2000, 1), np.float32), random.uniform(0.001, 0.015, (2000, 1)).astype(np.float32)
    labels[0], probabilities[0] = 1, 0.02
    assert tune_thresholds(labels, probabilities, "grid") == np.float32(0.02)
    assert tune_thresholds(labels, probabilities, "shrunk") == 0.5


@pytest.mark.parametrize("shift", [0.0, -2.0, 2.0])
def test_no_threshold_is_below_what_calibration_supports(shift: float) -> None:
    """Of networks that say too little or too much as well; there the floor lies at another probability."""
    random = np.random.default_rng(1)
    true = 1 / (1 + np.exp(-random.normal(np.log(0.005), 0.7, (3000, 28))))
    labels = (random.random(true.shape) < true).astype(np.float32)
    given = apply_platt(true, np.ones(28), np.full(28, shift))
    slopes, offsets = fit_platt(labels, given)
    cuts = tune_thresholds(labels, given, "shrunk")
    supported = apply_platt(cuts[None], slopes, offsets)[0] >= SUPPORTED
    assert (supported | (cuts >= 0.5)).all()
    lowest = tune_thresholds(labels, given, "grid")
    assert not (apply_platt(lowest[None], slopes, offsets)[0] >= SUPPORTED).all()
