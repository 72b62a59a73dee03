"""Code blocks of README, CONTRIBUTING and the documents."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A code block.

    Attributes:
        page: Path from the repository's root.
        language: Language of the block.
        code: Source code.
        reason: Reason for not running it, from a comment before the block: `<!-- not run: needs a network -->`.
    """

    page: str
    language: str
    code: str
    reason: str | None

    @property
    def commands(self) -> list[str]:
        """Commands of a shell block: continuation lines are joined, comments and leading assignments removed."""
        lines = [line for line in self.code.replace("\\\n", " ").splitlines() if not line.startswith("#")]
        return [re.sub(r"^(?:[A-Z_]+=\S+ )+", "", line.split("  #")[0].strip()) for line in lines]


def snippets(language: str) -> list[Snippet]:
    """Return all blocks of a language."""
    return [snippet for page in PAGES for snippet in _blocks(page) if snippet.language == language]


def _blocks(page: Path) -> Iterator[Snippet]:
    name = page.relative_to(ROOT).as_posix()
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        yield Snippet(name, match["language"], match["code"], match["reason"])
