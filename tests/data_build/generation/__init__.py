"""Generating samples: what the tests have in common."""

from typing import Any

MISSING = {"grief": 30, "relief": 10}
OPTIONS: dict[str, Any] = {"samples": 64, "missing": MISSING, "concurrency": 4}
