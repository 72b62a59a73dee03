"""Tables of visitors: formats and encodings, invalid files, safe downloads, timelines, passages."""

import csv
import json
import os
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from evenmood import LABELS, EmotionClassifier
from evenmood.errors import EvenmoodError
from evenmood.tables.emotion_columns import PREDICTION_COLUMNS
from space.components.passages import Passage, split
from space.table import counts, results, scoring, sources


@pytest.fixture
def model(each_model: EmotionClassifier) -> EmotionClassifier:
    """Each bundled model."""
    return each_model


def open_upload(tmp_path: Path, name: str, content: bytes) -> sources.Source:
    path = tmp_path / "upload"
    path.write_bytes(content)
    (tmp_path / "work").mkdir(exist_ok=True)
    return sources.open_source(path, name, tmp_path / "work")


def score_upload(
    tmp_path: Path, source: sources.Source, column: str, model: EmotionClassifier
) -> tuple[scoring.Progress, list[dict[str, str]]]:
    out = tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    *_, progress = scoring.score(source, column, model, out)
    with (out / "emotions.csv").open(encoding="utf-8", newline="") as file:
        return progress, list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("name", "content", "encoding"),
    [
        ("a.csv", "id,text\n1,Thank you\n2,café\n".encode(), None),
        ("a.csv", "\ufeffid,text\n1,Thank you\n2,café\n".encode(), None),
        ("a.csv", "id;text\n1;Thank you\n2;café\n".encode("windows-1252"), "Windows-1252"),
        ("a.CSV", "id,text\r\n1,Thank you\r\n2,café\r\n".encode("utf-16"), "UTF-16"),
        ("a.tsv", "id\ttext\n1\tThank you\n2\tcafé\n".encode(), None),
        ("a.jsonl", b'{"id": 1, "text": "Thank you"}\n{"text": "caf\\u00e9", "id": 2}\n', None),
        ("a.csv", b"id,text\r1,Thank you\r2,caf\xc3\xa9\r", None),
    ],
)
def test_formats_and_encodings(
    tmp_path: Path, model: EmotionClassifier, name: str, content: bytes, encoding: str | None
) -> None:
    source = open_upload(tmp_path, name, content)
    assert source.columns == ["id", "text"]
    assert source.encoding == encoding
    progress, rows = score_upload(tmp_path, source, "text", model)
    assert [row["text"] for row in rows] == ["Thank you", "café"]
    assert rows[0]["emotions"] == "gratitude"
    assert progress.rows == 2
    table = parquet.read_table(tmp_path / "out" / "emotions.parquet")
    assert table.column_names == ["id", "text", *PREDICTION_COLUMNS]
    assert table["emotions"].to_pylist()[0] == ["gratitude"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.parquet", b"PAR1", "a.parquet: Parquet files are not supported here; save it as CSV"),
        ("a.xlsx", b"PK", "unsupported file type; expected .csv, .tsv, .jsonl or .txt"),
        ("noending", b"text\nx\n", "unsupported file type; expected .csv, .tsv, .jsonl or .txt"),
        ("a.csv", b"PK\x03\x04\x00\x00", "a.csv: not a text file, despite its extension"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\x00\x00", "not a text file"),
        ("a.csv", b"", "a.csv: the file is empty"),
        ("a.csv", b" \n\n", "a.csv: the file is empty"),
        ("a.csv", b"\n\ntext\nx\n", "a.csv, line 1: empty; expected the column names"),
        ("a.csv", "text\nx\n".encode("utf-32"), "the encoding is UTF-32; expected UTF-8 or Windows-1252"),
        ("a.csv", b"a" * 19_000_000, "a.csv, line 1: expected at most 200 column names"),
        ("a.csv", b",".join([b"a"] * 400) + b"\n", "a.csv, line 1: expected at most 200 column names"),
        ("a.jsonl", b"text,id\n1,2\n", "a.jsonl: no JSON object found"),
        ("a.jsonl", b"[" * 100_000, "no JSON object found"),
        ("a.csv", b"x" * 20_000_001, "larger than 20 MB"),
        ("a.csv", b"text\n" + b"x\n" * 200_001, "a.csv: more than 200,000 rows"),
        ("a.tsv", b"text\n" + b"x\n" * 200_001, "a.tsv: more than 200,000 rows"),
        ("a.jsonl", b"{}\n" * 200_001, "a.jsonl: more than 200,000 rows"),
    ],
)
def test_invalid_files_are_rejected(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    with pytest.raises(EvenmoodError) as error:
        open_upload(tmp_path, name, content)
    assert expected in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_malformed_rows_and_long_texts(tmp_path: Path, model: EmotionClassifier) -> None:
    source = open_upload(tmp_path, "a.csv", b'text,n\nfine,1\na,b,c\n"open,2\n' + b"long " * 10_000 + b'",3\nlast,4\n')
    progress, rows = score_upload(tmp_path, source, "text", model)
    assert progress.bad == 1
    assert progress.first_bad == "a.csv, line 3: expected 2 cells, found 3"
    assert progress.truncated == 1
    assert [row["n"] for row in rows] == ["1", "3", "4"]
    assert len(rows[1]["text"]) > 50_000  # the download has the complete text


@pytest.mark.parametrize(
    ("content", "column", "expected"),
    [
        (b"id,text\n1,x\n", "words", "a.csv: no column 'words'; the columns are 'id', 'text'"),
        (b"text,emotions\nx,y\n", "text", "a.csv already has a column 'emotions'"),
        (b"text,text\nx,y\n", "text", "a.csv: duplicate column 'text'"),
        (
            b"text,n\n1,2,3\n",
            "text",
            "a.csv: no row could be read; the first problem: a.csv, line 2: expected 2 cells, found 3",
        ),
    ],
)
def test_invalid_tables_are_rejected(
    tmp_path: Path, model: EmotionClassifier, content: bytes, column: str, expected: str
) -> None:
    source = open_upload(tmp_path, "a.csv", content)
    with pytest.raises(EvenmoodError) as error:
        score_upload(tmp_path, source, column, model)
    assert str(error.value).startswith(expected)


def test_formulas_are_escaped(tmp_path: Path, model: EmotionClassifier) -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "=cmd|' /C calc'!A0", "plain", "'quoted"]
    lines = [json.dumps({"text": text, "=key": text}) for text in texts]
    source = open_upload(tmp_path, "a.jsonl", "\n".join(lines).encode())
    _, rows = score_upload(tmp_path, source, "text", model)
    for row, text in zip(rows, texts, strict=True):
        expected = text if text in ("plain", "'quoted") else f"'{text}"
        assert row["text"] == row["'=key"] == expected
    cells = (tmp_path / "out" / "emotions.csv").read_text(encoding="utf-8").replace("\n", ",").split(",")
    assert not [cell for cell in cells if cell.strip('"').startswith(("=", "+", "-", "@"))]
    table = parquet.read_table(tmp_path / "out" / "emotions.parquet")
    assert table["=key"].to_pylist() == texts  # unchanged in the Parquet file


def test_rows_with_different_keys_and_types(tmp_path: Path, model: EmotionClassifier) -> None:
    lines = [{"text": "a"}, {"text": "b", "n": [1, 2], "m": None}, {"text": 5}, {"n": 1}, {"text": "c", "m": {"x": 1}}]
    source = open_upload(tmp_path, "a.jsonl", "\n".join(map(json.dumps, lines)).encode())
    progress, rows = score_upload(tmp_path, source, "text", model)
    assert progress.bad == 2
    assert [(row["text"], row["n"], row["m"]) for row in rows] == [
        ("a", "", ""),
        ("b", "[1, 2]", ""),
        ("c", "", '{"x": 1}'),
    ]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b"])
def test_unicode_line_separators_do_not_end_a_row(tmp_path: Path, model: EmotionClassifier, separator: str) -> None:
    source = open_upload(
        tmp_path, "a.jsonl", f'{{"text": "Thank{separator}you", "n\\ud83d": 1}}\n'.replace("\x0b", "\\u000b").encode()
    )
    assert source.columns == ["text", "n\ufffd"]
    (tmp_path / "out").mkdir()
    *_, progress = scoring.score_in_process(source, "text", model.folder, tmp_path / "out")
    assert (progress.rows, progress.bad) == (1, 0)


def test_deeply_nested_cell(tmp_path: Path, model: EmotionClassifier) -> None:
    source = open_upload(tmp_path, "a.jsonl", b'{"text": "Thank you", "deep": ' + b"[" * 900 + b"]" * 900 + b"}\n")
    (tmp_path / "out").mkdir()
    *_, progress = scoring.score_in_process(source, "text", model.folder, tmp_path / "out")
    assert progress.rows == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"text,n\nThank you,1\n,2\nI hate it,3\n"),
        ("a.tsv", b"text\tn\nThank you\t1\n\t2\nI hate it\t3\n"),
        ("a.jsonl", b'{"text": "Thank you", "n": 1}\n{"text": null, "n": 2}\n{"text": "I hate it", "n": 3}\n'),
    ],
)
def test_missing_text_has_an_empty_result(tmp_path: Path, model: EmotionClassifier, name: str, content: bytes) -> None:
    progress, rows = score_upload(tmp_path, open_upload(tmp_path, name, content), "text", model)
    assert (progress.rows, progress.missing, progress.bad) == (3, 1, 0)
    assert rows[1] == {"text": "", "n": "2", **dict.fromkeys(PREDICTION_COLUMNS, "")}
    downloaded = parquet.read_table(tmp_path / "out" / "emotions.parquet")
    assert downloaded["emotions"].to_pylist()[1] is None
    matrix = counts.label_matrix(tmp_path / "out" / scoring.PARQUET_FILE, model.labels)
    assert matrix.any(axis=1).tolist() == [True, False, True]
    path = tmp_path / "out" / scoring.PARQUET_FILE
    table, _ = results.rows_html("en", path, "text")
    empty = '<tr><td class="chips"></td><td class="number"></td><td class="text"></td></tr>'
    assert table.split("<tbody>")[1].count(empty) == 1
    for order in results.ORDERS:
        table, _ = results.rows_html("en", path, "text", "", order)
        assert table.split("<tbody>")[1].count("<tr>") == 3
    for search, matches in (("HATE", 1), ("t", 2), (" ", 3), ("nothing like it", 0)):
        table, summary = results.rows_html("en", path, "text", search=search)
        assert table.count('<td class="text">') == matches
        assert f"{matches} of {matches} rows" in summary


def test_column_names_that_differ_by_an_apostrophe(tmp_path: Path, model: EmotionClassifier) -> None:
    source = open_upload(tmp_path, "a.csv", b"text,=a,'=a,''=a\nThank you,1,2,3\n")
    _, (row,) = score_upload(tmp_path, source, "text", model)
    assert {name: value for name, value in row.items() if "=a" in name} == {"'=a": "1", "''=a": "2", "'''=a": "3"}


def test_keys_with_invalid_characters(tmp_path: Path, model: EmotionClassifier) -> None:
    source = open_upload(tmp_path, "a.jsonl", b'{"text": "Thank you", "n\\ud83d": 1}\n')
    _, (row,) = score_upload(tmp_path, source, "text", model)
    assert row["n\ufffd"] == "1"


def test_pasted_lines(tmp_path: Path, model: EmotionClassifier) -> None:
    _, rows = score_upload(tmp_path, sources.open_pasted_text("Thank you\n\n  I hate it \n", tmp_path), "text", model)
    assert [row["text"] for row in rows] == ["Thank you", "I hate it"]
    matrix = counts.label_matrix(tmp_path / "out" / scoring.PARQUET_FILE, model.labels)
    assert [[model.labels[n] for n in row.nonzero()[0]] for row in matrix] == [
        sorted(prediction.labels, key=model.labels.index) for prediction in model.predict(["Thank you", "I hate it"])
    ]
    assert counts.co_occurrence(matrix).trace() == matrix.sum()


@pytest.mark.parametrize(
    ("cells", "times"),
    [
        (["2026-01-01", "2026-01-02", "nonsense", "2026-01-02"], 2),
        (["2026-01-01T10:00:00Z", "2026-01-01T12:30:00+02:00", "", "2026-03-01T00:00:00Z"], 2),
        (["1767225600", "1767312000", "1767312001", "x"], 2),
        (["1767225600000", "1769904000000", "1767225600000", "1767225600001"], 2),
        (["01/02/2026", "01/03/2026", "01/03/2026", "13/45/9999"], 2),
        (["2019", "2020", "2021", "2021"], 3),
        (["Mon, 05 Jan 2026 10:00:00 GMT", "Tue, 06 Jan 2026 10:00:00 GMT", "", ""], 2),
    ],
)
def test_timelines(cells: list[str], times: int) -> None:
    matrix = np.zeros((len(cells), len(LABELS)), bool)
    matrix[:, LABELS.index("gratitude")] = True
    timeline = counts.timeline(matrix, cells, LABELS)
    gratitude = timeline[timeline["label"] == "gratitude"]
    assert len(gratitude) == times
    assert set(gratitude["share"]) == {1.0}
    assert gratitude["rows"].sum() <= len(cells)


def test_timeline_is_smoothed_and_ends_with_neutral() -> None:
    cells = [f"2026-01-{day:02}" for day in (1, 2, 3, 3, 4, 5)]
    matrix = np.zeros((len(cells), len(LABELS)), bool)
    matrix[:, LABELS.index("neutral")] = True
    matrix[2, LABELS.index("joy")] = True
    timeline = counts.timeline(matrix, cells, LABELS)
    first, *_, last = dict.fromkeys(timeline["label"])
    assert (first, last) == ("joy", "neutral")
    joy = timeline[timeline["label"] == "joy"]
    assert joy["share"].tolist() == pytest.approx([0, 1 / 4, 1 / 4, 1 / 4, 0])  # one row of four in three days
    assert joy["rows"].tolist() == [1, 1, 2, 1, 1]
    html = results.timeline("en", timeline)
    assert html.count('<figure class="panel">') == len(set(timeline["label"]))
    assert html.count("<tr>") == 1 + len(set(timeline["label"]))


def test_no_timeline_without_dates() -> None:
    for cells in (["a", "b"], ["", ""], ["2026-01-01", "x"], ["2026-01-01", "2026-01-01"], ["-1e300", "1e300"]):
        assert counts.timeline(np.ones((2, len(LABELS)), bool), cells, LABELS) is None


def test_worker_reports_progress(tmp_path: Path, model: EmotionClassifier) -> None:
    source = sources.open_pasted_text("Thank you so much\n" * 20_000, tmp_path)
    (tmp_path / "out").mkdir()
    reports = list(scoring.score_in_process(source, "text", model.folder, tmp_path / "out"))
    assert [report.rows for report in reports] == sorted({report.rows for report in reports} | {20_000})
    assert reports[-1].share_read == 1.0
    (tmp_path / "other").mkdir()
    with pytest.raises(EvenmoodError, match="no key 'words'; the keys are 'text'"):
        list(scoring.score_in_process(source, "words", model.folder, tmp_path / "other"))


@pytest.mark.skipif(sys.platform != "linux", reason="requires /proc")
def test_closing_the_iterator_ends_the_worker(tmp_path: Path, model: EmotionClassifier) -> None:
    source = sources.open_pasted_text("Thank you so much\n" * 150_000, tmp_path)
    (tmp_path / "out").mkdir()
    existing = child_processes()
    reports = scoring.score_in_process(source, "text", model.folder, tmp_path / "out")
    next(reports)
    (child,) = child_processes() - existing
    reports.close()
    assert not Path(f"/proc/{child}").exists()


def child_processes() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children").read_text().split())


@pytest.mark.parametrize(
    ("header", "text", "date"),
    [
        ("id,Comment,created_at", "Comment", "created_at"),
        ("tweet_text,posted date,x", "tweet_text", "posted date"),
        ("a,b,c", "b", None),
        ("context,text,b", "text", None),
    ],
)
def test_detected_columns(tmp_path: Path, header: str, text: str, date: str | None) -> None:
    source = open_upload(tmp_path, "a.csv", f"{header}\n1,a long text,2\n".encode())
    assert sources.text_column(source) == text
    assert sources.date_column(source) == date


@pytest.mark.parametrize(
    "line",
    [
        "Ada: hello you",
        "[10:02] Ada: hello you",
        "[2026-01-02, 10:02:03] Ada: hello you",
        "12/31/25, 10:02 PM - Ada: hello you",
        "<Ada> hello you",
        "10:02 <Ada> hello you",
    ],
)
def test_chat_log_is_split_into_turns(line: str) -> None:
    assert split(f"{line}\n\n{line.replace('Ada', 'Ben Q.')}") == [
        Passage("hello you", "Ada"),
        Passage("hello you", "Ben Q."),
    ]


def test_page_is_split_into_sentences() -> None:
    page = "I met Dr. Smith at 5 p.m. yesterday. He was sad.\nNote: this is no chat!\n\nReally? Yes."
    assert [passage.text for passage in split(page)] == [
        "I met Dr. Smith at 5 p.m. yesterday.",
        "He was sad.",
        "Note: this is no chat!",
        "Really?",
        "Yes.",
    ]
    assert [passage.text for passage in split("a\n\nb", "turns")] == ["a", "b"]
    assert split(" \n ") == split("", "turns") == []


def test_report(tmp_path: Path, model: EmotionClassifier) -> None:
    """Scoring writes a report, with a timeline if there is a date column."""
    lines = [f"2026-0{1 + i % 6}-1{i % 9},{'Thank you!' if i % 2 else 'I hate <b>this</b>'}" for i in range(40)]
    path = tmp_path / "comments.csv"
    path.write_text("\n".join(["date,text", *lines]), encoding="utf-8")
    source = sources.open_source(path, path.name, tmp_path)
    for dates in ("date", None):
        out = tmp_path / str(dates)
        out.mkdir()
        list(scoring.score(source, "text", model, out, dates))
        page = (out / scoring.REPORT_FILE).read_text(encoding="utf-8")
        assert "comments.csv" in page
        assert "gratitude" in page
        assert "<b>this</b>" not in page
        assert ("Jan" in page) == (dates is not None)
