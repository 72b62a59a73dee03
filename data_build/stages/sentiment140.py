"""Second stage: Sentiment140's tweets, cleaned, in English, each text once."""

from collections import Counter
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from data_build.stage import BrokenRows, Say, open_stage
from evenmood.data import rows
from evenmood.data.build_folder import read_shard, sha256
from evenmood.data.tweets import read_hub, read_tweets, tweet_text
from evenmood.errors import DataError
from evenmood.system.paths import expanded
from evenmood.text.normalization import clean

STAGE = "sentiment140"
SENTIMENT140 = "stanfordnlp/sentiment140"
SHARD_ROWS = 20_000
MIN_WORDS, MAX_WORDS = 3, 60
FOREIGN = 0.5
"""Probability of another language from which on a text is dropped."""
ENGLISH = ("en", "pcm")
"""Informal English is often taken for Nigerian Pidgin."""


def run(
    build: Path,
    say: Say,
    source: str = SENTIMENT140,
    *,
    limit: int | None = None,
    min_words: int = MIN_WORDS,
    max_words: int = MAX_WORDS,
    shard_rows: int = SHARD_ROWS,
    restart: bool = False,
) -> None:
    """Write rows of tweets, a shard for every `shard_rows` of the source; memory holds a shard and 8-byte hashes.

    Malformed rows are counted and their line numbers reported; a stray quotation mark can span several lines.

    Args:
        build: Build folder.
        say: Receives progress, a line at a time.
        source: CSV file as in `read_tweets`, or Hub id as in `read_hub`.
        limit: Tweets to read; all of them if left out.
        min_words: Words that a cleaned text must have at least.
        max_words: Words that it may have at the most.
        shard_rows: Tweets a shard is made from.
        restart: Forget what an earlier run wrote.

    Raises:
        DataError: The source cannot be read, or holds no tweets.
    """
    path = expanded(source)
    if path.is_dir():
        raise DataError(f"{source} is a folder; give the CSV file in it")
    is_file = path.is_file() or path.suffix == ".csv"
    if is_file and not path.is_file():
        raise DataError(f"{path}: no such file")
    inputs = {STAGE: sha256(path) if is_file else source}
    options = {"limit": limit, "min_words": min_words, "max_words": max_words, "shard_rows": shard_rows}
    with open_stage(build, STAGE, inputs, options, say, restart) as stage:
        if stage.finished:
            return
        broken = BrokenRows(say)
        read = islice(read_tweets(path, broken.add) if is_file else read_hub(source, broken.add), limit)
        seen: set[int] = set()
        done = 0
        number = -1
        while (chunk := list(islice(read, shard_rows))) or broken.since:
            number += 1
            bad = broken.taken()
            name = f"part-{number:05}"
            done += len(chunk)
            if stage.has(name):
                kept = read_shard(stage.shard(name), ["text_hash"])["text_hash"].to_pylist()
                seen.update(int(digest, 16) for digest in kept)
                continue
            columns, counts = _kept(chunk, seen, min_words, max_words)
            counts.update({"in": bad, "broken": bad})
            stage.write(name, rows.table(**columns, source=[STAGE] * len(columns["id"])), counts)
            stage.progress(len(chunk), done, limit)
        if not done:
            raise DataError(f"{source}: no tweets in it" + (f"; {broken.first}" if broken.first else ""))
        stage.finish(source=source if not is_file else path.name)


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def english(text: str) -> bool:
    """Whether a text is English, or too unclear to tell."""
    language, probability = _identifier().classify(text)
    return language in ENGLISH or float(probability) < FOREIGN


def _kept(
    chunk: list[tuple[str, str]], seen: set[int], min_words: int, max_words: int
) -> tuple[dict[str, list[Any]], Counter[str]]:
    """Columns of the rows that stay, and how many went for which reason; `seen` grows."""
    counts = Counter({"in": len(chunk)})
    columns: dict[str, list[Any]] = {"id": [], "text": [], "text_hash": []}
    for own_id, raw in chunk:
        text = tweet_text(raw)
        words = len(clean(text).split())
        if words < min_words:
            counts["too short"] += 1
        elif words > max_words:
            counts["too long"] += 1
        elif not english(text):
            counts["not English"] += 1
        else:
            digest = rows.text_hash(text)
            if int(digest, 16) in seen:
                counts["duplicate"] += 1
                continue
            seen.add(int(digest, 16))
            for name, value in (("id", f"{STAGE}:{own_id}"), ("text", text), ("text_hash", digest)):
                columns[name].append(value)
    return columns, counts
