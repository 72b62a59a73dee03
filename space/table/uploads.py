"""What an upload is, found out in a process of its own."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evenmood.errors import DataError
from space.table import apart, sources

LONGEST_LINE = 1_000_000
"""Characters of a line of JSON Lines."""
DEEPEST = 900
"""Lists and objects within one another in a line of JSON Lines; Python's reader takes a few more."""
LONGEST_NAME = 1000
"""Characters of a column's name."""
_OPENING_OR_CLOSING = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True)
class Upload:
    """An upload that can be read.

    Attributes:
        source: The table, without its first rows.
        text_column: The column that likely holds the texts.
        date_column: The column that likely holds dates; None where there is none.
    """

    source: sources.Source
    text_column: str
    date_column: str | None


def open_apart(path: Path, name: str, work: Path) -> Upload:
    """Find out what an upload is, as `sources.open_source` does it, without parsing anything in this process.

    Args:
        path: The upload.
        name: What the visitor calls it.
        work: Folder for a converted copy.

    Raises:
        UsageError: Not a format that is taken, or too large.
        DataError: Not what its name says, a line that is too long or too deep, or no longer there.
    """
    if not path.is_file():
        raise DataError(f"{name}: no longer kept on this server; upload it again")
    order = {"path": str(path), "name": name, "work": str(work)}
    (report,) = apart.run("space.table.uploads", order, name)
    source = sources.Source(**report["source"] | {"path": Path(report["source"]["path"])})
    return Upload(source, report["text_column"], report["date_column"])


def _look(order: dict[str, Any]) -> Iterator[dict[str, Any]]:
    path, name = Path(order["path"]), order["name"]
    if sources.KINDS.get(Path(name).suffix.lower()) == "jsonl":
        check_lines(path, name)
    source = sources.open_source(path, name, Path(order["work"]))
    if max(map(len, source.columns)) > LONGEST_NAME:
        raise DataError(f"{name}: a column's name of more than {LONGEST_NAME:,} characters")
    yield {
        "source": asdict(replace(source, rows=[])) | {"path": str(source.path)},
        "text_column": sources.text_column(source),
        "date_column": sources.date_column(source),
    }


def check_lines(path: Path, name: str) -> None:
    """Raise `DataError` for JSON Lines with a line that is too long, or in which too much is nested."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(4 * LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE and len(line.decode("utf-8", "ignore").rstrip("\r\n")) > LONGEST_LINE:
                raise DataError(
                    f"{name}, line {number}: more than {LONGEST_LINE:,} characters; write an object a line, "
                    "or use: evenmood predict"
                )
            if line.count(b"[") + line.count(b"{") > DEEPEST and _depth(line) > DEEPEST:
                raise DataError(f"{name}, line {number}: more than {DEEPEST} lists and objects within one another")


def _depth(line: bytes) -> int:
    """How many lists and objects are open at once, at the most."""
    depth = deepest = 0
    for found in _OPENING_OR_CLOSING.finditer(line):
        sign = found[0][:1]
        depth += 1 if sign in b"[{" else -1 if sign in b"]}" else 0
        deepest = max(deepest, depth)
    return deepest


if __name__ == "__main__":
    apart.serve(_look)
