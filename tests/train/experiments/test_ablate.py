"""`python -m train ablate`: training, interruption, resuming, and the report."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_build.stages import goemotions
from evenmood import LABELS, EmotionClassifier
from evenmood.data.splits import load_split
from evenmood.errors import DataError, EvenmoodError
from evenmood.evaluation.metrics import score
from evenmood.text.normalization import clean
from tests.commands import run_command
from tests.conftest import SMALL
from tests.small_data import balanced_rows, tweets, write_balance, write_tsv
from train.config import TrainConfig
from train.experiments.arms import ARMS, read_run
from train.network.backend import choose_backend

ARM_NAMES = ("balanced", "unbalanced", "matched")
Options = dict[str, Any]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder with the official split and balanced rows, and a corpus of tweets that contains a test text."""
    folder = tmp_path_factory.mktemp("data") / "build"
    goemotions.run(folder, print, str(write_tsv(folder.parent / "tsv", rows=300)), any_size=True)
    write_balance(folder, balanced_rows(folder / goemotions.STAGE))
    held_out = load_split(str(folder / goemotions.STAGE), "test").texts[0]
    (folder.parent / "tweets.txt").write_text("\n".join([*tweets(), held_out]), encoding="utf-8")
    return folder


def ablate_arguments(build: Path, out: Path, *extra: str | Path) -> list[str | Path]:
    options: list[str | Path] = ["--vectors", "self", "--corpus", build.parent / "tweets.txt", "--epochs", "2"]
    outputs: list[str | Path] = ["--results", out / "experiments.json", "--document", out / "docs/experiments.md"]
    return ["ablate", "--build", build, "--out", out / "models", *SMALL, *options, *outputs, *extra]


@pytest.fixture(scope="module")
def single(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One arm and one seed, trained by the command."""
    out = tmp_path_factory.mktemp("single")
    result = run_command("train", *ablate_arguments(build, out, "--arms", "balanced", "--seeds", "1"))
    assert result.returncode == 0, result.stderr
    assert "run 1 of 1: balanced, seed 0" in result.stderr
    assert "epoch 2/2" in result.stderr
    return out


def train_config(build: Path, single: Path, **change: Any) -> TrainConfig:
    """The configuration of the run in `single`, with changes."""
    run = read_run(single / "models", "balanced", 0)
    assert run
    corpus = (str(build.parent / "tweets.txt"),)
    options: Any = {**run.record["config"], "vectors": "self", "corpus": corpus, **change}
    settings: Options = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    return TrainConfig(**settings)


def fake_fit(single: Path, calls: list[Path], interrupted: int = 0) -> Any:
    """A replacement for `fit` that copies a trained model and draws thresholds and losses from the seed."""

    def fit(config: TrainConfig, folder: Path, log: Any) -> Path:
        calls.append(folder)
        if len(calls) == interrupted:
            raise KeyboardInterrupt
        shutil.copytree(single / "models/balanced", folder)
        random = np.random.default_rng([config.seed, len(Path(config.data).name)])
        info = json.loads((folder / "emotions.json").read_text())
        info["thresholds"] = {label: round(random.uniform(0.02, 0.2), 2) for label in info["thresholds"]}
        (folder / "emotions.json").write_text(json.dumps(info))
        (folder / "training/config.json").write_text(json.dumps(asdict(config)))
        losses = "".join(f"{epoch},{random.random()},{random.random()},1.5\n" for epoch in (1, 2, 3))
        (folder / "training/history.csv").write_text(f"epoch,loss,val_loss,seconds\n{losses}")
        return folder

    return fit


def run_all(build: Path, single: Path, out: Path, fit: Any, /, **change: Any) -> list[str]:
    """Run three arms with two seeds; return the progress messages."""
    choose_backend()
    from train.experiments import ablate

    messages: list[str] = []
    options: Options = {"build": build, "out": out / "models", "arms": ARM_NAMES, "seeds": 2, "log": messages.append}
    options |= {"config": train_config(build, single)}
    options |= {"results": out / "experiments.json", "document": out / "docs/experiments.md", **change}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablate, "fit", fit)
        ablate.ablate(**options)
    return messages


@pytest.fixture(scope="module")
def experiment(build: Path, single: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three arms and two seeds, interrupted in the third run and resumed."""
    out = tmp_path_factory.mktemp("experiment")
    calls: list[Path] = []
    with pytest.raises(KeyboardInterrupt):
        run_all(build, single, out, fake_fit(single, calls, interrupted=3))
    assert not (out / "experiments.json").exists()
    messages = run_all(build, single, out, fake_fit(single, calls))
    assert sum("already finished" in line for line in messages) == 2
    assert "run 6 of 6: matched, seed 1" in messages
    assert len(calls) == 7
    return out


@pytest.mark.slow
def test_models_are_saved_where_the_demo_finds_them(experiment: Path) -> None:
    for arm in ARM_NAMES:
        for folder in (experiment / "models" / arm, experiment / "models/seeds" / arm / "1"):
            config = json.loads((folder / "training/config.json").read_text())
            assert config["pooling"] == ARMS[arm].pooling
            assert config["vectors"].endswith("vectors.vec")
            assert config["patience"] == 5
    assert sorted(path.name for path in (experiment / "models").glob("*.partial")) == []


def test_matched_rows_have_the_balanced_size_and_differ_by_seed(experiment: Path, build: Path) -> None:
    official = load_split(str(build / "goemotions"), "train")
    matched_splits = [load_split(str(experiment / f"models/data/matched-{seed}"), "train") for seed in (0, 1)]
    assert len(matched_splits[0]) == len(matched_splits[1]) == len(load_split(str(build), "train"))
    assert set(matched_splits[0].ids) <= set(official.ids)
    assert set(matched_splits[0].ids) != set(matched_splits[1].ids)
    for split in ("validation", "test"):
        held_out = load_split(str(experiment / "models/data/matched-1"), split)
        assert held_out.digest() == load_split(str(build), split).digest()


def test_vectors_exclude_held_out_texts(experiment: Path, build: Path) -> None:
    record = json.loads((experiment / "models/vectors.json").read_text())
    assert record["tweets"] == len({clean(text) for text in tweets()})  # without the test text
    lines = (experiment / "models/vectors.vec").read_text().splitlines()
    words = {line.split(" ")[0] for line in lines[1:]}
    assert lines[0] == f"{len(lines) - 1} 16"
    texts = [text for name in (build, build / "goemotions") for text in load_split(str(name), "train").texts]
    assert words == {word for text in texts for word in clean(text).split()}


def test_interrupted_experiment_has_equal_results(experiment: Path, build: Path, single: Path, tmp_path: Path) -> None:
    run_all(build, single, tmp_path, fake_fit(single, []), arms=["matched"], seeds=1)
    uninterrupted_run, resumed_run = (read_run(folder / "models", "matched", 0) for folder in (tmp_path, experiment))
    assert uninterrupted_run
    assert resumed_run
    assert np.array_equal(uninterrupted_run.probabilities, resumed_run.probabilities)
    assert np.array_equal(uninterrupted_run.thresholds, resumed_run.thresholds)
    arm_results = [
        json.loads((folder / "experiments.json").read_text())["arms"]["matched"] for folder in (tmp_path, experiment)
    ]
    assert arm_results[0]["losses"][0] == arm_results[1]["losses"][0]


@pytest.mark.slow
def test_killed_experiment_resumes_with_equal_results(single: Path, build: Path, tmp_path: Path) -> None:
    arguments = ablate_arguments(build, tmp_path, "--seeds", "1", "--arms", "unbalanced", "--arms", "balanced")
    process = subprocess.Popen([sys.executable, "-m", "train", *map(str, arguments)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (tmp_path / "models/unbalanced.partial/history.json").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "models/unbalanced").exists()
    result = run_command("train", *arguments)
    assert result.returncode == 0, result.stderr
    assert "balanced: already finished" in result.stderr
    assert "resuming after epoch" in result.stderr
    uninterrupted_run, resumed_run = (read_run(folder / "models", "balanced", 0) for folder in (single, tmp_path))
    assert uninterrupted_run
    assert resumed_run
    assert np.array_equal(uninterrupted_run.probabilities, resumed_run.probabilities)
    assert np.array_equal(uninterrupted_run.label_vectors, resumed_run.label_vectors, equal_nan=True)
    resumed_unbalanced = read_run(tmp_path / "models", "unbalanced", 0)
    result = run_command("train", *ablate_arguments(build, tmp_path / "new", "--seeds", "1", "--arms", "unbalanced"))
    assert result.returncode == 0, result.stderr
    new_unbalanced = read_run(tmp_path / "new/models", "unbalanced", 0)
    assert resumed_unbalanced
    assert new_unbalanced
    # The tests of `fit` compare bit by bit; this comparison would fail with other rows or other vectors.
    assert np.allclose(resumed_unbalanced.probabilities, new_unbalanced.probabilities, atol=1e-5)
    assert np.array_equal(resumed_unbalanced.thresholds, new_unbalanced.thresholds)


def test_trained_arm(single: Path, build: Path) -> None:
    run = read_run(single / "models", "balanced", 0)
    assert run
    test = load_split(str(build), "test")
    classifier = EmotionClassifier.from_pretrained(single / "models/balanced")
    assert np.array_equal(run.probabilities, classifier.predict_proba(test.texts))
    assert run.label_vectors.shape == (28, 16)
    assert run.record["label_words"]["joy"] == ["joy"]
    assert not np.isnan(run.label_vectors[LABELS.index("joy")]).any()
    content = json.loads((single / "experiments.json").read_text())
    expected = score(test.labels, run.probabilities, run.thresholds, LABELS, 0)
    for name in ("macro_f1", "micro_f1", "macro_roc_auc", "subset_accuracy"):
        assert content["arms"]["balanced"]["metrics"][name]["value"] == pytest.approx(expected[name], abs=1e-4)
    assert content["single_emotions"]["labels"]["joy"]["recall"] == round(expected["per_label"]["joy"]["recall"], 4)
    assert content["claims"]["both"]["sides"] == {}


def test_results_and_document(experiment: Path, build: Path) -> None:
    content = json.loads((experiment / "experiments.json").read_text())
    assert content["seeds"] == 2
    assert set(content["arms"]) == set(ARM_NAMES)
    assert content["arms"]["balanced"]["train_rows"] == len(load_split(str(build), "train"))
    run = read_run(experiment / "models", "balanced", 1)
    assert run
    assert content["arms"]["balanced"]["losses"][1][0] == [
        round(run.history[0][key], 4) for key in ("loss", "val_loss")
    ]
    document = (experiment / "docs/experiments.md").read_text()
    for figure in ("losses", "label-similarity", "balanced-minus-unbalanced", "balanced-minus-matched"):
        assert f"(figures/experiments/{figure}.png)" in document
        image = (experiment / f"docs/figures/experiments/{figure}.png").read_bytes()
        assert image.startswith(b"\x89PNG")
        assert len(image) < 200_000
    assert content["claims"]["balancing"]["sides"] == {}  # not all arms with average pooling were trained
    assert not re.search(r"\b(nan|None|Undefined)\b", document)
    assert "Too few arms were run to test the claims." in document
    assert "`epsilon` 1e-07" in document


def test_report_only(experiment: Path, build: Path, single: Path, tmp_path: Path) -> None:
    shutil.copytree(experiment / "models/runs", tmp_path / "models/runs")
    shutil.copy(experiment / "models/vectors.json", tmp_path / "models")
    run_all(build, single, tmp_path, None, report_only=True)
    assert (tmp_path / "experiments.json").read_text() == (experiment / "experiments.json").read_text()
    assert (tmp_path / "docs/experiments.md").read_text() == (experiment / "docs/experiments.md").read_text()
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["runs", "vectors.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": ["best"]}, "unknown arm best; expected any of: balanced, "),
        ({"arms": []}, "no arms; expected any of"),
        ({"seeds": 0}, "--seeds is 0; expected at least 1"),
        ({"build": Path("nowhere")}, "nowhere: not a build folder"),
        ({"report_only": True, "seeds": 3}, "the run balanced, seed 2 is not finished; run without --report-only"),
        (
            {"filters": 9},
            "contains runs with different options: filters; repeat their options, or choose another --out",
        ),
        ({"min_frequency": 2}, "was trained on other texts or with other options; choose another --out"),
    ],
)
def test_invalid_arguments_are_rejected(
    experiment: Path, build: Path, single: Path, tmp_path: Path, change: Options, message: str
) -> None:
    options = {name: value for name, value in change.items() if name in ("arms", "seeds", "build", "report_only")}
    config = train_config(build, single, **{name: value for name, value in change.items() if name not in options})
    with pytest.raises(EvenmoodError, match=re.escape(message)):
        run_all(build, single, tmp_path, None, **{"out": experiment / "models", "config": config, **options})
    assert not list(tmp_path.iterdir())


def test_corrupt_record_is_rejected(experiment: Path, tmp_path: Path) -> None:
    shutil.copytree(experiment / "models/runs", tmp_path / "runs")
    (tmp_path / "runs/balanced-0.npz").write_bytes(b"PK")
    with pytest.raises(
        DataError, match=r"balanced-0.npz: corrupt .* delete .*balanced-0.json and run the same command"
    ):
        read_run(tmp_path, "balanced", 0)


def test_thresholds_are_tuned_by_the_rule_of_the_paper(single: Path) -> None:
    """The command overrides `shrunk`, the default of `fit`."""
    run = read_run(single / "models", "balanced", 0)
    assert run
    assert run.record["config"]["thresholds"] == "grid"
    assert TrainConfig().thresholds == "shrunk"
