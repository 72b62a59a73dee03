"""Measure the cumulative layout shift of a page in Chromium."""

from playwright.sync_api import Page

OBSERVE = """
globalThis.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
}).observe({type: "layout-shift", buffered: true});
"""


def observe_layout_shift(page: Page) -> None:
    """Start measuring at the next navigation of the page."""
    page.add_init_script(OBSERVE)


def layout_shift(page: Page) -> float:
    """Return the sum of the layout shifts since navigation; below 0.1 is good (web.dev/articles/cls)."""
    return float(page.evaluate("shift"))
