"""Robustness suite: perturbations, counts, texts, the command, and its section of the card."""

import json
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from evenmood import LABELS, EmotionClassifier
from evenmood.errors import UsageError
from evenmood.labels import GROUP_OF
from evenmood.text.normalization import clean
from tests.commands import run_command
from tests.conftest import DEFAULT_MODEL
from tests.small_data import write_tsv
from train.evaluation.probes import negation, perturbations, sarcasm, swaps
from train.evaluation.robustness import TEXTS_FILE, run_robustness
from train.perturb import ADJACENT_KEYS, elongate, misspell, typo, with_emoji, without_punctuation
from train.release.card import write_card

TEXTS = json.loads(TEXTS_FILE.read_text(encoding="utf-8"))


def edit_kind(before: str, after: str) -> str:
    """Classify the typo that turns `before` into `after`: key, swap, drop, double, or `?` if it is none of these."""
    if len(after) == len(before):
        indices = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
        if len(indices) == 1:
            return "key" if after[indices[0]] in ADJACENT_KEYS[before[indices[0]]] else "?"
        first, second = indices
        after_swap = before[:first] + before[second] + before[first] + before[second + 1 :]
        return "swap" if second == first + 1 and after_swap == after else "?"
    longer, shorter = sorted((before, after), key=len, reverse=True)
    if len(longer) != len(shorter) + 1 or shorter not in (longer[:i] + longer[i + 1 :] for i in range(len(longer))):
        return "?"
    return "drop" if len(after) < len(before) else "double"


def test_typo_kinds_are_equally_likely() -> None:
    generator = random.Random(0)
    kinds = [edit_kind("Wonderful", typo("Wonderful", generator)) for _ in range(2000)]
    counts = {kind: kinds.count(kind) / 2000 for kind in set(kinds)}
    assert set(counts) == {"swap", "drop", "double", "key"}
    assert all(0.2 < share < 0.3 for share in counts.values())


def test_misspell_changes_only_words() -> None:
    text = "@friend (https://a.example/long) www.example.org [NAME]'s  I\tam\n12345 :-) ok"
    assert misspell(text, 1, random.Random(0)) == text
    assert misspell("so happy today", 0, random.Random(0)) == "so happy today"
    assert misspell("", 1, random.Random(0)) == ""


def test_misspell_changes_the_requested_share_and_keeps_whitespace() -> None:
    text = "wonderful  evening\twith friends\n" * 500
    changed = misspell(text, 0.2, random.Random(0))
    assert re.findall(r"\s+", changed) == re.findall(r"\s+", text)
    share = np.mean([a != b for a, b in zip(text.split(), changed.split(), strict=True)])
    assert share == pytest.approx(0.2, abs=0.03)
    assert all(edit_kind(a, b) != "?" for a, b in zip(text.split(), changed.split(), strict=True) if a != b)


@pytest.mark.parametrize("make", [random.Random, np.random.default_rng])
def test_misspell_is_reproducible(make: type[random.Random]) -> None:
    text = "this text is long enough to differ somewhere"
    assert misspell(text, 0.5, make(1)) == misspell(text, 0.5, make(1)) != misspell(text, 0.5, make(2))


def test_typos_in_other_scripts() -> None:
    generator = random.Random(0)
    words = {typo("привет", generator) for _ in range(50)}
    assert "привет" not in words
    assert len(words) > 5
    assert typo("aaa", generator) != "aaa"


def test_other_perturbations() -> None:
    generator = random.Random(0)
    assert elongate("so happy @moo brrr", 1, generator) == "sooo happyyy @moo brrr"
    assert without_punctuation("Don't -- stop, [NAME]!") == "Dont stop NAME"
    text = with_emoji("I am happy", TEXTS["emoji"], generator)
    assert text != "I am happy"
    assert clean(text) == "i am happy"


def test_texts_are_valid() -> None:
    pairs, ironic = TEXTS["negation"], TEXTS["sarcasm"]
    assert len(pairs) >= 60
    assert len({pair["plain"] for pair in pairs}) == len(pairs)
    assert {pair["label"] for pair in pairs} <= set(LABELS)
    assert all(pair["plain"] != pair["negated"] for pair in pairs)
    assert len(ironic) >= 40
    for row in ironic:
        groups = {GROUP_OF[row["literal"]], GROUP_OF[row["intended"]]}
        assert groups == {"positive", "negative"}, row
    for part in ("names", "terms"):
        assert all(template.count("{}") == 1 for template in TEXTS[part]["templates"])
        assert all(len(set(members)) == len(members) >= 2 for members in TEXTS[part]["groups"].values())


@pytest.fixture
def model(each_model: EmotionClassifier) -> EmotionClassifier:
    """Each bundled model."""
    return each_model


def test_macro_f1_of_perturbed_texts(model: EmotionClassifier, average_folder: Path) -> None:
    texts = ["I love this!", "I am so angry about it.", "Thank you, friend.", "What happened here?"] * 5
    truth = np.zeros((20, 28))
    truth[np.arange(20), [LABELS.index(name) for name in ("love", "anger", "gratitude", "curiosity")] * 5] = 1
    results = perturbations(model, texts, truth, TEXTS["emoji"], seeds=2)
    thresholds = np.array([model.thresholds[label] for label in LABELS], np.float32)
    expected = f1_score(truth, model.predict_proba(texts) >= thresholds, average="macro", zero_division=0)
    assert results["macro_f1"]["value"] == pytest.approx(expected)
    generators = [random.Random(seed) for seed in range(2)]
    typos = [[misspell(text, 0.2, generator) for text in texts] for generator in generators]
    misspelled_scores = [
        f1_score(truth, model.predict_proba(t) >= thresholds, average="macro", zero_division=0) for t in typos
    ]
    row = results["kinds"]["typos in 20% of words"]
    assert row["seeds"] == pytest.approx(misspelled_scores)
    assert row["change"]["value"] == pytest.approx(np.mean(misspelled_scores) - expected)
    assert row["change"]["low"] <= row["change"]["value"] <= row["change"]["high"]
    changed = [
        ((model.predict_proba(t) >= thresholds) != (model.predict_proba(texts) >= thresholds)).any(axis=1)
        for t in typos
    ]
    assert row["texts_changed"] == pytest.approx(np.mean(changed))
    for kind in ("UPPER CASE", "lower case"):  # undone by cleaning
        assert results["kinds"][kind]["texts_changed"] == 0
        assert results["kinds"][kind]["change"]["value"] == pytest.approx(0, abs=1e-9)
    assert results["kinds"]["emoji inserted"]["texts_changed"] > 0  # this model encodes emoji
    without_emoji = EmotionClassifier.from_pretrained(average_folder)  # the paper's cleaning drops emoji
    kinds = perturbations(without_emoji, ["one two", "three"], np.eye(2, 28), TEXTS["emoji"], seeds=1)["kinds"]
    assert kinds["emoji inserted"]["texts_changed"] == kinds["no punctuation"]["texts_changed"] == 0


def test_negation(model: EmotionClassifier) -> None:
    pairs = [
        {"label": "joy", "plain": "I am so happy today", "negated": "the train leaves at nine"},
        {"label": "joy", "plain": "the train leaves at nine", "negated": "I am so happy today"},
        {"label": "anger", "plain": "I am angry", "negated": "I am angry"},
    ]
    results = negation(model, pairs)
    assert (results["pairs"], results["labeled"]) == (3, 2)
    assert results["decreased"] == pytest.approx(1 / 3)
    assert results["removed"] == 0.5
    assert results["still_labeled"] == ["I am angry"]


def test_swaps_are_compared_with_the_mean_of_their_template(model: EmotionClassifier) -> None:
    templates = ["I feel {} today.", "{} is what they are."]
    groups = {"one": ["happy", "angry"], "two": ["table", "tablecloths"]}
    result = swaps(model, templates, groups, across=False)
    words = {word: model.predict_proba([t.format(word.capitalize()) for t in templates]) for word in groups["one"]}
    shift = (words["happy"] - words["angry"]).mean(axis=0) / 2
    column = int(np.abs(shift).argmax())
    row = result["entries"]["happy"]
    assert row["label"] == LABELS[column]
    assert row["largest_shift"] == pytest.approx(shift[column], abs=1e-6)
    assert row["mean_shift"] == pytest.approx(np.abs(shift).mean(), abs=1e-6)
    assert row["pairs_changed"] == 1
    assert result["groups"]["one"]["entry"] in groups["one"]
    unknown_words = swaps(model, templates, {"same": ["qzxv", "vxzq"]}, across=True)
    assert (unknown_words["mean_shift"], unknown_words["pairs_changed"]) == (0, 0) or unknown_words["unknown"] < 1


def test_sarcasm(model: EmotionClassifier) -> None:
    rows = [
        {"literal": "joy", "intended": "anger", "text": "I hate you and I am angry"},
        {"literal": "joy", "intended": "anger", "text": "I am so happy"},
        {"literal": "anger", "intended": "joy", "text": "I am so happy"},
    ]
    results = sarcasm(model, rows)
    assert (results["intended"], results["literal"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert results["by_intended"]["positive"] == {"sentences": 1, "both": 0, "intended": 1, "literal": 0, "neither": 0}


def test_results_are_added_to_the_folder_and_the_card(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEFAULT_MODEL, tmp_path / "model"))
    for path in (folder / "training").glob("robustness.json"):
        path.unlink()
    write_card(folder)
    assert "## Robustness" not in (folder / "README.md").read_text()
    info_before = (folder / "emotions.json").read_bytes()
    table = run_robustness(str(folder), str(write_tsv(tmp_path / "data", rows=150)), "validation", seeds=1)
    results = json.loads((folder / "training" / "robustness.json").read_text())
    assert (folder / "emotions.json").read_bytes() == info_before
    card = (folder / "README.md").read_text()
    row = results["perturbed"]["kinds"]["typos in 20% of words"]
    assert "## Robustness" in card
    for text in (card, table):
        assert "typos in 20% of words" in text
        assert f"{row['macro_f1']['value']:.3f}" in text
    assert f"| negation, {len(TEXTS['negation'])} pairs" in card


def test_command(tmp_path: Path) -> None:
    data, out = write_tsv(tmp_path / "data", rows=90), tmp_path / "results.json"
    arguments = ("train", "robustness", DEFAULT_MODEL, "--data", data, "--out", out)
    result = run_command(*arguments)
    assert result.returncode == 0, result.stderr
    assert "of 72 pairs" in result.stdout
    assert json.loads(out.read_text())["data"]["rows"] == 30
    result = run_command(*arguments)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "exists; choose another" in result.stderr


def test_hub_model_requires_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use --out"):
        run_robustness("you/moods", None, "validation")
