"""Inspect an upload in a worker process."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evenmood.errors import DataError
from space.table import sources, worker

MAX_LINE_CHARS = 1_000_000
"""Maximum length of a line of JSON Lines."""
MAX_DEPTH = 900
"""Maximum nesting depth of a line of JSON Lines, slightly below the limit of Python's parser."""
MAX_NAME_CHARS = 1000
"""Maximum length of a column name."""
_OPENING_OR_CLOSING = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True)
class Upload:
    """A readable upload.

    Attributes:
        source: The table, without its first rows.
        text_column: Likely text column.
        date_column: Likely date column; None if there is none.
    """

    source: sources.Source
    text_column: str
    date_column: str | None


def inspect_upload(path: Path, name: str, work_folder: Path) -> Upload:
    """Inspect an upload as `sources.open_source` does, without parsing anything in this process.

    Args:
        path: The upload.
        name: File name of the upload.
        work_folder: Folder for a copy in UTF-8.

    Raises:
        UsageError: The format is not supported, or the file is too large.
        DataError: The content does not match the file extension, a line is too long or too deeply nested, or the upload
            has expired.
    """
    if not path.is_file():
        raise DataError(f"{name}: the upload has expired; upload the file again")
    job = {"path": str(path), "name": name, "work_folder": str(work_folder)}
    (report,) = worker.run("space.table.uploads", job, name)
    source = sources.Source(**report["source"] | {"path": Path(report["source"]["path"])})
    return Upload(source, report["text_column"], report["date_column"])


def _inspect(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    path, name = Path(job["path"]), job["name"]
    if sources.KINDS.get(Path(name).suffix.lower()) == "jsonl":
        check_lines(path, name)
    source = sources.open_source(path, name, Path(job["work_folder"]))
    if max(map(len, source.columns)) > MAX_NAME_CHARS:
        raise DataError(f"{name}: a column name has more than {MAX_NAME_CHARS:,} characters; shorten it")
    yield {
        "source": asdict(replace(source, rows=[])) | {"path": str(source.path)},
        "text_column": sources.text_column(source),
        "date_column": sources.date_column(source),
    }


def check_lines(path: Path, name: str) -> None:
    """Raise `DataError` if a line of JSON Lines is too long or too deeply nested."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(4 * MAX_LINE_CHARS + 1):
            number += 1
            if len(line) > MAX_LINE_CHARS and len(line.decode("utf-8", "ignore").rstrip("\r\n")) > MAX_LINE_CHARS:
                raise DataError(
                    f"{name}, line {number}: more than {MAX_LINE_CHARS:,} characters; write one object per line, "
                    "or use: evenmood predict"
                )
            if line.count(b"[") + line.count(b"{") > MAX_DEPTH and _depth(line) > MAX_DEPTH:
                raise DataError(f"{name}, line {number}: more than {MAX_DEPTH} levels of nesting; flatten the object")


def _depth(line: bytes) -> int:
    """Return the maximum nesting depth of a line."""
    depth = max_depth = 0
    for match in _OPENING_OR_CLOSING.finditer(line):
        sign = match[0][:1]
        depth += 1 if sign in b"[{" else -1 if sign in b"]}" else 0
        max_depth = max(max_depth, depth)
    return max_depth


if __name__ == "__main__":
    worker.serve(_inspect)
