"""Files of tables: standard streams, pipes and descriptors, signals, leftovers of killed processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from tests.evenmood.test_cli import evenmood
from tests.fakes.local_hub import run_module

fcntl = pytest.importorskip("fcntl", reason="needs POSIX streams, signals and locks")
COMMAND = f"'{sys.executable}' -m evenmood"
HEADER = "text,emotions,emotion_probabilities,emotion_fallback"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("text\nThank you!\n")
    return path


def shell(script: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    result = subprocess.run(["bash", "-c", script], input=stdin, capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr
    return result


def test_closed_standard_streams(table: Path, tmp_path: Path) -> None:
    for arguments in (
        f"predict {table} -",
        f"predict {table}",
        f"predict {table} /dev/stdout --format csv",
        "text x",
        "info",
    ):
        result = shell(f"{COMMAND} {arguments} >&-")
        assert (result.returncode, len(result.stderr.splitlines())) == (2, 1), result.stderr
        assert "standard output is closed" in result.stderr
    result = shell(f"{COMMAND} predict - --input-format csv <&-")
    assert (result.returncode, result.stderr) == (2, "error: standard input is closed; expected a file name\n")
    out = tmp_path / "out.csv"
    for closed in (">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
        result = shell(f"{COMMAND} predict {table} {out} --overwrite {closed}")
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert out.read_text().startswith(f"{HEADER}\nThank you!,gratitude,")
    table.write_text('id,text\n1,a\n2,""\n3\n', encoding="utf-8")
    result = shell(f"{COMMAND} predict {table} --skip-bad 2>&-")  # messages must not be written to the table
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 3)


@pytest.mark.parametrize("overwrite", ["", pytest.param("--overwrite", marks=pytest.mark.slow)])
def test_special_files_are_written_directly(table: Path, tmp_path: Path, overwrite: str) -> None:
    options = f"--format csv {overwrite}"
    expected = shell(f"{COMMAND} predict {table}").stdout
    assert expected.startswith(HEADER)
    for target in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", ">(cat)"):
        result = shell(f"{COMMAND} predict {table} {target} {options} | cat")
        assert (result.stdout, result.stderr) == (expected, ""), target
    assert shell(f"{COMMAND} predict {table} /dev/null {options}").returncode == 0
    out = tmp_path / "log"
    out.write_text("before\n")
    for target in ("/dev/stdout", "/dev/fd/3"):
        result = shell(f"{COMMAND} predict {table} {target} {options} 3>>{out} >>{out}")
        assert (result.returncode, result.stderr) == (0, "")
    assert out.read_text() == f"before\n{expected}{expected}"
    assert "no such file descriptor" in shell(f"{COMMAND} predict {table} /dev/fd/77 {options}").stderr
    result = shell(f"{COMMAND} predict {table} /dev/stdout --format parquet {overwrite} | wc -c")
    assert int(result.stdout) > 500


def test_parquet_from_a_pipe(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"text": ["Thank you!"]}), tmp_path / "in.parquet")
    command = f"{COMMAND} predict <(cat {tmp_path}/in.parquet) - --input-format parquet --format csv"
    result = shell(command)
    assert result.stdout.startswith(f"{HEADER}\nThank you!,gratitude"), result.stderr


def wait_for_part(folder: Path, process: "subprocess.Popen[str]") -> None:
    while not list(folder.glob(".*.part")) and process.poll() is None:
        time.sleep(0.05)


def start(tmp_path: Path, rows: int = 400_000) -> "subprocess.Popen[str]":
    source = tmp_path / "in.csv"
    source.write_text("text\n" + "so happy to be here\n" * rows)
    command = [sys.executable, "-m", "evenmood", "predict", str(source), str(tmp_path / "out.csv")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for_part(tmp_path, process)
    return process


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signals_leave_no_files(tmp_path: Path, name: str) -> None:
    process = start(tmp_path)
    process.send_signal(getattr(signal, name))
    process.send_signal(signal.SIGHUP)  # systemd sends both at once
    _, error = process.communicate(timeout=30)
    assert (process.returncode in (-getattr(signal, name), -signal.SIGHUP), error) == (True, "")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_ignored_hangup_stays_ignored(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text\n" + "so happy to be here\n" * 60_000)
    process = subprocess.Popen(["bash", "-c", f"trap '' HUP; exec {COMMAND} predict {source} {tmp_path}/out.csv"])
    wait_for_part(tmp_path, process)  # type: ignore[arg-type]
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=120) == 0
    assert (tmp_path / "out.csv").exists()


def test_leftovers_of_dead_processes_are_removed(table: Path, tmp_path: Path) -> None:
    process = start(tmp_path)
    process.kill()
    process.communicate()
    (part,) = tmp_path.glob(".out.csv.*.part")
    leftovers = {
        ".other.jsonl.999999999.part": False,  # another table of a dead process
        f".out.csv.{os.getpid()}.part": True,  # a running process
        f".out.csv.{process.pid}0.part.csv": True,
        ".film.mkv.999999999.part": True,  # of another program
        ".out.csv.part": True,
        ".locked.csv.999999999.part": True,  # a process on another machine
    }
    for name in leftovers:
        (tmp_path / name).write_text("x")
    table.write_text("text\nThank you!\n", encoding="utf-8")
    with (tmp_path / ".locked.csv.999999999.part").open("a") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        assert run_module("evenmood", "predict", table, tmp_path / "out.csv").returncode == 0  # not this process
    assert not part.exists()
    assert {name: (tmp_path / name).exists() for name in leftovers} == leftovers


def test_column_names_that_become_equal_when_encoded(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "a", "n\\ud800": 1, "d": {}}\n')
    for kind in ("csv", "tsv", "jsonl"):
        assert "n\ufffd" in evenmood("predict", source, "--format", kind)[0] or kind == "jsonl"
    (row,) = map(json.loads, evenmood("predict", source)[0].splitlines())
    assert (row["n\ud800"], row["d"]) == (1, {})
    error = evenmood("predict", source, tmp_path / "out.parquet", code=1)[1]
    assert "do not fit one Parquet schema" in error  # Parquet has no empty struct
    for keys in ('"n\\ud800": 1, "n\\ud801": 2', '"d": {"n\\ud800": 1, "n\\ud801": 2}'):
        source.write_text(f'{{"text": "a", {keys}}}\n')
        for kind in ("csv", "parquet"):
            out = tmp_path / f"out.{kind}"
            if kind == "csv" and '"d"' in keys:
                continue  # the cell contains the original JSON
            error = evenmood("predict", source, out, code=1)[1]
            assert "'n\\ud800' and 'n\\ud801'" in error
            assert not out.exists()
