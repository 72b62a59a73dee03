"""Take screenshots or a recording of the running demo in Chromium: `python docs/screenshot.py docs/demo.png`."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from docs.static_server import served

ROOT = Path(__file__).parent.parent
SITE = ROOT / "web" / "site"
SENTENCE = "Thanks for explaining, but I'm still confused."
LETTER = (ROOT / "space" / "samples" / "letter.txt").read_text(encoding="utf-8").strip()
TABS = ("analyze", "compare", "batch", "long", "about")
SCREENS: tuple[tuple[str, int, Any], ...] = (("light", 1200, "light"), ("dark", 1200, "dark"), ("phone", 390, "light"))
"""Name, width and color scheme of the screenshots that `take_screens` writes."""
PHONE_MAX_WIDTH, MAX_HEIGHT, COLORS = 640, 2200, 64
ON_A_PHONE = ("analyze", "batch", "long-text")
CHROMIUM_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@contextmanager
def running_demo(
    *options: str,
    environment: dict[str, str] | None = None,
    python: str | Path = sys.executable,
    app: Path = ROOT / "space" / "app.py",
) -> Iterator[str]:
    """Start the demo without feedback on a free loopback port; yield its URL, and stop it after the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [python, app, "--no-browser", "--port", str(port), *options]
    url = f"http://127.0.0.1:{port}"
    with running_process(command, url, {"EVENMOOD_FEEDBACK": "", **(environment or {})}):
        yield url


@contextmanager
def running_process(command: list[Any], url: str, environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a server, wait until it responds, and stop it after the block."""
    with tempfile.TemporaryFile() as stderr:  # an unread pipe would block the server once it is full
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env={**os.environ, **environment})
        try:
            deadline = time.monotonic() + 60
            while not _responds(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    stderr.seek(0)
                    sys.exit(f"error: the demo did not start: {stderr.read().decode()}")
                time.sleep(0.02)
            yield process
        finally:
            process.terminate()
            process.wait()


def _responds(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own server, on loopback
    except OSError:
        return False
    return True


@contextmanager
def chromium() -> Iterator[Browser]:
    """Launch the installed Chromium with playwright."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        sys.exit("error: chromium is not installed; on Debian: apt-get install chromium")
    expect.set_options(timeout=20_000)  # milliseconds; the default of 5,000 is too short on a busy machine
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


def count_bytes(page: Page) -> list[float]:
    """Record a page's downloads; return a list to which the compressed size in bytes of each is appended."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    return sizes


def ask(page: Page, url: str, text: str) -> Any:
    """Open the page, analyze a text, and wait for the result."""
    page.goto(url)
    page.wait_for_selector("#result .sentence")
    box = page.locator("#text textarea")
    if box.input_value() != text:  # otherwise the page already shows the result
        page.evaluate("document.querySelector('#result .sentence').dataset.old = ''")
        box.fill(text)
        page.locator("#analyze").click()
        page.wait_for_selector("#result .sentence:not([data-old])")
    expect(page.locator("#words")).to_contain_text(text[:20].strip(), timeout=20_000)
    page.wait_for_selector("#result .bar")
    page.wait_for_selector("#words mark")
    page.wait_for_timeout(300)
    return page


def open_tab(page: Page, number: int) -> None:
    """Open a tab, from the overflow menu if it does not fit on a narrow screen."""
    page.wait_for_selector("#result .sentence", state="attached")
    tabs = page.get_by_role("tab")
    visible_tabs = [tabs.nth(index).get_attribute("data-tab-id") for index in range(tabs.count())]
    if TABS[number] in visible_tabs:
        tabs.nth(visible_tabs.index(TABS[number])).click()
        return
    page.locator(".overflow-menu > button").click()
    hidden_tabs = [name for name in TABS if name not in visible_tabs]
    page.locator(".overflow-dropdown button").nth(hidden_tabs.index(TABS[number])).click()


def choose_model(page: Page, title: str) -> None:
    """Select a model above the tabs: by the switch, or from the list behind its last option."""
    switch = page.locator("#switch label")
    names = switch.all_inner_texts()
    if title in names:
        switch.nth(names.index(title)).click()
        return
    switch.last.click()
    page.locator("#model input").click()
    page.get_by_role("option", name=title).click()


def walk(page: Page, url: str) -> Iterator[str]:
    """Visit the page tab by tab; yield the name of each view once it has loaded."""
    page.goto(url)
    page.wait_for_selector("#result .sentence")
    page.wait_for_timeout(300)
    yield "analyze"
    page.locator("#method label").nth(1).click()
    page.wait_for_selector("#words mark.for.strong")
    yield "why"
    page.locator("#text textarea").fill(LETTER)
    page.locator("#analyze").click()
    page.wait_for_selector("#words mark.passage")
    yield "analyze-long"
    open_tab(page, 1)
    page.wait_for_selector("#compare-table table")
    yield "compare"
    open_tab(page, 2)
    yield "batch-empty"
    page.locator("#batch-sample").click()
    page.wait_for_selector("#batch-heat table", timeout=60_000)
    page.wait_for_timeout(300)
    yield "batch"
    open_tab(page, 3)
    page.locator("#long-chat").click()
    page.wait_for_selector("#long-table table")
    page.wait_for_timeout(300)
    yield "long-text"
    open_tab(page, 4)
    page.wait_for_selector("#about-metrics .groups")
    yield "about"


def take_screens(browser: Browser, url: str, folder: Path) -> None:
    """Take a screenshot of each tab on a desktop, in light and dark mode, and of some tabs on a phone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, width, scheme in SCREENS:
        page = browser.new_page(viewport={"width": width, "height": 860}, color_scheme=scheme)
        for view in walk(page, url):
            if view in ("why", "batch-empty") or (width < PHONE_MAX_WIDTH and view not in ON_A_PHONE):
                continue
            _save(page, folder / f"{view}-{name}.png")
        page.close()


def take_page_screens(browser: Browser, folder: Path) -> None:
    """Take screenshots of the sample report and the static page, in light and dark mode and on a phone."""
    if not (SITE / "index.html").is_file():
        sys.exit(f"error: {SITE}: not found; run: make web")
    with served(SITE) as static:
        for view, address, ready in (
            ("static", static, "#prediction:not([aria-busy])"),
            ("report", (ROOT / "docs" / "sample-report.html").as_uri(), "h1"),
        ):
            for name, width, scheme in SCREENS:
                page = browser.new_page(viewport={"width": width, "height": 860}, color_scheme=scheme)
                page.goto(address)
                page.wait_for_selector(ready)
                _save(page, folder / f"{view}-{name}.png")
                page.close()


def _save(page: Page, path: Path) -> None:
    """Save a screenshot of the page from its top, with a reduced palette."""
    from PIL import Image

    page.evaluate("window.scrollTo(0, 0)")
    image = Image.open(BytesIO(page.screenshot(full_page=True)))
    top = image.crop((0, 0, image.width, min(image.height, MAX_HEIGHT)))
    top.convert("P", palette=Image.Palette.ADAPTIVE, colors=COLORS).save(path, optimize=True)


def record(page: Page, url: str, out: Path) -> None:
    """Record a visit as an animation with one frame per step."""
    from PIL import Image

    frames = []

    def take(scroll: int) -> None:
        page.evaluate(f"window.scrollTo(0, {scroll})")
        page.wait_for_timeout(300)
        frames.append(Image.open(BytesIO(page.screenshot())).convert("P", palette=Image.Palette.ADAPTIVE))

    below = {"batch": (400, 1100), "long-text": (430,)}
    for name in walk(page, url):
        if name != "about":  # a page of tables only
            for scroll in (0, *below.get(name, ())):
                take(scroll)
    frames[0].save(out, save_all=True, append_images=frames[1:], duration=2500, loop=0, optimize=True)


def main() -> None:
    """Take one screenshot (.png), a recording (.gif), or screenshots of all views (a folder)."""
    if len(sys.argv) != 2:
        sys.exit(
            "usage: python docs/screenshot.py OUT (a .png file, a .gif file for a recording, or a folder for all views)"
        )
    out = Path(sys.argv[1])
    with running_demo() as url, chromium() as browser:
        if not out.suffix:
            take_screens(browser, url, out)
            take_page_screens(browser, out)
            return
        page = browser.new_page(viewport={"width": 1100, "height": 780}, color_scheme="light")
        if out.suffix == ".gif":
            record(page, url, out)
        else:
            ask(page, url, SENTENCE).screenshot(path=out)


if __name__ == "__main__":
    main()
