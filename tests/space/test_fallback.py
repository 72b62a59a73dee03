"""Fallback labels (most probable label, below its threshold) are marked in the page, tables and API."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client
from playwright.sync_api import Browser, Page, expect
from pyarrow import parquet

from benchmarks.demo import call
from docs.screenshot import choose_model, open_tab, running_demo
from evenmood import EmotionClassifier
from evenmood.model.model_folder import INFO_FILE, PREDICTION_FILES
from space.components.passages import Passage
from space.components.prediction_view import label_bars, prediction_html, quality, sentence_html
from space.components.predictions import analyze_text, as_json
from space.components.tables import comparison
from space.components.texts import LANGUAGES, translate
from space.table import counts, scoring, sources
from space.tabs import long_text
from tests.conftest import DEFAULT_MODEL

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
SENTENCE = "Thank you so much!"
SCREENSHOTS = os.environ.get("EVENMOOD_SCREENSHOTS")
"""Optional folder for screenshots."""


@pytest.fixture(scope="module")
def strict_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model with unreachable thresholds."""
    folder = tmp_path_factory.mktemp("strict")
    for name in PREDICTION_FILES:
        shutil.copyfile(DEFAULT_MODEL / name, folder / name)
    info = json.loads((folder / INFO_FILE).read_text())
    (folder / INFO_FILE).write_text(json.dumps(info | {"thresholds": dict.fromkeys(info["labels"], 0.9999)}))
    return folder


@pytest.fixture(scope="module")
def strict(strict_folder: Path) -> EmotionClassifier:
    return EmotionClassifier(strict_folder)


@pytest.fixture(scope="module")
def strict_demo(strict_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo with the strict and the bundled model."""
    trained = tmp_path_factory.mktemp("trained")
    (trained / "usual").mkdir()
    for name in PREDICTION_FILES:
        shutil.copyfile(DEFAULT_MODEL / name, trained / "usual" / name)
    with running_demo("--model", str(strict_folder), "--trained", str(trained)) as url:
        yield url


@pytest.mark.parametrize("language", LANGUAGES)
def test_chips_and_bars(strict: EmotionClassifier, model: EmotionClassifier, language: str) -> None:
    below = translate(language, "below_threshold")
    fallback = analyze_text(strict, SENTENCE)
    assert 'class="chip fallback positive"' in sentence_html(language, fallback)
    bars = label_bars(language, fallback, strict.thresholds)
    assert 'class="bar fallback"' in bars
    assert 'class="bar predicted' not in bars
    assert bars.count(below) >= 2  # visible and for screen readers
    assert "1.00" in bars  # the threshold
    default_answer = analyze_text(model, SENTENCE)
    html = sentence_html(language, default_answer) + label_bars(language, default_answer, model.thresholds)
    assert "fallback" not in html
    assert below not in html


def test_fallback_has_no_measured_precision(strict: EmotionClassifier, model: EmotionClassifier) -> None:
    per_label = model.info.metrics["test"]["per_label"]
    assert "correct" in quality("en", analyze_text(model, SENTENCE), per_label)
    assert "do not apply here" in quality("en", analyze_text(strict, SENTENCE), per_label)
    html = prediction_html("en", strict, analyze_text(strict, SENTENCE), SENTENCE)
    assert "No label reaches its threshold; the most likely one is gratitude" in html


def test_fallback_in_json(strict: EmotionClassifier) -> None:
    prediction = json.loads(as_json(analyze_text(strict, SENTENCE)))
    assert prediction["fallback"] is True
    (score,) = prediction["scores"]
    assert score["probability"] < score["threshold"] == 0.9999


def test_comparison_of_two_models(strict: EmotionClassifier, model: EmotionClassifier) -> None:
    html = comparison("en", ("strict", "usual"), (analyze_text(strict, SENTENCE), analyze_text(model, SENTENCE)))
    assert "strict (below its threshold) and usual" in html
    assert ">both<" not in html
    (row,) = (line for line in html.split("<tr") if "gratitude" in line.split("</th>")[0])
    assert row.count('class="number predicted"') == 1  # not predicted by the strict model
    different = comparison(
        "en", ("strict", "usual"), (analyze_text(strict, SENTENCE), analyze_text(model, "I am so angry!"))
    )
    assert "gratitude (below its threshold)" in different.split("<table")[0]
    assert "only strict (below its threshold)" in different


def test_passages(strict: EmotionClassifier, model: EmotionClassifier) -> None:
    passages = [Passage(SENTENCE), Passage("I am so angry!")]
    summary, _, table = long_text.render_passages("en", strict, passages, ["positive"], ["gratitude", "anger"])
    assert "0 of 2 passages" in summary
    assert table.count("chip fallback") == 2
    assert table.count("below its threshold") == 2
    assert "⚑" not in table
    summary, _, table = long_text.render_passages("en", model, passages, ["positive"], ["gratitude", "anger"])
    assert "2 of 2 passages" in summary
    assert "fallback" not in table
    _, arc, _ = long_text.render_passages("en", strict, passages, ["positive"], [])
    assert "gratitude (below its threshold)" in arc


def test_tables_do_not_count_fallbacks(tmp_path: Path, strict: EmotionClassifier, model: EmotionClassifier) -> None:
    source = sources.open_pasted_text(f"{SENTENCE}\nI am so angry!\n", tmp_path)
    for classifier, fallbacks in ((strict, 2), (model, 0)):
        out = tmp_path / f"out{fallbacks}"
        out.mkdir()
        *_, progress = scoring.score(source, "text", classifier, out)
        assert progress.fallbacks == fallbacks
        matrix = counts.label_matrix(out / scoring.PARQUET_FILE, classifier.labels)
        assert np.count_nonzero(matrix.any(axis=1)) == 2 - fallbacks
        table = parquet.read_table(out / scoring.PARQUET_FILE)
        assert table["emotion_fallback"].to_pylist() == [bool(fallbacks)] * 2
        csv = (out / scoring.CSV_FILE).read_text(encoding="utf-8")
        assert csv.count(str(bool(fallbacks)).lower()) == 2


def test_endpoints(strict_demo: str) -> None:
    client = Client(strict_demo, verbose=False)
    prediction = client.predict(SENTENCE, api_name="/analyze")
    assert prediction["fallback"] is True
    assert prediction["scores"][0]["probability"] < prediction["scores"][0]["threshold"]
    assert [result["fallback"] for result in client.predict([SENTENCE, ""], api_name="/batch")] == [True, True]
    assert client.predict(SENTENCE, api_name="/passages")[0]["answer"]["fallback"] is True
    compared = client.predict(SENTENCE, "default", "./usual", api_name="/compare")
    assert (compared["first"]["fallback"], compared["second"]["fallback"]) == (True, False)
    api: Any = client.view_api(return_format="dict")
    assert "`fallback` is true" in api["named_endpoints"]["/analyze"]["description"]
    client.close()
    summary, *_ = call(strict_demo, "score", [None, f"{SENTENCE}\nI am so angry!", "default", None, ""])
    assert "Rows in which no label reaches its threshold: 2" in summary


def computed_style(page: Page, selector: str) -> dict[str, str]:
    properties: dict[str, str] = page.locator(selector).first.evaluate(
        "e => { const s = getComputedStyle(e); return {fill: s.backgroundColor, line: s.borderTopStyle,"
        " width: s.borderTopWidth, color: s.borderTopColor, letters: s.color} }"
    )
    return properties


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_page_outlines_fallbacks(strict_demo: str, browser: Browser, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": 1200, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(strict_demo)
    page.locator("#text textarea").fill(SENTENCE)
    page.locator("#analyze").click()
    expect(page.locator("#words")).to_contain_text(SENTENCE)
    chip = computed_style(page, "#result .chip")
    assert chip["fill"] == "rgba(0, 0, 0, 0)"
    assert (chip["line"], chip["width"]) == ("dashed", "2px")
    assert page.locator("#result .predicted").count() == 0
    expect(page.locator("#result .bar.fallback")).to_contain_text("below its threshold")
    expect(page.locator("#spoken")).to_contain_text("No label reaches its threshold")
    if SCREENSHOTS:
        page.wait_for_timeout(500)
        page.screenshot(path=Path(SCREENSHOTS) / f"fallback-{scheme}.png")
    choose_model(page, "usual")
    page.wait_for_selector("#result .predicted")
    solid = computed_style(page, "#result .chip")
    assert (solid["fill"], solid["letters"]) == ("rgb(0, 105, 143)", "rgb(255, 255, 255)")
    if SCREENSHOTS:
        page.wait_for_timeout(500)
        page.screenshot(path=Path(SCREENSHOTS) / f"solid-{scheme}.png")
    page.locator("#switch label").first.click()
    page.wait_for_selector("#result .bar.fallback")
    open_tab(page, 3)
    page.locator("#long textarea").fill("Thank you so much! I am so angry about this.")
    page.locator("#long-run").click()
    page.wait_for_selector("#long-table .chip")
    assert computed_style(page, "#long-table .chip")["fill"] == "rgba(0, 0, 0, 0)"
    if SCREENSHOTS:
        page.wait_for_timeout(800)
        page.screenshot(path=Path(SCREENSHOTS) / f"passages-{scheme}.png", full_page=True)
    context.close()
