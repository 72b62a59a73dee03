"""What is counted in a table's results: labels that occur together, and how often they occur over time."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evenmood.tables import scored

SMOOTHED = 3
"""Periods that a point of a timeline is the mean of."""


def given_labels(parquet: Path, labels: Sequence[str]) -> np.ndarray:
    """Which labels reach their threshold in each row of a result: bool of shape (rows, labels); no fallback does."""
    import pyarrow
    import pyarrow.compute as pc
    from pyarrow import parquet as files

    names, _, fallback = scored.ADDED
    table = files.read_table(parquet, columns=[names, fallback])
    column = table[names].combine_chunks()
    given = np.zeros((len(column), len(labels)), bool)
    numbers = pc.index_in(pc.list_flatten(column), pyarrow.array(labels))
    given[pc.list_parent_indices(column).to_numpy(), numbers.to_numpy()] = True
    given[pc.fill_null(table[fallback], False).to_numpy()] = False
    return given


def co_occurrence(given: np.ndarray) -> np.ndarray:
    """Rows that carry both labels, int of shape (labels, labels); on the diagonal, the rows of each label."""
    numbers = given.astype(np.int32)
    counts: np.ndarray = numbers.T @ numbers
    return counts


def timeline(given: np.ndarray, cells: Sequence[str], labels: Sequence[str], most: int = 6) -> Any:
    """Smoothed share of rows with each of the most frequent labels by hour, day, week or month; neutral comes last.

    A share is the mean over the rows of a period and of its two neighbors.

    Args:
        given: As `given_labels` gives it.
        cells: A date for each row, in whatever form.
        labels: Names of the columns of `given`.
        most: How many labels besides neutral.

    Returns:
        A table with the columns time, label, share and rows; None where fewer than two dates can be read.
    """
    import pandas as pd

    times = _times(pd.Series(cells, dtype=str))
    known = times.notna().to_numpy()
    if known.sum() < 2 or times[known].nunique() < 2:
        return None
    span = times.max() - times.min()
    unit = "h" if span.days <= 2 else "D" if span.days <= 21 else "W" if span.days <= 730 else "M"
    given = given[known]
    order = np.argsort(-given.sum(axis=0), kind="stable")
    top = [index for index in order if labels[index] != "neutral"][:most]
    top += [index for index in order if labels[index] == "neutral"]
    table = pd.DataFrame(given[:, top], columns=[labels[index] for index in top])
    table["time"] = times[known].dt.to_period(unit).dt.start_time.to_numpy()
    groups = table.groupby("time")
    rows = groups.size()
    window: dict[str, Any] = {"window": SMOOTHED, "center": True, "min_periods": 1}
    shares = groups.sum().rolling(**window).sum().div(rows.rolling(**window).sum(), axis=0)
    long = shares.reset_index().melt("time", var_name="label", value_name="share")
    return long.merge(rows.rename("rows").reset_index(), on="time")


def _times(cells: Any) -> Any:
    """Dates of cells, UTC without a zone; missing where a cell holds none."""
    import pandas as pd

    numbers = pd.to_numeric(cells, errors="coerce")
    if numbers.notna().mean() > 0.5:  # seconds or milliseconds since 1970; a year alone is neither
        years = numbers.between(1000, 3000).mean() > 0.5
        if not years:
            seconds = numbers.where(numbers.between(0, 1e14)) / (1000 if numbers.median() > 1e11 else 1)
            return pd.to_datetime(seconds, unit="s", errors="coerce")
    best = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "could not infer format": then the next way is tried
        for form in ("ISO8601", None):
            read = pd.to_datetime(cells, errors="coerce", utc=True, format=form).dt.tz_localize(None)
            best = read if best is None or read.notna().sum() > best.notna().sum() else best
    return best
