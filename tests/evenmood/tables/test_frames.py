"""`predict_frame`: returns the type of its input, with the same columns as `evenmood predict`."""

from pathlib import Path
from typing import Any

import pandas
import polars
import pyarrow
import pytest
from pyarrow import parquet

from evenmood import LABELS, EmotionClassifier, UsageError
from tests.commands import run_command

TEXTS = ["Thank you so much!", None, "I'm scared of the dark", ""]
PREDICTION_COLUMNS = ["emotions", "emotion_probabilities", "emotion_fallback"]


@pytest.fixture
def model(each_model: EmotionClassifier) -> EmotionClassifier:
    """Both bundled models."""
    return each_model


def test_pandas_frame_keeps_its_index_and_columns(model: EmotionClassifier) -> None:
    frame = pandas.DataFrame({"id": [1, 2, 3, 4], "comment": TEXTS}, index=[7, 7, "x", 0])
    result = model.predict_frame(frame, column="comment")
    assert list(result.columns) == ["id", "comment", *PREDICTION_COLUMNS]
    assert list(result.index) == [7, 7, "x", 0]
    assert list(frame.columns) == ["id", "comment"]
    assert result["emotions"].iloc[0] == model.predict("Thank you so much!").labels
    assert result["emotions"].iloc[1] is None
    assert result["emotion_fallback"].isna().tolist() == [False, True, False, False]


@pytest.mark.parametrize("missing", [None, float("nan"), pandas.NA])
def test_missing_values_have_missing_predictions(model: EmotionClassifier, missing: Any) -> None:
    result = model.predict_frame(pandas.DataFrame({"text": ["Thank you", missing]}, dtype=object), proba=True)
    assert result["emotions"].tolist() == [["gratitude"], None]
    assert result["emotion_joy"].isna().tolist() == [False, True]


def test_columns_of_labels(model: EmotionClassifier) -> None:
    frame = pandas.DataFrame({"text": ["Thank you so much!", "I'm scared"]})
    full = model.predict_frame(frame, proba=True)
    assert list(full.columns) == ["text", *PREDICTION_COLUMNS, *(f"emotion_{label}" for label in LABELS)]
    assert full["emotion_fear"].to_numpy() == pytest.approx(model.predict_proba(frame["text"])[:, 14], abs=1e-4)
    subset = model.predict_frame(frame, labels=["gratitude", "joy"], proba=True)
    assert list(subset.columns) == ["text", *PREDICTION_COLUMNS, "emotion_gratitude", "emotion_joy"]
    assert subset["emotions"].tolist() == [["gratitude"], []]


def test_polars_frame(model: EmotionClassifier) -> None:
    result = model.predict_frame(polars.DataFrame({"id": [1, 2, 3, 4], "text": TEXTS}), proba=True)
    assert isinstance(result, polars.DataFrame)
    assert result.columns[:5] == ["id", "text", *PREDICTION_COLUMNS]
    assert result["emotions"].dtype == polars.List(polars.String)
    assert result["emotions"].to_list()[:2] == [model.predict("Thank you so much!").labels, None]
    assert result["emotion_joy"].null_count() == 1
    assert model.predict_frame(polars.DataFrame({"text": []}, schema={"text": polars.String})).height == 0


def test_series_lists_and_arrow_tables(model: EmotionClassifier) -> None:
    assert list(model.predict_frame(pandas.Series(TEXTS, name="comment")).columns) == ["comment", *PREDICTION_COLUMNS]
    assert model.predict_frame(polars.Series("comment", TEXTS)).columns == ["comment", *PREDICTION_COLUMNS]
    from_list = model.predict_frame(TEXTS)
    assert list(from_list.columns) == ["text", *PREDICTION_COLUMNS]
    assert from_list["emotions"].iloc[1] is None
    assert model.predict_frame(pyarrow.table({"text": TEXTS})).schema.names == ["text", *PREDICTION_COLUMNS]


def test_columns_match_the_command(fast_model: EmotionClassifier, tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["Thank you so much!", None, "I'm scared"]})
    parquet.write_table(table, tmp_path / "in.parquet")
    result = run_command("evenmood", "predict", tmp_path / "in.parquet", tmp_path / "out.parquet", "--proba", "--quiet")
    assert result.returncode == 0, result.stderr
    output = parquet.read_table(tmp_path / "out.parquet")
    assert fast_model.predict_frame(polars.from_arrow(table), proba=True).to_dicts() == output.to_pylist()


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        (pandas.DataFrame({"a": ["x"]}), {}, UsageError, "no column 'text'; the columns are a"),
        (pandas.DataFrame([["x", "y"]], columns=["text", "text"]), {}, UsageError, "duplicate column"),
        (pandas.DataFrame({"text": ["x"], "emotions": ["y"]}), {}, UsageError, "already has a column 'emotions'"),
        (pandas.DataFrame({"text": ["x"]}), {"labels": ["rage"]}, UsageError, "'rage'"),
        (pandas.DataFrame({"text": ["x", 3]}), {}, TypeError, "text 1 is 3"),
        (polars.LazyFrame({"text": ["x"]}), {}, TypeError, "collect"),
        ("a text", {}, TypeError, "of type str"),
        ({"text": ["x"]}, {}, TypeError, "of type dict"),
    ],
)
def test_invalid_frames_are_rejected(
    model: EmotionClassifier, data: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model.predict_frame(data, **options)
