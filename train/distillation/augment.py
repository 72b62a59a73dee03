"""Further texts like those of a training split, for a teacher to label: words replaced, left out, parts taken.

The student of a teacher learns from what the teacher says of any text, and of the right kind there are never enough
(Tang et al. 2019, https://arxiv.org/abs/1903.12136; words replaced by near ones: Jiao et al. 2020,
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
"""Times that the split has a word which replaces others."""
NEAREST = 12
"""Words that may stand for a word."""
REPLACED, LEFT_OUT, CUT = 0.25, 0.1, 0.3
"""Share of the words that are replaced and left out, and of the texts of which a part alone is taken."""
SHORTEST = 3
"""Words that a part of a text has at the least."""
BLOCK = 2048
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


def augment(data: str, encoder: str, out: Path, copies: int, seed: int, log: Callable[[str], None]) -> int:
    """Write a text file, a text a line, of `copies` new texts for each of the training split's, without duplicates.

    Args:
        data: Data set whose training split is read, as in `load_split`.
        encoder: Folder or Hub id of a transformers encoder: words near to one another have vectors near to one another.
        out: File to write.
        copies: Texts drawn from each text.
        seed: Of everything random.
        log: Receives progress.

    Returns:
        The number of texts.

    Raises:
        DataError: The data or the encoder cannot be read.
    """
    texts = load_split(data, "train").texts
    vocabulary = fit_tokenizer(texts, MIN_FREQUENCY).get_vocab()
    words = sorted(vocabulary, key=vocabulary.__getitem__)[max(PAD_ID, UNKNOWN_ID) + 1 :]
    if len(words) <= NEAREST:
        raise DataError(f"{data}: only {len(words)} words that occur {MIN_FREQUENCY} times; too few to replace any")
    vectors = encoder_vectors(encoder, words, None, log)
    near = nearest_words(words, vectors)
    random, seen, made = Random(seed), {clean(text) for text in texts}, []  # noqa: S311 - not for secrets
    for _ in range(copies):
        for text in texts:
            new = " ".join(vary(text, near, random).split())
            key = clean(new)
            if key and key not in seen:
                seen.add(key)
                made.append(new)
    part = out.with_name(out.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text("".join(f"{text}\n" for text in made), encoding="utf-8")
    part.replace(out)
    return len(made)


def nearest_words(words: Sequence[str], vectors: np.ndarray, count: int = NEAREST) -> dict[str, list[str]]:
    """The words of highest cosine similarity to each word, highest first.

    Args:
        words: n words.
        vectors: Shape (n, size).
        count: Words for each, fewer than n.
    """
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    near = {}
    for start in range(0, len(words), BLOCK):
        cosines = units[start : start + BLOCK] @ units.T
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -1  # not the word itself
        best = np.argpartition(-cosines, count, axis=1)[:, :count]
        order = np.take_along_axis(cosines, best, axis=1).argsort(axis=1)[:, ::-1]
        for row, places in enumerate(np.take_along_axis(best, order, axis=1)):
            near[words[start + row]] = [words[place] for place in places]
    return near


def vary(text: str, near: Mapping[str, Sequence[str]], random: Random) -> str:
    """One new text: at times a part of the text, with words replaced by near ones, or left out; the rest stays.

    Args:
        text: Any text.
        near: Words that may stand for a word, in lower case and cleaned.
        random: The only source of chance.
    """
    parts = text.split()
    if len(parts) > SHORTEST and random.random() < CUT:
        length = random.randint(SHORTEST, len(parts) - 1)
        start = random.randint(0, len(parts) - length)
        parts = parts[start : start + length]

    def other(match: re.Match[str]) -> str:
        word = match[0]
        choices = near.get(clean(word)) if random.random() < REPLACED else None
        if not choices:
            return word
        new = random.choice(choices)
        return new.upper() if word.isupper() and len(word) > 1 else new.capitalize() if word[0].isupper() else new

    kept = [part for part in parts if random.random() >= LEFT_OUT] or parts
    return " ".join(_WORD.sub(other, part) for part in kept)
