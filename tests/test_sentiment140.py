"""The stage sentiment140: what stays, what goes for which reason, and where the tweets may come from."""

import csv
import io
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from data_build import sentiment140
from evenmood import DataError
from evenmood.build_folder import read_manifest, read_rows
from evenmood.rows import schema, text_hash
from evenmood.tweets import read_hub
from tests.hub_server import HubServer

TWEETS = [
    "@friend I really love this song &amp; you http://t.co/a",
    "i REALLY love this song, you!!",  # the same to the model
    "no",
    "\0\0\0",
    "🎉",
    "x" * 10_000,
    "word " * 61,
    "nothing of this is true, itâ€™s all made up",
    "No hubo The Big Bang Theory otra vez, hasta el 13",
    "im not sad at all today",
    "",
]


def write(path: Path, texts: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sentiment", "text"])
        writer.writerows([0, text] for text in texts)
    return path


def test_what_stays_and_what_goes(tmp_path: Path) -> None:
    sentiment140.run(tmp_path, print, str(write(tmp_path / "tweets.csv", TWEETS)))
    rows = read_rows(tmp_path, "sentiment140")
    assert rows.schema.names == schema().names
    assert rows["id"].to_pylist() == ["sentiment140:1", "sentiment140:8", "sentiment140:10"]
    texts = ["I really love this song & you", "nothing of this is true, it's all made up", "im not sad at all today"]
    assert rows["text"].to_pylist() == texts
    assert rows["text_hash"].to_pylist() == [text_hash(text) for text in texts]
    assert rows["source"].to_pylist() == ["sentiment140"] * 3
    manifest = read_manifest(tmp_path, "sentiment140")
    assert manifest["dropped"] == {"duplicate": 1, "not English": 1, "too long": 1, "too short": 5}
    assert manifest["rows_in"] == len(TWEETS)


def test_duplicates_are_found_across_shards_and_resumes(tmp_path: Path) -> None:
    tweets = write(tmp_path / "tweets.csv", [f"this is tweet number {number % 50}" for number in range(200)])
    sentiment140.run(tmp_path / "a", print, str(tweets), shard_rows=30)
    assert read_manifest(tmp_path / "a", "sentiment140")["rows_out"] == 50
    assert len(read_manifest(tmp_path / "a", "sentiment140")["shards"]) == 7
    sentiment140.run(tmp_path / "b", print, str(tweets), shard_rows=30)
    for name in ("manifest.json", "part-00001.parquet", "part-00006.parquet"):  # as if killed there
        (tmp_path / "b" / "sentiment140" / name).unlink()
    sentiment140.run(tmp_path / "b", print, str(tweets), shard_rows=30)
    assert read_rows(tmp_path / "b", "sentiment140").equals(read_rows(tmp_path / "a", "sentiment140"))


def test_limit(tmp_path: Path) -> None:
    tweets = write(tmp_path / "tweets.csv", [f"this is tweet number {number}" for number in range(20)])
    sentiment140.run(tmp_path, print, str(tweets), limit=7)
    assert read_manifest(tmp_path, "sentiment140")["rows_in"] == 7


def test_from_the_hub(hub: HubServer, tmp_path: Path) -> None:
    file = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": ["what a wonderful day this is"], "sentiment": [4]}), file)
    repository = hub.add("datasets/stanfordnlp/sentiment140", {"sentiment140.py": b"raise SystemExit"})
    repository.commit({"sentiment140/train/0000.parquet": file.getvalue()}, "refs/convert/parquet")
    sentiment140.run(tmp_path, print)
    assert read_rows(tmp_path, "sentiment140")["text"].to_pylist() == ["what a wonderful day this is"]
    for wrong in ("you/nothing", "not an id"):
        with pytest.raises(DataError, match="the Hub's data set cannot be read"):
            next(read_hub(wrong))


@pytest.mark.parametrize(
    ("source", "message"), [("missing.csv", "no such file"), (".", "is a folder; give the CSV file")]
)
def test_wrong_sources(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        sentiment140.run(tmp_path / "build", print, str(tmp_path / source))
    assert not (tmp_path / "build").exists()
