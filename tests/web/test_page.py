"""The npm package in a browser, and the static page: offline use, and no data sent."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect

from docs.screenshot import count_bytes
from docs.static_server import served
from evenmood import GROUPS, EmotionClassifier
from space.components.labels import EMOJI
from space.components.support import PHRASES
from tests.layout_shift import layout_shift, observe_layout_shift
from tests.web.conftest import WEB

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
SITE_BYTES = 14_000_000


@pytest.mark.parametrize("threads", [1, 2])
def test_probabilities_match_python(web: Path, browser: Browser, reference: Any, threads: int) -> None:
    scored = reference["fast"]["scored"]
    with served(web, isolated=threads > 1) as address:
        page = browser.new_page()
        page.goto(f"{address}/test/browser.html")
        expect(page).to_have_title("ready")
        results = page.evaluate(
            "([texts, threads]) => probabilities(texts, threads)", [[row["text"] for row in scored], threads]
        )
        page.close()
    assert results["isolated"] == (threads > 1)
    expected = np.array([list(row["probabilities"].values()) for row in scored])
    assert np.abs(np.array(results["rows"]) - expected).max() < 1e-4


def open_page(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#prediction:not([aria-busy])")).to_be_visible(timeout=30_000)


def test_page_matches_python(web: Path, browser: Browser, fast_model: EmotionClassifier) -> None:
    with served(web / "site") as address:
        page = browser.new_page()
        open_page(page, address)
        for text in ("My dog passed away this morning.", "Thank you! But why?", "see you tomorrow 😡", "<b>hm</b>"):
            page.get_by_label("Text", exact=True).fill(text)
            prediction = fast_model.predict(text)
            expect(page.locator("#words")).to_have_text(text)
            for score in prediction.scores:
                expect(page.locator("#sentence")).to_contain_text(f"{score.label} {round(100 * score.probability)}%")
            expect(page.locator("#bars .bar")).to_have_count(len(prediction.scores))
        page.get_by_role("button", name="I miss my grandmother").click()
        expect(page.locator("#sentence")).to_contain_text("sadness")
        assert page.locator("#groups .bar").count() == len(fast_model.labels)
        page.get_by_label("Text", exact=True).fill("")
        expect(page.locator("#status")).to_have_text("Enter a text.")
        page.close()


def test_page_answers_within_100_ms(web: Path, browser: Browser) -> None:
    with served(web / "site") as address:
        page = browser.new_page()
        open_page(page, address)
        durations = []
        for text in ("I love it", "I love it, but", "I love it, but I'm scared") * 4:
            page.get_by_label("Text", exact=True).fill(text)
            expect(page.locator("#words")).to_have_text(text)
            match = re.search(r"in (\d+) ms", page.inner_text("#status"))
            assert match is not None
            durations.append(int(match[1]))
        page.close()
    assert np.median(durations) < 100


def test_page_sends_no_data_and_works_offline(web: Path, browser: Browser) -> None:
    requests: list[Request] = []
    with served(web / "site") as address:
        context = browser.new_context()
        context.on("request", lambda request: requests.append(request))
        page = context.new_page()
        open_page(page, address)
        expect(page.get_by_text("This page now works offline.")).to_be_visible(timeout=30_000)
        assert all(request.url.startswith((address, "blob:", "data:")) for request in requests)
        request_count = len(requests)
        page.get_by_label("Text", exact=True).fill("A secret that stays here")
        expect(page.locator("#words")).to_have_text("A secret that stays here")
        page.wait_for_timeout(500)
        assert len(requests) == request_count
        assert all(request.method == "GET" and "secret" not in request.url for request in requests)
        context.set_offline(True)
        open_page(page, address)
        expect(page.locator("#sentence")).to_contain_text("gratitude")
        context.close()


def test_model_is_downloaded_once(web: Path, browser: Browser) -> None:
    """The copy for offline use is taken from the browser cache."""
    with served(web / "site") as address:
        context = browser.new_context()
        page = context.new_page()
        received = count_bytes(page)
        open_page(page, address)
        expect(page.get_by_text("This page now works offline.")).to_be_visible(timeout=30_000)
        context.close()
    assert sum(received) < SITE_BYTES


def test_new_deployment_replaces_the_cached_page(web: Path, browser: Browser, tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(web / "site", site)
    with served(site) as address:
        context = browser.new_context()
        old_page, new_page = context.new_page(), context.new_page()
        open_page(old_page, address)
        expect(old_page.get_by_text("This page now works offline.")).to_be_visible(timeout=30_000)
        for name, old, new in (
            ("index.html", "<h1>evenmood</h1>", "<h1>evenmood, newer</h1>"),
            ("service_worker.js", "evenmood-", "evenmood-newer-"),
        ):
            content = (site / name).read_text("utf-8")
            assert old in content
            (site / name).write_text(content.replace(old, new, 1), "utf-8")
        open_page(new_page, address)
        for _ in range(300):
            if new_page.evaluate("async () => (await caches.keys()).join().startsWith('evenmood-newer-')"):
                break
            new_page.wait_for_timeout(100)
        old_page.get_by_label("Text", exact=True).fill("Thank you!")
        expect(old_page.locator("#sentence")).to_contain_text("gratitude")
        context.set_offline(True)
        open_page(new_page, address)
        expect(new_page.get_by_role("heading", level=1)).to_have_text("evenmood, newer")
        context.close()


def test_long_text_and_fast_typing(web: Path, browser: Browser) -> None:
    with served(web / "site") as address:
        page = browser.new_page()
        open_page(page, address)
        field = page.get_by_label("Text", exact=True)
        text = "I love it, but I'm scared! " * 800
        field.fill(text[:20_000])
        expect(page.locator("#status")).to_contain_text("Texts are truncated at 20000 characters.", timeout=30_000)
        observer = "globalThis.answers = 0; new MutationObserver(() => globalThis.answers++)"
        page.evaluate(f"{observer}.observe(document.getElementById('words'), {{childList: true}})")
        field.evaluate("field => field.setSelectionRange(0, 100)")
        field.press("Delete")
        field.press_sequentially("Oh wow", delay=20)
        expect(page.locator("#words mark").first).to_have_text("Oh", timeout=30_000)
        assert page.evaluate("answers") <= 3
        page.close()


def test_text_about_self_harm_shows_a_helpline(web: Path, browser: Browser) -> None:
    with served(web / "site") as address:
        page = browser.new_page()
        open_page(page, address)
        assert page.locator("#support").is_hidden()
        page.get_by_label("Text", exact=True).fill("I want to kill myself")
        expect(page.get_by_role("link", name="findahelpline.com")).to_be_visible()
        expect(page.locator("#sentence .chip.plain").first).to_be_visible()
        page.close()


def test_failed_model_download_is_reported(web: Path, browser: Browser, tmp_path: Path) -> None:
    shutil.copytree(web / "site", tmp_path / "site")
    (tmp_path / "site" / "model.onnx.gz").unlink()
    with served(tmp_path / "site") as address:
        page = browser.new_page()
        page.goto(address)
        expect(page.locator("#status")).to_have_text(
            "The model cannot be loaded (model.onnx: HTTP 404); reload the page to try again."
        )
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_page_is_accessible_and_fits_the_screen(web: Path, browser: Browser, scheme: Any, width: int) -> None:
    with served(web / "site") as address:
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True, service_workers="block"
        )
        page = context.new_page()
        observe_layout_shift(page)
        open_page(page, address)
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert layout_shift(page) < 0.1
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        context.close()


def test_size_of_the_page(web: Path) -> None:
    assert sum(path.stat().st_size for path in (web / "site").iterdir()) < SITE_BYTES


def test_labels_and_phrases_match_the_demo() -> None:
    """The page has copies, because it is built without Python."""
    source = (WEB / "demo" / "labels.ts").read_text("utf-8")
    for group, labels in GROUPS.items():
        assert re.search(rf'{group}:\s+(?:"{" ".join(labels)}"\.split|\["{labels[0]}"\])', source), group
    for label, emoji in EMOJI.items():
        assert f'{label}: "{emoji}"' in source
    assert json.loads((WEB / "demo" / "self_harm.json").read_text("utf-8"))["pattern"] == PHRASES.pattern
