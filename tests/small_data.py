"""Small synthetic data sets: GoEmotions' TSV format, with typical words for each label, and tweets."""

import csv
import random
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from data_build.stage import open_stage
from evenmood import LABELS
from evenmood.data.rows import schema, text_hash
from evenmood.data.tweets import clean_tweet

FILLERS = ["the", "a", "this", "that", "it", "is", "was", "my", "your", "we", "they", "so", "really", "now", "here"]


def write_tsv(folder: Path, rows: int = 300, seed: int = 0) -> Path:
    """Write files for train, validation and test: text, label numbers and id; some rows have two labels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    for split, count in (("train", rows), ("validation", rows // 3), ("test", rows // 3)):
        lines = []
        for index in range(count):
            labels = {index % len(LABELS)} | ({rng.randrange(len(LABELS))} if rng.random() < 0.2 else set())
            words = [f"{LABELS[label]}{rng.choice(['', 'ful', 'ish'])}" for label in sorted(labels)]
            words += rng.choices(FILLERS, k=rng.randint(1, 12))
            rng.shuffle(words)
            numbers = ",".join(map(str, sorted(labels)))
            lines.append(f"{' '.join(words).capitalize()}!\t{numbers}\t{split}{index}\n")
        (folder / f"{split}.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


def tweets(rows: int = 60) -> list[str]:
    """Return synthetic tweets with mentions, links and entities, as in Sentiment140."""
    return [
        f"@user{row} I feel {LABELS[row % 28]}ful &amp; tweet number {row} http://t.co/{row}" for row in range(rows)
    ]


def write_tweets(path: Path, texts: list[str]) -> Path:
    """Write tweets in Sentiment140's format: six columns without a header, in Latin-1."""
    with path.open("w", newline="", encoding="latin-1", errors="replace") as file:
        rows = (["0", str(1000 + row), "Mon Apr 06", "NO_QUERY", "user", text] for row, text in enumerate(texts))
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    return path


def balanced_rows(official: Path) -> list[dict[str, Any]]:
    """Return rows as the stage `balance` writes them: official rows, labeled tweets, generated rows."""
    scores = [round(0.01 * number, 2) for number in range(28)]
    rows = []
    for row in parquet.read_table(official / "train.parquet").slice(0, 56).to_pylist():
        rows.append(
            {"id": f"goemotions:{row['id']}", "text": row["text"], "labels": row["labels"], "source": "goemotions"}
        )
    for number, raw in enumerate(tweets()):
        row = {"id": f"sentiment140:{1000 + number}", "text": clean_tweet(raw), "source": "sentiment140"}
        rows.append(row | {"labels": [number % 28], "scores": scores})
    for number in range(28):
        row = {"id": f"generated:{number}", "text": f"generated sample {number}", "source": "generated"}
        rows.append(row | {"labels": [number], "scores": scores, "generator": "small-model", "prompt_id": "v1"})
    empty_row = dict.fromkeys(schema().names)
    return [{**empty_row, "reviewed": False, "text_hash": text_hash(row["text"]), **row} for row in rows]


def write_balance(build: Path, rows: list[dict[str, Any]]) -> None:
    """Write the folder of the stage `balance`."""
    with open_stage(build, "balance", {}, {}, lambda line: None, restart=True) as stage:
        stage.write("train", pyarrow.Table.from_pylist(rows, schema()), {"in": len(rows)})
        stage.finish()
