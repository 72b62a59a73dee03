"""Tables as HTML: values, comparison of two models, passages, rows. Visitors' text is always escaped."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from evenmood import Prediction
from space.components.labels import EMOJI, below_threshold, label_chips, note
from space.components.predictions import PredictionDict
from space.components.support import mentions_self_harm
from space.components.texts import join_names, label_name, translate, translate_html

MIN_COMPARED_LABELS = 6
"""Minimum number of labels in a comparison that are not folded away."""


def table(head: Sequence[str], rows: Sequence[str], caption: str, kind: str = "plain") -> str:
    """Render a scrollable table; `head` is plain text, `rows` are HTML."""
    cells = "".join(f'<th scope="col"><span>{escape(cell)}</span></th>' if cell else "<td></td>" for cell in head)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="{kind}">'
        f"<thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def values_table(rows: Sequence[Sequence[str]], caption: str) -> str:
    """Render a table of text and numbers; the first row is the header."""
    body = [
        f'<tr><th scope="row">{escape(row[0])}</th>'
        f"{''.join(f'<td class=number>{escape(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows[1:]
    ]
    return table(list(rows[0]), body, caption)


def comparison(language: str, titles: tuple[str, str], predictions: tuple[PredictionDict, PredictionDict]) -> str:
    """Render two predictions side by side, predicted labels first; differences and fallbacks are marked."""
    first, second = (set(prediction["labels"]) for prediction in predictions)
    above_threshold = [set() if prediction["fallback"] else set(prediction["labels"]) for prediction in predictions]

    def marked_name(label: str) -> str:
        name = label_name(language, label)
        return name if label in above_threshold[0] | above_threshold[1] else below_threshold(language, name)

    names = [marked_name(label) for label in sorted(first ^ second)]
    verdict = (
        note(language, "compare_differ", labels=join_names(language, names))
        if names
        else note(language, "compare_same")
    )
    labels = list(dict.fromkeys([*predictions[0]["probabilities"], *predictions[1]["probabilities"]]))

    def value(prediction: PredictionDict, label: str) -> float | None:
        return prediction["probabilities"].get(label)

    def key(label: str) -> tuple[bool, float]:
        return label not in first | second, -max(value(prediction, label) or 0.0 for prediction in predictions)

    rows = []
    for label in sorted(labels, key=key):
        values = [value(prediction, label) for prediction in predictions]
        models = [
            titles[index] if label in above_threshold[index] else below_threshold(language, titles[index])
            for index, predicted in enumerate((first, second))
            if label in predicted
        ]
        predicted_by = join_names(language, models) if models else ""
        if len(models) == 1:
            predicted_by = translate(language, "only", model=models[0])
        elif label in above_threshold[0] & above_threshold[1]:
            predicted_by = translate(language, "both")
        change = "" if None in values else f"{(values[1] or 0) - (values[0] or 0):+.2f}"
        cells = "".join(
            f'<td class="number{" predicted" if label in reached else ""}">'
            f"{'–' if probability is None else f'{probability:.2f}'}</td>"
            for probability, reached in zip(values, above_threshold, strict=True)
        )
        differs = ' class="differs"' if len(models) == 1 else ""
        rows.append(
            f'<tr{differs}><th scope="row"><span class="face" aria-hidden="true">{EMOJI.get(label, "")}</span> '
            f"{escape(label_name(language, label))}{' ≠' if differs else ''}</th>{cells}"
            f'<td class="number change">{change}</td><td class="models">{escape(predicted_by)}</td></tr>'
        )
    head = [
        translate(language, "label"),
        *titles,
        translate(language, "difference"),
        translate(language, "predicted_by"),
    ]
    count, caption = max(len(first | second), MIN_COMPARED_LABELS), translate(language, "tab_compare")
    remaining = len(rows) - count
    summary = translate_html(language, "other_labels", count=remaining)
    folded = table(head, rows[count:], translate(language, "other_labels", count=remaining), "plain versus")
    return (
        verdict
        + table(head, rows[:count], caption, "plain versus")
        + f'<details class="others"><summary>{summary}</summary>{folded}</details>'
    )


def passages_table(
    language: str,
    passages: Sequence[Any],
    predictions: Sequence[Prediction],
    highest: np.ndarray,
    flagged: Sequence[bool],
) -> str:
    """Render passages with their labels and highest probability; flagged ones have a sign and a color."""
    rows = []
    for number, (passage, prediction, value, flag) in enumerate(
        zip(passages, predictions, highest, flagged, strict=True), 1
    ):
        chips = label_chips(language, prediction.labels, prediction.fallback, mentions_self_harm(passage.text))
        speaker = f"<b>{escape(passage.speaker)}</b> " if passage.speaker else ""
        kind = ' class="differs"' if flag else ""
        rows.append(
            f'<tr{kind}><th scope="row">{"⚑ " if flag else ""}{number}</th><td class="chips">{chips}</td>'
            f'<td class="number">{value:.2f}</td><td class="text">{speaker}{escape(passage.text)}</td></tr>'
        )
    head = [translate(language, key) for key in ("passage", "labels", "probability", "text")]
    return table(head, rows, translate(language, "tab_long"), "plain rows")


def rows_table(language: str, rows: Sequence[tuple[str, Sequence[str], bool, float | None]]) -> str:
    """Render the rows of a visitor's table.

    Args:
        language: Language of the page.
        rows: Text, labels, whether they are a fallback, and the probability; a row without text has no labels and no
            probability.
    """
    body = []
    for text, labels, fallback, value in rows:
        chips = label_chips(language, labels, fallback, mentions_self_harm(text))
        number = "" if value is None else f"{value:.2f}"
        body.append(
            f'<tr><td class="chips">{chips}</td><td class="number">{number}</td>'
            f'<td class="text">{escape(text)}</td></tr>'
        )
    head = [translate(language, key) for key in ("labels", "probability", "text")]
    return table(head, body, translate(language, "table"), "plain rows")
