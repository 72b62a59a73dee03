"""Explain a prediction by word: attention weights, or leave-one-out changes."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from evenmood.onnx.backend_errors import convert_model_errors
from evenmood.onnx.inference import TextTokenizer, attention_by_word
from evenmood.onnx.network import Network
from evenmood.prediction import WordWeight
from evenmood.text.fast_batch_tokenizer import BatchTokenizer
from evenmood.text.windows import Span, combine, window_spans


def attention_weights(network: Network, tokenizer: BatchTokenizer, text: str) -> list[WordWeight]:
    """Compute each word's share of the attention; see `EmotionClassifier.explain`."""
    with convert_model_errors():
        spans = _windows(tokenizer, text)
        words_by_window = [
            (start, attention_by_word(network, tokenizer.tokenizer, text[start:end], tokenizer.max_length))
            for start, end in spans
        ]
    weights: dict[int, WordWeight] = {}
    for start, words in words_by_window:
        for word in words:
            _add(weights, word, start, word.weight / len(spans))
    return list(weights.values())


def leave_one_out(
    predict_proba: Callable[[Sequence[str]], np.ndarray],
    tokenizer: TextTokenizer,
    text: str,
    columns: Sequence[int],
    weight_of: Callable[[np.ndarray], float],
) -> list[WordWeight]:
    """Compute the change in probabilities when each word is removed.

    Args:
        predict_proba: Returns the probabilities of texts within the model's maximum length.
        tokenizer: The model's tokenizer.
        text: Any text.
        columns: Columns of the labels to explain.
        weight_of: Converts the decrease of their probabilities, shape (columns,), to a weight.
    """
    with convert_model_errors():
        spans = _windows(tokenizer, text)
        parts = [text[slice(*span)] for span in spans]
        words_of = [tokenizer.words(part) for part in parts]
    whole = predict_proba(parts)[:, columns]
    combined = combine(whole)
    weights: dict[int, WordWeight] = {}
    for index, ((start, _), part) in enumerate(zip(spans, parts, strict=True)):
        without = [f"{part[: word.start]} {part[word.end :]}" for word in words_of[index]]
        for word, reduced in zip(words_of[index], predict_proba(without)[:, columns], strict=True):
            probabilities = whole.copy()
            probabilities[index] = reduced
            _add(weights, word, start, weight_of(combined - combine(probabilities)))
    return list(weights.values())


def shares(words: Sequence[WordWeight]) -> list[WordWeight]:
    """Normalize weights to sum to 1; equal weights if all are 0."""
    total = sum(word.weight for word in words)
    return [replace(word, weight=word.weight / total if total else 1 / len(words)) for word in words]


def _add(weights: dict[int, WordWeight], word: WordWeight, start: int, weight: float) -> None:
    """Add the weight of a word in the window that begins at `start`; overlapping windows add up."""
    previous = weights.get(start + word.start)
    weight += previous.weight if previous else 0
    weights[start + word.start] = replace(word, start=start + word.start, end=start + word.end, weight=weight)


def _windows(tokenizer: TextTokenizer, text: str) -> list[Span]:
    """Return the spans of the windows of a text; only one if the text is within the maximum length."""
    if tokenizer.encode([text]).token_counts[0] <= tokenizer.max_length:
        return [(0, len(text))]
    return window_spans(text, tokenizer.max_length, lambda parts: tokenizer.encode(parts).token_counts)
