"""`train label`: soft targets from arrays and teachers, dropped texts, invalid arguments."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from evenmood import LABELS, DataError, EmotionClassifier, UsageError
from evenmood.data.splits import load_split
from evenmood.data.teacher import Teacher
from evenmood.data.tweets import clean_tweet
from tests.commands import run_command
from train.distillation import label as command
from train.distillation.label import label, parse_source
from train.distillation.probabilities import parse_array, read_array
from train.distillation.soft_targets import RECORD


def ignore_progress(line: str) -> None:
    """Discard a progress message."""


def random_rows(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((rows, 28)).astype(np.float16)


def read_output(path: Path) -> tuple[list[str], np.ndarray, dict[str, Any]]:
    table = parquet.read_table(path)
    assert table.column_names == ["text", "probabilities"]
    values = np.array(table["probabilities"].to_pylist(), np.float32)
    return table["text"].to_pylist(), values, json.loads(table.schema.metadata[RECORD])


@pytest.fixture
def held_out(small_data: Path) -> str:
    """A validation text of at least seven words."""
    return next(text for text in load_split(str(small_data), "validation").texts if len(text.split()) > 6)


@pytest.fixture
def arrays(tmp_path: Path, small_data: Path) -> Path:
    path = tmp_path / "arrays.npz"
    rows = len(load_split(str(small_data), "train"))
    np.savez(path, train=random_rows(rows), lines=random_rows(6, 1), csv=random_rows(3, 2), more=random_rows(6, 3))
    return path


def test_three_sources_and_dropped_texts(tmp_path: Path, small_data: Path, held_out: str, arrays: Path) -> None:
    train = load_split(str(small_data), "train").texts
    lines = [
        "@you I am &amp; remain happy http://t.co/x",
        "",  # an empty line has a row in the array, too
        f"{held_out.upper()}",
        f"{held_out} indeed",
        f"  {train[0]}",
        "something new",
    ]
    (tmp_path / "tweets.txt").write_bytes("\r\n".join(lines).encode() + b"\n")
    with (tmp_path / "tweets.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["sentiment", "text"], [0, "two\nlines"], [4, "Something NEW!"], [4, "last one"]])
    messages: list[str] = []
    out = tmp_path / "soft.parquet"
    source_options = [
        f"{tmp_path / 'tweets.txt'}={arrays}:lines+{arrays}:more",
        f"{tmp_path / 'tweets.csv'}={arrays}:csv",
        f"{small_data}={arrays}:train",
    ]
    label([parse_source(option) for option in source_options], [], out, str(small_data), messages.append)
    texts, values, record = read_output(out)
    assert texts == [*train, "I am & remain happy", "something new", "two lines", "last one"]
    with np.load(arrays) as arrays_file:
        mean = (arrays_file["lines"].astype(np.float32) + arrays_file["more"]) / 2
        expected = np.concatenate([arrays_file["train"], mean[[0, 5]], arrays_file["csv"][[0, 2]]])
    np.testing.assert_allclose(values, expected, atol=1e-6)
    data, tweets, table = record["sources"]
    assert (data["written"], data["dropped"]) == (len(train), {})
    assert tweets["dropped"] == {
        "empty after cleaning": 1,
        "duplicate of a held-out text": 1,
        "near-duplicate of a held-out text": 1,
        "duplicate": 1,
    }
    assert table["dropped"] == {"duplicate": 1}
    assert [array["array"] for array in tweets["arrays"]] == ["lines", "more"]
    assert record["rows"] == len(texts)
    assert any("tweets.csv: 2 of 3 texts; 1 duplicate" in line for line in messages)
    assert not list(tmp_path.glob("*.partial")) + list(tmp_path.glob(".*.part"))


def test_teachers_and_arrays_are_averaged(tmp_path: Path, small_data: Path, tiny_encoder: Path) -> None:
    raw = [f"@somebody joy and grief {number} www.x.com" for number in range(5)]
    (tmp_path / "tweets.txt").write_text("\n".join(raw), encoding="utf-8")
    np.savez(tmp_path / "a.npz", a=random_rows(5))
    source = parse_source(f"{tmp_path / 'tweets.txt'}={tmp_path / 'a.npz'}:a")
    label([source], [str(tiny_encoder)], tmp_path / "soft.parquet", str(small_data), ignore_progress)
    texts, values, record = read_output(tmp_path / "soft.parquet")
    assert texts == [clean_tweet(text) for text in raw]
    expected = (Teacher(str(tiny_encoder)).probabilities(texts) + random_rows(5)) / 2
    np.testing.assert_allclose(values, expected, atol=1e-6)
    assert "model.safetensors" in record["teachers"][0]["fingerprint"]


@pytest.mark.parametrize("writes", [0, 1, 2, 5])
def test_interrupted_run_resumes(
    tmp_path: Path, small_data: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """An interrupted run keeps its completed chunks, and its output equals that of an uninterrupted run."""
    (tmp_path / "tweets.txt").write_text("\n".join(f"tweet {n} of {n % 40}" for n in range(90)), encoding="utf-8")
    sources = [parse_source(str(tmp_path / "tweets.txt")), parse_source(f"{small_data}")]
    monkeypatch.setattr(command, "CHUNK_ROWS", 100)
    labeled_texts: list[str] = []

    class CountingTeacher:
        def __init__(self, *arguments: object, **named: object) -> None:
            pass

        def probabilities(self, texts: list[str]) -> np.ndarray:
            labeled_texts.extend(texts)
            return np.full((len(texts), 28), len(texts) / 1000, np.float32)

    monkeypatch.setattr(command, "Teacher", CountingTeacher)
    messages: list[str] = []

    def run(out: Path) -> None:
        label(sources, [str(tiny_encoder)], out, str(small_data), messages.append)

    run(tmp_path / "a.parquet")
    uninterrupted = list(labeled_texts)
    labeled_texts.clear()
    remaining = iter(range(writes))
    replace = Path.replace

    def interrupted_replace(path: Path, target: Path) -> Path:
        if path.suffix == ".part" and target.suffix == ".parquet" and next(remaining, None) is None:
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted_replace)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "b.parquet")
    partial = tmp_path / "b.parquet.partial"
    assert [path.name for path in tmp_path.glob("*b.parquet*")] == [partial.name]
    assert len(list(partial.glob("*.parquet"))) == writes
    with pytest.raises(UsageError, match=r"an unfinished run has different options: sources; .*--restart"):
        label(sources[:1], [str(tiny_encoder)], tmp_path / "b.parquet", str(small_data), ignore_progress)
    labeled_texts[:] = [text for path in sorted(partial.glob("*.parquet")) for text in read_part(path)]
    run(tmp_path / "b.parquet")
    assert labeled_texts == uninterrupted
    assert f"resuming {partial}" in messages
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert not partial.exists()
    with pytest.raises(UsageError, match="exists; choose another"):
        run(tmp_path / "b.parquet")


def read_part(path: Path) -> list[str]:
    return list(parquet.read_table(path)["text"].to_pylist())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ("nothing", "no array 'nothing'; the arrays are long, wide, logits, whole, flat, nan, named"),
        ("long", "7 rows for the 6 texts of lines; expected one row per text"),
        ("wide", r"shape \(6, 27\); expected 28 columns"),
        ("flat", r"shape \(6,\); expected 28 columns"),
        ("logits", "row 3 has values outside 0 to 1"),
        ("nan", "row 6 has values outside 0 to 1"),
        ("whole", "int64 values"),
        ("named", "not an npz file of numbers"),
    ],
)
def test_invalid_arrays_are_rejected(tmp_path: Path, array: str, message: str) -> None:
    logits, nan = random_rows(6), random_rows(6)
    logits[2, 5], nan[5, 0] = -1.5, np.nan
    path = tmp_path / "wrong.npz"
    np.savez(
        path,
        long=random_rows(7),
        wide=random_rows(6)[:, :27],
        logits=logits,
        whole=np.zeros((6, 28), int),
        flat=random_rows(6)[:, 0],
        nan=nan,
        named=np.array([["a", None]], object),
    )
    with pytest.raises(DataError, match=message):
        read_array(parse_array(f"{path}:{array}"), 6, "lines")


@pytest.mark.parametrize("content", [b"", b"PK\3\4 and no more", b"\x80\x04.", b"text"])
def test_invalid_npz_files_are_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "wrong.npz").write_bytes(content)
    with pytest.raises(DataError, match="not an npz file"):
        read_array(parse_array(f"{tmp_path / 'wrong.npz'}:a"), 6, "lines")
    np.save(tmp_path / "one.npy", random_rows(6))
    with pytest.raises(DataError, match="a single array without a name; expected an npz file"):
        read_array(parse_array(f"{tmp_path / 'one.npy'}:a"), 6, "lines")


def test_invalid_sources_are_rejected(tmp_path: Path, small_data: Path, arrays: Path) -> None:
    for source, kind in (
        ("/nowhere/tweets.csv", "no such file"),
        ("missing.txt", "no such file"),
        (f"{small_data}=missing.npz:a", "missing.npz: no such file"),
    ):
        with pytest.raises(DataError, match=kind):
            parse_source(source)
    for source in (f"{small_data}=", f"{small_data}={arrays}", f"{small_data}={arrays}:"):
        with pytest.raises(UsageError, match="is not an array"):
            parse_source(source)
    with pytest.raises(UsageError, match="has no probabilities; use --teacher"):
        label([parse_source(str(small_data))], [], tmp_path / "out", str(small_data), ignore_progress)
    (tmp_path / "latin.txt").write_bytes(b"fine\ncaf\xe9\n")
    (tmp_path / "none.txt").write_bytes(b"")
    for name, message in (("latin.txt", "line 2: not UTF-8 at byte 3"), ("none.txt", "no texts")):
        with pytest.raises(DataError, match=message):
            command.read_texts(parse_source(str(tmp_path / name)))
    with pytest.raises(DataError, match="no local folder '/nowhere/data'"):
        command.read_texts(parse_source("/nowhere/data"))
    assert not list(tmp_path.glob("out*"))


def test_command(tmp_path: Path, small_data: Path, arrays: Path) -> None:
    out = tmp_path / "soft.parquet"
    result = run_command(
        *("train", "label", "--texts", f"{small_data}={arrays}:train", "--out", out, "--official", small_data)
    )
    assert result.returncode == 0, result.stderr
    assert "400 of 400 texts" in result.stderr
    assert len(read_output(out)[0]) == 400
    invalid = ("--texts", f"{small_data}={arrays}:lines", "--out", tmp_path / "b", "--official", small_data)
    result = run_command("train", "label", *invalid)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"error: {arrays}, array lines: 6 rows for the 400 texts of {small_data}; expected one row per text\n"
    )


def test_configuration_of_a_build_is_a_source(generate_build: Path) -> None:
    source = parse_source(f"{generate_build}:unbalanced")
    assert source.name.endswith(":unbalanced")
    with pytest.raises(DataError, match="the stage balance-unbalanced has not been run"):
        command.read_texts(source)


def test_evenmood_model_as_teacher(model: EmotionClassifier, tmp_path: Path) -> None:
    texts = ["Thank you so much!", "I am sad", "who knows why?"]
    np.testing.assert_array_equal(Teacher(str(model.folder)).probabilities(texts), model.predict_proba(texts))
    assert Teacher(str(model.folder)).probabilities([]).shape == (0, len(LABELS))


def test_invalid_csv_row_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "tweets.csv"
    path.write_text('id,text\n1,one\n2,"stray\n3,three\n4,four\n', encoding="utf-8")
    messages: list[str] = []
    assert command.read_texts(parse_source(str(path)), messages.append) == ["one", "three", "four"]
    assert "skipped 1 invalid rows; the first: " in messages[0]
