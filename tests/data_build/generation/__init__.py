"""Options shared by the generation tests."""

from typing import Any

SHORTFALL = {"grief": 30, "relief": 10}
OPTIONS: dict[str, Any] = {"samples": 64, "shortfall": SHORTFALL, "concurrency": 4}
