"""How the page's own events reach the server."""

from typing import Any

AT_LOAD: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
"""For what a page asks while it loads: the request itself brings the answer.

Gradio's queue sends answers over a stream that the server closes after the last one. What a visitor asks while that
news is under way would wait for a stream that nobody opens again.
"""
