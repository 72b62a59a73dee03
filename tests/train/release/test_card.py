"""The model card: metadata for the Hub, content for readers, and rejection of an invalid card."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard, ModelCardData

from evenmood import LABELS, DataError, EmotionClassifier
from evenmood.model.model_folder import CARD_FILE, INFO_FILE
from tests.commands import run_command
from tests.conftest import DEFAULT_MODEL
from train.config import FASTTEXT
from train.release.card import EXAMPLES, REQUIRED, check_card, hub_id, license_metadata, write_card


def test_metadata_round_trip(evaluated_model: Path) -> None:
    for folder in (evaluated_model, DEFAULT_MODEL):
        data = ModelCard.load(folder / CARD_FILE).data
        loaded = ModelCardData(**{key: value for key, value in data.to_dict().items() if key != "model-index"})
        assert loaded.to_dict() == {key: value for key, value in data.to_dict().items() if key != "model-index"}
        card_data = ModelCard.from_template(data, template_str="---\n{{ card_data }}\n---\n").data
        assert card_data.to_dict() == data.to_dict()
        for key, value in (("library_name", "keras"), ("pipeline_tag", "text-classification"), ("language", "en")):
            assert data.get(key) == value
        assert not [key for key in REQUIRED if not data.get(key)]


def test_card_of_the_default_model() -> None:
    card = ModelCard.load(DEFAULT_MODEL / CARD_FILE)
    assert card.data.datasets == ["google-research-datasets/go_emotions"]
    assert card.data.license == "other"
    assert "collected\nfor research" in card.text
    assert card.data.eval_results
    metrics = json.loads((DEFAULT_MODEL / INFO_FILE).read_text())["metrics"]["test"]
    by_name = {
        re.split(r",| \(", result.metric_name)[0]: result for result in card.data.eval_results if result.metric_name
    }
    assert set(by_name) == {"macro-F1", "micro-F1", "macro ROC AUC", "subset accuracy"}
    macro = by_name["macro-F1"]
    assert macro.metric_value == metrics["macro_f1"]["value"]
    assert f"({metrics['macro_f1']['low']:.3f} to" in (macro.metric_name or "").replace("95% interval ", "")
    assert (macro.dataset_type, macro.dataset_config) == ("google-research-datasets/go_emotions", "simplified")
    assert macro.dataset_split == "test"
    widget = card.data.get("widget")
    assert [entry["text"] for entry in widget] == list(EXAMPLES)
    best = EmotionClassifier.from_pretrained().predict(EXAMPLES[0]).labels[0]
    assert widget[0]["output"][0]["label"] == best


def test_label_table_and_headings(evaluated_model: Path) -> None:
    text = (evaluated_model / CARD_FILE).read_text()
    metrics = json.loads((evaluated_model / "training" / "metrics-test.json").read_text())["tuned"]["per_label"]
    thresholds = json.loads((evaluated_model / INFO_FILE).read_text())["thresholds"]
    rows = {cells[1].strip(): cells for line in text.splitlines() if len(cells := line.split("|")) == 10}
    for label in LABELS:
        cells = [cell.strip() for cell in rows[label]]
        assert cells[4] == str(metrics[label]["support"])
        assert cells[5] == f"{thresholds[label]:.2f}"
        for cell, name in zip(cells[6:9], ("precision", "recall", "f1"), strict=True):
            low, high = metrics[label][f"{name}_low"], metrics[label][f"{name}_high"]
            assert low - 1e-9 <= high
            assert cell == f"{metrics[label][name]:.3f} ({low:.3f} to {high:.3f})"
    for heading in ("Use", "Evaluation", "Training", "Intended use", "Limits and known biases", "License", "Citation"):
        assert f"\n## {heading}\n" in text
    assert "![Loss curves](training/loss.png)" in text


@pytest.mark.parametrize("key", [*REQUIRED, "model-index"])
def test_incomplete_card_is_rejected(evaluated_model: Path, tmp_path: Path, key: str) -> None:
    card = ModelCard.load(evaluated_model / CARD_FILE)
    if key == "model-index":
        card.data.eval_results = None
    else:
        delattr(card.data, key)
    card.save(tmp_path / CARD_FILE)
    with pytest.raises(DataError, match=key):
        check_card(tmp_path)


@pytest.mark.parametrize("content", ["", "no front matter", "---\nlicense: [\n---\n", "---\n- a list\n---\n", None])
def test_malformed_card_is_rejected(evaluated_model: Path, tmp_path: Path, content: str | None) -> None:
    folder = Path(shutil.copytree(evaluated_model, tmp_path / "model"))
    (folder / CARD_FILE).unlink()
    if content is not None:
        (folder / CARD_FILE).write_text(content)
    with pytest.raises(DataError, match=CARD_FILE) as error:
        check_card(folder)
    assert "\n" not in str(error.value)
    result = run_command("train", "push", folder, "you/moods")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "regenerate it with: python -m train evaluate" in result.stderr


GOEMOTIONS = "google-research-datasets/go_emotions:simplified"


@pytest.mark.parametrize(
    ("vectors", "corpus", "official", "expected"),
    [
        ("self", (), True, "apache-2.0"),
        ("random", (), True, "apache-2.0"),
        (FASTTEXT, (), True, "cc-by-sa-3.0"),
        ("self", ("tweets.txt",), True, "other"),
        ("mine.vec", (), True, "other"),
        ("self", (), False, "other"),
    ],
)
def test_license_depends_on_vectors_and_data(
    evaluated_model: Path, tmp_path: Path, vectors: str, corpus: tuple[str, ...], official: bool, expected: str
) -> None:
    trained_from: dict[str, Any] = {"vectors": vectors, "corpus": corpus}
    assert license_metadata(trained_from, official)["license"] == expected
    folder = Path(shutil.copytree(evaluated_model, tmp_path / "model"))
    info = json.loads((folder / INFO_FILE).read_text())
    info["trained_from"] |= {"data": GOEMOTIONS if official else "you/own", "vectors": vectors, "corpus": list(corpus)}
    (folder / INFO_FILE).write_text(json.dumps(info))
    write_card(folder)
    card = ModelCard.load(folder / CARD_FILE)
    assert card.data.license == expected
    assert card.data.datasets == ["google-research-datasets/go_emotions" if official else "you/own"]
    assert ("CC BY-SA 3.0" in card.text) is (vectors == FASTTEXT)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("you/moods", "you/moods"),
        (GOEMOTIONS, "google-research-datasets/go_emotions"),
        ("data/goemotions", None),
        ("/moods", None),
        ("./data", None),
        ("moods", None),
    ],
)
def test_hub_id(source: str, expected: str | None) -> None:
    assert hub_id(source) == expected
