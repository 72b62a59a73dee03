"""A report in a real browser: opened from disk, in several sizes and color schemes, and printed."""

import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install --group dev")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from docs.screenshot import chromium
from evenmood import EmotionClassifier
from evenmood.report.counts import ScoredTexts
from evenmood.report.page import ReportMetadata
from evenmood.report.write import write_report
from tests.evenmood.report.test_page import HOSTILE

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
]
TEXTS = [
    "Thank you so much, this made my day!",
    "I am so angry and disappointed. Never again.",
    "Does it come in blue? I was wondering.",
    "I'm so sad that it broke, I loved it.",
    "The parcel has two handles.",
    "I can't wait, so excited! Love it!",
    HOSTILE,
    "averyveryverylongwordthatnobodywouldbreak" * 8,
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page_on_disk(model: EmotionClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [TEXTS[i * i % len(TEXTS)] if i % 3 else TEXTS[i % len(TEXTS)] for i in range(600)]
    scores = model.read(texts)
    times = [date(2026, 1, 1) + timedelta(days=i // 3) for i in range(600)]
    groups = [
        ("Kettle", HOSTILE, "A product with a very long name that goes on and on and on")[i % 3] for i in range(600)
    ]
    out = tmp_path_factory.mktemp("report") / "report.html"
    about = ReportMetadata(HOSTILE, "bundled model", "1.2.3", "text", HOSTILE, note=HOSTILE)
    write_report(
        str(out), [ScoredTexts(texts, scores.probabilities, scores.windows, times, groups)], model.thresholds, about
    )
    return out


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (360, "dark"),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((360, "light"), (800, "dark"), (1440, "light"))),
    ],
)
def test_report_opened_from_disk(browser: Browser, page_on_disk: Path, width: int, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    requests: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(page_on_disk.as_uri())
    assert requests == [page_on_disk.as_uri()]
    assert messages == []  # includes violations of the content security policy
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).fontSize") != "32px"  # the style applies
    top = page.locator("h1").bounding_box()
    assert top
    assert top["y"] + top["height"] < 500
    violations = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(entry["id"], [node["html"][:200] for node in entry["nodes"][:3]]) for entry in violations] == []
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    violations = Axe().run(page).response["violations"]
    assert [(entry["id"], [node["html"][:200] for node in entry["nodes"][:3]]) for entry in violations] == []
    context.close()


def test_printed_report(browser: Browser, page_on_disk: Path) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(page_on_disk.as_uri())
    page.emulate_media(media="print")
    colors = page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    assert colors == ["rgb(255, 255, 255)", "rgb(28, 31, 38)"]
    assert page.pdf(format="A4", print_background=True).startswith(b"%PDF")
    context.close()
