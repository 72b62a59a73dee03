"""Settings of the page's events."""

from typing import Any

LOAD_EVENT: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
"""Settings of events during page load, which bypass Gradio's queue.

The queue sends responses over a stream that the server closes after the last one. A request sent before the browser
notices the closed stream would never get a response.
"""
