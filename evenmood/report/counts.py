"""Count the scored texts of a table in one pass: memory does not grow with the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenmood.inputs import is_missing
from evenmood.labels import GROUP_OF, GROUPS
from evenmood.report.dates import DateReader
from evenmood.report.examples import BestTexts
from evenmood.report.periods import TimeCounts

NEAR = 0.05
"""Distance from its threshold at which a probability is called near to it."""
MOST_GROUPS = 1000
"""Values of the group column that are counted apart; those that come later are counted together."""
LONGEST_GROUP = 80
"""Characters of a group's name."""
TYPICAL = 3
"""Texts that are kept for each emotion, of either kind."""
UNSURE = 6
"""Texts that are kept of those that the model is least sure of."""
NEUTRAL = "neutral"
MOODS = ("positive", "mixed", "negative", "ambiguous", NEUTRAL, "none")
"""What each text is counted as, once: `mixed` is positive and negative, `none` a text whose labels all stay below their
thresholds."""
OTHER = "other"
"""The sentiment group of labels that are not GoEmotions'."""


@dataclass(frozen=True)
class ScoredTexts:
    """A batch of texts with their probabilities.

    Attributes:
        texts: n texts; None for a missing one.
        probabilities: Shape (n, labels); NaN in the row of a missing text.
        windows: Windows that each text was read in, as `EmotionClassifier.read` gives them; None counts no long text.
        times: A date for each text, in whatever form; None where the table has none.
        groups: What each text is grouped by; None where the table is not grouped.
    """

    texts: Sequence[str | None]
    probabilities: np.ndarray
    windows: np.ndarray | None = None
    times: Sequence[Any] | None = None
    groups: Sequence[Any] | None = None


class StreamCounts:
    """What a report counts.

    Attributes:
        labels: Label of each column.
        measures: What is counted of each answered text: the labels, the sentiment groups, `emotion` (any label but
            neutral) and the moods, prefixed with `mood:`.
        totals: Texts of each measure.
        pairs: Texts that have both labels, shape (labels, labels).
        by_time: The measures by time; `by_group` by the group's name, `""` for rows without one.
    """

    def __init__(self, labels: Sequence[str], thresholds: Sequence[float], time_format: str | None = None) -> None:
        """Take the label and the threshold of each column of the probabilities."""
        self.labels, self.thresholds = tuple(labels), np.array(thresholds, np.float32)
        of_group = {label: GROUP_OF.get(label, OTHER) for label in labels}
        self.sentiments = tuple(group for group in (*GROUPS, OTHER) if group in of_group.values())
        self._columns = {
            group: [column for column, label in enumerate(labels) if of_group[label] == group]
            for group in (*GROUPS, OTHER)
        }
        self.measures = (*self.labels, *(f"group:{name}" for name in self.sentiments), "emotion")
        self.measures += tuple(f"mood:{mood}" for mood in MOODS)
        self.rows = self.answered = self.long_texts = self.several = self.near_texts = 0
        self.totals = np.zeros(len(self.measures), np.int64)
        self.near = np.zeros(len(labels), np.int64)
        self.lower, self.higher = np.zeros((2, len(labels)), np.int64)
        self.pairs = np.zeros((len(labels), len(labels)), np.int64)
        self.dates = DateReader(time_format)
        self.has_times = self.has_groups = False
        self.dated = self.undated = 0
        self.by_time = TimeCounts()
        self.by_group: dict[str, np.ndarray] = {}
        self.uncounted_groups = np.zeros(len(self.measures) + 1, np.int64)
        self.typical = [BestTexts(TYPICAL) for _ in labels]
        self.mixed = [BestTexts(TYPICAL) for _ in labels]
        self.unsure = BestTexts(UNSURE)

    def add(self, batch: ScoredTexts) -> None:
        """Count a batch."""
        self.rows += len(batch.texts)
        kept = np.flatnonzero(~np.isnan(batch.probabilities).any(axis=1))
        texts = [batch.texts[row] for row in kept.tolist()]
        probabilities = batch.probabilities[kept]
        if batch.windows is not None:
            self.long_texts += int((np.asarray(batch.windows)[kept] > 1).sum())
        given = probabilities >= self.thresholds
        measures = self._measured(given)
        self.answered += len(texts)
        self.totals += measures.sum(axis=0)
        emotions = given[:, [column for column, label in enumerate(self.labels) if label != NEUTRAL]]
        self.several += int((emotions.sum(axis=1) > 1).sum())
        self._count_doubts(probabilities)
        numbers = given.astype(np.int64)
        self.pairs += numbers.T @ numbers
        self._keep_examples(texts, probabilities, given)
        if batch.times is not None:
            self.has_times = True
            times = self.dates.read([batch.times[row] for row in kept.tolist()])
            self.dated += sum(time is not None for time in times)
            self.undated += sum(time is None for time in times)
            self.by_time.add(times, measures)
        if batch.groups is not None:
            self.has_groups = True
            self._count_groups([group_name(batch.groups[row]) for row in kept.tolist()], measures)

    def _measured(self, given: np.ndarray) -> np.ndarray:
        """The measures of each row: 0 or 1, int of shape (n, measures)."""
        has = {group: given[:, columns].any(axis=1) for group, columns in self._columns.items()}
        positive, negative = has["positive"], has["negative"]
        neither = ~(positive | negative)
        feeling = has["ambiguous"] | has[OTHER]
        moods = {
            "positive": positive & ~negative,
            "mixed": positive & negative,
            "negative": negative & ~positive,
            "ambiguous": neither & feeling,
            NEUTRAL: neither & ~feeling & has[NEUTRAL],
            "none": ~given.any(axis=1),
        }
        emotion = positive | negative | feeling
        sentiments = [has[name] for name in self.sentiments]
        columns = np.column_stack([*sentiments, emotion, *(moods[mood] for mood in MOODS)])
        return np.concatenate([given, columns], axis=1).astype(np.int64)

    def _count_doubts(self, probabilities: np.ndarray) -> None:
        near = np.abs(probabilities - self.thresholds) < NEAR
        self.near += near.sum(axis=0)
        self.near_texts += int(near.any(axis=1).sum())
        self.lower += (probabilities >= self.thresholds - np.float32(NEAR)).sum(axis=0)
        self.higher += (probabilities >= self.thresholds + np.float32(NEAR)).sum(axis=0)

    def _count_groups(self, names: Sequence[str], measures: np.ndarray) -> None:
        found, where = np.unique(np.array(names, dtype=object), return_inverse=True)
        sums = np.zeros((len(found), len(self.uncounted_groups)), np.int64)
        np.add.at(sums, where, np.insert(measures, 0, 1, axis=1))
        for name, counts in zip(found.tolist(), sums, strict=True):
            if name in self.by_group:
                self.by_group[name] += counts
            elif len(self.by_group) < MOST_GROUPS:
                self.by_group[name] = counts
            else:
                self.uncounted_groups += counts

    def _keep_examples(self, texts: Sequence[str | None], probabilities: np.ndarray, given: np.ndarray) -> None:
        if not texts:
            return

        def described(row: int) -> list[tuple[str, float]]:
            found = np.flatnonzero(given[row])
            if not len(found):
                found = probabilities[row].argmax(keepdims=True)
            best = found[np.argsort(-probabilities[row, found], kind="stable")].tolist()
            return [(self.labels[column], round(float(probabilities[row, column]), 4)) for column in best]

        for column, label in enumerate(self.labels):
            rows = np.flatnonzero(given[:, column])
            if not len(rows):
                continue
            own, others = probabilities[rows, column], probabilities[rows].copy()
            others[:, column] = 0
            self.typical[column].add(texts, rows, own - others.max(axis=1), described)
            feelings = np.where(given[rows], others, 0)
            if NEUTRAL in self.labels:
                feelings[:, self.labels.index(NEUTRAL)] = 0
            both = np.minimum(own, feelings.max(axis=1)) if label != NEUTRAL else np.zeros(len(rows))
            self.mixed[column].add(texts, rows[both > 0], both[both > 0], described)
        # The less the best label reaches of its threshold, the less sure the model is.
        reached = (probabilities / np.maximum(self.thresholds, np.float32(1e-6))).max(axis=1)
        rows = np.flatnonzero(~given.any(axis=1))
        self.unsure.add(texts, rows, -reached[rows], described)


def group_name(value: Any) -> str:
    """The name of a group, cut to `LONGEST_GROUP` characters; empty for a missing value."""
    name = "" if is_missing(value) else " ".join(str(value).split())
    return name if len(name) <= LONGEST_GROUP else f"{name[: LONGEST_GROUP - 1]}…"
