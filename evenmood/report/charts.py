"""Responsive charts as inline SVG: positions are percentages of the width, heights are pixels.

Charts are hidden from screen readers; each has a table with the same data next to it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as html_escape

import numpy as np

from evenmood.text.normalization import replace_surrogates

PATTERNS = """<svg class="patterns" width="0" height="0" aria-hidden="true" focusable="false"><defs>
<pattern id="negative" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect class="negative" width="6" height="6"/><rect class="ink" width="1.6" height="6"/></pattern>
<pattern id="mixed" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect class="positive" width="8" height="8"/><rect class="negative" width="4" height="8"/></pattern>
<pattern id="ambiguous" width="7" height="7" patternUnits="userSpaceOnUse">
<rect class="ambiguous" width="7" height="7"/><circle class="ink" cx="3.5" cy="3.5" r="1.3"/></pattern>
<pattern id="none" width="6" height="6" patternUnits="userSpaceOnUse">
<rect class="none" width="6" height="6"/><path class="dash" d="M0 3h3"/></pattern>
</defs></svg>"""
"""Fill patterns (stripes, dots, dashes) that distinguish sentiments without color."""
FILLS = {name: f"url(#{name})" for name in ("negative", "mixed", "ambiguous", "none")}
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SMOOTHING = (1, 2, 3, 2, 1)
"""Weights of a period (middle) and its neighbors in the moving average."""


def escape(text: object) -> str:
    """Escape text for HTML, replacing control characters and lone surrogates with U+FFFD."""
    return html_escape(replace_surrogates(_CONTROLS.sub("\ufffd", str(text))))


def fill(name: str) -> str:
    """Return the SVG attribute for the color and pattern of a sentiment or mood."""
    return f'fill="{FILLS[name]}"' if name in FILLS else f'class="{name}"'


def bar(value: float, low: float, high: float, largest: float, kind: str) -> str:
    """Draw a horizontal bar with its confidence interval as a whisker."""
    scale = 100 / largest if largest else 0
    return (
        '<svg class="bar" width="100%" height="16" aria-hidden="true" focusable="false">'
        f'<rect y="1" width="{value * scale:.2f}%" height="14" rx="2" {fill(kind)}/>'
        f'<line class="whisker" x1="{low * scale:.2f}%" x2="{min(100, high * scale):.2f}%" y1="8" y2="8"/></svg>'
    )


def stacked(parts: Sequence[tuple[str, float]], height: int) -> str:
    """Draw a stacked bar of (kind, share) parts that add up to 1; `height` is in pixels."""
    shapes, start = [], 0.0
    for kind, share in parts:
        if share > 0:
            shapes.append(f'<rect x="{100 * start:.3f}%" width="{100 * share:.3f}%" height="{height}" {fill(kind)}/>')
        start += share
    edges, start = [], 0.0
    for _, share in parts[:-1]:
        start += share
        edges.append(f'<line class="gap" x1="{100 * start:.3f}%" x2="{100 * start:.3f}%" y1="0" y2="{height}"/>')
    return (
        f'<svg class="stacked" width="100%" height="{height}" aria-hidden="true" focusable="false">'
        f"{''.join(shapes)}{''.join(edges)}</svg>"
    )


def swatch(kind: str) -> str:
    """Draw a legend swatch in the color and pattern of a sentiment or mood."""
    return (
        '<svg class="swatch" width="14" height="14" aria-hidden="true" focusable="false">'
        f'<rect width="14" height="14" rx="3" {fill(kind)}/></svg>'
    )


def difference(value: float, low: float, high: float, largest: float) -> str:
    """Draw a difference as a dot on its confidence interval, with zero in the middle."""

    def position(number: float) -> str:
        return f"{50 + 50 * number / largest:.2f}%"

    kind = "more" if value > 0 else "less"
    return (
        '<svg class="difference" width="100%" height="18" aria-hidden="true" focusable="false">'
        '<line class="zero" x1="50%" x2="50%" y1="0" y2="18"/>'
        f'<line class="range {kind}" x1="{position(low)}" x2="{position(high)}" y1="9" y2="9"/>'
        f'<circle class="{kind}" cx="{position(value)}" cy="9" r="5"/></svg>'
    )


def observed_and_expected(texts: float, expected: float, largest: float) -> str:
    """Draw a bar of an observed count, with a mark at the count expected by chance."""
    scale = 100 / largest if largest else 0
    return (
        '<svg class="bar" width="100%" height="16" aria-hidden="true" focusable="false">'
        f'<rect class="together" y="1" width="{texts * scale:.2f}%" height="14" rx="2"/>'
        f'<line class="chance" x1="{expected * scale:.2f}%" x2="{expected * scale:.2f}%" y1="0" y2="16"/></svg>'
    )


@dataclass(frozen=True)
class Line:
    """Share over time, as arrays of shape (periods,).

    Attributes:
        kind: Sentiment, for the color.
        shares: Smoothed shares; NaN for periods without texts.
        low: Lower ends of the confidence intervals.
        high: Upper ends of the confidence intervals.
        raw: Shares before smoothing.
    """

    kind: str
    shares: np.ndarray
    low: np.ndarray
    high: np.ndarray
    raw: np.ndarray


def smooth(kind: str, counts: np.ndarray, totals: np.ndarray) -> Line:
    """Compute the moving average of the share per period, weighted by the number of texts."""
    weights = np.array(_SMOOTHING if len(counts) >= 2 * len(_SMOOTHING) else (1,), float)
    texts = _weighted_sum(totals, weights)
    divisor = np.maximum(texts, 1e-9)
    shares = np.where(texts > 0, _weighted_sum(counts, weights) / divisor, np.nan)
    effective = np.where(texts > 0, divisor**2 / np.maximum(_weighted_sum(totals, weights**2), 1e-9), 1)
    # Wilson interval with Kish's effective sample size, because periods are weighted.
    z = 1.96
    center = (shares + z * z / effective / 2) / (1 + z * z / effective)
    deviation = np.sqrt(shares * (1 - shares) / effective + z * z / effective**2 / 4)
    half_width = z * deviation / (1 + z * z / effective)
    raw = np.where(totals > 0, counts / np.maximum(totals, 1), np.nan)
    return Line(kind, shares, np.clip(center - half_width, 0, 1), np.clip(center + half_width, 0, 1), raw)


def _weighted_sum(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    reach = len(weights) // 2
    summed: np.ndarray = np.convolve(values, weights, "full")[reach : reach + len(values)]
    return summed


def line_chart(lines: Sequence[Line], largest: float, height: int, grid: Sequence[float]) -> str:
    """Draw a line chart over time, with confidence bands and horizontal grid lines."""
    shapes = []
    for line in lines:
        shapes += [f'<path class="band {line.kind}" d="{_area(line, run, largest)}"/>' for run in _runs(line.shares)]
    for line in lines:
        shapes += [
            f'<path class="line {line.kind}" d="{_path(line.shares, run, largest)}"/>' for run in _runs(line.shares)
        ]
    dots = [
        f'<circle class="dot {line.kind}" cx="{100 * index / max(1, len(line.raw) - 1):.2f}%" '
        f'cy="{100 * (1 - share / largest):.2f}%" r="1.5"/>'
        for line in lines
        for index, share in enumerate(line.raw.tolist())
        if share == share and share <= largest
    ]
    rules = [
        f'<line class="grid" x1="0" x2="100%" y1="{100 * (1 - value / largest):.2f}%" '
        f'y2="{100 * (1 - value / largest):.2f}%"/>'
        for value in grid
    ]
    return (
        f'<svg class="time" width="100%" height="{height}" aria-hidden="true" focusable="false">{"".join(rules)}'
        f'<svg width="100%" height="100%" viewBox="0 0 1000 1000" preserveAspectRatio="none">{"".join(shapes)}</svg>'
        f"{''.join(dots)}</svg>"
    )


def columns(values: np.ndarray, height: int) -> str:
    """Draw a column chart with a column per period."""
    largest, width = max(1, int(values.max())), 100 / len(values)
    shapes = [
        f'<rect x="{index * width + width * 0.1:.3f}%" width="{width * 0.8:.3f}%" '
        f'y="{height * (1 - value / largest):.2f}" height="{height * value / largest:.2f}"/>'
        for index, value in enumerate(values.tolist())
    ]
    size = f'width="100%" height="{height}"'
    return f'<svg class="columns" {size} aria-hidden="true" focusable="false">{"".join(shapes)}</svg>'


def _runs(values: np.ndarray) -> list[range]:
    """Return the index ranges of consecutive values that are not NaN."""
    valid = np.concatenate([[False], ~np.isnan(values), [False]])
    edges = np.flatnonzero(valid[1:] != valid[:-1]).tolist()
    return [range(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _points(values: np.ndarray, run: Sequence[int], largest: float) -> list[str]:
    """Return the coordinates of a run; a single period extends by half a step to each side."""
    last = max(1, len(values) - 1)
    if len(run) > 1:
        points = [(float(index), index) for index in run]
    else:
        points = [(run[0] - 0.5, run[0]), (run[0] + 0.5, run[0])]
    return [f"{1000 * x / last:.1f} {1000 * (1 - min(1.0, values[index] / largest)):.1f}" for x, index in points]


def _path(values: np.ndarray, run: range, largest: float) -> str:
    return "M" + "L".join(_points(values, run, largest))


def _area(line: Line, run: range, largest: float) -> str:
    up = _points(line.high, run, largest)
    down = _points(line.low, run, largest)[::-1]
    return "M" + "L".join([*up, *down]) + "Z"
