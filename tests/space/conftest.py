"""Browser fixtures for the tests of the demo."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from docs.screenshot import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    yield context.new_page()
    context.close()
