"""HTML of answers: chips, bars, words, comparisons, a heat map. Whatever comes from a visitor is escaped."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from evenmood import GROUP_OF, Prediction, WordWeight
from space.components.answers import Answer
from space.components.texts import label_name, listed, say, say_html

SIGNS = {"positive": "+", "negative": "−", "ambiguous": "?", "neutral": "="}
"""Beside each group's colour, for those who do not see the colour."""
COLOURS = {"positive": "#1b7f3b", "negative": "#b3304a", "ambiguous": "#8a6100", "neutral": "#50647d"}
"""Of groups; white letters on them reach contrast AA."""
EMOJI = {
    **{"admiration": "👏", "amusement": "😂", "anger": "😡", "annoyance": "😒", "approval": "👍", "caring": "🤗"},
    **{"confusion": "😕", "curiosity": "🤔", "desire": "😍", "disappointment": "😞", "disapproval": "👎"},
    **{"disgust": "🤢", "embarrassment": "😳", "excitement": "🤩", "fear": "😨", "gratitude": "🙏", "grief": "😭"},
    **{"joy": "😄", "love": "❤️", "nervousness": "😬", "optimism": "🤞", "pride": "😌", "realization": "💡"},
    **{"relief": "😅", "remorse": "😔", "sadness": "😢", "surprise": "😲", "neutral": "😐"},
}
SHOWN_REST = 500
"""Characters shown of what the model did not read."""
FEW = 30
"""Test texts under which a figure is called unreliable."""
NOTE = '<p class="note">{}</p>'


def group_of(label: str) -> str:
    """Sentiment group of a label; `neutral` for one that is none of GoEmotions'."""
    return GROUP_OF.get(label, "neutral")


def group_name(language: str, label: str) -> str:
    """Its name in a language."""
    group = group_of(label)
    return say(language, "neutral_group" if group == "neutral" else group)


def colour_map(language: str) -> dict[str, str]:
    """Colour of each group, by its name in a language."""
    return {
        say(language, "neutral_group" if group == "neutral" else group): colour for group, colour in COLOURS.items()
    }


def note(language: str, key: str, **values: Any) -> str:
    """A small line."""
    return NOTE.format(say_html(language, key, **values))


def in_words(language: str, found: Answer) -> str:
    """The answer as a sentence."""

    def named(score: Any) -> str:
        return f"{label_name(language, score['label'])} ({score['probability']:.0%})"

    first, *more = found["scores"]
    if found["fallback"]:
        return say(language, "sentence_fallback", first=named(first))
    if not more:
        return say(language, "sentence_one", labels=named(first))
    return say(language, "sentence_more", first=named(first), labels=listed(language, [named(score) for score in more]))


def chips(language: str, found: Answer) -> str:
    """The labels that are given, each with its emoji, on its group's colour; a fallback is outlined and says so."""
    fallback = found["fallback"]

    def chip(score: Any) -> str:
        label = score["label"]
        spoken = say(
            language,
            "chip_fallback" if fallback else "chip",
            label=label_name(language, label),
            group=group_name(language, label),
            probability=f"{score['probability']:.2f}",
            threshold=f"{score['threshold']:.2f}",
        )
        below = f" <small>{say_html(language, 'below_threshold')}</small>" if fallback else ""
        return (
            f'<li class="{_chip_class(label, fallback)}" title="{escape(spoken)}"><span aria-hidden="true">'
            f"{EMOJI.get(label, '')} {SIGNS[group_of(label)]}</span> {escape(label_name(language, label))} "
            f"<b>{score['probability']:.0%}</b>{below}</li>"
        )

    return f'<ul class="chips">{"".join(map(chip, found["scores"]))}</ul>'


def _chip_class(label: str, fallback: bool, size: str = "") -> str:
    """Classes of a chip: solid for a label that reaches its threshold, outlined for a fallback."""
    return " ".join(filter(None, ["chip", size, "fallback" if fallback else "", group_of(label)]))


def below_threshold(language: str, name: str) -> str:
    """A name of a label or a model, with the remark that the threshold is not reached."""
    return say(language, "named_below", name=name)


def names_of(language: str, prediction: Prediction) -> str:
    """The labels of a prediction in one line."""
    names = ", ".join(label_name(language, label) for label in prediction.labels)
    return below_threshold(language, names) if prediction.fallback else names


def bars(language: str, found: Answer, thresholds: Any) -> str:
    """All labels as bars with their thresholds: those given, and the others, sorted and folded away.

    A fallback appears among the predicted labels, marked as below its threshold.
    """

    def bar(label: str, given: bool) -> str:
        group, value, cut = group_of(label), found["probabilities"][label], thresholds[label]
        name, named = label_name(language, label), escape(group_name(language, label))
        spoken = escape(
            say(
                language,
                "bar_fallback" if given and found["fallback"] else "bar",
                label=name,
                group=group_name(language, label),
                probability=f"{value:.2f}",
                threshold=f"{cut:.2f}",
            )
        )
        kind = "" if not given else " fallback" if found["fallback"] else " given"
        below = f"; {say_html(language, 'below_threshold')}" if kind == " fallback" else ""
        return (
            f'<div class="bar{kind}" role="img" aria-label="{spoken}" title="{spoken}">'
            f'<span class="name">{escape(name)}<small>{SIGNS[group]} {named}{below}</small></span>'
            f'<span class="track"><span class="fill {group}" style="width:{value:.1%}"></span>'
            f'<span class="tick" style="left:{cut:.1%}"></span></span><span class="value">{value:.2f}</span></div>'
        )

    given = found["labels"]
    others = sorted((label for label in found["probabilities"] if label not in given), key=found["probabilities"].get)  # type: ignore[arg-type]
    return (
        f'<div class="bars">{"".join(bar(label, True) for label in given)}</div>'
        + note(language, "threshold_note")
        + f'<details class="others"><summary>{say_html(language, "others", count=len(others))}</summary>'
        + f'<div class="bars">{"".join(bar(label, False) for label in reversed(others))}</div></details>'
    )


def quality(language: str, found: Answer, per_label: Any) -> str:
    """How often each given label is right, as it was measured; that says nothing about a fallback."""
    if found["fallback"]:
        return note(language, "quality_fallback")
    lines = []
    for label in found["labels"]:
        try:
            row = per_label[label]
            line = say_html(
                language,
                "quality_line",
                label=label_name(language, label),
                precision=f"{row['precision']:.0%}",
                low=f"{row['precision_low']:.0%}",
                high=f"{row['precision_high']:.0%}",
                recall=f"{row['recall']:.0%}",
                support=f"{row['support']:,}",
            )
            few = f" <strong>{say_html(language, 'quality_few')}</strong>" if row["support"] < FEW else ""
        except (KeyError, TypeError, ValueError):  # a model of one's own need not carry figures
            return note(language, "quality_none")
        lines.append(f"<li>{line}{few}</li>")
    return f'<ul class="quality">{"".join(lines)}</ul>'


def words_view(language: str, text: str, words: Sequence[WordWeight], label: str | None) -> str:
    """The text, each word shaded by its weight: orange speaks for the label (or has attention), blue against it."""
    if not words:
        return note(language, "no_words")
    strongest = max(abs(word.weight) for word in words) or 1.0
    pieces, end = [], 0
    for word in words:
        if label:
            name = label_name(language, label)
            key = "left_out_up" if word.weight >= 0 else "left_out_down"
            told = say(language, key, label=name, change=f"{abs(word.weight):.3f}")
        else:
            told = say(language, "share_of_attention", share=f"{word.weight:.0%}")
        told += "" if word.known else f"; {say(language, 'unknown_word')}"
        kind = "against" if word.weight < 0 else "for"
        strong = " strong" if label and abs(word.weight) > strongest / 3 else ""
        pieces.append(escape(text[end : word.start]))
        pieces.append(
            f'<mark class="{kind}{strong}" style="--weight:{abs(word.weight) / strongest:.2f}" title="{escape(told)}">'
            f"{escape(word.text)}</mark>"
        )
        end = word.end
    legend = "legend_left_out" if label else "legend_attention"
    below = note(language, legend, label=label_name(language, label or "")) + _word_list(language, words)
    rest = text[end:][:SHOWN_REST]  # punctuation after the last word
    return f'<div class="words">{"".join(pieces)}{escape(rest)}</div>{below}'


def _word_list(language: str, words: Sequence[WordWeight]) -> str:
    """The same as numbers, for those who cannot point at a word."""
    lines = "".join(f"<li>{escape(word.text)}: {word.weight:+.3f}</li>" for word in words)
    return f"<details><summary>{say_html(language, 'word_list')}</summary><ol>{lines}</ol></details>"


def comparison(language: str, titles: tuple[str, str], found: tuple[Answer, Answer]) -> str:
    """Two answers side by side, label by label, those that either gives first; differences and fallbacks are marked."""
    first, second = (set(answer["labels"]) for answer in found)
    reached = [set() if answer["fallback"] else set(answer["labels"]) for answer in found]

    def shown_name(label: str) -> str:
        name = label_name(language, label)
        return name if label in reached[0] | reached[1] else below_threshold(language, name)

    names = [shown_name(label) for label in sorted(first ^ second)]
    verdict = (
        note(language, "compare_differ", labels=listed(language, names)) if names else note(language, "compare_same")
    )
    labels = list(dict.fromkeys([*found[0]["probabilities"], *found[1]["probabilities"]]))

    def value(answer: Answer, label: str) -> float | None:
        return answer["probabilities"].get(label)

    def key(label: str) -> tuple[bool, float]:
        return label not in first | second, -max(value(answer, label) or 0.0 for answer in found)

    rows = []
    for label in sorted(labels, key=key):
        values = [value(answer, label) for answer in found]
        by = [
            titles[index] if label in reached[index] else below_threshold(language, titles[index])
            for index, given in enumerate((first, second))
            if label in given
        ]
        who = say(language, "only", model=by[0]) if len(by) == 1 else listed(language, by) if by else ""
        if label in reached[0] & reached[1]:
            who = say(language, "both")
        change = "" if None in values else f"{(values[1] or 0) - (values[0] or 0):+.2f}"
        cells = "".join(
            f'<td class="number{" given" if label in given else ""}">{"–" if shown is None else f"{shown:.2f}"}</td>'
            for shown, given in zip(values, reached, strict=True)
        )
        differs = ' class="differs"' if len(by) == 1 else ""
        rows.append(
            f'<tr{differs}><th scope="row">{EMOJI.get(label, "")} {escape(label_name(language, label))}</th>{cells}'
            f'<td class="number">{change}</td><td>{"≠ " if differs else ""}{escape(who)}</td></tr>'
        )
    head = [say(language, "label"), *titles, say(language, "difference"), say(language, "given_by")]
    return verdict + _table(head, rows, say(language, "tab_compare"))


def heat_map(language: str, labels: Sequence[str], counts: np.ndarray) -> str:
    """How many rows carry two labels, counts of shape (n, n); only labels that occur."""
    used = [index for index in range(len(labels)) if counts[index, index]]
    used.sort(key=lambda index: -counts[index, index])
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
    return _table(head, rows, say(language, "co_occurrence"), "heat")


def figures_table(rows: Sequence[Sequence[str]], caption: str) -> str:
    """A table of words and numbers; the first row is its head."""
    body = [
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows[1:]
    ]
    return _table(list(rows[0]), body, caption)


def _table(head: Sequence[str], rows: Sequence[str], caption: str, kind: str = "plain") -> str:
    cells = "".join(f'<th scope="col"><span>{escape(cell)}</span></th>' if cell else "<td></td>" for cell in head)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="{kind}">'
        f"<thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def progress_bar(share: float | None, told: str) -> str:
    """How far a long job is."""
    value = "" if share is None else f' value="{min(share, 1.0):.3f}"'
    return f'<progress max="1"{value} aria-label="{escape(told)}"></progress><p class="note">{escape(told)}</p>'


def passages_table(
    language: str, passages: Sequence[Any], given: Sequence[Prediction], highest: np.ndarray, marked: Sequence[bool]
) -> str:
    """Passages with their labels, in order; `marked` ones stand out, by a sign as well as by colour."""
    rows = []
    speakers = any(passage.speaker for passage in passages)
    for number, (passage, answer, value, mark) in enumerate(zip(passages, given, highest, marked, strict=True), 1):
        below = f" <small>{say_html(language, 'below_threshold')}</small>" if answer.fallback else ""
        shown = "".join(
            f'<span class="{_chip_class(label, answer.fallback, "small")}"><span aria-hidden="true">'
            f"{EMOJI.get(label, '')}</span> {escape(label_name(language, label))}{below}</span>"
            for label in answer.labels
        )
        who = f"<td>{escape(passage.speaker)}</td>" if speakers else ""
        kind = ' class="differs"' if mark else ""
        rows.append(
            f'<tr{kind}><th scope="row">{"⚑ " if mark else ""}{number}</th>{who}'
            f'<td class="said">{escape(passage.text)}</td><td>{shown}</td><td class="number">{value:.2f}</td></tr>'
        )
    head = [say(language, "passage"), *([say(language, "speaker")] if speakers else [])]
    head += [say(language, "text"), say(language, "labels"), say(language, "probability")]
    return _table(head, rows, say(language, "tab_long"))
