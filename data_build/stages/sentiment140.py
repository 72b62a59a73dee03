"""Stage `sentiment140`: import English tweets from Sentiment140, cleaned and deduplicated."""

from collections import Counter
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from data_build.stage import Log, MalformedRows, open_stage
from evenmood.data import rows
from evenmood.data.build_folder import read_shard, sha256
from evenmood.data.tweets import clean_tweet, read_hub, read_tweets
from evenmood.errors import DataError
from evenmood.system.paths import expand_home
from evenmood.text.normalization import clean

STAGE = "sentiment140"
SENTIMENT140 = "stanfordnlp/sentiment140"
SHARD_ROWS = 20_000
MIN_WORDS, MAX_WORDS = 3, 60
MIN_FOREIGN_PROBABILITY = 0.5
"""Minimum probability of another language for a text to be dropped."""
ENGLISH = ("en", "pcm")
"""Language codes treated as English: informal English is often misidentified as Nigerian Pidgin (pcm)."""


def run(
    build: Path,
    log: Log,
    source: str = SENTIMENT140,
    *,
    limit: int | None = None,
    min_words: int = MIN_WORDS,
    max_words: int = MAX_WORDS,
    shard_rows: int = SHARD_ROWS,
    restart: bool = False,
) -> None:
    """Write the tweets, one shard per `shard_rows` tweets read.

    Memory holds one shard, and a 64-bit hash (in a set) per accepted row.
    Malformed rows are counted, and their line numbers are logged; an unclosed quotation mark can span several lines.

    Args:
        build: Build folder.
        log: Called with each progress message.
        source: CSV file as in `read_tweets`, or Hub id as in `read_hub`.
        limit: Maximum number of tweets to read; by default, all.
        min_words: Minimum number of words of a cleaned text.
        max_words: Maximum number of words of a cleaned text.
        shard_rows: Number of tweets read per shard.
        restart: Discard the output of an earlier run.

    Raises:
        DataError: The source cannot be read, or contains no tweets.
    """
    path = expand_home(source)
    if path.is_dir():
        raise DataError(f"{source} is a folder; expected the path of a CSV file, or a Hub id")
    is_file = path.is_file() or path.suffix == ".csv"
    if is_file and not path.is_file():
        raise DataError(f"file not found: {path}; expected a CSV file of tweets")
    inputs = {STAGE: sha256(path) if is_file else source}
    options = {"limit": limit, "min_words": min_words, "max_words": max_words, "shard_rows": shard_rows}
    with open_stage(build, STAGE, inputs, options, log, restart) as stage:
        if stage.finished:
            return
        malformed_rows = MalformedRows(log)
        tweets = islice(
            read_tweets(path, malformed_rows.add) if is_file else read_hub(source, malformed_rows.add), limit
        )
        hashes: set[int] = set()
        processed_rows = 0
        number = -1
        while (chunk := list(islice(tweets, shard_rows))) or malformed_rows.pending:
            number += 1
            malformed_count = malformed_rows.take_pending()
            name = f"part-{number:05}"
            processed_rows += len(chunk)
            if stage.has(name):
                digests = read_shard(stage.shard(name), ["text_hash"])["text_hash"].to_pylist()
                hashes.update(int(digest, 16) for digest in digests)
                continue
            columns, counts = _filter(chunk, hashes, min_words, max_words)
            counts.update({"in": malformed_count, "malformed": malformed_count})
            stage.write(name, rows.table(**columns, source=[STAGE] * len(columns["id"])), counts)
            stage.progress(len(chunk), processed_rows, limit)
        if not processed_rows:
            detail = f"; first malformed row: {malformed_rows.first}" if malformed_rows.first else ""
            raise DataError(f"{source} contains no tweets; expected Sentiment140{detail}")
        stage.finish(source=source if not is_file else path.name)


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def is_english(text: str) -> bool:
    """Return whether a text is English, or its language is uncertain."""
    language, probability = _identifier().classify(text)
    return language in ENGLISH or float(probability) < MIN_FOREIGN_PROBABILITY


def _filter(
    chunk: list[tuple[str, str]], hashes: set[int], min_words: int, max_words: int
) -> tuple[dict[str, list[Any]], Counter[str]]:
    """Return the columns of the accepted rows, and the number of tweets dropped for each reason; updates `hashes`."""
    counts = Counter({"in": len(chunk)})
    columns: dict[str, list[Any]] = {"id": [], "text": [], "text_hash": []}
    for source_id, raw in chunk:
        text = clean_tweet(raw)
        words = len(clean(text).split())
        if words < min_words:
            counts["too short"] += 1
        elif words > max_words:
            counts["too long"] += 1
        elif not is_english(text):
            counts["not English"] += 1
        else:
            digest = rows.text_hash(text)
            if int(digest, 16) in hashes:
                counts["duplicate"] += 1
                continue
            hashes.add(int(digest, 16))
            for name, value in (("id", f"{STAGE}:{source_id}"), ("text", text), ("text_hash", digest)):
                columns[name].append(value)
    return columns, counts
