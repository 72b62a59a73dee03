"""Statistics of reports, compared with values computed by hand and by statsmodels."""

from datetime import datetime

import numpy as np
import pytest

from evenmood import LABELS
from evenmood.report.counts import MAX_GROUPS
from evenmood.report.intervals import Z95, difference_of, share_of, simultaneous_z, wilson
from evenmood.report.statistics import SHOWN_GROUPS
from tests.evenmood.report.batches import batch, report_statistics

JOY, ANGER, BOTH = {"joy": 0.9}, {"anger": 0.8}, {"joy": 0.7, "anger": 0.6}


def test_intervals_match_published_values() -> None:
    # Newcombe 1998 (Statistics in Medicine 17), table I and table II(a), method 10.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    result = difference_of(56, 70, 48, 80)
    assert (result.low, result.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert result.significant
    assert not difference_of(5, 10, 4, 10).significant
    assert wilson(0, 0) == (0, 1)
    assert simultaneous_z(1) == Z95
    assert simultaneous_z(10) == pytest.approx(2.807, abs=1e-3)
    statsmodels = pytest.importorskip("statsmodels.stats.proportion", reason="pip install --group data")
    assert wilson(7, 45) == pytest.approx(statsmodels.proportion_confint(7, 45, method="wilson"))


def test_counts_computed_by_hand() -> None:
    rows = [JOY, BOTH, ANGER, ANGER, {"neutral": 0.9}, {"curiosity": 0.6}, {"fear": 0.48}, {"joy": 0.52}, None]
    result = report_statistics(batch(rows, windows=[1, 3, 1, 1, 1, 1, 1, 1, 0]))
    by_label = {emotion.label: emotion for emotion in result.emotions}
    assert (result.rows, result.missing, result.texts, result.long_texts) == (9, 1, 8, 1)
    assert (by_label["joy"].share.count, by_label["anger"].share.count, by_label["fear"].share.count) == (3, 3, 0)
    assert by_label["joy"].share == share_of(3, 8)
    assert {mood: share.count for mood, share in result.moods.items()} == {
        **{"positive": 2, "mixed": 1, "negative": 2, "ambiguous": 1, "neutral": 1, "none": 1}
    }
    assert sum(share.share for share in result.moods.values()) == pytest.approx(1)
    assert {name: share.count for name, share in result.sentiments.items()} == {
        **{"positive": 3, "negative": 3, "ambiguous": 1, "neutral": 1}
    }
    assert result.with_emotion.count == 6
    assert result.multiple_emotions.count == 1
    assert result.no_label.count == 1
    assert result.near.count == 2  # 0.48 and 0.52
    assert (by_label["joy"].near, by_label["fear"].near) == (1, 1)
    assert (by_label["joy"].if_higher, by_label["joy"].if_lower) == (2 / 8, 3 / 8)
    assert by_label["fear"].if_lower == 1 / 8
    assert [example.labels[0][0] for example in result.unsure] == ["fear"]


def test_examples_are_distinct_and_have_the_highest_scores() -> None:
    rows = [{"joy": value} for value in (0.6, 0.95, 0.7, 0.8, 0.95)] + [{"joy": 0.9, "anger": 0.85}, BOTH]
    texts = ["a", "best", "c", "d", "best", "very mixed", "mixed"]
    result = report_statistics(batch(rows[:3], texts[:3]), batch(rows[3:], texts[3:]))
    joy = next(emotion for emotion in result.emotions if emotion.label == "joy")
    assert [example.text for example in joy.typical] == ["best", "d", "c"]
    assert [example.text for example in joy.mixed] == ["very mixed", "mixed"]
    assert joy.mixed[0].labels == [("joy", 0.9), ("anger", 0.85)]


def test_groups_are_compared_with_all_other_texts() -> None:
    rows = [JOY] * 60 + [ANGER] * 40 + [JOY] * 20 + [ANGER] * 80 + [ANGER] * 3
    groups = ["A"] * 100 + ["B"] * 100 + ["few"] * 2 + [None]
    result = report_statistics(batch(rows, groups=groups))
    assert [(group.name, group.texts) for group in result.groups] == [("A", 100), ("B", 100), ("few", 2), ("", 1)]
    assert result.groups[0].emotions["joy"] == share_of(60, 100)
    assert result.comparisons == 2 * (len(LABELS) + 3)  # large groups * (labels + sentiments)
    joy_contrast = next(contrast for contrast in result.contrasts if (contrast.group, contrast.what) == ("A", "joy"))
    expected = difference_of(60, 100, 20, 103, simultaneous_z(result.comparisons))
    assert joy_contrast.difference == expected
    assert joy_contrast.outside == share_of(20, 103)
    names = {contrast.what for contrast in result.contrasts}
    assert names == {"joy", "anger", "positive emotions", "negative emotions"}


def test_equal_groups_have_no_significant_differences() -> None:
    rng = np.random.default_rng(1)
    rows = [JOY if value else ANGER for value in rng.random(2000) < 0.5]
    result = report_statistics(batch(rows, groups=[f"g{i % 5}" for i in range(2000)]))
    assert result.comparisons > 100
    assert result.contrasts == []


def test_groups_above_the_limit_are_merged() -> None:
    names = [f"g{i}" for i in range(MAX_GROUPS + 500)] + ["big"] * 30
    result = report_statistics(batch([JOY] * 30, groups=["big"] * 30), batch([JOY] * len(names), groups=names))
    assert result.more_groups
    assert len(result.groups) == SHOWN_GROUPS + 1
    assert (result.groups[0].name, result.groups[0].texts) == ("big", 60)
    assert result.groups[-1].name is None
    assert sum(group.texts for group in result.groups) == result.texts


def test_significant_pairs() -> None:
    rows = [{"joy": 0.9, "love": 0.9}] * 50 + [JOY] * 50 + [{"love": 0.9}] * 50 + [ANGER] * 850
    pair, *rest = report_statistics(batch(rows)).pairs
    assert rest == []
    assert (pair.first, pair.second, pair.texts) == ("joy", "love", 50)
    assert pair.expected == pytest.approx(10)  # 100 * 100 / 1000
    assert pair.lift == pytest.approx(5)
    low, high = wilson(50, 1000, simultaneous_z(3))
    assert (pair.low, pair.high) == pytest.approx((low * 100, high * 100))
    independent = [{"joy": 0.9, "love": 0.9}] * 25 + [JOY] * 25 + [{"love": 0.9}] * 25 + [ANGER] * 25
    assert report_statistics(batch(independent)).pairs == []


def test_timeline_and_changes() -> None:
    times = [datetime(2026, 1 + i // 100, 1 + i % 28) for i in range(600)]
    rows = [ANGER if i % 100 < 10 * (1 + i // 100) else JOY for i in range(600)]
    rows[0] = None  # type: ignore[call-overload]
    result = report_statistics(batch(rows, times=times))
    assert result.timeline
    assert result.timeline.unit == "week"
    assert sum(int(period.counts[0]) for period in result.timeline.periods) == result.dated == 599
    by_name = {change.what: change for change in result.changes}
    assert set(by_name) == {"joy", "anger", "positive emotions", "negative emotions"}
    assert by_name["anger"].before.share == pytest.approx(0.15, abs=0.03)
    assert by_name["anger"].after.share == pytest.approx(0.55, abs=0.03)
    constant = report_statistics(batch([JOY, ANGER] * 300, times=times))
    assert constant.changes == []


@pytest.mark.parametrize("rows", [[], [None, None]])
def test_no_texts(rows: list[None]) -> None:
    result = report_statistics(batch(rows, times=rows, groups=rows))
    assert (result.rows, result.texts, result.missing) == (len(rows), 0, len(rows))
    assert result.timeline is None
    assert [*result.groups, *result.pairs, *result.contrasts, *result.unsure] == []
    assert all(emotion.share.share == 0 for emotion in result.emotions)
