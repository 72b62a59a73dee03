"""Text augmentation for distillation: replace and remove words, and extract spans.

A student can learn from a teacher's probabilities for any text, so unlabeled texts similar to the training split are
useful (Tang et al. 2019, https://arxiv.org/abs/1903.12136; replacement with similar words: Jiao et al. 2020,
https://arxiv.org/abs/1909.10351).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random

import numpy as np

from evenmood.data.splits import load_split
from evenmood.errors import DataError
from evenmood.text.normalization import PAD_ID, UNKNOWN_ID, clean, fit_tokenizer
from train.vectors.encoder_vectors import encoder_vectors

MIN_FREQUENCY = 3
"""Minimum frequency of a replacement word in the split."""
NEIGHBORS = 12
"""Number of replacement candidates per word."""
REPLACE_RATE = 0.25
"""Probability of replacing a word."""
REMOVE_RATE = 0.1
"""Probability of removing a word."""
SPAN_RATE = 0.3
"""Probability of reducing a text to a span."""
MIN_SPAN_WORDS = 3
"""Minimum length of a span, in words."""
BLOCK = 2048
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


def augment(data: str, encoder: str, out: Path, copies: int, seed: int, log: Callable[[str], None]) -> int:
    """Write a text file with `copies` variants of each training text, one per line, without duplicates.

    Args:
        data: Data set whose training split is augmented, as in `load_split`.
        encoder: Folder or Hub id of a transformers encoder, to find similar words.
        out: Text file to write.
        copies: Number of variants per text.
        seed: Random seed.
        log: Called with progress messages.

    Returns:
        The number of texts.

    Raises:
        DataError: The data or the encoder cannot be read, or the vocabulary is too small.
    """
    texts = load_split(data, "train").texts
    vocabulary = fit_tokenizer(texts, MIN_FREQUENCY).get_vocab()
    words = sorted(vocabulary, key=vocabulary.__getitem__)[max(PAD_ID, UNKNOWN_ID) + 1 :]
    if len(words) <= NEIGHBORS:
        raise DataError(
            f"{data}: only {len(words)} words occur at least {MIN_FREQUENCY} times; expected more than {NEIGHBORS}"
        )
    vectors = encoder_vectors(encoder, words, None, log)
    near = nearest_words(words, vectors)
    random, known_texts, variants = Random(seed), {clean(text) for text in texts}, []  # noqa: S311 - not for secrets
    for _ in range(copies):
        for text in texts:
            new = " ".join(vary(text, near, random).split())
            key = clean(new)
            if key and key not in known_texts:
                known_texts.add(key)
                variants.append(new)
    part = out.with_name(out.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text("".join(f"{text}\n" for text in variants), encoding="utf-8")
    part.replace(out)
    return len(variants)


def nearest_words(words: Sequence[str], vectors: np.ndarray, count: int = NEIGHBORS) -> dict[str, list[str]]:
    """Find the words with the highest cosine similarity to each word, highest first.

    Args:
        words: n words.
        vectors: Word vectors: shape (n, size).
        count: Number of similar words, less than n.
    """
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    near = {}
    for start in range(0, len(words), BLOCK):
        cosines = units[start : start + BLOCK] @ units.T
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -1  # exclude the word itself
        best = np.argpartition(-cosines, count, axis=1)[:, :count]
        order = np.take_along_axis(cosines, best, axis=1).argsort(axis=1)[:, ::-1]
        for row, neighbors in enumerate(np.take_along_axis(best, order, axis=1)):
            near[words[start + row]] = [words[index] for index in neighbors]
    return near


def vary(text: str, near: Mapping[str, Sequence[str]], random: Random) -> str:
    """Create a variant of a text: possibly a span of it, with some words replaced or removed.

    Args:
        text: Any text.
        near: Replacement candidates for each cleaned word.
        random: Random generator.
    """
    parts = text.split()
    if len(parts) > MIN_SPAN_WORDS and random.random() < SPAN_RATE:
        length = random.randint(MIN_SPAN_WORDS, len(parts) - 1)
        start = random.randint(0, len(parts) - length)
        parts = parts[start : start + length]

    def replace_word(match: re.Match[str]) -> str:
        word = match[0]
        choices = near.get(clean(word)) if random.random() < REPLACE_RATE else None
        if not choices:
            return word
        new = random.choice(choices)
        return new.upper() if word.isupper() and len(word) > 1 else new.capitalize() if word[0].isupper() else new

    remaining = [part for part in parts if random.random() >= REMOVE_RATE] or parts
    return " ".join(_WORD.sub(replace_word, part) for part in remaining)
