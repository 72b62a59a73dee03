"""Take a picture of the running demo in headless Chromium: `python docs/screenshot.py docs/demo.png`."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
SENTENCE = "Thanks for explaining, but I'm still confused."
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
    """Start the demo on a free port of loopback and give its address; it ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [python, app, "--no-browser", "--port", str(port), *options]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    sys.exit(
                        f"error: the demo did not start: {process.stderr.read().decode() if process.stderr else ''}"
                    )
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()
        if process.stderr:
            process.stderr.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, driven by playwright."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        sys.exit("error: chromium is not installed; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


def ask(page: Page, url: str, text: str) -> Any:
    """Open the page, type a text, press the button, and wait for the bars."""
    page.goto(url)
    page.get_by_label("Text").fill(text)
    page.get_by_role("button", name="Analyse").click()
    page.wait_for_selector("#result .bar")
    page.wait_for_timeout(300)
    return page


def main() -> None:
    """Take the picture."""
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/screenshot.py OUT.png")
    with running_demo() as url, chromium() as browser:
        page = browser.new_page(viewport={"width": 1200, "height": 760}, color_scheme="light")
        ask(page, url, SENTENCE).screenshot(path=sys.argv[1])


if __name__ == "__main__":
    main()
