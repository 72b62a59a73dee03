"""Stage sentiment140: accepted and dropped tweets, malformed rows, sources."""

import csv
import io
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from data_build.stages import sentiment140
from evenmood import DataError
from evenmood.data.build_folder import read_manifest, read_rows
from evenmood.data.rows import schema, text_hash
from evenmood.data.tweets import read_hub
from tests.fakes.hub_server import HubServer

TWEETS = [
    "@friend I really love this song &amp; you http://t.co/a",
    "i REALLY love this song, you!!",  # the same cleaned text
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


def test_accepted_and_dropped_tweets(tmp_path: Path) -> None:
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
        with pytest.raises(DataError, match="the Hub data set cannot be read"):
            next(read_hub(wrong))


@pytest.mark.parametrize(
    ("source", "message"), [("missing.csv", "file not found"), (".", "is a folder; expected the path of a CSV file")]
)
def test_invalid_sources(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        sentiment140.run(tmp_path / "build", print, str(tmp_path / source))
    assert not (tmp_path / "build").exists()


def lines(count: int, broken: dict[int, str]) -> str:
    texts = {number: f"this is tweet number {number}" for number in range(1, count + 1)}
    return "id,text\n" + "".join(f"{number},{broken.get(number, text)}\n" for number, text in texts.items())


def test_a_stray_quote_affects_only_its_row(tmp_path: Path) -> None:
    tweets = tmp_path / "tweets.csv"
    tweets.write_text(lines(2_000, {5: '"oh no, not again', 1_000: "cut"}).replace("1000,cut", "1000"))
    messages: list[str] = []
    sentiment140.run(tmp_path, messages.append, str(tweets), shard_rows=300)
    manifest = read_manifest(tmp_path, "sentiment140")
    assert (manifest["rows_in"], manifest["rows_out"], manifest["dropped"]) == (2_000, 1_998, {"malformed": 2})
    assert "tweets.csv, line 6: " in messages[0]
    assert "tweets.csv, line 1001: expected 2 cells, found 1" in messages[1]
    assert messages[-1].endswith("dropped: 2 (malformed)")
    ids = [int(name.split(":")[1]) for name in read_rows(tmp_path, "sentiment140")["id"].to_pylist()]
    assert ids == [number for number in range(1, 2_001) if number not in (5, 1_000)]


def test_malformed_rows_are_counted_once(tmp_path: Path) -> None:
    tweets = tmp_path / "tweets.csv"
    tweets.write_text(lines(200, dict.fromkeys([1, 61, 62, *range(121, 201)], '"open')))
    messages: list[str] = []
    sentiment140.run(tmp_path / "a", messages.append, str(tweets), shard_rows=40)
    manifest = read_manifest(tmp_path / "a", "sentiment140")
    assert (manifest["rows_in"], manifest["rows_out"], manifest["dropped"]) == (200, 117, {"malformed": 83})
    sentiment140.run(tmp_path / "b", print, str(tweets), shard_rows=40)
    for name in ("manifest.json", "part-00001.parquet"):  # as if killed there
        (tmp_path / "b" / "sentiment140" / name).unlink()
    sentiment140.run(tmp_path / "b", print, str(tweets), shard_rows=40)
    assert read_manifest(tmp_path / "b", "sentiment140") == manifest


def test_only_the_first_malformed_rows_are_listed(tmp_path: Path) -> None:
    tweets = tmp_path / "tweets.csv"
    tweets.write_text(lines(300, dict.fromkeys(range(2, 152), "a, b")))
    messages: list[str] = []
    sentiment140.run(tmp_path, messages.append, str(tweets))
    assert read_manifest(tmp_path, "sentiment140")["dropped"] == {"malformed": 150}
    assert messages[99:101] == [
        f"{tweets}, line 102: expected 2 cells, found 3",
        "further malformed rows are counted but not listed",
    ]
    assert len(messages) == 102


@pytest.mark.parametrize("content", ["id,text\n", "id,text\n1\n2\n"])
def test_a_file_without_tweets(tmp_path: Path, content: str) -> None:
    tweets = tmp_path / "tweets.csv"
    tweets.write_text(content)
    with pytest.raises(DataError, match=r"tweets.csv contains no tweets"):
        sentiment140.run(tmp_path, print, str(tweets))


def test_a_hub_row_without_a_text_is_counted(hub: HubServer, tmp_path: Path) -> None:
    file = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": ["what a wonderful day this is", None]}), file)
    hub.add("datasets/you/tweets", {"data/train-00000.parquet": file.getvalue()})
    messages: list[str] = []
    sentiment140.run(tmp_path, messages.append, "you/tweets@main")
    assert read_manifest(tmp_path, "sentiment140")["dropped"] == {"malformed": 1}
    assert messages[0] == "you/tweets@main, row 2: text is None, not a string"
