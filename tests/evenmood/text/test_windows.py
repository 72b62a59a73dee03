"""Texts longer than the maximum length: windows that cover every word, and one prediction."""

import json
import re
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from evenmood import LABELS, EmotionClassifier
from evenmood.data.splits import Split
from evenmood.text.windows import PEAK_SHARE, combine, window_spans
from train.evaluation import window_study
from train.evaluation.everyday import EverydaySplit, bootstrap_samples

ROOT = Path(__file__).parents[3]

SENTENCES = ["The bus was late.", "I waited for an hour!", "Nobody gave a reason…", "Then it rained, and it rained."]


@pytest.fixture
def model(each_model: EmotionClassifier) -> EmotionClassifier:
    """Each bundled model."""
    return each_model


def count_words(texts: Sequence[str]) -> np.ndarray:
    return np.array([len(text.split()) for text in texts])


def windows_of(text: str, size: int) -> list[str]:
    return [text[slice(*span)] for span in window_spans(text, size, count_words)]


@pytest.mark.parametrize("size", [1, 2, 5, 9, 17, 1000])
def test_windows_cover_every_word_in_order(size: int) -> None:
    text = "  " + " ".join(SENTENCES * 7) + "\n\n" + "and on " * 40 + "\n"
    spans = window_spans(text, size, count_words)
    covered = sorted({i for start, end in spans for i in range(start, end) if not text[i].isspace()})
    assert covered == [i for i, character in enumerate(text) if not character.isspace()]
    assert spans == sorted(spans)
    assert max(count_words(windows_of(text, size))) <= size


def test_windows_end_with_a_sentence_and_overlap_by_one() -> None:
    windows = windows_of(" ".join(SENTENCES[:3] * 6), 20)
    assert all(window.split(" ")[-1][-1] in ".!…" for window in windows)
    assert all(following.startswith(re.split(r"(?<=[.!…]) ", first)[-1]) for first, following in pairwise(windows))


def test_long_word_is_split() -> None:
    def characters(texts: Sequence[str]) -> np.ndarray:
        return np.array([len(text) for text in texts])

    spans = window_spans("😂" * 100, 30, characters)
    assert [end - start for start, end in spans] == [30, 30, 30, 10]


@pytest.mark.parametrize(
    "text", ["a" * 20_000, " " * 20_000, "! " * 10_000, "." * 20_000, "\n" * 20_000, "1:1" + " " * 20_000]
)
def test_hostile_texts_take_linear_time(text: str) -> None:
    started = time.perf_counter()
    window_spans(text, 128, count_words)
    assert time.perf_counter() - started < 1


def test_combined_probabilities_are_between_mean_and_maximum() -> None:
    rows = np.array([[0.1, 0.9], [0.3, 0.1]], np.float32)
    combined = combine(rows)
    assert (rows.mean(axis=0) < combined).all()
    assert (combined < rows.max(axis=0)).all()
    np.testing.assert_allclose(combine(rows[:1]), rows[0])


def test_end_of_a_long_text_counts(fast_model: EmotionClassifier) -> None:
    filler = "The meeting is on the second floor. " * 60
    text = filler + "Thank you so much, I am so grateful!"
    gratitude = fast_model.labels.index("gratitude")
    assert fast_model.predict_proba(text)[gratitude] > 5 * fast_model.predict_proba(filler)[gratitude]
    prediction = fast_model.predict(text)
    assert prediction.words == len(text.split()) + 1  # the exclamation mark counts
    assert prediction.windows is not None
    assert prediction.windows > 3
    short = fast_model.predict("Thank you so much!")
    assert (short.words, short.windows) == (5, 1)


def test_probabilities_do_not_depend_on_the_batch(model: EmotionClassifier) -> None:
    texts = ["Thank you! " * 200, "ok", "I'm scared 😱. " * 100, *["some words here"] * 100]
    batched = model.predict_proba(texts)
    for row in range(4):
        np.testing.assert_allclose(batched[row], model.predict_proba(texts[row]), atol=1e-6)
    predictions = model.predict(texts)
    assert [prediction.windows for prediction in predictions[3:]] == [1] * 100
    assert predictions[0].windows == model.predict(texts[0]).windows


def test_explain_covers_a_long_text(fast_model: EmotionClassifier) -> None:
    text = "The meeting is on the second floor. " * 30 + "Thank you so much!"
    weights = fast_model.explain(text)
    assert [text[word.start : word.end] for word in weights] == [word.text for word in weights]
    assert len(weights) == len(text.split()) + 1
    assert sum(word.weight for word in weights) == pytest.approx(1, abs=1e-4)
    leave_one_out = fast_model.leave_one_out(text, "gratitude")
    assert [word.start for word in leave_one_out] == [word.start for word in weights]
    assert max(leave_one_out, key=lambda word: word.weight).text in ("Thank", "you")


def test_window_study_matches_the_classifier(fast_model: EmotionClassifier, tmp_path: Path) -> None:
    long_text = "The meeting is at noon. " * 40 + "Thank you so much for your help! " * 3
    texts = [long_text, "My dog died this morning. " * 60] * 20
    labels = np.zeros((40, 28), np.float32)
    labels[::2, LABELS.index("gratitude")] = labels[1::2, LABELS.index("grief")] = 1
    rows = EverydaySplit(Split(texts, labels, [None] * 40), np.zeros((40, 28), bool))
    content = window_study.study([fast_model.folder], rows)
    assert content["texts"] == 40
    assert content["windows"] > 1.5
    thresholds = np.array([fast_model.thresholds[label] for label in LABELS], np.float32)
    expected = bootstrap_samples(rows, fast_model.predict_proba(texts), thresholds)
    selected = content["rules"][f"{PEAK_SHARE:.0%} maximum"]
    for metric in window_study.METRICS:
        assert selected[metric]["value"] == pytest.approx(expected[metric][0], abs=1e-4)
    assert content["rules"]["first window"]["first_label_right"]["value"] < 1  # without gratitude


def test_window_rule_is_the_best_of_the_study() -> None:
    content = json.loads((ROOT / "results" / "windows.json").read_text(encoding="utf-8"))
    best = max(content["rules"], key=lambda name: content["rules"][name]["macro_f1"]["value"])
    assert best == f"{PEAK_SHARE:.0%} maximum"
