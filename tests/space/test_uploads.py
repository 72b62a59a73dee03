"""Hostile uploads: parsed in worker processes, with limits."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.demo import call, time_prediction
from evenmood import EmotionClassifier
from evenmood.errors import DataError, EvenmoodError, UsageError
from space.table import scoring, sources, worker
from space.table.uploads import MAX_DEPTH, MAX_LINE_CHARS, Upload, inspect_upload
from tests.space.test_storage import upload

MAX_WAIT = 4.0
"""Maximum seconds to analyze a text during four hostile uploads, on a busy machine."""


def inspect(tmp_path: Path, name: str, content: bytes) -> Upload:
    path = tmp_path / "upload"
    path.write_bytes(content)
    return inspect_upload(path, name, tmp_path)


def nested(depth: int) -> bytes:
    return b'{"text": "Thank you", "deep": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}\n"


HOSTILE = {
    "one line": (b'{"text": "' + b"a" * 18_000_000 + b'"}\n', "line 1: more than 1,000,000 characters"),
    "later line": (b'{"text": "a"}\n' * 9 + b'{"text": "' + b"a" * 1_000_001 + b'"}', "line 10: more than 1,000,000"),
    "many cells": (b'{"text": [' + b"1," * 9_000_000 + b"1]}\n", "line 1: more than 1,000,000 characters"),
    "deep nesting": (nested(MAX_DEPTH + 1), "line 1: more than 900 levels of nesting"),
    "deep and invalid": (b'{"text": "a"}\n' + b"[" * 100_000, "line 2: more than 900 levels of nesting"),
    "deep objects": (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, "line 1: more than 900 levels of nesting"),
    "long key": (b'{"' + b"k" * 2_000 + b'": 1, "text": "a"}\n', "a column name has more than 1,000 characters"),
}


@pytest.mark.parametrize(("content", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_limits_on_lines_and_nesting(tmp_path: Path, content: bytes, expected: str) -> None:
    with pytest.raises(DataError) as error:
        inspect(tmp_path, "a.jsonl", content)
    assert str(error.value).startswith("a.jsonl")
    assert expected in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_uploads_within_the_limits(tmp_path: Path, model: EmotionClassifier) -> None:
    brackets = json.dumps({"text": 'Thank you "[{' + "[" * 5_000 + '\\" ' + "{" * 5_000}).encode()
    long_line = json.dumps({"text": "é" * (MAX_LINE_CHARS - 20)}, ensure_ascii=False).encode()
    result = inspect(tmp_path, "a.jsonl", b"\n".join([nested(MAX_DEPTH).strip(), brackets, long_line]))
    assert (result.source.columns, result.text_column, result.date_column) == (["text", "deep"], "text", None)
    (tmp_path / "out").mkdir()
    *_, progress = scoring.score_in_process(result.source, "text", model.folder, tmp_path / "out")
    assert (progress.rows, progress.bad) == (3, 0)


def test_worker_matches_open_source(tmp_path: Path) -> None:
    content = "id;Kommentar;created_at\n1;café;2026-01-01\n".encode("windows-1252")
    result = inspect(tmp_path, "a.csv", content)
    source = sources.open_source(tmp_path / "upload", "a.csv", tmp_path)
    assert {**vars(result.source), "rows": []} == {**vars(source), "rows": []}
    assert (result.text_column, result.date_column) == (sources.text_column(source), sources.date_column(source))


def test_expired_upload(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv: the upload has expired; upload the file again"):
        inspect_upload(tmp_path / "gone", "a.csv", tmp_path)


def test_large_results_are_rejected(tmp_path: Path, model: EmotionClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 200 columns adds a byte to each row, even if the row's line is short."""
    keys = json.dumps({f"key{n}": "" for n in range(199)} | {"text": "a"})
    lines = '{"text":"\\u0001"}\n' * 200
    result = inspect(tmp_path, "a.jsonl", f"{keys}\n{lines}".encode())
    code = "import space.table.worker as a, space.table.scoring as s; a.MAX_RESULT_BYTES = 10_000; a.serve(s._score)"
    (tmp_path / "small.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "out").mkdir()
    fields = vars(result.source) | {"path": str(result.source.path)}
    job = {"source": fields, "column": "text", "model": str(model.folder), "out": str(tmp_path / "out"), "dates": None}
    with pytest.raises(DataError, match=r"a\.jsonl: cannot write the results \(File too large\)"):
        list(worker.run("small", job | {"name": "a.jsonl"}, "a.jsonl"))


def test_crashed_worker_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crashing.py").write_text("raise SystemExit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DataError, match=r"a\.csv: the worker process failed \(exit code 3\)"):
        list(worker.run("crashing", {}, "a.csv"))


def test_pasted_lines_are_limited(demo: str) -> None:
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="more than 200,000 rows"):
        call(demo, "score", [None, "a\n" * 6_000_000, "default", None, ""])
    assert time.monotonic() - start < 10


def test_texts_are_analyzed_during_hostile_uploads(demo: str) -> None:
    line = b'{"text": "a", "n": [' + b"1," * 9_000_000 + b"1]}\n"
    files = [upload(demo, line + b'{"text": "%d"}' % number, "a.jsonl") for number in range(4)]
    time_prediction(demo)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(upload_error, demo, file) for file in files]
        waits = []
        while not all(job.done() for job in jobs):
            waits.append(time_prediction(demo))
        assert all("more than 1,000,000 characters" in job.result() for job in jobs)
    assert max(waits) < MAX_WAIT


def upload_error(url: str, file: dict[str, Any]) -> str:
    with pytest.raises(RuntimeError) as error:
        call(url, "inspect", [file])
    return str(error.value)


def test_errors_keep_their_type(tmp_path: Path) -> None:
    for name, error_type in (("a.xlsx", UsageError), ("a.csv", DataError)):
        with pytest.raises(EvenmoodError) as error:
            inspect(tmp_path, name, b"")
        assert type(error.value) is error_type
