"""Missing texts (empty cell, null, NaN, `pandas.NA`): an empty prediction and a count; `--strict` rejects them."""

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
from pyarrow import parquet

import evenmood as library
from evenmood import EmotionClassifier
from evenmood.tables.emotion_columns import PREDICTION_COLUMNS
from tests.evenmood.test_cli import evenmood

REPORT = "rows without a text, which got an empty prediction: 2 of 4\n"
TEXTS = ["Thank you!", None, "I'm scared", None]


@pytest.fixture
def model(each_model: EmotionClassifier) -> EmotionClassifier:
    """Both bundled models."""
    return each_model


def table(folder: Path, kind: str) -> Path:
    """Two rows with a text and two without one."""
    path = folder / f"in.{kind}"
    if kind == "csv":
        path.write_text('id,text\n1,Thank you!\n2,\n3,I\'m scared\n4,""\n')
    elif kind == "tsv":
        path.write_text("id\ttext\n1\tThank you!\n2\t\n3\tI'm scared\n4\t\n")
    elif kind == "txt":
        path.write_text("Thank you!\n\nI'm scared\n\n")
    elif kind == "jsonl":
        lines = ['{"text": "Thank you!"}', '{"text": null}', '{"text": "I\'m scared"}', '{"text": null}']
        path.write_text("\n".join(lines))
    else:
        parquet.write_table(pyarrow.table({"text": TEXTS}), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "txt", "jsonl", "parquet"])
def test_missing_texts_have_empty_predictions_in_every_format(
    tmp_path: Path, kind: str, model: EmotionClassifier
) -> None:
    source = table(tmp_path, kind)
    for target in ("csv", "tsv", "jsonl", "parquet"):
        out = tmp_path / f"out.{target}"
        assert evenmood("predict", source, out, "--proba", "--model", model.folder)[1] == REPORT
        output_columns = (*PREDICTION_COLUMNS, "emotion_joy")
        if target == "parquet":
            rows = parquet.read_table(out).to_pylist()
        elif target == "jsonl":
            rows = [json.loads(line) for line in out.read_text().splitlines()]
        else:
            rows = list(csv.DictReader(io.StringIO(out.read_text()), delimiter="\t" if target == "tsv" else ","))
        for row in (rows[1], rows[3]):
            assert [row[name] for name in output_columns] == [None if target in ("jsonl", "parquet") else ""] * 4
        for row in (rows[0], rows[2]):
            names = row["emotions"].split(";") if target in ("csv", "tsv") else row["emotions"]
            assert names == model.predict(row["text"]).labels


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("csv", "line 3: 'text' is empty"),
        ("tsv", "line 3: 'text' is empty"),
        ("txt", "line 2: 'text' is empty"),
        ("jsonl", "line 2: 'text' is null, not a string"),
        ("parquet", "row 2: 'text' is None, not a string"),
    ],
)
def test_strict_rejects_missing_texts(tmp_path: Path, kind: str, where: str) -> None:
    source = table(tmp_path, kind)
    out = tmp_path / "out.jsonl"
    assert evenmood("predict", source, out, "--strict", code=1)[1] == f"error: {source}, {where}\n"
    assert not out.exists()
    error = evenmood("predict", source, out, "--strict", "--skip-bad")[1]
    assert error == f"invalid rows skipped: 2 of 4; the first: {source}, {where}\n"
    assert len(out.read_text().splitlines()) == 2


def test_non_strings_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": null}\n{"text": 3}\n')
    assert "line 2: 'text' is 3, not a string" in evenmood("predict", tmp_path / "in.jsonl", code=1)[1]
    parquet.write_table(pyarrow.table({"text": [1.5, None]}), tmp_path / "in.parquet")
    assert "row 1: 'text' is 1.5" in evenmood("predict", tmp_path / "in.parquet", code=1)[1]


def test_nan_in_json_lines(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": NaN}\n{"text": "Thank you!"}\n')
    printed, error = evenmood("predict", tmp_path / "in.jsonl", "--format", "csv")
    assert error == "rows without a text, which got an empty prediction: 1 of 2\n"
    assert printed.splitlines()[1].endswith(",,,")
    assert printed.splitlines()[2].startswith("Thank you!,gratitude")


def test_column_without_texts(tmp_path: Path) -> None:
    for column in (pyarrow.nulls(2), pyarrow.array([float("nan"), None])):
        parquet.write_table(pyarrow.table({"text": column}), tmp_path / "in.parquet")
        error = evenmood("predict", tmp_path / "in.parquet", tmp_path / "out.parquet", "--overwrite")[1]
        assert error == "rows without a text, which got an empty prediction: 2 of 2\n"
        assert parquet.read_table(tmp_path / "out.parquet")["emotions"].to_pylist() == [None, None]


MISSING: dict[str, Any] = {
    "None": None,
    "float": float("nan"),
    "float32": np.float32("nan"),
    "pandas.NA": pandas.NA,
    "pandas.NaT": pandas.NaT,
    "masked": np.ma.masked,
    "decimal": Decimal("NaN"),
}


@pytest.mark.parametrize("name", MISSING)
def test_missing_text_has_an_empty_prediction(model: EmotionClassifier, name: str) -> None:
    texts = ["Thank you!", MISSING[name], "I'm scared"]
    for predictions in (model.predict(texts), list(model.predict_stream(iter(texts)))):
        assert [prediction.missing for prediction in predictions] == [False, True, False]
        assert (predictions[1].scores, predictions[1].labels, predictions[1].fallback) == ((), [], False)
        assert (predictions[1].words, predictions[1].windows) == (0, 0)
        for prediction, expected in zip(predictions[::2], model.predict([texts[0], texts[2]]), strict=True):
            assert (prediction.labels, prediction.words, prediction.windows) == (
                expected.labels,
                expected.words,
                expected.windows,
            )
            assert prediction.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    probabilities = model.predict_proba(texts)
    assert np.isnan(probabilities).all(axis=1).tolist() == [False, True, False]
    assert model.apply_thresholds(probabilities)[1].missing
    assert str(model.predict(texts)[1]) == "missing text"


@pytest.mark.parametrize("dtype", ["str", "object", "string", "category"])
def test_pandas_column_with_missing_texts(model: EmotionClassifier, dtype: str) -> None:
    column = pandas.Series(TEXTS, dtype=dtype)
    assert [prediction.missing for prediction in model.predict(column)] == [False, True, False, True]


def test_only_missing_texts_and_an_empty_text(model: EmotionClassifier) -> None:
    missing: list[Any] = [None, float("nan")]
    assert [prediction.missing for prediction in model.predict(missing)] == [True, True]
    assert model.predict_proba([None]).shape == (1, 28)
    assert not model.predict([""])[0].missing  # an empty text is not missing
    with pytest.raises(TypeError, match="text 1 is 3"):
        model.predict([None, 3])  # type: ignore[list-item]


def test_pipeline_returns_no_scores() -> None:
    classify = library.pipeline(top_k=2)
    results = classify(["Thank you!", None, {"text": float("nan")}])
    assert [len(scores) for scores in results] == [2, 0, 0]
    assert classify(["Thank you!", None], return_all_scores=False)[1] in ({}, [])
