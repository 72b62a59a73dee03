"""The everyday benchmark: its texts, its metrics, and tuning on it."""

import json
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from evenmood import LABELS, DataError, EmotionClassifier
from evenmood.data.leakage import LeakageFilter
from evenmood.data.splits import Split
from tests.commands import run_command
from tests.conftest import SMALL
from train.distillation.encoder import TeacherConfig, in_fold
from train.distillation.teacher import training_split
from train.evaluation.everyday import EverydaySplit, compute_metrics, load_everyday, over_seeds
from train.evaluation.validation import ValidationRows

JOY, LOVE = LABELS.index("joy"), LABELS.index("love")
WRITTEN = Path(__file__).parents[3] / "data_build" / "written"


@pytest.mark.parametrize(("name", "texts", "rarest"), [("validation", 336, 12), ("test", 672, 20)])
def test_every_label_has_enough_texts(name: str, texts: int, rarest: int) -> None:
    rows = load_everyday(name)
    assert len(rows.split) == texts
    assert rows.split.labels.sum(axis=0).min() >= rarest
    assert not (rows.ignored & (rows.split.labels > 0)).any()
    with pytest.raises(DataError, match="unknown everyday split 'train'"):
        load_everyday("train")


def test_written_texts_have_no_held_out_near_duplicates() -> None:
    texts = parquet.read_table(WRITTEN / "train.parquet", columns=["text"])["text"].to_pylist()
    leakage = LeakageFilter(text for name in ("validation", "test") for text in load_everyday(name).split.texts)
    assert [text for text in texts if leakage.rejection_reason(text)] == []


def small_split(labels: list[int], ignored: list[tuple[int, int]]) -> EverydaySplit:
    truth = np.zeros((len(labels), 28), np.float32)
    truth[np.arange(len(labels)), labels] = 1
    skip = np.zeros(truth.shape, bool)
    for row, label in ignored:
        skip[row, label] = True
    return EverydaySplit(Split([f"text {row}" for row in range(len(labels))], truth, [None] * len(labels)), skip)


def test_ignored_labels_do_not_affect_the_metrics() -> None:
    probabilities = np.full((40, 28), 0.01, np.float32)
    probabilities[:20, JOY] = 0.9
    probabilities[20:, LOVE] = 0.9
    probabilities[:10, LOVE] = 0.95  # the most probable label of the first ten rows: incorrect, but debatable
    labels, debatable = [JOY] * 20 + [LOVE] * 20, [(row, LOVE) for row in range(10)]
    thresholds = np.full(28, 0.5, np.float32)
    strict = compute_metrics(small_split(labels, []), probabilities, thresholds)
    lenient = compute_metrics(small_split(labels, debatable), probabilities, thresholds)
    assert strict["first_label_right"]["value"] == 0.75
    assert strict["per_label"]["love"] == pytest.approx(0.8)
    assert lenient["first_label_right"]["value"] == 1
    assert lenient["macro_f1"]["value"] == 1
    assert lenient["macro_roc_auc"]["value"] == 1
    assert strict["macro_f1"]["value"] == pytest.approx(0.9)
    assert strict["macro_f1"]["low"] <= 0.9 <= strict["macro_f1"]["high"]


def test_validation_sets_have_equal_total_weight() -> None:
    labels = np.zeros((3360, 28), np.float32)
    rows = ValidationRows.of(Split(["a"] * 3360, labels, [None] * 3360), everyday=True)
    assert rows.repeats[:3360].sum() == rows.repeats[3360:].sum() == 3360
    masked = rows.mask(np.ones(rows.labels.shape, np.float32))
    assert (masked[rows.ignored] == 0).all()
    assert masked[~rows.ignored].all()
    official_only = ValidationRows.of(Split(["a"] * 3360, labels, [None] * 3360), everyday=False)
    assert len(official_only.texts) == 3360


def write_extra(folder: Path) -> Path:
    folder.mkdir()
    texts = [f"{label}ish business number {row}" for row in range(3) for label in LABELS]
    texts.append(load_everyday("test").split.texts[0])
    labels = [[label] for _ in range(3) for label in LABELS] + [["joy"]]
    parquet.write_table(pyarrow.table({"text": texts, "labels": labels}), folder / "train.parquet")
    return folder


def test_teacher_folds_split_the_extra_texts(small_data: Path, tmp_path: Path) -> None:
    extra = write_extra(tmp_path / "extra")
    config = TeacherConfig(base="x", data=str(small_data), extra=str(extra), extra_repeats=3, fold="1/2")
    labeled_count = len(training_split(TeacherConfig(base="x", data=str(small_data)), lambda line: None))
    first_fold, second_fold = (
        training_split(TeacherConfig(**{**vars(config), "fold": fold}), lambda line: None) for fold in ("1/2", "2/2")
    )
    parts = [set(split.texts[labeled_count:]) for split in (first_fold, second_fold)]
    assert len(first_fold) + len(second_fold) - 2 * labeled_count == 3 * 84
    assert not parts[0] & parts[1]
    assert all(in_fold(text, "2/2") for text in parts[0])
    assert load_everyday("test").split.texts[0] not in parts[0] | parts[1]


def test_fit_with_extra_texts_tunes_and_evaluates_on_both_sets(small_data: Path, tmp_path: Path) -> None:
    extra, model = write_extra(tmp_path / "extra"), tmp_path / "model"
    options: list[str | Path] = ["--data", small_data, "--extra", extra, "--vectors", "random", "--out", model]
    result = run_command("train", "fit", *options, *SMALL, "--max-length", "40", "--epochs", "6")
    assert result.returncode == 0, result.stderr
    assert "84 of 85 texts of" in result.stderr
    official = json.loads((model / "training" / "thresholds-official.json").read_text())
    assert set(official) == set(LABELS)
    assert official != dict(EmotionClassifier.from_pretrained(model).thresholds)
    metrics = json.loads((model / "training" / "metrics-validation.json").read_text())
    assert metrics["tuned_on_own_validation"]["macro_f1"] != metrics["tuned"]["macro_f1"]
    result = run_command("train", "evaluate", model, "--data", "everyday", "--split", "test")
    assert result.stdout.startswith("everyday: 672 texts")
    everyday = json.loads((model / "training" / "everyday-test.json").read_text())
    mean = over_seeds([model], "test")
    assert mean["macro_f1"]["value"] == everyday["macro_f1"]["value"]
    invalid = run_command("train", "evaluate", model, "--data", "everyday", "--split", "train")
    assert "expected validation or test with --data everyday" in invalid.stderr
