"""Loading the splits of labeled data sets."""

from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from evenmood import LABELS, DataError
from evenmood.data.splits import load_split
from tests.commands import run_command
from tests.small_data import write_tsv


def test_tsv_rows_and_labels(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text(
        'Say "hi"\there\t27\tid1\n'.replace("\there", "") + "Öl\t0,15\tid2\r\n", "utf-8"
    )
    split = load_split(str(tmp_path), "train")
    assert split.texts == ['Say "hi"', "Öl"]
    assert np.flatnonzero(split.labels[0]).tolist() == [27]
    assert np.flatnonzero(split.labels[1]).tolist() == [0, 15]
    assert split.labels.shape == (2, 28)
    assert split.labels.dtype == np.float32


def test_validation_file_named_dev(tmp_path: Path) -> None:
    write_tsv(tmp_path)
    (tmp_path / "validation.tsv").rename(tmp_path / "dev.tsv")
    assert len(load_split(str(tmp_path), "validation")) == 100


@pytest.mark.parametrize("labels", [[[2, 3], [27]], [["anger", "annoyance"], ["neutral"]]], ids=["numbers", "names"])
def test_parquet(tmp_path: Path, labels: list[list[int | str]]) -> None:
    (tmp_path / "data").mkdir()
    table = pyarrow.table({"text": ["a", "b"], "labels": labels, "id": ["1", "2"]})
    parquet.write_table(table, tmp_path / "data" / "train-00000-of-00001.parquet")
    split = load_split(str(tmp_path), "train")
    assert split.texts == ["a", "b"]
    assert np.argwhere(split.labels).tolist() == [[0, 2], [0, 3], [1, 27]]


@pytest.mark.parametrize("name", ["validation", "valid", "dev"])
def test_each_alias_of_the_validation_split_is_read_once(tmp_path: Path, name: str) -> None:
    parquet.write_table(pyarrow.table({"text": ["a"], "labels": [[1]]}), tmp_path / f"{name}-00000.parquet")
    split = load_split(str(tmp_path), "validation")
    assert (split.texts, split.ids) == (["a"], [None])


def test_other_splits_are_not_read(tmp_path: Path) -> None:
    write_tsv(tmp_path)
    (tmp_path / "test.tsv").write_bytes(b"\xff\xfe broken")
    assert len(load_split(str(tmp_path), "train")) == 300


def test_overlap_between_splits_is_detected_by_cleaned_text(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("Thank you!\t15\ta\nOther\t27\tb\n", "utf-8")
    (tmp_path / "test.tsv").write_text("thank YOU\t15\tc\nnew\t0\td\n", "utf-8")
    test, train = load_split(str(tmp_path), "test"), load_split(str(tmp_path), "train")
    remaining = test.without([train])
    assert remaining.texts == ["new"]
    assert np.flatnonzero(remaining.labels[0]).tolist() == [0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"fine\t3\tid\nbad\t31\tid\n", "line 2: unknown label '31'; expected 0 to 27"),
        (b"bad\t-1\tid\n", "line 1: unknown label '-1'"),
        (b"bad\tfury\tid\n", "unknown label 'fury'"),
        (b"bad\t\tid\n", "unknown label ''"),
        (b"no tab here\n", "line 1: only one field; expected text, label indices"),
        (b"fine\t3\tid\ncaf\xe9\t3\tid\n", "line 2: not UTF-8 at byte 3"),
        (b"", "the train split is empty"),
    ],
)
def test_invalid_tsv(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "train.tsv").write_bytes(content)
    with pytest.raises(DataError) as error:
        load_split(str(tmp_path), "train")
    assert message in str(error.value)


def test_error_for_a_missing_split_lists_the_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"no validation\.tsv .*the folder contains notes\.txt"):
        load_split(str(tmp_path), "validation")


def test_invalid_parquet(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="not a Parquet file"):
        load_split(str(tmp_path), "train")
    parquet.write_table(pyarrow.table({"text": ["a"], "other": [1]}), path)
    with pytest.raises(DataError, match="no column labels; the columns are text, other"):
        load_split(str(tmp_path), "train")
    parquet.write_table(pyarrow.table({"text": ["a", None], "labels": [[1], [2]]}), path)
    with pytest.raises(DataError, match="row 2: text is None"):
        load_split(str(tmp_path), "train")


@pytest.mark.parametrize(
    ("files", "candidates"),
    [
        (["train.tsv", "train.parquet"], r"train\.tsv, train\*\.parquet"),
        (["a/train.parquet", "b/train.parquet"], r"a/train\*\.parquet, b/train\*\.parquet"),
        (["train.parquet", "training-old.parquet"], r"train\*\.parquet, training-old\*\.parquet"),
    ],
)
def test_several_data_sets_in_a_folder_are_rejected(tmp_path: Path, files: list[str], candidates: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        parquet.write_table(pyarrow.table({"text": ["a"], "labels": [[1]]}), tmp_path / name)
    with pytest.raises(
        DataError, match=rf"several candidates for the train split \({candidates}\); name the folder"
    ) as error:
        load_split(str(tmp_path), "train")
    assert "\n" not in str(error.value)


def test_sharded_split_requires_every_shard(tmp_path: Path) -> None:
    for number in range(3):
        table = pyarrow.table({"text": [f"text {number}"], "labels": [[number]]})
        parquet.write_table(table, tmp_path / f"train-0000{number}-of-00003.parquet")
    assert load_split(str(tmp_path), "train").texts == ["text 0", "text 1", "text 2"]
    (tmp_path / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(DataError, match="the train split has 2 files; expected 3 by their names"):
        load_split(str(tmp_path), "train")


def test_file_instead_of_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("a\t1\tb\n")
    with pytest.raises(DataError, match="is a file"):
        load_split(str(path), "train")


def test_small_data_set_has_every_label(tmp_path: Path) -> None:
    split = load_split(str(write_tsv(tmp_path)), "train")
    assert (split.labels.sum(axis=0) > 0).sum() == len(LABELS)


def test_unknown_home_folder() -> None:
    with pytest.raises(DataError, match="'~nosuchuser/data': no such home folder"):
        load_split("~nosuchuser/data", "train")


def test_unknown_home_folder_of_a_command() -> None:
    pytest.importorskip("datasketch", reason="datasketch is not installed: pip install --group data")
    result = run_command("train", "label", "--texts", "~nosuchuser/a.txt", "--teacher", "x", "--out", "y.parquet")
    assert result.returncode == 1, result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert "no such home folder" in result.stderr


@pytest.mark.parametrize("value", [3.9, 3.0, True])
def test_non_integer_labels_are_rejected(tmp_path: Path, value: object) -> None:
    parquet.write_table(pyarrow.table({"text": ["a"], "labels": [[value]]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=f"unknown label {value}"):
        load_split(str(tmp_path), "train")
