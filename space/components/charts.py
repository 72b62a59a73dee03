"""Charts as HTML and SVG, without scripts, for light and dark mode: bars by group, panels, a heat map."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from space.components.labels import SIGNS, by_group, group_title
from space.components.tables import table
from space.components.texts import label_name, translate

MAX_HEAT_MAP_LABELS = 12
"""Labels in the heat map: the most frequent ones that co-occur with another label."""
MAX_TOOLTIPS = 400
"""Maximum number of columns with tooltips; more columns are too thin to hover over."""


@dataclass(frozen=True)
class Bar:
    """Content of a bar.

    Attributes:
        value: Length, from 0 to 1.
        number: Text next to the bar.
        description: Tooltip and text for screen readers.
        tick: Position of a tick, such as a threshold, 0 to 1.
        interval: Ends of an interval around the value.
        strong: Whether to highlight the bar.
    """

    value: float
    number: str
    description: str
    tick: float | None = None
    interval: tuple[float, float] | None = None
    strong: bool = False


@dataclass(frozen=True)
class Panel:
    """Content of a small chart of ordered values.

    Attributes:
        title: Title of the chart.
        group: Sentiment group, which determines the color.
        values: Heights.
        number: Text next to the title.
        tooltips: Tooltip of each value.
        positions: Horizontal position of each value, from 0 to 1; by default, values are evenly spaced.
    """

    title: str
    group: str
    values: Sequence[float]
    number: str
    tooltips: Sequence[str]
    positions: Sequence[float] | None = None


def bar(name: str, group: str, content: Bar, remark: str = "", kind: str = "") -> str:
    """Render a bar between its name and its number."""
    description = escape(content.description)
    tick = "" if content.tick is None else f'<span class="tick" style="left:{_percent(content.tick)}"></span>'
    if content.interval:
        low, high = content.interval
        tick += f'<span class="interval" style="left:{_percent(low)};width:{_percent(high - low)}"></span>'
    small = f"<small>{escape(remark)}</small>" if remark else ""
    return (
        f'<div class="bar{kind}{" strong" if content.strong else ""}" role="img" '
        f'aria-label="{description}" title="{description}">'
        f'<span class="name">{escape(name)}{small}</span>'
        f'<span class="track"><span class="fill {group}" style="width:{_percent(content.value)}"></span>{tick}</span>'
        f'<span class="value">{escape(content.number)}</span></div>'
    )


def label_groups(language: str, bars: dict[str, Bar]) -> str:
    """Render bars grouped by sentiment, in the order of `bars`."""
    blocks = {
        group: f'<section class="group"><h3><span class="sign {group}" aria-hidden="true">{SIGNS[group]}</span> '
        f"{escape(group_title(language, group))}</h3>"
        + "".join(bar(label_name(language, label), group, bars[label]) for label in members)
        + "</section>"
        for group, members in by_group(list(bars)).items()
    }
    last = "".join(blocks.pop(group, "") for group in ("ambiguous", "neutral"))
    columns = [*blocks.values(), *([last] if last else [])]
    return f'<div class="groups">{"".join(f"<div>{column}</div>" for column in columns)}</div>'


def panel_row(panels: Sequence[Panel], top: float, ends: tuple[str, str], columns: bool = False) -> str:
    """Render small charts with the same scale, side by side.

    Args:
        panels: The charts.
        top: Value at the upper edge of all charts.
        ends: Names of the first and last value.
        columns: Whether to draw a column for each value (passages) instead of an area (time).
    """
    top = top or 1.0
    figures = []
    for panel in panels:
        count = len(panel.values)
        heights = [100 * min(value / top, 1.0) for value in panel.values]
        width = 100 / max(count, 1)
        if columns:
            gap = min(0.15 * width, 0.4)
            shapes = "".join(
                f'<rect x="{n * width + gap:.2f}" y="{100 - height:.1f}" width="{width - 2 * gap:.2f}" '
                f'height="{height:.1f}"/>'
                for n, height in enumerate(heights)
            )
        else:
            positions = panel.positions or np.linspace(0, 1, count)
            line = " ".join(f"{100 * x:.2f},{100 - height:.1f}" for x, height in zip(positions, heights, strict=True))
            shapes = f'<polygon points="0,100 {line} 100,100"/><polyline points="{line}"/>'
        if count <= MAX_TOOLTIPS:
            shapes += "".join(
                f'<rect class="hover" x="{n * width:.2f}" y="0" width="{width:.2f}" height="100">'
                f"<title>{escape(tooltip)}</title></rect>"
                for n, tooltip in enumerate(panel.tooltips)
            )
        description = escape(f"{panel.title}: {panel.number}")
        figures.append(
            f'<figure class="panel"><figcaption><span class="sign {panel.group}" aria-hidden="true">'
            f"{SIGNS[panel.group]}</span> {escape(panel.title)} <b>{escape(panel.number)}</b></figcaption>"
            f'<svg class="{panel.group}" viewBox="0 0 100 100" preserveAspectRatio="none" role="img" '
            f'aria-label="{description}">{shapes}</svg>'
            f'<div class="axis" aria-hidden="true"><span>{escape(ends[0])}</span><span>{escape(ends[1])}</span></div>'
            "</figure>"
        )
    return f'<div class="panels{" wide" if columns else ""}">{"".join(figures)}</div>'


def heat_map(language: str, labels: Sequence[str], counts: np.ndarray) -> str:
    """Render a heat map of co-occurring labels; the diagonal shows the count of each label.

    Args:
        language: Language of the label names.
        labels: Labels of rows and columns.
        counts: Rows with both labels: shape (labels, labels), symmetric.
    """
    pairs = counts - np.diag(np.diag(counts))
    co_occurring = np.flatnonzero(pairs.any(axis=1)).tolist()
    selected = sorted(co_occurring, key=lambda index: -counts[index, index])[:MAX_HEAT_MAP_LABELS]
    highest = max((counts[a, b] for a in selected for b in selected if a != b), default=0) or 1
    rows = []
    for a in selected:
        cells = []
        for b in selected:
            count = int(counts[a, b])
            kind = ' class="own"' if a == b else ""
            description = escape(f"{label_name(language, labels[a])}, {label_name(language, labels[b])}: {count:,}")
            weight = 0 if a == b else count / highest
            cells.append(f'<td{kind} style="--weight:{weight:.2f}" title="{description}">{count or ""}</td>')
        rows.append(f'<tr><th scope="row">{escape(label_name(language, labels[a]))}</th>{"".join(cells)}</tr>')
    head = ["", *(label_name(language, labels[index]) for index in selected)]
    return table(head, rows, translate(language, "co_occurrence"), "heat")


def count_bars(language: str, counts: dict[str, int], rows: int) -> dict[str, Bar]:
    """Render bars of the number of rows with each label, most frequent first; the longest has full length."""
    highest = max(counts.values(), default=0) or 1
    return {
        label: Bar(count / highest, f"{count / max(rows, 1):.0%}", f"{label_name(language, label)}: {count:,}")
        for label, count in sorted(counts.items(), key=lambda item: -item[1])
        if count
    }


def _percent(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0):.1%}"
