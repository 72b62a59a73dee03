"""Tables as HTML: figures, two models side by side, passages, rows. Visitors' text is always escaped."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from evenmood import Prediction
from space.components.answers import Answer
from space.components.labels import EMOJI, below_threshold, label_chips, note
from space.components.support import speaks_of_self_harm
from space.components.texts import label_name, listed, say, say_html

LEAST_COMPARED = 6
"""Labels of a comparison that are shown unfolded."""


def table(head: Sequence[str], rows: Sequence[str], caption: str, kind: str = "plain") -> str:
    """A table that scrolls within itself; `head` is plain text, `rows` are HTML."""
    cells = "".join(f'<th scope="col"><span>{escape(cell)}</span></th>' if cell else "<td></td>" for cell in head)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="{kind}">'
        f"<thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def figures_table(rows: Sequence[Sequence[str]], caption: str) -> str:
    """A table of words and numbers; the first row is its head."""
    body = [
        f'<tr><th scope="row">{escape(row[0])}</th>'
        f"{''.join(f'<td class=number>{escape(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows[1:]
    ]
    return table(list(rows[0]), body, caption)


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

    rows, order = [], sorted(labels, key=key)
    for label in order:
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
            f'<tr{differs}><th scope="row"><span class="face" aria-hidden="true">{EMOJI.get(label, "")}</span> '
            f"{escape(label_name(language, label))}{' ≠' if differs else ''}</th>{cells}"
            f'<td class="number change">{change}</td><td class="who">{escape(who)}</td></tr>'
        )
    head = [say(language, "label"), *titles, say(language, "difference"), say(language, "given_by")]
    count, caption = max(len(first | second), LEAST_COMPARED), say(language, "tab_compare")
    others = table(head, rows[count:], say(language, "other_labels", count=len(rows) - count), "plain versus")
    return (
        verdict
        + table(head, rows[:count], caption, "plain versus")
        + f'<details class="others"><summary>{say_html(language, "other_labels", count=len(rows) - count)}</summary>'
        + f"{others}</details>"
    )


def passages_table(
    language: str, passages: Sequence[Any], given: Sequence[Prediction], highest: np.ndarray, marked: Sequence[bool]
) -> str:
    """Passages with their labels, in order; `marked` ones stand out, by a sign as well as by color."""
    rows = []
    speakers = any(passage.speaker for passage in passages)
    for number, (passage, answer, value, mark) in enumerate(zip(passages, given, highest, marked, strict=True), 1):
        chips = label_chips(language, answer.labels, answer.fallback, speaks_of_self_harm(passage.text))
        who = f"<b>{escape(passage.speaker)}</b> " if speakers and passage.speaker else ""
        kind = ' class="differs"' if mark else ""
        rows.append(
            f'<tr{kind}><th scope="row">{"⚑ " if mark else ""}{number}</th><td class="chips">{chips}</td>'
            f'<td class="number">{value:.2f}</td><td class="said">{who}{escape(passage.text)}</td></tr>'
        )
    head = [say(language, key) for key in ("passage", "labels", "probability", "text")]
    return table(head, rows, say(language, "tab_long"), "plain rows")


def rows_table(language: str, rows: Sequence[tuple[str, Sequence[str], bool, float | None]]) -> str:
    """Rows of a visitor's table: text, labels, whether they are a fallback, and the probability shown beside them.

    Labels stand before the text, which may be long; a row without a text has no label and no probability.
    """
    body = []
    for text, labels, fallback, value in rows:
        chips = label_chips(language, labels, fallback, speaks_of_self_harm(text))
        number = "" if value is None else f"{value:.2f}"
        body.append(
            f'<tr><td class="chips">{chips}</td><td class="number">{number}</td>'
            f'<td class="said">{escape(text)}</td></tr>'
        )
    head = [say(language, key) for key in ("labels", "probability", "text")]
    return table(head, body, say(language, "table"), "plain rows")
