"""Charts as HTML and SVG: labels by group, small panels, a heat map. They need no script and hold in light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from space.components.labels import SIGNS, by_group, group_title
from space.components.tables import table
from space.components.texts import label_name, say

MOST_TOGETHER = 12
"""Labels in the heat map: the most frequent ones that occur with another."""
MOST_TITLES = 400
"""Columns of a panel that carry a title each; beyond that they are too thin to point at."""


@dataclass(frozen=True)
class Bar:
    """A label's bar.

    Attributes:
        value: Length, as a share of the whole track.
        shown: Number beside the bar.
        spoken: Description for screen readers and as a tooltip.
        tick: Place of a mark on the track, such as a threshold.
        interval: Ends of an interval around the value.
        strong: Whether the label stands out.
    """

    value: float
    shown: str
    spoken: str
    tick: float | None = None
    interval: tuple[float, float] | None = None
    strong: bool = False


@dataclass(frozen=True)
class Panel:
    """A small chart of values in order.

    Attributes:
        title: Name of what is shown.
        group: Sentiment group, for the color.
        values: Heights from 0 on.
        shown: A number beside the title.
        titles: Tooltip of each value.
        places: Where each value is, from 0 to 1; evenly spaced if left out.
    """

    title: str
    group: str
    values: Sequence[float]
    shown: str
    titles: Sequence[str]
    places: Sequence[float] | None = None


def bar(name: str, group: str, one: Bar, remark: str = "", kind: str = "") -> str:
    """A bar with its name before it and its number behind it."""
    spoken = escape(one.spoken)
    tick = "" if one.tick is None else f'<span class="tick" style="left:{_percent(one.tick)}"></span>'
    if one.interval:
        low, high = one.interval
        tick += f'<span class="interval" style="left:{_percent(low)};width:{_percent(high - low)}"></span>'
    small = f"<small>{escape(remark)}</small>" if remark else ""
    return (
        f'<div class="bar{kind}{" strong" if one.strong else ""}" role="img" aria-label="{spoken}" title="{spoken}">'
        f'<span class="name">{escape(name)}{small}</span>'
        f'<span class="track"><span class="fill {group}" style="width:{_percent(one.value)}"></span>{tick}</span>'
        f'<span class="value">{escape(one.shown)}</span></div>'
    )


def label_groups(language: str, bars: dict[str, Bar]) -> str:
    """Bars of many labels, a block for each sentiment group, in the order of `bars`."""
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


def panels(shown: Sequence[Panel], top: float, ends: tuple[str, str], columns: bool = False) -> str:
    """Small charts under one scale, side by side; `columns` draws a column for each value, otherwise an area.

    Args:
        shown: The charts.
        top: Value at the upper edge, the same for all.
        ends: Names of the first and the last value.
        columns: Whether values are separate (passages) rather than a course (time).
    """
    top = top or 1.0
    figures = []
    for panel in shown:
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
            places = panel.places or np.linspace(0, 1, count)
            line = " ".join(f"{100 * x:.2f},{100 - height:.1f}" for x, height in zip(places, heights, strict=True))
            shapes = f'<polygon points="0,100 {line} 100,100"/><polyline points="{line}"/>'
        if count <= MOST_TITLES:
            shapes += "".join(
                f'<rect class="hover" x="{n * width:.2f}" y="0" width="{width:.2f}" height="100">'
                f"<title>{escape(title)}</title></rect>"
                for n, title in enumerate(panel.titles)
            )
        spoken = escape(f"{panel.title}: {panel.shown}")
        figures.append(
            f'<figure class="panel"><figcaption><span class="sign {panel.group}" aria-hidden="true">'
            f"{SIGNS[panel.group]}</span> {escape(panel.title)} <b>{escape(panel.shown)}</b></figcaption>"
            f'<svg class="{panel.group}" viewBox="0 0 100 100" preserveAspectRatio="none" role="img" '
            f'aria-label="{spoken}">{shapes}</svg>'
            f'<div class="axis" aria-hidden="true"><span>{escape(ends[0])}</span><span>{escape(ends[1])}</span></div>'
            "</figure>"
        )
    return f'<div class="panels{" wide" if columns else ""}">{"".join(figures)}</div>'


def heat_map(language: str, labels: Sequence[str], counts: np.ndarray) -> str:
    """Labels that occur together: counts of both, with shades for the frequent ones; the diagonal is the label alone.

    Args:
        language: Language of the names.
        labels: Names of rows and columns.
        counts: Shape (labels, labels), symmetric.
    """
    pairs = counts - np.diag(np.diag(counts))
    used = sorted(np.flatnonzero(pairs.any(axis=1)).tolist(), key=lambda index: -counts[index, index])[:MOST_TOGETHER]
    highest = max((counts[a, b] for a in used for b in used if a != b), default=0) or 1
    rows = []
    for a in used:
        cells = []
        for b in used:
            count = int(counts[a, b])
            kind = ' class="own"' if a == b else ""
            spoken = escape(f"{label_name(language, labels[a])}, {label_name(language, labels[b])}: {count:,}")
            weight = 0 if a == b else count / highest
            cells.append(f'<td{kind} style="--weight:{weight:.2f}" title="{spoken}">{count or ""}</td>')
        rows.append(f'<tr><th scope="row">{escape(label_name(language, labels[a]))}</th>{"".join(cells)}</tr>')
    head = ["", *(label_name(language, labels[index]) for index in used)]
    return table(head, rows, say(language, "co_occurrence"), "heat")


def count_bars(language: str, counts: dict[str, int], rows: int) -> dict[str, Bar]:
    """Bars of how many rows carry each label, the most frequent first; the longest one fills its track."""
    highest = max(counts.values(), default=0) or 1
    return {
        label: Bar(count / highest, f"{count / max(rows, 1):.0%}", f"{label_name(language, label)}: {count:,}")
        for label, count in sorted(counts.items(), key=lambda item: -item[1])
        if count
    }


def _percent(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0):.1%}"
