"""Explain a prediction by word: attention weights, or leave-one-out changes."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from evenmood.onnx.foreign_errors import model_errors
from evenmood.onnx.inference import TextTokenizer, attended_words
from evenmood.onnx.network import Network
from evenmood.prediction import WordWeight
from evenmood.text.fast_batch_tokenizer import BatchTokenizer
from evenmood.text.windows import Span, combine, window_spans


def attention_weights(network: Network, encoder: BatchTokenizer, text: str) -> list[WordWeight]:
    """See `EmotionClassifier.explain`."""
    with model_errors():
        spans = _windows(encoder, text)
        read = [
            (start, attended_words(network, encoder.tokenizer, text[start:end], encoder.max_length))
            for start, end in spans
        ]
    found: dict[int, WordWeight] = {}
    for start, words in read:
        for word in words:
            _add(found, word, start, word.weight / len(spans))
    return list(found.values())


def leave_one_out(
    predict_proba: Callable[[Sequence[str]], np.ndarray],
    encoder: TextTokenizer,
    text: str,
    columns: Sequence[int],
    combined: Callable[[np.ndarray], float],
) -> list[WordWeight]:
    """Change when a word is left out, for each word.

    Args:
        predict_proba: Gives the probabilities of texts, none of them longer than the model reads at once.
        encoder: The model's tokenizer.
        text: Any text.
        columns: Columns of the labels that are looked at.
        combined: Turns the fall of their probabilities, shape (columns,), into the weight.
    """
    with model_errors():
        spans = _windows(encoder, text)
        parts = [text[slice(*span)] for span in spans]
        words_of = [encoder.words(part) for part in parts]
    whole = predict_proba(parts)[:, columns]
    before = combine(whole)
    found: dict[int, WordWeight] = {}
    for place, ((start, _), part) in enumerate(zip(spans, parts, strict=True)):
        without = [f"{part[: word.start]} {part[word.end :]}" for word in words_of[place]]
        for word, left in zip(words_of[place], predict_proba(without)[:, columns], strict=True):
            changed = whole.copy()
            changed[place] = left
            _add(found, word, start, combined(before - combine(changed)))
    return list(found.values())


def shares(words: Sequence[WordWeight]) -> list[WordWeight]:
    """Weights that sum to 1; all the same where none has a weight."""
    total = sum(word.weight for word in words)
    return [replace(word, weight=word.weight / total if total else 1 / len(words)) for word in words]


def _add(found: dict[int, WordWeight], word: WordWeight, start: int, weight: float) -> None:
    """Add the weight of a word in the window that begins at `start`; windows overlap."""
    earlier = found.get(start + word.start)
    weight += earlier.weight if earlier else 0
    found[start + word.start] = replace(word, start=start + word.start, end=start + word.end, weight=weight)


def _windows(encoder: TextTokenizer, text: str) -> list[Span]:
    """Where the windows of a text lie; one where it is not longer than the model reads at once."""
    if encoder.encode([text]).tokens[0] <= encoder.max_length:
        return [(0, len(text))]
    return window_spans(text, encoder.max_length, lambda parts: encoder.encode(parts).tokens)
