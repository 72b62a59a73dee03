"""Single-pass counts over scored texts, with memory independent of their number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenmood.inputs import is_missing
from evenmood.labels import GROUP_OF, GROUPS
from evenmood.report.dates import DateReader
from evenmood.report.examples import BestTexts
from evenmood.report.periods import TimeCounts

NEAR_MARGIN = 0.05
"""Maximum distance from the threshold for a probability to count as near it."""
MAX_GROUPS = 1000
"""Maximum number of groups counted separately; later ones are counted together."""
MAX_GROUP_CHARS = 80
"""Maximum length of a group name, in characters."""
EXAMPLES_PER_EMOTION = 3
"""Number of typical and of mixed example texts per emotion."""
UNCERTAIN_EXAMPLES = 6
"""Number of example texts with the least certain predictions."""
NEUTRAL = "neutral"
MOODS = ("positive", "mixed", "negative", "ambiguous", NEUTRAL, "none")
"""Moods: each text has exactly one. `mixed` is positive and negative; `none` means that no label reaches its
threshold."""
OTHER = "other"
"""Sentiment group of labels that are not in GoEmotions."""


@dataclass(frozen=True)
class ScoredTexts:
    """A batch of texts and their probabilities.

    Attributes:
        texts: n texts; None for a missing text.
        probabilities: Shape (n, labels); NaN in the row of a missing text.
        windows: Number of windows of each text, from `EmotionClassifier.read`, if known.
        times: Date of each text, in any format, if there are dates.
        groups: Group of each text, if texts are grouped.
    """

    texts: Sequence[str | None]
    probabilities: np.ndarray
    windows: np.ndarray | None = None
    times: Sequence[Any] | None = None
    groups: Sequence[Any] | None = None


class StreamCounts:
    """The counts behind a report.

    Attributes:
        labels: Label of each column of the probabilities.
        measures: Names of the binary measures counted for each predicted text: labels, sentiment groups (`group:…`),
            `emotion` (any label but neutral) and moods (`mood:…`).
        totals: Number of texts per measure: shape (measures,).
        pairs: Number of texts with both labels: shape (labels, labels).
        by_time: Counts of the measures by time.
        by_group: Counts of texts and measures by group name; `""` for rows without a group.
    """

    def __init__(self, labels: Sequence[str], thresholds: Sequence[float], time_format: str | None = None) -> None:
        """Start counting.

        Args:
            labels: Label of each column of the probabilities.
            thresholds: Decision threshold of each label.
            time_format: `strptime` format of the dates; by default, it is detected.
        """
        self.labels, self.thresholds = tuple(labels), np.array(thresholds, np.float32)
        group_of = {label: GROUP_OF.get(label, OTHER) for label in labels}
        self.sentiments = tuple(group for group in (*GROUPS, OTHER) if group in group_of.values())
        self._columns = {
            group: [column for column, label in enumerate(labels) if group_of[label] == group]
            for group in (*GROUPS, OTHER)
        }
        self.measures = (*self.labels, *(f"group:{name}" for name in self.sentiments), "emotion")
        self.measures += tuple(f"mood:{mood}" for mood in MOODS)
        self.rows = self.texts = self.long_texts = self.multiple_emotions = self.near_texts = 0
        self.totals = np.zeros(len(self.measures), np.int64)
        self.near = np.zeros(len(labels), np.int64)
        self.lower, self.higher = np.zeros((2, len(labels)), np.int64)
        self.pairs = np.zeros((len(labels), len(labels)), np.int64)
        self.dates = DateReader(time_format)
        self.has_times = self.has_groups = False
        self.dated = self.undated = 0
        self.by_time = TimeCounts()
        self.by_group: dict[str, np.ndarray] = {}
        self.other_groups = np.zeros(len(self.measures) + 1, np.int64)
        self.typical = [BestTexts(EXAMPLES_PER_EMOTION) for _ in labels]
        self.mixed = [BestTexts(EXAMPLES_PER_EMOTION) for _ in labels]
        self.unsure = BestTexts(UNCERTAIN_EXAMPLES)

    def add(self, batch: ScoredTexts) -> None:
        """Count a batch."""
        self.rows += len(batch.texts)
        present = np.flatnonzero(~np.isnan(batch.probabilities).any(axis=1))
        texts = [batch.texts[row] for row in present.tolist()]
        probabilities = batch.probabilities[present]
        if batch.windows is not None:
            self.long_texts += int((np.asarray(batch.windows)[present] > 1).sum())
        predicted = probabilities >= self.thresholds
        measures = self._measure(predicted)
        self.texts += len(texts)
        self.totals += measures.sum(axis=0)
        emotions = predicted[:, [column for column, label in enumerate(self.labels) if label != NEUTRAL]]
        self.multiple_emotions += int((emotions.sum(axis=1) > 1).sum())
        self._count_uncertain(probabilities)
        multi_hot = predicted.astype(np.int64)
        self.pairs += multi_hot.T @ multi_hot
        self._collect_examples(texts, probabilities, predicted)
        if batch.times is not None:
            self.has_times = True
            times = self.dates.read([batch.times[row] for row in present.tolist()])
            self.dated += sum(time is not None for time in times)
            self.undated += sum(time is None for time in times)
            self.by_time.add(times, measures)
        if batch.groups is not None:
            self.has_groups = True
            self._count_groups([group_name(batch.groups[row]) for row in present.tolist()], measures)

    def _measure(self, predicted: np.ndarray) -> np.ndarray:
        """Return the measures of each row, 0 or 1: int64 of shape (n, measures)."""
        has = {group: predicted[:, columns].any(axis=1) for group, columns in self._columns.items()}
        positive, negative = has["positive"], has["negative"]
        neither = ~(positive | negative)
        ambiguous_or_other = has["ambiguous"] | has[OTHER]
        moods = {
            "positive": positive & ~negative,
            "mixed": positive & negative,
            "negative": negative & ~positive,
            "ambiguous": neither & ambiguous_or_other,
            NEUTRAL: neither & ~ambiguous_or_other & has[NEUTRAL],
            "none": ~predicted.any(axis=1),
        }
        emotion = positive | negative | ambiguous_or_other
        sentiments = [has[name] for name in self.sentiments]
        columns = np.column_stack([*sentiments, emotion, *(moods[mood] for mood in MOODS)])
        return np.concatenate([predicted, columns], axis=1).astype(np.int64)

    def _count_uncertain(self, probabilities: np.ndarray) -> None:
        near = np.abs(probabilities - self.thresholds) < NEAR_MARGIN
        self.near += near.sum(axis=0)
        self.near_texts += int(near.any(axis=1).sum())
        self.lower += (probabilities >= self.thresholds - np.float32(NEAR_MARGIN)).sum(axis=0)
        self.higher += (probabilities >= self.thresholds + np.float32(NEAR_MARGIN)).sum(axis=0)

    def _count_groups(self, names: Sequence[str], measures: np.ndarray) -> None:
        unique_names, group_indices = np.unique(np.array(names, dtype=object), return_inverse=True)
        sums = np.zeros((len(unique_names), len(self.other_groups)), np.int64)
        np.add.at(sums, group_indices, np.insert(measures, 0, 1, axis=1))
        for name, counts in zip(unique_names.tolist(), sums, strict=True):
            if name in self.by_group:
                self.by_group[name] += counts
            elif len(self.by_group) < MAX_GROUPS:
                self.by_group[name] = counts
            else:
                self.other_groups += counts

    def _collect_examples(self, texts: Sequence[str | None], probabilities: np.ndarray, predicted: np.ndarray) -> None:
        if not texts:
            return

        def labels_of(row: int) -> list[tuple[str, float]]:
            columns = np.flatnonzero(predicted[row])
            if not len(columns):
                columns = probabilities[row].argmax(keepdims=True)
            best = columns[np.argsort(-probabilities[row, columns], kind="stable")].tolist()
            return [(self.labels[column], round(float(probabilities[row, column]), 4)) for column in best]

        for column, label in enumerate(self.labels):
            rows = np.flatnonzero(predicted[:, column])
            if not len(rows):
                continue
            own, other_labels = probabilities[rows, column], probabilities[rows].copy()
            other_labels[:, column] = 0
            self.typical[column].add(texts, rows, own - other_labels.max(axis=1), labels_of)
            feelings = np.where(predicted[rows], other_labels, 0)
            if NEUTRAL in self.labels:
                feelings[:, self.labels.index(NEUTRAL)] = 0
            both = np.minimum(own, feelings.max(axis=1)) if label != NEUTRAL else np.zeros(len(rows))
            self.mixed[column].add(texts, rows[both > 0], both[both > 0], labels_of)
        # The farther the best label is below its threshold, the less certain the model is.
        ratio = (probabilities / np.maximum(self.thresholds, np.float32(1e-6))).max(axis=1)
        rows = np.flatnonzero(~predicted.any(axis=1))
        self.unsure.add(texts, rows, -ratio[rows], labels_of)


def group_name(value: Any) -> str:
    """Return the name of a group, truncated to `MAX_GROUP_CHARS` characters; empty for a missing value."""
    name = "" if is_missing(value) else " ".join(str(value).split())
    return name if len(name) <= MAX_GROUP_CHARS else f"{name[: MAX_GROUP_CHARS - 1]}…"
