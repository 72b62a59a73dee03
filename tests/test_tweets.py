"""Sentiment140: the file in every form that people have it in, and what of a tweet stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from evenmood import DataError
from evenmood.command import describe
from evenmood.tweets import read_tweets, tweet_text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("@switchfoot http://t.co/x - Awww, that's a bummer.", "- Awww, that's a bummer."),
        ("RT @somebody: so &lt;3 happy &amp; proud", ": so <3 happy & proud"),
        ("RT: really?", "really?"),
        ("so happy RT @a good news", "so happy good news"),
        ("itâ€™s fine", "it's fine"),
        ("caf\u00c3\u00a9 www.example.com/x yes", "café yes"),
        ("mail me@home.org", "mail me@home.org"),
        ("smart shirt RTX", "smart shirt RTX"),
        ("  two\n lines\t", "two lines"),
        ("@only", ""),
    ],
)
def test_what_of_a_tweet_stays(raw: str, text: str) -> None:
    assert tweet_text(raw) == text


def test_the_original_columns_in_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "tweets.csv"
    path.write_bytes(
        '"0","1467","Mon","NO_QUERY","me","caf\xe9, ""so"" good"\n"4","1468","Mon","Q","me","ok"\n'.encode("latin-1")
    )
    assert list(read_tweets(path)) == [("1467", 'café, "so" good'), ("1468", "ok")]


def test_a_header_in_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "tweets.csv"
    path.write_bytes('\ufeffsentiment,text\n0,"two\nlines é"\n\n4,ok\n'.encode())
    assert list(read_tweets(path)) == [("1", "two\nlines é"), ("2", "ok")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"sentiment,text\n0\n", "line 2: 1 columns"),
        (b"a,b\n", "expected Sentiment140's six columns"),
        (b"", "empty"),
    ],
)
def test_wrong_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "tweets.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_tweets(path))


def test_what_an_extra_brings_is_imported_late_and_named_where_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys, evenmood.teacher, evenmood.tweets; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["ftfy", "torch", "transformers", "datasets"]
    done = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        tweet_text("so happy")
    assert describe(caught.value) == (1, 'ftfy is not installed; install it with: pip install "evenmood[data]"')
