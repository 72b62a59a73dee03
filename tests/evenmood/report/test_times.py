"""Parsing dates, and grouping times into periods."""

from datetime import date, datetime, timedelta, timezone

import numpy as np
import pytest

from evenmood.errors import UsageError
from evenmood.report.dates import DateReader, check_format
from evenmood.report.periods import MAX_BUCKETS, MAX_PERIODS, TimeCounts

NOON = datetime(2026, 3, 25, 12, 30)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2026-03-25", datetime(2026, 3, 25)),
        ("2026-03-25T12:30:00Z", NOON),
        ("2026-03-25 12:30:00 UTC", NOON),
        ("2026-03-25T14:30:00+02:00", NOON),
        ("20260325", datetime(2026, 3, 25)),
        ("1774441800", NOON),
        ("1774441800000", NOON),
        (1774441800, NOON),
        ("3/25/2026 12:30", NOON),
        ("25/3/2026 12:30:00", datetime(2026, 3, 25, 12, 30)),
        ("03/25/2026, 12:30 PM", NOON),
        ("25.03.2026", datetime(2026, 3, 25)),
        ("March 25, 2026", datetime(2026, 3, 25)),
        ("25 Mar 2026", datetime(2026, 3, 25)),
        ("2026-03", datetime(2026, 3, 1)),
        ("2026", datetime(2026, 1, 1)),
        ("Wed Mar 25 12:30:00 +0000 2026", NOON),
        (date(2026, 3, 25), datetime(2026, 3, 25)),
        (datetime(2026, 3, 25, 14, 30, tzinfo=timezone(timedelta(hours=2))), NOON),
    ],
)
def test_valid_dates(cell: object, expected: datetime) -> None:
    assert DateReader().read([cell]) == [expected]


@pytest.mark.parametrize("cell", ["", None, float("nan"), "soon", "5", "99/99/2026", "9999999999999999999999", "-1"])
def test_invalid_dates(cell: object) -> None:
    assert DateReader().read([cell]) == [None]


def test_day_and_month_are_detected_from_most_cells() -> None:
    reader = DateReader()
    assert reader.read(["01/02/2026", "25/02/2026", "03/02/2026"])[0] == datetime(2026, 2, 1)
    assert (reader.format_name, reader.ambiguous) == ("day/month/year", False)
    ambiguous_reader = DateReader()
    assert ambiguous_reader.read(["01/02/2026", "x"]) == [datetime(2026, 1, 2), None]
    assert ambiguous_reader.ambiguous
    format_reader = DateReader("%d/%m/%Y")
    assert format_reader.read(["01/02/2026"]) == [datetime(2026, 2, 1)]
    assert not format_reader.ambiguous


def test_format_is_detected_from_the_first_batch_with_dates() -> None:
    reader = DateReader()
    assert reader.read([None, ""]) == [None, None]
    assert reader.read(["2026-01-01"]) == [datetime(2026, 1, 1)]


def test_invalid_format() -> None:
    assert check_format("%d/%m/%Y") == "%d/%m/%Y"
    with pytest.raises(UsageError, match="--time-format '%Q'"):
        check_format("%Q")


@pytest.mark.parametrize(
    ("days", "unit"),
    [(1, "hour"), (2, "hour"), (40, "day"), (300, "week"), (1500, "month"), (4000, "quarter"), (15_000, "year")],
)
def test_periods_fit_a_chart(days: int, unit: str) -> None:
    counts = TimeCounts()
    rng = np.random.default_rng(0)
    times = [datetime(1980, 1, 1) + timedelta(days=float(i)) for i in rng.random(5000) * days]
    for start in range(0, 5000, 500):
        counts.add(times[start : start + 500], np.ones((500, 2), int))
        assert len(counts.counts) <= MAX_BUCKETS
    timeline = counts.timeline()
    assert timeline
    assert timeline.unit == unit
    assert 2 <= len(timeline.periods) <= MAX_PERIODS + 1
    total = sum(period.counts for period in timeline.periods)
    assert total.tolist() == [5000 - timeline.outliers] * 3  # type: ignore[union-attr]
    starts = [period.start for period in timeline.periods]
    assert starts == sorted(set(starts))
    assert starts[0] <= min(times) < starts[1]


def test_extreme_and_few_dates() -> None:
    counts = TimeCounts()
    counts.add([datetime(1, 1, 1), datetime(9999, 12, 31), datetime(5000, 5, 5)], np.zeros((3, 0), int))
    timeline = counts.timeline()
    assert timeline
    assert len(timeline.periods) <= MAX_PERIODS
    single = TimeCounts()
    single.add([datetime(2026, 1, 1, 5), datetime(2026, 1, 1, 5, 10), None], np.zeros((3, 0), int))
    assert single.timeline() is None
    assert TimeCounts().timeline() is None


def test_outliers_do_not_stretch_the_chart() -> None:
    counts = TimeCounts()
    times = [datetime(2026, 1, 1) + timedelta(days=i % 30) for i in range(3000)]
    counts.add([datetime(1970, 1, 1), *times], np.zeros((3001, 0), int))
    timeline = counts.timeline()
    assert timeline
    assert (timeline.unit, timeline.outliers) == ("day", 1)
    assert len(timeline.periods) == 30
