"""Tweets: reading Sentiment140 as people have it, and what of a tweet becomes a row's text."""

import csv
import html
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from evenmood import hub
from evenmood.errors import DataError
from evenmood.splits import explained

PARQUET_FORM = "refs/convert/parquet"
ORIGINAL_COLUMNS = 6
"""Polarity, id, date, query, user, text; the original file has no header."""
_GONE = re.compile(r"(?:https?://|www\.)\S+|(?<!\w)@\w+|^\s*RT\b[\s:]*|\bRT\s+(?=@)", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def tweet_text(raw: str) -> str:
    """What of a tweet is classified and kept: entities and mojibake repaired; no mentions, URLs and retweet marks."""
    import ftfy

    repaired = ftfy.fix_text(html.unescape(raw))
    return _SPACE.sub(" ", _GONE.sub(" ", repaired)).strip()


def read_tweets(path: Path) -> Iterator[tuple[str, str]]:
    """Read tweets in a stream: id (or row number, from 1) and text as the file has it.

    Args:
        path: The original six columns without a header, or columns with a header of which one is `text`; UTF-8 or
            Latin-1, line by line.

    Raises:
        DataError: There is no such file, or it holds no texts.
    """
    csv.field_size_limit(sys.maxsize)
    try:
        with path.open("rb") as file:
            rows = csv.reader(_decode(line) for line in file)
            first = next(rows, None)
            if first is None:
                raise DataError(f"{path}: the file is empty")
            header = [name.strip().lower().lstrip("\ufeff") for name in first]
            if "text" in header:
                text_at, id_at = header.index("text"), header.index("id") if "id" in header else None
            elif len(first) == ORIGINAL_COLUMNS and first[0].isdecimal():
                text_at, id_at = ORIGINAL_COLUMNS - 1, 1
                yield first[1], first[text_at]
            else:
                raise DataError(
                    f"{path}: expected Sentiment140's six columns without a header, or a header with the column text; "
                    f"the first row is {','.join(first)[:80]!r}"
                )
            for number, row in enumerate(filter(None, rows), 1):
                if len(row) <= max(text_at, id_at or 0):
                    raise DataError(f"{path}, line {rows.line_num}: {len(row)} columns, and no text among them")
                yield (str(number) if id_at is None else row[id_at]), row[text_at]
    except csv.Error as error:
        raise DataError(f"{path}: not CSV ({error})") from None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None


def read_hub(source: str) -> Iterator[tuple[str, str]]:
    """Read tweets of a Hub data set in a stream: row number, from 1, and text.

    Args:
        source: `namespace/name`, or `namespace/name@revision`; the data set's Parquet form, if no revision is given
            (the original is a script, which nobody should run).

    Raises:
        DataError: No such data set, no access, or no column `text`.
    """
    import datasets

    repo_id, _, revision = source.partition("@")
    try:
        with explained(f"file {source!r}"):
            stream = hub.retrying(
                lambda: datasets.load_dataset(repo_id, revision=revision or PARQUET_FORM, split="train", streaming=True)
            )
            for number, row in enumerate(stream, 1):
                yield str(number), row["text"]
    except KeyError:
        raise DataError(f"{source}: the data set has no column text") from None


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")
