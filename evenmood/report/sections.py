"""Sections of the report page, each with a chart and a table of the same values."""

from collections.abc import Iterable, Sequence

from evenmood.report import charts
from evenmood.report.charts import escape
from evenmood.report.counts import MOODS, NEAR_MARGIN
from evenmood.report.statistics import Emotion, Statistics
from evenmood.report.wording import MOOD_NAMES, SENTIMENT_NAMES, format_texts, interval, percent, times


def section(name: str, title: str, lead: str, *parts: str) -> str:
    """Render a section; `lead` and `parts` are HTML."""
    return (
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>'
        f'<p class="lead">{lead}</p>{"".join(parts)}</section>'
    )


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Render a collapsed table with row headers in the first column; cells are escaped."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    return (
        f'<details class="data"><summary>{escape(title)}</summary>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details>"
    )


def mood_bar(statistics: Statistics) -> str:
    """Render the moods of all texts as a stacked bar with a legend."""
    parts = [(mood, statistics.moods[mood].share) for mood in MOODS]
    legend = "".join(
        f"<li>{charts.swatch(mood)}<b>{percent(statistics.moods[mood].share)}</b> {MOOD_NAMES[mood]}</li>"
        for mood in MOODS
        if statistics.moods[mood].count
    )
    rows = [
        (MOOD_NAMES[mood], f"{share.count:,}", percent(share.share), interval(share.low, share.high))
        for mood, share in statistics.moods.items()
    ]
    return (
        f'<figure class="moods" aria-label="Texts by mood">{charts.stacked(parts, 44)}<ul class="legend">{legend}</ul>'
        f"</figure>{table('Texts by mood, as a table', ('Mood', 'Texts', 'Share', '95% interval'), rows)}"
    )


def emotions(statistics: Statistics) -> str:
    """Render the section on the share of each emotion, by sentiment."""
    largest = max((emotion.share.high for emotion in statistics.emotions), default=0) or 1
    panels = []
    for sentiment, share in statistics.sentiments.items():
        members = [emotion for emotion in statistics.emotions if emotion.sentiment == sentiment]
        rows = "".join(
            _emotion_row(emotion, largest) for emotion in sorted(members, key=lambda emotion: -emotion.share.count)
        )
        title = f"{charts.swatch(sentiment)}{SENTIMENT_NAMES[sentiment]} <b>{percent(share.share)}</b>"
        note = f'<span class="range">{interval(share.low, share.high)}</span>'
        panels.append(f'<div class="panel {sentiment}-panel"><h3>{title} {note}</h3><ul class="bars">{rows}</ul></div>')
    rows_of_table = [
        (
            emotion.label,
            SENTIMENT_NAMES[emotion.sentiment].lower(),
            f"{emotion.share.count:,}",
            percent(emotion.share.share),
            interval(emotion.share.low, emotion.share.high),
            "–" if emotion.precision is None else f"{emotion.precision:.2f}",
            "–" if emotion.recall is None else f"{emotion.recall:.2f}",
        )
        for emotion in sorted(statistics.emotions, key=lambda emotion: -emotion.share.count)
    ]
    header = ("Emotion", "Sentiment", "Texts", "Share", "95% interval", "Precision*", "Recall*")
    lead = (
        f"Share of the {format_texts(statistics.texts)} with each emotion; a text may have several "
        f"({percent(statistics.multiple_emotions.share)} do). The thin line is the 95% interval of the share in the "
        "population from which these texts were sampled."
    )
    note = (
        '<p class="note">* On the model’s test set: precision is the share of correct predictions among all '
        "predictions of the emotion, recall the share of texts with the emotion that are found. The intervals do not "
        "include these errors.</p>"
    )
    return section(
        "emotions",
        "Emotions",
        lead,
        f'<figure class="panels" aria-label="Share of each emotion">{"".join(panels)}</figure>',
        table("Share of each emotion, as a table", header, rows_of_table),
        note,
    )


def _emotion_row(emotion: Emotion, largest: float) -> str:
    share = emotion.share
    chart = charts.bar(share.share, share.low, share.high, largest, emotion.sentiment)
    return (
        f'<li><span class="name">{escape(emotion.label)}</span>{chart}<span class="value">{percent(share.share)}</span>'
        f'<span class="range">{interval(share.low, share.high)}</span></li>'
    )


def co_occurrence(statistics: Statistics) -> str:
    """Render the section on emotions that occur together more often than expected by chance."""
    title = "Emotions that occur together"
    if not statistics.pairs:
        lead = "No two emotions occur together significantly more often than expected by chance."
        return section("together", title, lead)
    largest = max(pair.texts for pair in statistics.pairs)
    rows = "".join(
        f'<li><span class="name">{escape(pair.first)} + {escape(pair.second)}</span>'
        f"{charts.observed_and_expected(pair.texts, pair.expected, largest)}"
        f'<span class="value">{times(pair.lift)}</span>'
        f'<span class="range">{pair.texts:,} for {pair.expected:,.1f}</span></li>'
        for pair in statistics.pairs
    )
    lead = (
        "Number of texts with both emotions; the mark is the number expected by chance, if the two were independent. "
        "The strongest associations come first."
    )
    note = (
        f'<p class="note">{statistics.pairs_compared:,} pairs were tested; those shown are significantly more frequent '
        "than expected by chance (95%, Bonferroni-corrected).</p>"
    )
    header = ("Emotions", "Texts", "Expected by chance", "Ratio", "95% interval, simultaneous")
    data = [
        (
            f"{pair.first} + {pair.second}",
            f"{pair.texts:,}",
            f"{pair.expected:,.1f}",
            f"{pair.lift:.1f}",
            f"{pair.low:.1f}–{pair.high:.1f}",
        )
        for pair in statistics.pairs
    ]
    return section(
        "together",
        title,
        lead,
        f'<figure aria-label="{title}"><ul class="bars wide">{rows}</ul></figure>',
        note,
        table("Emotions that occur together, as a table", header, data),
    )


def uncertain_predictions(statistics: Statistics) -> str:
    """Render the section on uncertain predictions."""
    tiles = [
        (statistics.no_label.share, "of texts reach no threshold", "They count as having no clear emotion."),
        (
            statistics.near.share,
            f"have a label within {NEAR_MARGIN} of its threshold",
            "A small change would add or remove it.",
        ),
    ]
    items = "".join(f"<li><b>{percent(share)}</b> {what}<small>{why}</small></li>" for share, what, why in tiles)
    counts = [
        (
            statistics.long_texts,
            "long texts read in overlapping windows",
            "Their probabilities blend those of the windows.",
        ),
        (statistics.missing, "rows without a text", "They are excluded from all statistics."),
    ]
    items += "".join(f"<li><b>{count:,}</b> {what}<small>{why}</small></li>" for count, what, why in counts)
    examples = "".join(
        f'<li><blockquote dir="auto">{escape(example.text)}</blockquote>'
        f'<span class="range">best guess: {escape(example.labels[0][0])} {example.labels[0][1]:.2f}</span></li>'
        for example in statistics.unsure
    )
    least = f'<h3>Least certain predictions</h3><ul class="quotes">{examples}</ul>' if examples else ""
    rows = [
        (
            emotion.label,
            f"{emotion.threshold:.2f}",
            percent(emotion.if_higher),
            percent(emotion.share.share),
            percent(emotion.if_lower),
            f"{emotion.near:,}",
        )
        for emotion in statistics.emotions
    ]
    header = (
        *("Emotion", "Threshold", f"Share, thresholds {NEAR_MARGIN} higher", "Share"),
        *(f"Share, thresholds {NEAR_MARGIN} lower", "Texts near the threshold"),
    )
    return section(
        "doubts",
        "Uncertain predictions",
        "Shares are estimates: besides sampling variation, the model is uncertain about some texts.",
        f'<ul class="tiles">{items}</ul>',
        table("How much the shares depend on the thresholds", header, rows),
        least,
    )
