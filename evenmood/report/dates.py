"""Parse a column of dates; the format is the one that fits most of its first cells."""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from evenmood.errors import UsageError
from evenmood.inputs import is_missing

_TIME_FORMATS = (
    "",
    " %H:%M",
    " %H:%M:%S",
    " %I:%M %p",
    " %I:%M:%S %p",
    ", %H:%M",
    ", %H:%M:%S",
    ", %I:%M %p",
    ", %I:%M:%S %p",
)
_DATE_FORMATS = {
    "%Y/%m/%d": "year/month/day",
    "%m/%d/%Y": "month/day/year",
    "%d/%m/%Y": "day/month/year",
    "%m/%d/%y": "month/day/year",
    "%d/%m/%y": "day/month/year",
    "%d.%m.%Y": "day.month.year",
    "%d.%m.%y": "day.month.year",
    "%m-%d-%Y": "month-day-year",
    "%d-%m-%Y": "day-month-year",
    "%b %d, %Y": "month day, year",
    "%B %d, %Y": "month day, year",
    "%d %b %Y": "day month year",
    "%d %B %Y": "day month year",
    "%b %Y": "month year",
    "%B %Y": "month year",
    "%Y-%m": "year-month",
    "%Y": "year",
}
_DATETIME_FORMATS = {
    "%a %b %d %H:%M:%S %z %Y": "day, month, time and year",
    "%a, %d %b %Y %H:%M:%S %z": "as in e-mail",
}
_DIGITS = re.compile(r"\d+(\.\d+)?")
ISO, EPOCH = "ISO 8601", "seconds or milliseconds since 1970"
_SWAPPED_FORMATS = {
    "month/day/year": "day/month/year",
    "month-day-year": "day-month-year",
}
DETECTION_CELLS = 200
"""Number of cells used to detect the format."""


class DateReader:
    """Parses dates; the format is detected from the first batch with dates.

    Attributes:
        format_name: Description of the format, or `time_format`; None until a date has been read.
        ambiguous: Whether all dates of the first batch are also valid with day and month swapped.
    """

    def __init__(self, time_format: str | None = None) -> None:
        """Set the `strptime` format; by default, it is detected.

        Raises:
            UsageError: The format is invalid.
        """
        self.format_name, self.ambiguous = time_format, False
        self._parse = _by_format(check_format(time_format)) if time_format else None

    def read(self, values: Sequence[Any]) -> list[datetime | None]:
        """Parse dates to naive datetimes in UTC; None for each cell that is not a date."""
        cells = [
            value if isinstance(value, date) else "" if is_missing(value) else str(value).strip() for value in values
        ]
        if self._parse is None:
            strings = [cell for cell in cells if isinstance(cell, str) and cell]
            self._detect(strings[:: max(1, len(strings) // DETECTION_CELLS)])
        parse = self._parse
        return [_as_utc(cell) if isinstance(cell, date) else parse(cell) if cell and parse else None for cell in cells]

    def _detect(self, cells: Sequence[str]) -> None:
        best = 0
        valid_cells: dict[str, int] = {}
        for name, parse in _parsers():
            count = sum(parse(cell) is not None for cell in cells)
            valid_cells[name] = max(count, valid_cells.get(name, 0))
            if count > best:
                best, self.format_name, self._parse = count, name, parse
        self.ambiguous = bool(best) and valid_cells.get(_SWAPPED_FORMATS.get(self.format_name or "", "")) == best


def check_format(text: str) -> str:
    """Validate a `strptime` format and return it.

    Raises:
        UsageError: `strptime` cannot parse dates formatted with it.
    """
    try:
        datetime.strptime(datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC).strftime(text), text)
    except (ValueError, re.error) as error:
        raise UsageError(f"--time-format {text!r}: {error}; expected a format such as '%d/%m/%Y %H:%M'") from None
    return text


Parse = Callable[[str], datetime | None]


def _parsers() -> list[tuple[str, Parse]]:
    """Return the name and parser of each format, in order of preference."""
    patterns = [(name, day + clock) for day, name in _DATE_FORMATS.items() for clock in _TIME_FORMATS] + [
        (name, pattern) for pattern, name in _DATETIME_FORMATS.items()
    ]
    return [(ISO, _iso), (EPOCH, _epoch), *((name, _by_format(pattern)) for name, pattern in patterns)]


def _by_format(pattern: str) -> Parse:
    @lru_cache(4096)
    def parse(cell: str) -> datetime | None:
        try:
            return _as_utc(datetime.strptime(cell, pattern))
        except ValueError:
            return None

    return parse


def _iso(cell: str) -> datetime | None:
    if _DIGITS.fullmatch(cell) and len(cell) != 8:  # a number; eight digits are YYYYMMDD
        return None
    try:
        return _as_utc(datetime.fromisoformat(cell.removesuffix(" UTC")))
    except ValueError:
        return None


def _epoch(cell: str) -> datetime | None:
    if not _DIGITS.fullmatch(cell):
        return None
    seconds = float(cell)
    if seconds > 1e11:
        seconds /= 1000 ** (1 + (seconds > 1e14) + (seconds > 1e17))  # milliseconds, microseconds, nanoseconds
    if not math.isfinite(seconds) or not 1e8 <= seconds <= 1e11:
        return None
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _as_utc(value: date) -> datetime | None:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    if value.tzinfo is None:
        return value
    try:
        return value.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # at the limits of the years 1 and 9999
        return None
