"""Options shared by the generation tests."""

from typing import Any

MISSING = {"grief": 30, "relief": 10}
OPTIONS: dict[str, Any] = {"samples": 64, "missing": MISSING, "concurrency": 4}
