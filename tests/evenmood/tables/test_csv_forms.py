"""CSV files from spreadsheets in other locales: detection, messages on standard error, round trips."""

import csv
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from evenmood.tables.streams import read_chunks
from evenmood.tables.text_format import TextFormat, detect_format
from space.table import sources
from tests.evenmood.test_cli import evenmood

ROWS = [["id", "text"], ["1", "Thank you, café!"], ["2", 'I\'m scared; "very"']]


def content(delimiter: str = ",", line_end: str = "\r\n", prefix: str = "") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=line_end).writerows(ROWS)
    return prefix + text.getvalue()


FORMS: dict[str, tuple[bytes, TextFormat, str]] = {
    "plain": (content(line_end="\n").encode(), TextFormat(), ""),
    "CR LF": (content().encode(), TextFormat(line_end="\r\n"), ""),
    "mark": (content().encode("utf-8-sig"), TextFormat(mark=True, line_end="\r\n"), ""),
    "semicolons": (content(";").encode(), TextFormat(delimiter=";", line_end="\r\n"), "semicolon as delimiter"),
    "vertical bars": (content("|").encode(), TextFormat(delimiter="|", line_end="\r\n"), "vertical bar as delimiter"),
    "sep": (
        content(";", prefix="sep=;\r\n").encode(),
        TextFormat(delimiter=";", line_end="\r\n", sep_line=True),
        "semicolon as delimiter",
    ),
    "sep of commas": (content(",", prefix="sep=,\r\n").encode(), TextFormat(line_end="\r\n", sep_line=True), ""),
    "cp1252": (
        content(";").encode("cp1252"),
        TextFormat("cp1252", delimiter=";", line_end="\r\n"),
        "Windows-1252, semicolon as delimiter",
    ),
    "utf-16": (
        b"\xff\xfe" + content("\t").encode("utf-16-le"),
        TextFormat("utf-16-le", mark=True, delimiter="\t", line_end="\r\n"),
        "UTF-16, tab as delimiter",
    ),
    "utf-16 big": (
        b"\xfe\xff" + content().encode("utf-16-be"),
        TextFormat("utf-16-be", mark=True, line_end="\r\n"),
        "UTF-16",
    ),
    "utf-16 without mark": (content().encode("utf-16-le"), TextFormat("utf-16-le", line_end="\r\n"), "UTF-16"),
    "CR": (content(line_end="\r").encode(), TextFormat(line_end="\r"), "CR line ends"),
}


@pytest.mark.parametrize("name", FORMS)
def test_detected_form_is_reported_and_kept(tmp_path: Path, name: str) -> None:
    source_bytes, text_format, description = FORMS[name]
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(source_bytes)
    chunks = list(read_chunks(str(source), "csv", "text", delimiter=None, encoding=None))
    assert chunks[0].text_format == text_format
    assert [list(row.values()) for row in chunks[0].rows] == ROWS[1:]
    assert evenmood("predict", source, target)[1] == (f"{source}: read as {description}\n" if description else "")
    output = target.read_bytes()
    assert output.startswith(text_format.byte_order_mark)
    text = output[len(text_format.byte_order_mark) :].decode(text_format.encoding)
    assert text.startswith(f"sep={text_format.delimiter}{text_format.line_end}") == text_format.sep_line
    text = text.split(text_format.line_end, 1)[1] if text_format.sep_line else text
    assert text.count(text_format.line_end) == len(ROWS)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=text_format.delimiter))
    assert [row[:2] for row in rows] == ROWS
    assert rows[1][2] == "gratitude"
    # The format of a pipe is detected as well.
    printed = subprocess.run(
        [sys.executable, "-m", "evenmood", "predict", "-", "--input-format", "csv"],
        input=source_bytes,
        capture_output=True,
        check=True,
    )
    assert printed.stdout == output


@pytest.mark.parametrize("name", FORMS)
def test_demo_detects_the_same_form(tmp_path: Path, name: str) -> None:
    (tmp_path / "upload").write_bytes(FORMS[name][0])
    source = sources.open_source(tmp_path / "upload", "a.csv", tmp_path)
    assert (source.columns, source.delimiter) == (ROWS[0], FORMS[name][1].delimiter)
    if source.delimiter != "\t":
        chunks = read_chunks(str(source.path), source.kind, "text", delimiter=source.delimiter)
        assert [list(row.values()) for chunk in chunks for row in chunk.rows] == ROWS[1:]


def test_output_options_override_the_input_form(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(FORMS["cp1252"][0])
    command = ("predict", source, tmp_path / "out.csv", "--overwrite")
    evenmood(*command, "--output-encoding", "utf-8", "--output-delimiter", ",")
    assert (
        (tmp_path / "out.csv")
        .read_bytes()
        .startswith(b'id,text,emotions,emotion_probabilities,emotion_fallback\r\n1,"Thank you, caf\xc3\xa9!",')
    )
    evenmood(*command, "--output-encoding", "utf-16", "--output-delimiter", "tab")
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xff\xfei\0d\0\t\0")
    evenmood(*command, "--output-encoding", "utf-8-sig")
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbfid;text;")
    evenmood("predict", source, tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet")["text"].to_pylist() == [row[1] for row in ROWS[1:]]
    (tmp_path / "in.jsonl").write_text('{"text": "so 😱"}\n', encoding="utf-8")
    error = evenmood("predict", tmp_path / "in.jsonl", "-", "--format", "csv", "--output-encoding", "cp1252", code=1)[1]
    assert "Windows-1252 cannot encode '\\U0001f631'" in error
    assert "--output-encoding" in error


def test_explicit_options_are_not_detected(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes("id|text\n1|Привет\n".encode("cp1251"))
    printed, error = evenmood("predict", source, "--encoding", "windows-1251", "--format", "jsonl")
    assert '"text": "Привет"' in printed
    assert error == f"{source}: read as cp1251, vertical bar as delimiter\n"
    source.write_bytes(b"sep=;\na,text;b\nx,ok;y\n")
    assert "ok;y" in evenmood("predict", source, "--delimiter", ",", "--column", "text;b")[0]
    source.write_bytes("text\n€ so good\n".encode("utf-16"))
    for encoding in ("utf-16", "utf_16_le", "UTF-16"):
        assert "€ so good" in evenmood("predict", source, "--encoding", encoding, "--format", "jsonl")[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--encoding", "klingon"), "--encoding 'klingon': unknown"),
        (("--encoding", "base64"), "--encoding 'base64': unknown"),
        (("--encoding", ""), "--encoding '': unknown"),
        (("--delimiter", ";;"), "--delimiter ';;': expected one character"),
        (("--delimiter", ""), "--delimiter '': expected one character"),
        (("--delimiter", '"'), "expected one character"),
        (("--delimiter", "a"), "expected one character"),
        (
            ("--output-encoding", "utf-16", "--format", "jsonl"),
            "--output-encoding requires the format csv or tsv, not jsonl",
        ),
        (("--output-delimiter", ";", "--format", "tsv"), "--output-delimiter requires the format csv, not tsv"),
        (("--delimiter", ";", "--input-format", "jsonl"), "--delimiter requires the format csv, not jsonl"),
        (
            ("--encoding", "utf-8", "--input-format", "parquet"),
            "--encoding requires the format csv or tsv or jsonl or txt, not parquet",
        ),
    ],
)
def test_invalid_options_are_rejected(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    (tmp_path / "in.csv").write_text("text\na\n")
    error = evenmood("predict", tmp_path / "in.csv", *options, code=2)[1]
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("text\na;b\n", ","),
        ('"a;b",text\n1,2\n', ","),
        ("id;score;text\n1;0,5;hi, you\n", ";"),
        ("Text;n, m\na;1, 2\n", ";"),
        ("date, time;text\n1 Jan, 10:00;hi\n", ";"),
        ("id\ttext\n1\thi, you; there\n", "\t"),
    ],
)
def test_delimiters_are_detected(tmp_path: Path, text: str, delimiter: str) -> None:
    (tmp_path / "in.csv").write_text(text)
    text_format, _ = detect_format(io.BytesIO(text.encode()), "in.csv", "csv", None, None, ["text"])
    assert text_format.delimiter == delimiter
    assert evenmood("predict", tmp_path / "in.csv", "--format", "jsonl")[0].count("emotions") == 1


def test_encodings_of_large_files(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    ascii_rows = b"text\n" + b"nothing but ASCII\n" * 150_000

    def encoding(last: bytes) -> Any:
        path.write_bytes(ascii_rows + last)
        chunk = next(read_chunks(str(path), "csv", "text", encoding=None))
        return chunk.text_format and chunk.text_format.encoding

    assert encoding(b"caf\xe9\n") == "cp1252"
    assert encoding("café\n".encode()) == "utf-8"
    assert encoding("café and naïve\n".encode() + b"caf\xe9\n") == "utf-8"  # one broken row of a UTF-8 file
    assert encoding(b"cut emoji \xf0\x9f\x98\n") == "utf-8"
    assert encoding(b"undefined in Windows-1252: \x81\n") == "utf-8"


def test_pipe_with_an_ascii_first_block(tmp_path: Path) -> None:
    table = b"text\n" + b"nothing but ASCII\n" * 10_000 + "café\n".encode()
    command = [sys.executable, "-m", "evenmood", "predict", "-", "--input-format", "csv"]
    result = subprocess.run(command, input=table, capture_output=True, check=True)
    assert result.stdout.decode().splitlines()[-1].startswith("café,")
    result = subprocess.run(command, input=table + b"caf\xe9\n", capture_output=True, check=False)
    assert result.returncode == 1
    assert "line 10003: not UTF-8 at byte 3; convert the file, for instance with iconv, or set --encoding" in (
        result.stderr.decode()
    )


def test_invalid_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes("text\nok\nhalf an emoji ".encode("utf-16") + b"\x3d\xd8" + "\nlast\n".encode("utf-16-le"))
    printed, error = evenmood("predict", path, "--format", "jsonl", "--skip-bad")
    assert printed.count("emotions") == 2
    assert "line 3: not UTF-16 at byte 28" in error
    path.write_bytes("text\nok\n".encode("utf-16") + b"x")
    assert "not UTF-16" in evenmood("predict", path, code=1)[1]


def test_json_lines_and_plain_text_in_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes('{"text": "Thank you, café"}\n'.encode("utf-16"))
    (tmp_path / "in.txt").write_bytes("Thank you, café\rI'm scared\r".encode("cp1252"))
    for name, count in (("in.jsonl", 1), ("in.txt", 2)):
        printed, error = evenmood("predict", tmp_path / name, "--format", "jsonl")
        assert printed.startswith('{"text": "Thank you, café", ')
        assert len(printed.splitlines()) == count
        assert "read as " in error
