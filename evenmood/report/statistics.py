"""Compute the statistics of a report from its counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenmood.labels import GROUP_OF
from evenmood.report.counts import MOODS, NEUTRAL, OTHER, StreamCounts
from evenmood.report.examples import Example
from evenmood.report.intervals import Difference, Share, difference_of, share_of, simultaneous_z, wilson
from evenmood.report.periods import Timeline

SHOWN_GROUPS = 12
"""Number of groups shown separately; all others are shown as one."""
MIN_GROUP_TEXTS = 20
"""Minimum number of texts of a group for comparisons."""
SHOWN_PAIRS = 12


@dataclass(frozen=True)
class Emotion:
    """Statistics of one label.

    Attributes:
        label, sentiment: The label and its sentiment group.
        share: Share of texts with the label.
        threshold: The decision threshold.
        near: Number of texts whose probability is within 0.05 of the threshold.
        if_lower, if_higher: Share of texts with the label if the threshold were 0.05 lower or higher.
        precision, recall: Measured on the model's test set; None if unknown.
        typical, mixed: Examples with the label alone, and together with another emotion.
    """

    label: str
    sentiment: str
    share: Share
    threshold: float
    near: int
    if_lower: float
    if_higher: float
    precision: float | None
    recall: float | None
    typical: list[Example]
    mixed: list[Example]


@dataclass(frozen=True)
class Change:
    """Change of a share from the first third of the dated texts to the last; `what` is as in `Contrast`."""

    what: str
    before: Share
    after: Share
    change: Difference


@dataclass(frozen=True)
class Group:
    """A value of the group column; `name` is empty for rows without a value, None for all values not shown."""

    name: str | None
    texts: int
    emotions: dict[str, Share]
    sentiments: dict[str, Share]
    moods: dict[str, Share]


@dataclass(frozen=True)
class Contrast:
    """Difference between a group and all other texts.

    Attributes:
        group: Name of the group.
        what: A label, or a sentiment group, such as `negative emotions`.
        inside, outside: Share in the group, and in all other texts.
        difference: Difference with its simultaneous confidence interval over all contrasts.
    """

    group: str
    what: str
    inside: Share
    outside: Share
    difference: Difference


@dataclass(frozen=True)
class Pair:
    """Two emotions that occur together more often than expected by chance.

    Attributes:
        first, second: The two labels.
        texts: Number of texts with both labels.
        expected: Expected number if the labels were independent.
        lift: `texts / expected`.
        low, high: Simultaneous confidence interval of the lift over all pairs.
    """

    first: str
    second: str
    texts: int
    expected: float
    lift: float
    low: float
    high: float


@dataclass(frozen=True)
class Statistics:
    """All statistics of a report.

    Attributes:
        rows, missing, long_texts: Number of rows, of rows without a text, and of texts read in several windows.
        texts: Number of predicted texts: the denominator of the shares.
        emotions: Statistics of each label, in the model's order.
        sentiments: Share of texts with at least one label of each sentiment group.
        moods: Share of texts per mood; adds up to 1.
        with_emotion, multiple_emotions: Share of texts with a label other than neutral, and with more than one.
        no_label, near: Share of texts where no label reaches its threshold, and with a probability near a threshold.
        unsure: Texts with the least certain predictions.
        dated, undated: Number of predicted texts with and without a valid date; both 0 without a time column.
        timeline: Measures by period; None for fewer than two periods.
        changes: Significant changes over time, largest first.
        groups, contrasts, comparisons: Groups, largest first; significant differences; number of differences tested.
        pairs, pairs_compared: Emotions that occur together significantly often; number of pairs tested.
    """

    rows: int
    missing: int
    long_texts: int
    texts: int
    emotions: list[Emotion]
    sentiments: dict[str, Share]
    moods: dict[str, Share]
    with_emotion: Share
    multiple_emotions: Share
    no_label: Share
    near: Share
    unsure: list[Example]
    has_times: bool
    dated: int
    undated: int
    date_format: str | None
    date_format_ambiguous: bool
    measures: tuple[str, ...]
    timeline: Timeline | None
    changes: list[Change]
    has_groups: bool
    group_count: int
    more_groups: bool
    groups: list[Group]
    contrasts: list[Contrast]
    comparisons: int
    pairs: list[Pair]
    pairs_compared: int


def compute_statistics(counts: StreamCounts, per_label_metrics: Mapping[str, Any]) -> Statistics:
    """Compute the statistics.

    Args:
        counts: Counts over all texts.
        per_label_metrics: Precision and recall by label, as in `emotions.json`.
    """
    texts, totals = counts.texts, dict(zip(counts.measures, counts.totals.tolist(), strict=True))
    timeline = counts.by_time.timeline()
    groups = _groups(counts)
    contrasts, comparisons = _contrasts(counts, groups)
    pairs, pairs_compared = _pairs(counts)
    return Statistics(
        rows=counts.rows,
        missing=counts.rows - texts,
        long_texts=counts.long_texts,
        texts=texts,
        emotions=_emotions(counts, per_label_metrics),
        sentiments={name: share_of(totals[f"group:{name}"], texts) for name in counts.sentiments},
        moods={mood: share_of(totals[f"mood:{mood}"], texts) for mood in MOODS},
        with_emotion=share_of(totals["emotion"], texts),
        multiple_emotions=share_of(counts.multiple_emotions, texts),
        no_label=share_of(totals["mood:none"], texts),
        near=share_of(counts.near_texts, texts),
        unsure=counts.unsure.examples(),
        has_times=counts.has_times,
        dated=counts.dated,
        undated=counts.undated,
        date_format=counts.dates.format_name,
        date_format_ambiguous=counts.dates.ambiguous,
        measures=counts.measures,
        timeline=timeline,
        changes=_changes(counts, timeline) if timeline else [],
        has_groups=counts.has_groups,
        group_count=len(counts.by_group),
        more_groups=bool(counts.other_groups[0]),
        groups=groups,
        contrasts=contrasts,
        comparisons=comparisons,
        pairs=pairs,
        pairs_compared=pairs_compared,
    )


def _emotions(counts: StreamCounts, per_label_metrics: Mapping[str, Any]) -> list[Emotion]:
    texts = counts.texts
    return [
        Emotion(
            label,
            GROUP_OF.get(label, OTHER),
            share_of(int(counts.totals[column]), texts),
            round(float(counts.thresholds[column]), 6),
            int(counts.near[column]),
            int(counts.lower[column]) / max(1, texts),
            int(counts.higher[column]) / max(1, texts),
            per_label_metrics.get(label, {}).get("precision"),
            per_label_metrics.get(label, {}).get("recall"),
            counts.typical[column].examples(),
            counts.mixed[column].examples(),
        )
        for column, label in enumerate(counts.labels)
    ]


def _changes(counts: StreamCounts, timeline: Timeline) -> list[Change]:
    """Return significant changes, largest first: emotions among texts with an emotion, neutral among all texts."""
    values = np.array([period.counts for period in timeline.periods])
    cumulative = np.cumsum(values[:, 0])
    first, last = cumulative <= cumulative[-1] / 3, cumulative - values[:, 0] >= cumulative[-1] * 2 / 3
    first[0] = last[-1] = True
    early, late = values[first].sum(axis=0), values[last].sum(axis=0)
    if (first & last).any() or min(early[0], late[0]) < MIN_GROUP_TEXTS:
        return []
    base = 1 + counts.measures.index("emotion")
    compared = _compared(counts)
    z, changes = simultaneous_z(len(compared)), []
    for what, column in compared:
        total = 0 if what == NEUTRAL else base
        change = difference_of(late[column], late[total], early[column], early[total], z)
        if change.significant:
            before, after = (share_of(sums[column], sums[total]) for sums in (early, late))
            changes.append(Change(what, before, after, change))
    return sorted(changes, key=lambda change: -abs(change.change.difference))


def _groups(counts: StreamCounts) -> list[Group]:
    ordered = sorted(counts.by_group.items(), key=lambda item: (item[0] == "", -item[1][0]))
    named = [(name, values) for name, values in ordered if name]
    shown_groups: list[tuple[str | None, np.ndarray]] = [*named[:SHOWN_GROUPS]]
    other_groups = sum((values for _, values in named[SHOWN_GROUPS:]), counts.other_groups)
    if other_groups[0]:
        shown_groups.append((None, other_groups))
    shown_groups += [(name, values) for name, values in ordered if not name]
    return [_group(counts, name, values) for name, values in shown_groups]


def _group(counts: StreamCounts, name: str | None, values: np.ndarray) -> Group:
    texts, *sums = values.tolist()
    shares = dict(zip(counts.measures, (share_of(count, texts) for count in sums), strict=True))
    return Group(
        name,
        texts,
        {label: shares[label] for label in counts.labels},
        {name: shares[f"group:{name}"] for name in counts.sentiments},
        {mood: shares[f"mood:{mood}"] for mood in MOODS},
    )


def _compared(counts: StreamCounts) -> list[tuple[str, int]]:
    """Return the name and column of each measure to compare over time and between groups; column 0 counts all texts."""
    column_of = {name: column for column, name in enumerate(counts.measures, 1)}
    sentiments = [name for name in counts.sentiments if name != NEUTRAL]
    return [
        *((f"{name} emotions", column_of[f"group:{name}"]) for name in sentiments),
        *((label, column_of[label]) for label in counts.labels),
    ]


def _contrasts(counts: StreamCounts, groups: list[Group]) -> tuple[list[Contrast], int]:
    """Return the significant differences between a group and all other texts, largest first, and the number tested."""
    compared = [group for group in groups if group.name and group.texts >= MIN_GROUP_TEXTS]
    compared = [group for group in compared if counts.texts - group.texts >= MIN_GROUP_TEXTS]
    comparisons = len(compared) * len(_compared(counts))
    z, contrasts = simultaneous_z(comparisons), []
    for group in compared:
        other_texts = counts.texts - group.texts
        for what, column in _compared(counts):
            inside = group.emotions.get(what) or group.sentiments[what.split()[0]]
            elsewhere = int(counts.totals[column - 1]) - inside.count
            difference = difference_of(inside.count, group.texts, elsewhere, other_texts, z)
            if difference.significant:
                outside = share_of(elsewhere, other_texts)
                contrasts.append(Contrast(group.name or "", what, inside, outside, difference))
    return sorted(contrasts, key=lambda contrast: -abs(contrast.difference.difference)), comparisons


def _pairs(counts: StreamCounts) -> tuple[list[Pair], int]:
    """Return significantly associated pairs of emotions, strongest association (phi) first, and the number tested."""
    texts = counts.texts
    columns = [column for column, label in enumerate(counts.labels) if label != NEUTRAL and counts.totals[column]]
    compared = len(columns) * (len(columns) - 1) // 2
    z, pairs = simultaneous_z(compared), []
    for index, first in enumerate(columns):
        for second in columns[index + 1 :]:
            both = int(counts.pairs[first, second])
            first_share, second_share = int(counts.totals[first]) / texts, int(counts.totals[second]) / texts
            low, high = (end / (first_share * second_share) for end in wilson(both, texts, z))
            if both and low > 1:
                spread = np.sqrt(first_share * (1 - first_share) * second_share * (1 - second_share))
                phi = (both / texts - first_share * second_share) / max(float(spread), 1e-12)
                expected = first_share * second_share * texts
                pair = Pair(counts.labels[first], counts.labels[second], both, expected, both / expected, low, high)
                pairs.append((phi, pair))
    pairs.sort(key=lambda item: -item[0])
    return [pair for _, pair in pairs[:SHOWN_PAIRS]], compared
