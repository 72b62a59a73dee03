"""Count texts by hour, day, month or year, in as many buckets as memory should hold, and by period for a chart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

MOST_BUCKETS = 2000
"""Buckets that are counted; when there are more, the next coarser unit takes over."""
MOST_PERIODS = 60
"""Periods of a chart."""
OUTLYING = 0.005
"""Share of texts at each end of time that are left out of the chart if the others lie close together."""
CLOSE = 0.1
"""Share of the whole span that counts as close together."""
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
    """A period with what was counted in it.

    Attributes:
        start: Its first moment.
        counts: Texts, and then the columns that were counted.
    """

    start: datetime
    counts: np.ndarray


@dataclass(frozen=True)
class Timeline:
    """Consecutive periods of one length.

    Attributes:
        unit: `hour`, `day`, `week`, `month`, `quarter`, `year`, or a number of years.
        periods: From the first to the last; those without a text too.
        left_out: Texts far before or after all others, which are in no period.
    """

    unit: str
    periods: list[Period]
    left_out: int


class TimeCounts:
    """Texts counted by time, in at most `MOST_BUCKETS` buckets after each batch."""

    def __init__(self) -> None:
        self._unit, self.counts = 0, dict[int, np.ndarray]()

    def add(self, times: Sequence[datetime | None], columns: np.ndarray) -> None:
        """Count a batch: a time for each row of an int array of shape (n, columns)."""
        rows = [row for row, time in enumerate(times) if time is not None]
        if not rows:
            return
        key = _COUNTED[self._unit][1]
        keys, where = np.unique([key(time) for time in times if time is not None], return_inverse=True)
        sums = np.zeros((len(keys), columns.shape[1] + 1), np.int64)
        np.add.at(sums, where, np.insert(columns[rows], 0, 1, axis=1))
        for bucket, more in zip(keys.tolist(), sums, strict=True):
            self.counts[bucket] = self.counts[bucket] + more if bucket in self.counts else more
        while len(self.counts) > MOST_BUCKETS and self._unit < len(_COARSER):
            coarser = _COARSER[self._unit]
            self.counts, finer, self._unit = {}, self.counts, self._unit + 1
            for bucket, counts in finer.items():
                merged = coarser(bucket)
                self.counts[merged] = self.counts[merged] + counts if merged in self.counts else counts

    def timeline(self) -> Timeline | None:
        """The finest periods of which a chart has room for all; None where there are not two."""
        kept, left_out = self._close_together()
        if len(kept) < 2:
            return None
        starts = [_start(self._unit, bucket) for bucket in kept]
        for unit, index, start in _PERIODS:  # noqa: B007 - used below
            if unit in _FROM[self._unit] and index(starts[-1]) - index(starts[0]) < MOST_PERIODS:
                break
        sums: dict[int, np.ndarray] = {}
        for begin, bucket in zip(starts, kept, strict=True):
            place = index(begin)
            sums[place] = sums[place] + self.counts[bucket] if place in sums else self.counts[bucket]
        first, last, empty = min(sums), max(sums), np.zeros_like(next(iter(sums.values())))
        if first == last:
            return None
        periods = [Period(start(place), sums.get(place, empty)) for place in range(first, last + 1)]
        return Timeline(unit, periods, left_out)

    def _close_together(self) -> tuple[list[int], int]:
        """The buckets in order, without outlying ones, and the texts in those."""
        buckets = sorted(self.counts)
        if len(buckets) < 3:
            return buckets, 0
        texts = np.array([self.counts[bucket][0] for bucket in buckets])
        after = np.cumsum(texts)
        inner = (after > OUTLYING * after[-1]) & (after - texts < (1 - OUTLYING) * after[-1])
        kept = [bucket for bucket, inside in zip(buckets, inner, strict=True) if inside]
        if len(kept) < 2 or kept[-1] - kept[0] > CLOSE * (buckets[-1] - buckets[0]):
            return buckets, 0
        return kept, int(texts[~inner].sum())


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
    return f"{years} years", lambda time: time.year // years, lambda place: _year_start(place * years)


_PERIODS: tuple[tuple[str, Callable[[datetime], int], Callable[[int], datetime]], ...] = (
    ("hour", _COUNTED[0][1], lambda place: _start(0, place)),
    ("day", _COUNTED[1][1], datetime.fromordinal),
    ("week", lambda time: (time.toordinal() - 1) // 7, lambda place: datetime.fromordinal(place * 7 + 1)),
    ("month", _COUNTED[2][1], _month_start),
    ("quarter", lambda time: _COUNTED[2][1](time) // 3, lambda place: _month_start(place * 3)),
    ("year", _COUNTED[3][1], _year_start),
    _every(10),
    _every(200),
)
"""Unit of a chart, the number of the period that holds a time, and the first moment of a period."""
_YEARS = {unit for unit, _, _ in _PERIODS[5:]}
_FROM = (
    {unit for unit, _, _ in _PERIODS},
    {unit for unit, _, _ in _PERIODS[1:]},
    {"month", "quarter", *_YEARS},
    _YEARS,
)
"""Units of a chart that buckets of each counted unit can be merged to."""
