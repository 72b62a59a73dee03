"""Uploads made to stall the server: parsed in a process of their own, with limits."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.demo import ask, call
from evenmood import EmotionClassifier
from evenmood.errors import DataError, EvenmoodError, UsageError
from space.table import apart, scoring, sources
from space.table.uploads import DEEPEST, LONGEST_LINE, Upload, open_apart
from tests.space.test_storage import upload

LONGEST_WAIT = 4.0
"""Seconds for a sentence beside four hostile uploads, on a machine that does other things too."""


def look(tmp_path: Path, name: str, content: bytes) -> Upload:
    path = tmp_path / "upload"
    path.write_bytes(content)
    return open_apart(path, name, tmp_path)


def nested(depth: int) -> bytes:
    return b'{"text": "Thank you", "deep": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}\n"


HOSTILE = {
    "one line": (b'{"text": "' + b"a" * 18_000_000 + b'"}\n', "line 1: more than 1,000,000 characters"),
    "a late line": (b'{"text": "a"}\n' * 9 + b'{"text": "' + b"a" * 1_000_001 + b'"}', "line 10: more than 1,000,000"),
    "many cells": (b'{"text": [' + b"1," * 9_000_000 + b"1]}\n", "line 1: more than 1,000,000 characters"),
    "deep": (nested(DEEPEST + 1), "line 1: more than 900 lists and objects within one another"),
    "deep and broken": (b'{"text": "a"}\n' + b"[" * 100_000, "line 2: more than 900 lists and objects"),
    "deep objects": (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, "line 1: more than 900 lists and objects"),
    "a long key": (b'{"' + b"k" * 2_000 + b'": 1, "text": "a"}\n', "a column's name of more than 1,000 characters"),
}


@pytest.mark.parametrize(("content", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_lines_and_nesting_have_limits(tmp_path: Path, content: bytes, expected: str) -> None:
    with pytest.raises(DataError) as error:
        look(tmp_path, "a.jsonl", content)
    assert str(error.value).startswith("a.jsonl")
    assert expected in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_what_is_within_the_limits_is_read(tmp_path: Path, model: EmotionClassifier) -> None:
    brackets = json.dumps({"text": 'Thank you "[{' + "[" * 5_000 + '\\" ' + "{" * 5_000}).encode()
    long = json.dumps({"text": "é" * (LONGEST_LINE - 20)}, ensure_ascii=False).encode()
    found = look(tmp_path, "a.jsonl", b"\n".join([nested(DEEPEST).strip(), brackets, long]))
    assert (found.source.columns, found.text_column, found.date_column) == (["text", "deep"], "text", None)
    (tmp_path / "out").mkdir()
    *_, progress = scoring.score_apart(found.source, "text", model.folder, tmp_path / "out")
    assert (progress.rows, progress.bad) == (3, 0)


def test_the_same_as_in_this_process(tmp_path: Path) -> None:
    content = "id;Kommentar;created_at\n1;café;2026-01-01\n".encode("windows-1252")
    found = look(tmp_path, "a.csv", content)
    source = sources.open_source(tmp_path / "upload", "a.csv", tmp_path)
    assert {**vars(found.source), "rows": []} == {**vars(source), "rows": []}
    assert (found.text_column, found.date_column) == (sources.text_column(source), sources.date_column(source))


def test_an_upload_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv: no longer kept on this server; upload it again"):
        open_apart(tmp_path / "gone", "a.csv", tmp_path)


def test_a_result_that_is_too_large(tmp_path: Path, model: EmotionClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 200 columns costs a byte in each row, however short the row's line is."""
    keys = json.dumps({f"key{n}": "" for n in range(199)} | {"text": "a"})
    lines = '{"text":"\\u0001"}\n' * 200
    found = look(tmp_path, "a.jsonl", f"{keys}\n{lines}".encode())
    code = "import space.table.apart as a, space.table.scoring as s; a.LARGEST_RESULT = 10_000; a.serve(s._score)"
    (tmp_path / "small.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "out").mkdir()
    given = vars(found.source) | {"path": str(found.source.path)}
    order = {"source": given, "column": "text", "model": str(model.folder), "out": str(tmp_path / "out"), "dates": None}
    with pytest.raises(DataError, match=r"a\.jsonl: the result cannot be written \(File too large\)"):
        list(apart.run("small", order | {"name": "a.jsonl"}, "a.jsonl"))


def test_pasted_lines_are_counted_before_they_are_read(demo: str) -> None:
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="more than 200,000 rows"):
        call(demo, "score", [None, "a\n" * 6_000_000, "default", None, ""])
    assert time.monotonic() - started < 10


def test_sentences_are_answered_beside_hostile_uploads(demo: str) -> None:
    line = b'{"text": "a", "n": [' + b"1," * 9_000_000 + b"1]}\n"
    files = [upload(demo, line + b'{"text": "%d"}' % number, "a.jsonl") for number in range(4)]
    ask(demo)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(refused, demo, file) for file in files]
        waits = []
        while not all(job.done() for job in jobs):
            waits.append(ask(demo))
        assert all("more than 1,000,000 characters" in job.result() for job in jobs)
    assert max(waits) < LONGEST_WAIT


def refused(url: str, file: dict[str, Any]) -> str:
    with pytest.raises(RuntimeError) as error:
        call(url, "look", [file])
    return str(error.value)


def test_errors_keep_their_kind(tmp_path: Path) -> None:
    for name, kind in (("a.xlsx", UsageError), ("a.csv", DataError)):
        with pytest.raises(EvenmoodError) as error:
            look(tmp_path, name, b"")
        assert type(error.value) is kind
