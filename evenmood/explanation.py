"""Which words an answer rests on: the attention that fell on them, or what leaving each out changes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evenmood.model.inference import attended_words, model_errors
from evenmood.prediction import WordWeight
from evenmood.text.fast_batch_tokenizer import BatchTokenizer
from evenmood.text.spans import words_read
from evenmood.text.windows import Span, combine, window_spans


def attention_weights(session: Any, encoder: BatchTokenizer, text: str) -> list[WordWeight]:
    """See `EmotionClassifier.explain`."""
    with model_errors():
        spans = _windows(encoder, text)
        read = [
            (start, attended_words(session, encoder.tokenizer, text[start:end], encoder.max_length))
            for start, end in spans
        ]
    found: dict[int, WordWeight] = {}
    for start, words in read:
        for word in words:
            _add(found, word, start, word.weight / len(spans))
    return list(found.values())


def leave_one_out(
    predict_proba: Callable[[Sequence[str]], np.ndarray], encoder: BatchTokenizer, text: str, column: int
) -> list[WordWeight]:
    """See `EmotionClassifier.leave_one_out`; `column` is the label's."""
    with model_errors():
        spans = _windows(encoder, text)
        parts = [text[slice(*span)] for span in spans]
        words_of = [words_read(encoder.tokenizer, part)[0] for part in parts]
    whole = predict_proba(parts)[:, [column]]
    before = float(combine(whole)[0])
    found: dict[int, WordWeight] = {}
    for place, ((start, _), part) in enumerate(zip(spans, parts, strict=True)):
        without = [f"{part[: word.start]} {part[word.end :]}" for word in words_of[place]]
        for word, left in zip(words_of[place], predict_proba(without)[:, column], strict=True):
            changed = whole.copy()
            changed[place] = left
            _add(found, word, start, before - float(combine(changed)[0]))
    return list(found.values())


def _add(found: dict[int, WordWeight], word: WordWeight, start: int, weight: float) -> None:
    """Add the weight of a word in the window that begins at `start`; windows overlap."""
    earlier = found.get(start + word.start)
    weight += earlier.weight if earlier else 0
    found[start + word.start] = replace(word, start=start + word.start, end=start + word.end, weight=weight)


def _windows(encoder: BatchTokenizer, text: str) -> list[Span]:
    """Where the windows of a text lie; one where it is not longer than the model reads at once."""
    if encoder.encode([text]).tokens[0] <= encoder.max_length:
        return [(0, len(text))]
    return window_spans(text, encoder.max_length, lambda parts: encoder.encode(parts).tokens)
