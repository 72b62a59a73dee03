"""The demo in a browser: all tabs on desktop and phone, in light and dark mode, in three languages."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect

from docs.screenshot import ask, open_tab, walk
from tests.layout_shift import layout_shift, observe_layout_shift
from tests.space.test_programs import snippet

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
]

SCREENSHOTS = os.environ.get("EVENMOOD_SCREENSHOTS")
"""Optional folder for screenshots."""
HOSTILE = (
    "<img src=x onerror=\"window.hacked=1\"> <b id='bold'>love</b> ${window.hacked=1} {{7*7}} "
    "<script>window.hacked=1</script>"
)


def check_accessibility(page: Page, name: str) -> None:
    violations = Axe().run(page).response["violations"]
    summary = [(entry["id"], [node["html"][:200] for node in entry["nodes"][:3]]) for entry in violations]
    assert summary == [], name


@pytest.mark.parametrize(
    ("width", "scheme", "language"),
    [
        pytest.param(1440, "light", "es-ES", marks=pytest.mark.slow),
        (360, "dark", "en-GB"),
        pytest.param(1200, "dark", "en-US", marks=pytest.mark.slow),
        pytest.param(390, "light", "zh-CN", marks=pytest.mark.slow),
    ],
)
def test_all_tabs(demo: str, browser: Browser, width: int, scheme: Any, language: str) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, locale=language, has_touch=width < 500
    )
    page = context.new_page()
    urls: list[str] = []
    errors: list[str] = []

    def record(request: Request) -> None:
        urls.append(request.url)

    page.on("request", record)
    page.on("pageerror", lambda error: errors.append(str(error)))
    for name in walk(page, demo):
        where = f"{name}-{width}-{scheme}-{language}"
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS) / f"{where}.png", full_page=True)
        check_accessibility(page, where)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), where
        assert "[object Object]" not in page.locator("body").inner_text(), where
        assert "evenmood_" not in page.locator("body").inner_text(), where
    assert [url for url in urls if not url.startswith((demo, "data:", "blob:"))] == []
    assert errors == []
    storage = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "confused" not in storage
    expected = {"en": "Share of rows", "es": "Proporción de filas", "zh": "各标签所占行的比例"}[language[:2]]
    open_tab(page, 2)
    expect(page.get_by_text(expected).first).to_be_visible()
    context.close()


@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_moves_while_the_page_loads(demo: str, browser: Browser, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    observe_layout_shift(page)
    page.goto(demo)
    expect(page.locator("#result .sentence")).to_be_visible()
    page.wait_for_timeout(1_000)
    assert layout_shift(page) < 0.1
    context.close()


def test_keyboard_navigation(demo: str, page: Page) -> None:
    page.goto(demo)
    page.wait_for_selector("#analyze")
    expect(page.locator("#text textarea")).to_be_focused()
    page.keyboard.type("Thank you so much")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#words")).to_contain_text("Thank you so much")
    expect(page.locator("#result .sentence")).to_contain_text("gratitude")
    page.keyboard.press("Tab")
    expect(page.locator("#analyze")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.getAttribute('data-tab-id')") == "long":
            break
    page.keyboard.press("Enter")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#long') !== null"):
            break
    expect(page.locator("#long textarea")).to_be_focused()
    page.keyboard.type("Thank you. I hate this.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#long-table tbody tr")).to_have_count(2)
    expect(page.locator("#long-options")).to_be_visible()


def test_loading_opens_no_stream(demo: str, page: Page) -> None:
    """Gradio loses requests that are sent between the end of a stream and its notification."""
    streams: list[str] = []
    page.on("request", lambda request: streams.append(request.url) if "/queue/" in request.url else None)
    page.goto(demo)
    page.get_by_role("tab").last.click()
    expect(page.get_by_text("Results by label").first).to_be_visible()
    assert streams == []
    ask(page, demo, "Thank you so much!")
    assert streams  # streams are detected


def test_text_is_never_html(demo: str, page: Page, tmp_path: Path) -> None:
    ask(page, demo, HOSTILE)
    assert "<b id='bold'>" in page.locator("#words").inner_text()
    assert "${window.hacked=1} {{7*7}}" in page.locator("#words").inner_text()
    page.locator("#label").wait_for(state="hidden")
    page.get_by_role("tab").nth(1).click()
    page.locator("#compare-text textarea").fill(HOSTILE)
    page.locator("#compare").click()
    page.wait_for_selector("#compare-table table")
    page.get_by_label("Second model").fill(HOSTILE)
    page.keyboard.press("Enter")
    page.locator("#compare").click()
    page.wait_for_selector("text=choose one from the list")
    page.get_by_role("tab").nth(2).click()
    header = HOSTILE.replace(",", "").replace('"', "'")
    path = tmp_path / "<img src=x onerror=window.hacked=1>.csv"
    path.write_text(f"{header},when\n" + f"{header},{header}\n" * 3, encoding="utf-8")
    page.locator("#batch-file input[type=file]").set_input_files(path)
    page.wait_for_selector("#batch-progress .note")
    page.locator("#batch-run").click()
    page.wait_for_selector("#batch-rows table")
    expect(page.locator("#batch-rows")).to_contain_text("<b id='bold'>")
    page.get_by_role("tab").nth(3).click()
    page.locator("#long textarea").fill(f"<i>Ada</i>: {HOSTILE}\nAda: {HOSTILE}\nBen: {HOSTILE}")
    page.locator("#long-run").click()
    page.wait_for_selector("#long-table table")
    page.wait_for_timeout(500)
    assert page.evaluate("window.hacked") is None
    for selector in (
        "#words",
        "#compare-table",
        "#batch-rows",
        "#batch-heat",
        "#batch-progress",
        "#long-table",
        ".toast-body",
    ):
        assert page.locator(f"{selector} img, {selector} #bold, {selector} script, {selector} i").count() == 0, selector


def test_page_loads_quickly_and_is_small(demo: str, page: Page) -> None:
    page.goto(demo)
    page.wait_for_selector("#result .sentence")
    first_paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert first_paint < 6000  # under 1,500 on an idle machine
    space = Path(__file__).parents[2] / "space"
    assets = [*space.glob("page.*"), *space.glob("locales/*.json"), *space.glob("samples/*")]
    assert sum(path.stat().st_size for path in assets) < 100_000


def test_api_link_is_visible_on_phones(demo: str, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.goto(demo)
    expect(page.get_by_role("button", name="Use via API")).to_be_visible()
    context.close()


def test_javascript_client_of_the_guide(demo: str, page: Page) -> None:
    page.goto(demo)
    page.wait_for_selector("#analyze")
    code = snippet("js", "fetch").replace("http://127.0.0.1:7860", demo)
    output = page.evaluate(
        f"async () => {{ const lines = [], console = {{log: (x) => lines.push(x)}}; {code} return lines; }}"
    )
    assert output[0][0] == "gratitude"
