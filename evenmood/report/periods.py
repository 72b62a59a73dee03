"""Count texts by time in a bounded number of buckets, and group them into periods for a chart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

MAX_BUCKETS = 2000
"""Maximum number of buckets; if exceeded, buckets are merged into the next coarser unit."""
MAX_PERIODS = 60
"""Maximum number of periods of a chart."""
MAX_OUTLIER_SHARE = 0.005
"""Maximum share of texts at each end of the time range to treat as outliers, if all others are close together."""
MAX_INLIER_SPAN = 0.1
"""Maximum share of the time range that the other texts may span for outliers to be removed."""
_COUNTED: tuple[tuple[str, Callable[[datetime], int]], ...] = (
    ("hour", lambda time: time.toordinal() * 24 + time.hour),
    ("day", lambda time: time.toordinal()),
    ("month", lambda time: time.year * 12 + time.month - 1),
    ("year", lambda time: time.year),
)
_COARSER: tuple[Callable[[int], int], ...] = (
    lambda hour: hour // 24,
    lambda day: _month(date.fromordinal(day)),
    lambda month: month // 12,
)


def _month(day: date) -> int:
    return day.year * 12 + day.month - 1


@dataclass(frozen=True)
class Period:
    """A period and its counts.

    Attributes:
        start: Start of the period.
        counts: Number of texts, followed by the counts of each column.
    """

    start: datetime
    counts: np.ndarray


@dataclass(frozen=True)
class Timeline:
    """Consecutive periods of equal length.

    Attributes:
        unit: `hour`, `day`, `week`, `month`, `quarter`, `year`, `10 years` or `200 years`.
        periods: All periods from first to last, including empty ones.
        outliers: Number of outliers, which belong to no period.
    """

    unit: str
    periods: list[Period]
    outliers: int


class TimeCounts:
    """Counts by time, in at most `MAX_BUCKETS` buckets."""

    def __init__(self) -> None:
        self._unit, self.counts = 0, dict[int, np.ndarray]()

    def add(self, times: Sequence[datetime | None], columns: np.ndarray) -> None:
        """Count a batch.

        Args:
            times: n times; rows without one are ignored.
            columns: Values to sum: int of shape (n, columns).
        """
        rows = [row for row, time in enumerate(times) if time is not None]
        if not rows:
            return
        key = _COUNTED[self._unit][1]
        keys, where = np.unique([key(time) for time in times if time is not None], return_inverse=True)
        sums = np.zeros((len(keys), columns.shape[1] + 1), np.int64)
        np.add.at(sums, where, np.insert(columns[rows], 0, 1, axis=1))
        for bucket, counts in zip(keys.tolist(), sums, strict=True):
            self.counts[bucket] = self.counts[bucket] + counts if bucket in self.counts else counts
        while len(self.counts) > MAX_BUCKETS and self._unit < len(_COARSER):
            coarser = _COARSER[self._unit]
            self.counts, finer, self._unit = {}, self.counts, self._unit + 1
            for bucket, counts in finer.items():
                merged = coarser(bucket)
                self.counts[merged] = self.counts[merged] + counts if merged in self.counts else counts

    def timeline(self) -> Timeline | None:
        """Return the finest timeline of at most `MAX_PERIODS` periods; None for fewer than two periods."""
        buckets, outliers = self._without_outliers()
        if len(buckets) < 2:
            return None
        starts = [_start(self._unit, bucket) for bucket in buckets]
        for unit, index_of, start_of in _PERIODS:  # noqa: B007 - used below
            if unit in _FROM[self._unit] and index_of(starts[-1]) - index_of(starts[0]) < MAX_PERIODS:
                break
        sums: dict[int, np.ndarray] = {}
        for start, bucket in zip(starts, buckets, strict=True):
            index = index_of(start)
            sums[index] = sums[index] + self.counts[bucket] if index in sums else self.counts[bucket]
        first, last, empty = min(sums), max(sums), np.zeros_like(next(iter(sums.values())))
        if first == last:
            return None
        periods = [Period(start_of(index), sums.get(index, empty)) for index in range(first, last + 1)]
        return Timeline(unit, periods, outliers)

    def _without_outliers(self) -> tuple[list[int], int]:
        """Return the buckets in order without outliers, and the number of outlying texts."""
        buckets = sorted(self.counts)
        if len(buckets) < 3:
            return buckets, 0
        texts = np.array([self.counts[bucket][0] for bucket in buckets])
        cumulative = np.cumsum(texts)
        inner = (cumulative > MAX_OUTLIER_SHARE * cumulative[-1]) & (
            cumulative - texts < (1 - MAX_OUTLIER_SHARE) * cumulative[-1]
        )
        inliers = [bucket for bucket, inside in zip(buckets, inner, strict=True) if inside]
        if len(inliers) < 2 or inliers[-1] - inliers[0] > MAX_INLIER_SPAN * (buckets[-1] - buckets[0]):
            return buckets, 0
        return inliers, int(texts[~inner].sum())


def _start(unit: int, bucket: int) -> datetime:
    if unit == 0:
        return datetime.fromordinal(bucket // 24) + timedelta(hours=bucket % 24)
    if unit == 1:
        return datetime.fromordinal(bucket)
    return _month_start(bucket) if unit == 2 else _year_start(bucket)


def _month_start(month: int) -> datetime:
    return datetime(month // 12, month % 12 + 1, 1)


def _year_start(year: int) -> datetime:
    return datetime(max(1, year), 1, 1)


def _every(years: int) -> tuple[str, Callable[[datetime], int], Callable[[int], datetime]]:
    return f"{years} years", lambda time: time.year // years, lambda index: _year_start(index * years)


_PERIODS: tuple[tuple[str, Callable[[datetime], int], Callable[[int], datetime]], ...] = (
    ("hour", _COUNTED[0][1], lambda index: _start(0, index)),
    ("day", _COUNTED[1][1], datetime.fromordinal),
    ("week", lambda time: (time.toordinal() - 1) // 7, lambda index: datetime.fromordinal(index * 7 + 1)),
    ("month", _COUNTED[2][1], _month_start),
    ("quarter", lambda time: _COUNTED[2][1](time) // 3, lambda index: _month_start(index * 3)),
    ("year", _COUNTED[3][1], _year_start),
    _every(10),
    _every(200),
)
"""Units of a chart, each with functions that convert a time to its period index and an index to the period's start."""
_YEARS = {unit for unit, _, _ in _PERIODS[5:]}
_FROM = (
    {unit for unit, _, _ in _PERIODS},
    {unit for unit, _, _ in _PERIODS[1:]},
    {"month", "quarter", *_YEARS},
    _YEARS,
)
"""Chart units into which buckets of each counted unit can be merged."""
