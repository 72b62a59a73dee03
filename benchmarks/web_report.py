"""Format results/web.json as a table: the npm package compared with transformers.js."""

import json
from pathlib import Path
from textwrap import fill
from typing import Any

RESULTS = Path(__file__).parent.parent / "results" / "web.json"
NAMES = {
    "fast": "**evenmood, fast**",
    "accurate": "**evenmood, accurate**",
    "roberta": "RoBERTa-base int8, transformers.js",
}


def web_table() -> str:
    """Format the Markdown table, followed by the conditions and the differences from Python."""
    content = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows = sorted(content["peers"], key=lambda row: (row["where"], list(NAMES).index(row["model"])))
    lines = [
        "| | where | texts per second | one text: p50, p99 | start | downloaded |",
        "|---|---|---|---|---|---|",
        *(_row(row) for row in rows),
    ]
    fast, accurate = (content["differences"][name] for name in ("fast", "accurate"))
    machine = content["machine"].split(", Python")[0]
    notes = (
        f"{machine}; medians of {content['rounds']} rounds on GoEmotions test texts. Start: from an empty page or "
        "process to the first prediction, with local files. RoBERTa has the architecture of "
        "SamLowe/roberta-base-go_emotions with random weights, which do not affect speed.",
        f"Probabilities in WebAssembly and in Python differ by at most {fast['largest']:.0e} (fast) and "
        f"{accurate['largest']:.0e} (accurate).",
        f"The static page takes {content['site_bytes'] / 1e6:.1f} MB in total. Measured with `make bench-web`.",
    )
    return "\n".join(lines) + "\n\n" + "\n\n".join(fill(note, 120) for note in notes)


def _row(row: dict[str, Any]) -> str:
    cells = (
        NAMES[row["model"]],
        row["where"],
        f"{row['texts_per_s']:,.0f}",
        f"{row['p50_ms']:.1f} ms, {row['p99_ms']:.1f} ms",
        f"{row['start_s']:.2f} s",
        f"{row['megabytes']:.1f} MB" if "megabytes" in row else "–",
    )
    return f"| {' | '.join(cells)} |"
