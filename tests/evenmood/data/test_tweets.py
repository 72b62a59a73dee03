"""Reading Sentiment140 files, and cleaning tweets."""

import subprocess
import sys
from pathlib import Path

import pytest

from evenmood import DataError
from evenmood.cli.command import exit_code_and_message
from evenmood.data.tweets import clean_tweet, read_tweets


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
def test_tweet_cleaning(raw: str, text: str) -> None:
    assert clean_tweet(raw) == text


def test_original_columns_in_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "tweets.csv"
    path.write_bytes(
        '"0","1467","Mon","NO_QUERY","me","caf\xe9, ""so"" good"\n"4","1468","Mon","Q","me","ok"\n'.encode("latin-1")
    )
    assert list(read_tweets(path)) == [("1467", 'café, "so" good'), ("1468", "ok")]


def test_header_in_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "tweets.csv"
    path.write_bytes('\ufeffsentiment,text\n0,"two\nlines é"\n\n4,ok\n'.encode())
    assert list(read_tweets(path)) == [("1", "two\nlines é"), ("2", "ok")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"sentiment,text\n0\n", "line 2: expected 2 cells, found 1"),
        (b"a,b\n", "expected Sentiment140's six columns"),
        (b"", "empty"),
    ],
)
def test_invalid_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "tweets.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_tweets(path))


ORIGINAL = '"0","{0}","Mon Apr 06 22:19:45","NO_QUERY","me","{1}"\n'
TABLE = "{0},{1}\n"


def write_tweets(path: Path, row_format: str, broken: dict[int, str], rows: int = 40) -> list[tuple[str, str]]:
    """Write numbered tweets, replacing the texts in `broken`; return the intact rows."""
    header = "id,text\n" if row_format == TABLE else ""
    texts = {number: f"tweet number {number}" for number in range(1, rows + 1)}
    path.write_text(
        header + "".join(row_format.format(number, broken.get(number, text)) for number, text in texts.items()),
        encoding="utf-8",
    )
    return [(str(number), text) for number, text in texts.items() if number not in broken]


@pytest.mark.parametrize(
    ("row_format", "broken", "lines"),
    [
        (TABLE, {7: '"oh no'}, ["line 8"]),
        (TABLE, {7: '"oh no', 9: 'he errors "hi"'}, ["line 8"]),
        (TABLE, {7: '"oh no', 31: '"another'}, ["line 8", "line 32"]),
        (TABLE, {40: '"oh no'}, ["line 41"]),
        (ORIGINAL, {1: 'oh "no'}, ["line 1"]),
        (ORIGINAL, {7: 'oh "no", he "errors'}, ["line 7"]),
        (ORIGINAL, {7: 'oh ""no""', 20: "x\\"}, []),
        (TABLE, {7: "hello, world"}, ["line 8: expected 2 cells, found 3"]),
        (TABLE, {7: "lone\rreturn"}, ["line 8: new-line character"]),
    ],
)
def test_stray_quote_invalidates_only_its_row(
    tmp_path: Path, row_format: str, broken: dict[int, str], lines: list[str]
) -> None:
    path, errors = tmp_path / "tweets.csv", list[str]()
    intact = write_tweets(path, row_format, broken)
    assert [row for row in read_tweets(path, errors.append) if int(row[0]) not in broken] == intact
    assert len(errors) == len(lines)
    for message, line in zip(errors, lines, strict=True):
        assert f"tweets.csv, {line}" in message
    if lines:
        with pytest.raises(DataError, match=f"tweets.csv, {lines[0]}"):
            list(read_tweets(path))


@pytest.mark.parametrize("closed_after", [1, 3, 20])
def test_stray_quote_closed_by_a_later_one(tmp_path: Path, closed_after: int) -> None:
    path, errors = tmp_path / "tweets.csv", list[str]()
    last = 7 + closed_after
    intact = write_tweets(path, TABLE, {7: '"oh no', last: 'as she errors "'})
    assert list(read_tweets(path, errors.append)) == sorted(
        [*intact, (str(last), 'as she errors "')], key=lambda row: int(row[0])
    )
    assert errors == [
        f"{path}, line 8: a quotation mark encloses the rows to line {last + 1}; reading resumed at line 9"
    ]


@pytest.mark.parametrize("number", [1, 7, 40])
def test_unclosed_quote_in_the_original_columns(tmp_path: Path, number: int) -> None:
    path, errors = tmp_path / "tweets.csv", list[str]()
    intact = write_tweets(path, ORIGINAL, {number: "never closed"})
    path.write_text(path.read_text().replace('never closed"', "never closed"))
    assert list(read_tweets(path, errors.append)) == intact
    assert len(errors) == 1
    assert errors[0].startswith(f"{path}, line {number}: ")


def test_multi_line_text(tmp_path: Path) -> None:
    path = tmp_path / "tweets.csv"
    path.write_text('id,text\n1,"I like tea,\nand you, too\nand 5,6"\n2,ok\n')
    assert list(read_tweets(path)) == [("1", "I like tea,\nand you, too\nand 5,6"), ("2", "ok")]


def test_blank_lines_before_the_header(tmp_path: Path) -> None:
    path = tmp_path / "tweets.csv"
    path.write_bytes(b'\xef\xbb\xbf\r\n\r\n"id","text"\r\n1,ok\r\n2\r\n')
    errors: list[str] = []
    assert list(read_tweets(path, errors.append)) == [("1", "ok")]
    assert errors == [f"{path}, line 5: expected 2 cells, found 1"]


def test_optional_packages_are_imported_lazily_and_named_if_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import sys; from evenmood.data import teacher, tweets; print([m for m in sys.argv[1:] if m in sys.modules])"
    )
    heavy = ["ftfy", "torch", "transformers", "datasets"]
    result = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(ModuleNotFoundError) as error:
        clean_tweet("so happy")
    assert exit_code_and_message(error.value) == (1, "ftfy is not installed; install it with: pip install --group data")
