"""The bundled models: size, completeness, and metrics equal to their results files."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenmood import LABELS, EmotionClassifier
from evenmood.data.splits import load_split
from evenmood.evaluation.metrics import score
from evenmood.model.loading import BUNDLED, bundled_folder
from evenmood.model.model_folder import INFO_FILE, PREDICTION_FILES, TRAINING_FOLDER
from evenmood.text.normalization import clean
from train.release.bundle import MAX_QUANTIZATION_CHANGE, SIZE_LIMITS

ROOT = Path(__file__).parents[2]
RESULTS = json.loads((ROOT / "results" / "default_model.json").read_text(encoding="utf-8"))
GOEMOTIONS = ROOT.parent / "shared" / "data" / "goemotions"


@pytest.fixture
def each_results(each_name: str) -> Any:
    """The results file of each bundled model."""
    return json.loads((ROOT / "results" / f"{BUNDLED[each_name]}.json").read_text(encoding="utf-8"))


def test_size(each_name: str, each_model: EmotionClassifier, each_results: Any) -> None:
    size = {name: (bundled_folder(each_name) / name).stat().st_size for name in PREDICTION_FILES}
    assert sum(size.values()) <= SIZE_LIMITS[each_model.info.kind]
    assert size == each_results["bytes"]
    quantization = each_results.get("quantization")  # of encoders only
    assert quantization is None or quantization["bytes"]["model.onnx"] == size["model.onnx"]


def test_records_contain_no_absolute_paths(each_name: str) -> None:
    folder = bundled_folder(each_name)
    for path in (folder / INFO_FILE, *(folder / TRAINING_FOLDER).glob("*.json*")):
        assert not re.search(r'"(/|[A-Za-z]:\\)', path.read_text(encoding="utf-8")), path


def test_results_file_matches_the_model(each_model: EmotionClassifier, each_results: Any) -> None:
    assert dict(each_model.thresholds) == pytest.approx(each_results["thresholds"], abs=1e-7)
    for split in ("validation", "test"):
        tuned, metrics = each_results["metrics"][split]["tuned"], each_model.info.metrics[split]
        assert set(metrics["per_label"]) == set(LABELS)
        for label in LABELS:
            assert metrics["per_label"][label] == pytest.approx(tuned["per_label"][label], abs=1e-4)
        for name in ("macro_f1", "micro_f1", "macro_roc_auc"):
            assert metrics[name] == pytest.approx(tuned[name], abs=1e-4)


def test_metrics_meet_the_minimum() -> None:
    results = RESULTS["metrics"]["test"]
    for method in ("tuned", "tuned_on_own_validation"):
        assert results[method]["macro_f1"]["value"] >= 0.50
    assert results["tuned"]["rows"] == 5427
    assert RESULTS["everyday-test"]["first_label_right"]["value"] >= 0.60
    assert (
        abs(RESULTS["storage"]["macro_f1_onnx"] - RESULTS["storage"]["macro_f1_keras"])
        < MAX_QUANTIZATION_CHANGE["bilstm"]
    )


def test_only_one_model_was_evaluated_on_the_test_split() -> None:
    """Several evaluations are recorded, all with the same macro-F1."""
    assert len({entry["macro_f1"] for entry in RESULTS["evaluations"] if entry["split"] == "test"}) == 1


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Thank you so much for your help!", "gratitude"),
        ("I love you", "love"),
        ("This is so sad, I am crying", "sadness"),
        ("I am terrified of spiders", "fear"),
        ("That joke was hilarious, lol", "amusement"),
        ("The train leaves at noon", "neutral"),
    ],
)
def test_simple_texts(model: EmotionClassifier, text: str, label: str) -> None:
    assert model.predict(text).labels[0] == label


@pytest.mark.skipif(not GOEMOTIONS.is_dir(), reason="shared/data/goemotions not found next to the checkout")
def test_validation_metrics_are_reproducible(model: EmotionClassifier) -> None:
    rows = load_split(str(GOEMOTIONS), "validation")
    thresholds = np.array([model.thresholds[label] for label in model.labels], np.float32)
    results = score(rows.labels, model.predict_proba(rows.texts), thresholds, model.labels, bootstrap_samples=0)
    expected = RESULTS["metrics"]["validation"]["tuned"]
    assert results["macro_f1"] == pytest.approx(expected["macro_f1"]["value"], abs=1e-3)
    assert results["micro_f1"] == pytest.approx(expected["micro_f1"]["value"], abs=1e-3)


def test_soft_targets_exclude_held_out_texts() -> None:
    """Every file of soft targets excludes the validation and test texts of GoEmotions."""
    assert RESULTS["soft-targets"]
    for file in RESULTS["soft-targets"]:
        assert file["teachers"]
        assert Path(file["official"]).name == "goemotions"
        for source in file["sources"]:
            assert source["written"] == source["read"] - sum(source["dropped"].values())


def test_results_of_three_seeds() -> None:
    group = RESULTS["seeds"]["groups"][0]
    assert RESULTS["seeds"]["split"] == "test"
    assert group["seeds"] == [0, 1, 2]
    assert group["metrics"]["macro_f1"]["low"] < group["metrics"]["macro_f1"]["value"]


@pytest.mark.parametrize("misspelling", ["thnaks", "thankss", "thnks", "thamks"])
def test_misspelled_words_are_known(model: EmotionClassifier, misspelling: str) -> None:
    assert model.predict(f"{misspelling} a lot for this").labels == model.predict("thanks a lot for this").labels
    assert all(word.known for word in model.explain(f"{misspelling} a lot"))


@pytest.mark.parametrize("text", ["Great \U0001f602", "Really?", "Wow!", "see you :)"])
def test_symbols_are_tokens(model: EmotionClassifier, text: str) -> None:
    words = [text[word.start : word.end] for word in model.explain(text)]
    assert len(words) > len(clean(text).split())
