"""The `evenmood` command: single texts, tables in all formats, errors for invalid input."""

import csv
import io
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

from evenmood import LABELS, EmotionClassifier
from tests.commands import run_command
from tests.fakes.local_hub import run_module

TEXTS = ["Thank you!", "", 'He said "no",\nthen left.', "I'm scared 😱", "Öl, naïve; 日本"]
HEADER = ["id", "text", "emotions", "emotion_probabilities", "emotion_fallback"]


def evenmood(*arguments: str | Path, stdin: bytes = b"", code: int = 0) -> tuple[str, str]:
    """Run the command and return what it printed to standard output and error."""
    result = run_command("evenmood", *arguments, stdin=stdin)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout, result.stderr


def csv_bytes(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_bytes(csv_bytes([["id", "text"], *([str(i), text] for i, text in enumerate(TEXTS))]))
    return path


def test_one_text(each_name: str, each_model: EmotionClassifier) -> None:
    printed, _ = evenmood("Thank you so much!", "--model", each_name)
    assert printed.split()[0] == "gratitude"
    assert "threshold" in printed
    assert evenmood("Thank", "you", "so", "much!", "--model", each_name)[0] == printed
    content = json.loads(evenmood("Thank you so much!", "--json", "--proba", "--model", each_name)[0])
    assert content["labels"] == each_model.predict("Thank you so much!").labels
    assert set(content["probabilities"]) == set(LABELS)
    assert len(evenmood("x", "--proba")[0].splitlines()) >= 28
    assert evenmood("text", "predict")[0]


def test_fallback_is_reported(tmp_path: Path) -> None:
    classifier = EmotionClassifier.from_pretrained()
    classifier.thresholds = dict.fromkeys(LABELS, 1.0)
    classifier.save_pretrained(tmp_path / "strict")
    printed, _ = evenmood("--model", tmp_path / "strict", "The train leaves", "--proba")
    assert printed.endswith("No label reaches its threshold; the most probable one is neutral.\n")


def test_help_version_and_info(tmp_path: Path) -> None:
    assert "Usage" in evenmood("--help")[0]
    assert "--skip-bad" in evenmood("predict", "--help")[0]
    assert evenmood("--version")[0].count(".") == 2
    printed, _ = evenmood("info")
    assert all(label in printed for label in LABELS)
    assert "macro-F1 on test" in printed
    info = json.loads(evenmood("info", "--json")[0])
    assert info["labels"] == list(LABELS)
    _, error = evenmood("info", tmp_path / "missing", code=1)
    assert error.startswith("error: ")


def test_csv_keeps_rows_and_adds_columns(
    table: Path, tmp_path: Path, each_name: str, each_model: EmotionClassifier
) -> None:
    evenmood("predict", table, tmp_path / "out.csv", "--model", each_name)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.reader(lines))
    assert rows[0] == HEADER
    assert [row[:2] for row in rows[1:]] == [[str(i), text] for i, text in enumerate(TEXTS)]
    for row, text in zip(rows[1:], TEXTS, strict=True):
        if not text:
            assert row[2:] == ["", "", ""]
            continue
        prediction = each_model.predict(text)
        assert row[2] == ";".join(prediction.labels)
        assert row[4] == str(prediction.fallback).lower()
        assert [float(p) for p in row[3].split(";")] == [
            pytest.approx(score.probability, abs=1e-4) for score in prediction.scores
        ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "parquet", "csv"])
def test_formats_agree(kind: str, tmp_path: Path, each_name: str, each_model: EmotionClassifier) -> None:
    texts = ["Thank you!", "", 'a "quoted" word', "naïve 日本 😱"]
    source, target = tmp_path / f"in.{kind}", tmp_path / "out.jsonl"
    if kind == "parquet":
        parquet.write_table(pyarrow.table({"text": texts, "n": pyarrow.array([1, 2, 3, 4], pyarrow.int16())}), source)
    elif kind == "jsonl":
        source.write_text("\n".join(json.dumps({"text": text, "n": [1]}) for text in texts) + "\n\n", "utf-8")
    elif kind == "tsv":
        source.write_text("text\tn\n" + "".join(f"{text}\t1\n" for text in texts), "utf-8")
    else:
        source.write_bytes(b"\xef\xbb\xbf" + csv_bytes([["text", "n"], *([text, "1"] for text in texts)]))
    evenmood("predict", source, target, "--model", each_name)
    rows = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    assert [row["text"] for row in rows] == texts
    # An empty cell is a missing text; JSON and Parquet have null for that.
    cells = [text or None if kind in ("csv", "tsv") else text for text in texts]
    expected = [each_model.predict(text).labels if text is not None else None for text in cells]
    assert [row["emotions"] for row in rows] == expected
    evenmood("predict", source, tmp_path / "out.parquet", "--proba", "--model", each_name)
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.num_rows == 4
    assert table.schema.field("emotions").type == pyarrow.list_(pyarrow.string())
    assert set(LABELS) == {name.removeprefix("emotion_") for name in table.column_names} & set(LABELS)
    if kind == "parquet":
        assert table.schema.field("n").type == pyarrow.int16()


def test_selected_labels_and_probabilities(table: Path, each_name: str, each_model: EmotionClassifier) -> None:
    printed, _ = evenmood("predict", table, "--labels", "joy,gratitude", "--proba", "--model", each_name)
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert list(rows[0])[-2:] == ["emotion_joy", "emotion_gratitude"]
    assert rows[0]["emotions"] == "gratitude"
    assert all(set(row["emotions"].split(";")) <= {"joy", "gratitude", ""} for row in rows)
    probability = each_model.predict_proba(TEXTS[0])[LABELS.index("joy")]
    assert float(rows[0]["emotion_joy"]) == pytest.approx(probability, abs=1e-4)


def test_long_stream_keeps_its_order(each_name: str) -> None:
    rows = {"fast": 20_000, "accurate": 2_000}[each_name]
    lines = "\n".join(json.dumps({"text": f"thank you {i}", "i": i}) for i in range(rows))
    printed, _ = evenmood("predict", "-", "-", "--input-format", "jsonl", "--model", each_name, stdin=lines.encode())
    assert [json.loads(line)["i"] for line in printed.splitlines()] == list(range(rows))


@pytest.mark.skipif(sys.platform != "linux", reason="getrusage counts memory in kB on Linux only")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from evenmood.cli import commands as cli\n"
        "try:\n    cli.main()\nexcept SystemExit: pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
    )
    peaks = []
    for rows in (3_000, 30_000):
        path = tmp_path / f"{rows}.csv"
        path.write_text("text\n" + "so happy to see you here again today my friend\n" * rows)
        command = [sys.executable, "-c", script, "predict", str(path), str(tmp_path / f"{rows}-out.csv")]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(result.stderr.split()[-1]))
    assert peaks[1] - peaks[0] < 15_000  # kB; 27,000 more rows would take tens of MB as Python objects


@pytest.mark.parametrize(
    ("name", "content", "message", "code"),
    [
        ("in.csv", b"id,body\n1,x\n", "no column 'text'; the columns are 'id', 'body'", 2),
        ("in.csv", b"id,text\n1,ok\n2\n", "line 3: expected 2 cells, found 1", 1),
        ("in.csv", b'id,text\n1,"a\nb"\n2,x,y\n', "line 4: expected 2 cells, found 3", 1),
        ("in.csv", b'id,text\n1,"never closed\n', "line 2: unexpected end of data", 1),
        ("in.csv", b"id,text\n0,\xc3\xa9\n1,caf\xe9\n", "line 3: not UTF-8 at byte 5; convert the file", 1),
        ("in.csv", b"", "empty; expected a header with the column names", 1),
        ("in.csv", b"text,text\na,b\n", "duplicate column 'text'", 1),
        ("in.csv", b"text,emotions\na,b\n", "already has a column 'emotions'", 2),
        ("in.jsonl", b'{"text": "a"}\n{"text": \n', "line 2: not JSON", 1),
        ("in.jsonl", b'["a"]\n', "line 1: expected a JSON object, found list", 1),
        ("in.jsonl", b'{"text": 3}\n', "line 1: 'text' is 3, not a string", 1),
        ("in.jsonl", b'{"other": "a"}\n', "line 1: no key 'text'; the keys are 'other'", 1),
        ("in.parquet", b"not parquet at all", "not a Parquet file", 1),
        ("in.xls", b"x", "unknown file extension; set --input-format", 2),
    ],
)
def test_invalid_tables_are_rejected(tmp_path: Path, name: str, content: bytes, message: str, code: int) -> None:
    (tmp_path / name).write_bytes(content)
    _, error = evenmood("predict", tmp_path / name, tmp_path / "out.csv", code=code)
    assert message in error
    assert len(error.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "content", "rows", "invalid"),
    [
        ("in.csv", b'id,text\n1,ok\n2\n3,fine\n4,"x"y\n5,caf\xe9\n6,last: \xc3\xa9\n', 3, 3),
        ("in.jsonl", b'{"text": "a"}\nnonsense\n{"text": 3}\n{"text": "b"}\n', 2, 2),
    ],
)
def test_skip_bad_counts_invalid_rows(tmp_path: Path, name: str, content: bytes, rows: int, invalid: int) -> None:
    (tmp_path / name).write_bytes(content)
    printed, error = evenmood("predict", tmp_path / name, "--format", "jsonl", "--skip-bad")
    assert len(printed.splitlines()) == rows
    assert error.startswith(f"invalid rows skipped: {invalid} of {rows + invalid}; the first: ")


def test_header_only_and_very_long_fields(tmp_path: Path) -> None:
    printed, _ = evenmood("predict", "-", "--input-format", "csv", stdin=b"id,text\n")
    assert printed == ",".join(HEADER) + "\n"
    long = ("so happy " * 50_000).encode()
    printed, _ = evenmood("predict", "-", "--input-format", "csv", stdin=b"text\n" + long + b"\nNUL \0 here\n")
    rows = printed.splitlines()
    assert [row[:3] for row in rows[1:]] == ["so ", "NUL"]
    assert len(rows[1]) > len(long)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_emotions_only(kind: str, table: Path, tmp_path: Path) -> None:
    full, out = tmp_path / f"all.{kind}", tmp_path / f"out.{kind}"
    evenmood("predict", table, full)
    evenmood("predict", table, out, "--emotions-only", "--id", "ID")
    assert column_names(out) == ["id", *HEADER[2:]]
    evenmood("predict", table, out, "--emotions-only", "--proba", "--labels", "joy", "--overwrite")
    assert column_names(out) == [*HEADER[2:], "emotion_joy"]
    evenmood("predict", full, out, "--emotions-only", "--id", "id", "--overwrite")  # replaces existing columns
    assert column_names(out) == ["id", *HEADER[2:]]
    assert "--id requires --emotions-only" in evenmood("predict", table, "--id", "id", code=2)[1]
    assert (
        kind == "jsonl" or "no column 'key'" in evenmood("predict", full, "--emotions-only", "--id", "key", code=2)[1]
    )
    error = evenmood("predict", full, "--emotions-only", "--id", "emotions", code=2)[1]
    assert "already has a column 'emotions'" in error


def column_names(path: Path) -> list[str]:
    if path.suffix == ".parquet":
        return list(parquet.read_schema(path).names)
    line = path.read_text(encoding="utf-8").splitlines()[0]
    return list(json.loads(line)) if path.suffix == ".jsonl" else line.split(",")


def test_invalid_outputs_are_rejected(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("precious")
    _, error = evenmood("predict", table, out, code=2)
    assert "exists; choose another name, or use --overwrite" in error
    assert out.read_text() == "precious"
    evenmood("predict", table, out, "--overwrite")
    assert out.read_text().startswith("id,text,emotions")
    assert "is the input file" in evenmood("predict", table, table, "--overwrite", code=2)[1]
    assert "no such folder" in evenmood("predict", table, tmp_path / "no" / "out.csv", code=2)[1]
    assert "no such file" in evenmood("predict", tmp_path / "missing.csv", out, "--overwrite", code=2)[1]
    assert "unknown label 'fury'" in evenmood("predict", table, "--labels", "joy,fury", code=2)[1]
    assert "--input-format is required" in evenmood("predict", "-", code=2)[1]
    error = evenmood("predict", table, tmp_path / "out.xls", code=2)[1]
    assert error.endswith("set --format to one of: csv, tsv, jsonl, parquet, xlsx\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk_on_standard_output(table: Path) -> None:
    command = [sys.executable, "-m", "evenmood", "predict", str(table)]
    with Path("/dev/full").open("wb") as device:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        result = subprocess.run(command, stdout=device, stderr=subprocess.PIPE, check=False, env=environment)
    assert result.returncode == 1
    assert result.stderr.decode() == "error: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs mount")
def test_full_disk_leaves_no_files(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a file system requires root")
    try:
        source = tmp_path / "in.csv"
        source.write_text("text\n" + "so happy\n" * 20_000)
        _, error = evenmood("predict", source, disk / "out.csv", code=1)
        assert error.startswith("error: ")
        assert error.strip().endswith("No space left on device")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a single process")
def test_interrupt_leaves_no_files(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text\n" + "so happy to be here\n" * 400_000)
    # Background jobs of a shell, such as pytest, ignore SIGINT, and child processes inherit this.
    script = "import signal as s; s.signal(2, s.default_int_handler); from evenmood.cli.commands import main; main()"
    command = [sys.executable, "-c", script, "predict", str(source), str(tmp_path / "out.csv")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob(".out*")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error == "error: interrupted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_closed_pipe_is_not_an_error(table: Path) -> None:
    rows = "text\n" + "so happy to be here\n" * 30_000
    command = f"'{sys.executable}' -m evenmood predict - --input-format csv | head -n 1"
    result = subprocess.run(["bash", "-c", command], input=rows, capture_output=True, text=True, check=False)
    assert result.stdout.startswith("text,")
    assert result.stderr == ""


def test_missing_extra_is_reported(table: Path, tmp_path: Path) -> None:
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "pyarrow.py").write_text("raise ModuleNotFoundError('no', name='pyarrow')\n")
    result = run_module("evenmood", "predict", table, tmp_path / "out.parquet", PYTHONPATH=str(tmp_path / "block"))
    assert result.returncode == 1
    assert result.stderr == 'error: pyarrow is not installed; install it with: pip install "evenmood[parquet]"\n'


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = run_command("evenmood", "info", tmp_path, "--debug")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_texts_that_look_like_options() -> None:
    for arguments in (["-1 out of 10"], ["--", "-sigh-"], ["--", "--json"], ["-1", "out", "of", "10"]):
        assert "threshold" in evenmood(*arguments)[0]
    assert "No such option" in evenmood("--probaa", "x", code=2)[1]
    assert json.loads(evenmood("-1 out of 10", "--json")[0])["labels"]


def test_text_from_standard_input() -> None:
    expected, _ = evenmood("Thank you so much!")
    for arguments in ([], ["-"], ["text", "-"]):
        assert evenmood(*arguments, stdin=b"Thank you so much!\n")[0] == expected
    assert json.loads(evenmood("--json", stdin=b"Thank you so much!")[0])["labels"] == ["gratitude"]


def test_misspelled_command_is_suggested() -> None:
    for arguments in (["prediict", "x"], ["inf0"], ["predct", "in.csv", "out.csv"]):
        code = 0 if arguments == ["inf0"] else 2
        _, error = evenmood(*arguments, code=code)
        assert ("did you mean predict?" in error) == (code == 2)
    assert "threshold" in evenmood("text", "prediict")[0]
    assert "threshold" in evenmood("predictions", "are", "hard")[0]


def test_texts_without_selected_labels_have_empty_cells(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "The meeting is on Monday."}\n{"text": "Thank you so much!"}\n')
    rows = [json.loads(line) for line in evenmood("predict", source, "--labels", "gratitude,anger")[0].splitlines()]
    assert (rows[0]["emotions"], rows[0]["emotion_probabilities"], rows[0]["emotion_fallback"]) == ([], [], False)
    assert rows[1]["emotions"] == ["gratitude"]
    printed, _ = evenmood("predict", source, "--labels", "gratitude", "--format", "csv")
    assert printed.splitlines()[1].endswith(",,,false")


def test_text_files_and_case_insensitive_column_names(tmp_path: Path, model: EmotionClassifier) -> None:
    (tmp_path / "in.txt").write_text('Thank you!\n\nI\'m scared\tof it, "very"', encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(evenmood("predict", tmp_path / "in.txt")[0])))
    assert [row["text"] for row in rows] == ["Thank you!", "", 'I\'m scared\tof it, "very"']
    assert "use .csv" in evenmood("predict", tmp_path / "in.txt", tmp_path / "out.txt", code=2)[1]
    for kind in ("csv", "jsonl"):
        source = tmp_path / f"in.{kind}"
        source.write_text("Text\nThank you!\n" if kind == "csv" else '{"TEXT": "Thank you!"}\n')
        assert "gratitude" in evenmood("predict", source)[0]
    (tmp_path / "two.csv").write_text("Text,TEXT\na,b\n")
    assert "no column 'text'" in evenmood("predict", tmp_path / "two.csv", code=2)[1]


def test_long_texts_are_counted(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("text\n" + "so it goes on and on. " * 100 + "\nshort\n")
    for kind in ("csv", "jsonl"):
        error = evenmood("predict", source, "--format", kind)[1]
        assert error == "texts of more than 128 tokens, split into overlapping windows: 1\n"


def test_info_takes_the_model_as_argument_or_option(folder: Path) -> None:
    assert str(folder) in evenmood("info", "--model", folder)[0]
    assert evenmood("info", folder)[0] == evenmood("info", "--model", folder)[0]
    assert "expected one" in evenmood("info", folder, "--model", folder, code=2)[1]
