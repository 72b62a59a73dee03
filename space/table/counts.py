"""Statistics of a table's results: co-occurring labels, and label shares over time."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evenmood.tables import emotion_columns

SMOOTHING_PERIODS = 3
"""Window of the moving average, in periods."""


def label_matrix(parquet: Path, labels: Sequence[str]) -> np.ndarray:
    """Return the labels that reach their thresholds in each row, without fallbacks: bool of shape (rows, labels)."""
    import pyarrow
    import pyarrow.compute as pc
    from pyarrow import parquet as files

    names, _, fallback = emotion_columns.PREDICTION_COLUMNS
    table = files.read_table(parquet, columns=[names, fallback])
    column = table[names].combine_chunks()
    matrix = np.zeros((len(column), len(labels)), bool)
    numbers = pc.index_in(pc.list_flatten(column), pyarrow.array(labels))
    matrix[pc.list_parent_indices(column).to_numpy(), numbers.to_numpy()] = True
    matrix[pc.fill_null(table[fallback], False).to_numpy()] = False
    return matrix


def co_occurrence(matrix: np.ndarray) -> np.ndarray:
    """Count the rows with both labels: int of shape (labels, labels); the diagonal has the rows of each label."""
    numbers = matrix.astype(np.int32)
    counts: np.ndarray = numbers.T @ numbers
    return counts


def timeline(matrix: np.ndarray, cells: Sequence[str], labels: Sequence[str], max_labels: int = 6) -> Any:
    """Return the share of rows with each of the most frequent labels by hour, day, week or month; neutral comes last.

    Shares are averaged over the rows of a period and its two neighbors.

    Args:
        matrix: Labels of each row, see `label_matrix`.
        cells: Date of each row, in any format.
        labels: Names of the columns of `matrix`.
        max_labels: Number of labels besides neutral.

    Returns:
        A table with the columns time, label, share and rows; None with fewer than two readable dates.
    """
    import pandas as pd

    times = _parse_times(pd.Series(cells, dtype=str))
    is_dated = times.notna().to_numpy()
    if is_dated.sum() < 2 or times[is_dated].nunique() < 2:
        return None
    span = times.max() - times.min()
    unit = "h" if span.days <= 2 else "D" if span.days <= 21 else "W" if span.days <= 730 else "M"
    matrix = matrix[is_dated]
    by_frequency = np.argsort(-matrix.sum(axis=0), kind="stable")
    top = [index for index in by_frequency if labels[index] != "neutral"][:max_labels]
    top += [index for index in by_frequency if labels[index] == "neutral"]
    table = pd.DataFrame(matrix[:, top], columns=[labels[index] for index in top])
    table["time"] = times[is_dated].dt.to_period(unit).dt.start_time.to_numpy()
    groups = table.groupby("time")
    rows = groups.size()
    window: dict[str, Any] = {"window": SMOOTHING_PERIODS, "center": True, "min_periods": 1}
    shares = groups.sum().rolling(**window).sum().div(rows.rolling(**window).sum(), axis=0)
    long = shares.reset_index().melt("time", var_name="label", value_name="share")
    return long.merge(rows.rename("rows").reset_index(), on="time")


def _parse_times(cells: Any) -> Any:
    """Parse dates as UTC without a time zone; unreadable dates are NaT."""
    import pandas as pd

    numbers = pd.to_numeric(cells, errors="coerce")
    if numbers.notna().mean() > 0.5:  # Unix time in seconds or milliseconds, unless the numbers are years
        years = numbers.between(1000, 3000).mean() > 0.5
        if not years:
            seconds = numbers.where(numbers.between(0, 1e14)) / (1000 if numbers.median() > 1e11 else 1)
            return pd.to_datetime(seconds, unit="s", errors="coerce")
    best = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "could not infer format"
        for date_format in ("ISO8601", None):
            parsed = pd.to_datetime(cells, errors="coerce", utc=True, format=date_format).dt.tz_localize(None)
            best = parsed if best is None or parsed.notna().sum() > best.notna().sum() else best
    return best
