"""Confidence intervals of proportions and of their differences."""

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
Z95 = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


@dataclass(frozen=True)
class Share:
    """A share with its 95% interval.

    Attributes:
        count: Number of texts counted.
        total: Number of texts in total.
        share: `count / total`; 0 if `total` is 0.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    count: int
    total: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A difference between two shares, the first minus the second, with its interval."""

    difference: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def share_of(count: float, total: float, z: float = Z95) -> Share:
    """Compute a share with its Wilson score interval.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    low, high = wilson(count, total, z)
    return Share(round(count), round(total), count / total if total else 0.0, low, high)


def wilson(count: float, total: float, z: float = Z95) -> tuple[float, float]:
    """Return the bounds of the Wilson score interval; 0 and 1 if `total` is 0."""
    if not total:
        return 0.0, 1.0
    share, factor = count / total, z * z / total
    center = (share + factor / 2) / (1 + factor)
    half = z / (1 + factor) * math.sqrt(share * (1 - share) / total + factor / total / 4)
    return (0.0 if count == 0 else max(0.0, center - half)), (1.0 if count == total else min(1.0, center + half))


def difference_of(count: float, total: float, other_count: float, other_total: float, z: float = Z95) -> Difference:
    """Compute the difference between the shares of two independent samples, with Newcombe's hybrid score interval.

    Source: Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10.
    """
    first, second = share_of(count, total, z), share_of(other_count, other_total, z)
    difference = first.share - second.share
    low = difference - math.hypot(first.share - first.low, second.high - second.share)
    high = difference + math.hypot(first.high - first.share, second.share - second.low)
    return Difference(difference, max(-1.0, low), min(1.0, high))


def simultaneous_z(comparisons: int) -> float:
    """Compute the normal quantile for simultaneous 95% intervals over a number of comparisons (Bonferroni)."""
    return NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / max(1, comparisons))
