"""Sentences and formatted numbers of a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from evenmood.report.counts import NEUTRAL
from evenmood.report.intervals import Share, wilson
from evenmood.report.statistics import Contrast, Statistics

MAX_FINDINGS = 4
MOOD_NAMES = {
    "positive": "Positive",
    "mixed": "Positive and negative",
    "negative": "Negative",
    "ambiguous": "Ambiguous",
    "neutral": "Neutral",
    "none": "No clear emotion",
}
SENTIMENT_NAMES = {
    "positive": "Positive",
    "negative": "Negative",
    "ambiguous": "Ambiguous",
    "neutral": "Neutral",
    "other": "Emotions",
}
OTHER_VALUES = "All other values"
UNNAMED = "No value"


@dataclass(frozen=True)
class Finding:
    """A key finding as a sentence, and the section that shows it."""

    text: str
    section: str


def percent(share: float, digits: int = 1) -> str:
    """Format a share as a percentage, with one decimal below 10% and none above."""
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1%"
    if 99.9 < value < 100:
        return ">99.9%"
    return f"{value:.{digits}f}%" if value < 10 and value != round(value) else f"{value:.0f}%"


def interval(low: float, high: float) -> str:
    """Format an interval as percentages."""
    return f"{100 * low:.1f}–{100 * high:.1f}%"


def points(difference: float) -> str:
    """Format a difference in percentage points, with its sign."""
    value = 100 * difference
    return ("+" if value >= 0 else "−") + f"{abs(value):.{0 if abs(value) >= 10 else 1}f}"


def join_words(words: Sequence[str]) -> str:
    """Join words with commas and `and`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def format_texts(count: int) -> str:
    """Format a number of texts."""
    return f"{count:,} {'text' if count == 1 else 'texts'}"


def period_name(start: datetime, unit: str) -> str:
    """Format a period; a week is named by its first day."""
    if unit == "hour":
        return f"{start:%b} {start.day}, {start:%H:%M}"
    if unit in ("day", "week"):
        return f"{start:%b} {start.day}, {start.year}"
    if unit == "month":
        return f"{start:%b} {start.year}"
    if unit == "quarter":
        return f"Q{(start.month + 2) // 3} {start.year}"
    return f"{start.year}" if unit == "year" else f"{start.year}–{start.year + int(unit.split()[0]) - 1}"


def verdict(statistics: Statistics) -> str:
    """Summarize the prevailing emotions in a few words."""
    if not statistics.texts:
        return "There are no texts to report on"
    moods = statistics.moods
    plain = {name: moods[name].count for name in ("positive", "negative")}
    clear = sum(plain.values())
    low, high = wilson(plain["positive"], clear)
    if clear < statistics.texts / 4:
        largest = max(moods, key=lambda name: moods[name].count)
        return {
            NEUTRAL: "Mostly neutral",
            "none": "Mostly without a clear emotion",
            "ambiguous": "Mostly surprise, curiosity or confusion",
            "mixed": "Mostly mixed feelings",
        }.get(largest, "Few texts are clearly positive or negative")
    winner = "positive" if low > 0.5 else "negative" if high < 0.5 else None
    if winner is None:
        return "About as many positive as negative texts"
    other = "negative" if winner == "positive" else "positive"
    if moods[winner].low > 0.5:
        return f"Mostly {winner}"
    return f"More {winner} than {other}"


def summary(statistics: Statistics) -> str:
    """Summarize the moods in one sentence, shown below the verdict."""
    if not statistics.texts:
        return "No row of the table has a text." if statistics.rows else "The table has no rows."
    moods = statistics.moods
    return (
        f"{percent(moods['positive'].share)} of the {format_texts(statistics.texts)} express only positive emotions, "
        f"{percent(moods['negative'].share)} only negative ones and {percent(moods['mixed'].share)} both."
    )


def findings(statistics: Statistics) -> list[Finding]:
    """Select the key findings, most general first."""
    sentences = []
    present = [emotion for emotion in statistics.emotions if emotion.label != NEUTRAL and emotion.share.count]
    top = sorted(present, key=lambda emotion: -emotion.share.count)[:3]
    if top:
        names = join_words([f"{emotion.label} ({percent(emotion.share.share)})" for emotion in top])
        verb = "The most frequent emotions are" if len(top) > 1 else "The most frequent emotion is"
        sentences.append(Finding(f"{verb} {names}.", "emotions"))
    if statistics.timeline and statistics.changes:
        change = statistics.changes[0]
        base = "all texts" if change.what == NEUTRAL else "texts with an emotion"
        verb = "rose" if change.change.difference > 0 else "fell"
        sentences.append(
            Finding(
                f"{change.what.capitalize()} {verb} from {percent(change.before.share)} to "
                f"{percent(change.after.share)} of {base} from the first third of the texts to the last.",
                "time",
            )
        )
    if statistics.contrasts:
        contrast = statistics.contrasts[0]
        sentences.append(
            Finding(
                f"{contrast.group} stands out with {comparative(contrast)} {contrast.what}: "
                f"{percent(contrast.inside.share)} of its texts, {percent(contrast.outside.share)} of all others.",
                "groups",
            )
        )
    if statistics.pairs:
        pair = statistics.pairs[0]
        sentences.append(
            Finding(
                f"{pair.first.capitalize()} and {pair.second} occur together {times(pair.lift)} as often as expected "
                "by chance.",
                "together",
            )
        )
    return sentences[:MAX_FINDINGS]


def comparative(contrast: Contrast) -> str:
    """Return the comparative for a contrast: `more`, `less` or `fewer`."""
    if contrast.difference.difference > 0:
        return "more"
    return "fewer" if contrast.what.endswith(" emotions") else "less"


def times(factor: float) -> str:
    """Format a factor."""
    return f"{factor:,.0f} times" if factor >= 9.95 else f"{factor:.1f} times"


def with_interval(share: Share) -> str:
    """Format a share with its interval in parentheses."""
    return f"{percent(share.share)} ({interval(share.low, share.high)})"
