"""Leakage check: find texts that duplicate or nearly duplicate a validation or test text."""

from collections.abc import Iterable

from datasketch import MinHash, MinHashLSH

from evenmood.data.rows import text_hash
from evenmood.text.normalization import clean

NEAR_DUPLICATE = 0.8
"""Minimum Jaccard similarity of word 3-shingles for two texts to count as near-duplicates."""
SHINGLE_WORDS = 3
PERMUTATIONS = 128
MAX_MISS_RATE = 1e-4
"""Maximum share of pairs exactly at the threshold that the LSH index may miss."""


class DuplicateIndex:
    """A growing set of texts that detects duplicates and near-duplicates."""

    def __init__(self, min_similarity: float, texts: Iterable[str] = ()) -> None:
        """Create the index.

        Args:
            min_similarity: Minimum Jaccard similarity of word 3-shingles for two texts to count as near-duplicates.
            texts: Initial texts.
        """
        self._min_similarity = min_similarity
        self._hashes: set[str] = set()
        self._shingles: dict[str, frozenset[str]] = {}
        self._all_shingles: set[str] = set()
        self._lsh = MinHashLSH(num_perm=PERMUTATIONS, params=_lsh_params(min_similarity))
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Add a text."""
        self._hashes.add(text_hash(text))
        if text_shingles := shingles(text):
            key = str(len(self._shingles))
            self._shingles[key] = text_shingles
            self._all_shingles |= text_shingles
            self._lsh.insert(key, _minhash(text_shingles))

    def has_duplicate(self, text: str) -> bool:
        """Return whether the index contains the same text after cleaning."""
        return text_hash(text) in self._hashes

    def has_near_duplicate(self, text: str) -> bool:
        """Return whether the index contains a near-duplicate of the text."""
        own = shingles(text)
        # The overlap with one text is at most the overlap with all: this skips the slow LSH query for most texts.
        if not own or len(own & self._all_shingles) / len(own) < self._min_similarity:
            return False
        candidates = self._lsh.query(_minhash(own))
        return any(similarity(own, self._shingles[key]) >= self._min_similarity for key in candidates)


class LeakageFilter:
    """Rejects training texts that duplicate or nearly duplicate a held-out text."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Index the held-out texts: those of the validation and test splits."""
        self._held_out = DuplicateIndex(NEAR_DUPLICATE, texts)

    def rejection_reason(self, text: str) -> str | None:
        """Return why a text must not be used for training; None if it may be used."""
        if self._held_out.has_duplicate(text):
            return "duplicate of a held-out text"
        return "near-duplicate of a held-out text" if self._held_out.has_near_duplicate(text) else None


def similarity(first: frozenset[str], second: frozenset[str]) -> float:
    """Compute the Jaccard similarity of two sets of shingles; 0 if either is empty."""
    return len(first & second) / len(first | second) if first and second else 0.0


def shingles(text: str) -> frozenset[str]:
    """Return the word 3-shingles of the cleaned text; empty for fewer than three words."""
    words = clean(text).split()
    return frozenset(" ".join(words[start : start + SHINGLE_WORDS]) for start in range(len(words) - SHINGLE_WORDS + 1))


def _lsh_params(min_similarity: float) -> tuple[int, int]:
    """Return the numbers of LSH bands and rows per band: the longest bands within `MAX_MISS_RATE`.

    Two texts of similarity s agree in a band of r rows with probability s^r (https://www.mmds.org, chapter 3).
    """
    rows = max(rows for rows in range(1, 9) if (1 - min_similarity**rows) ** (PERMUTATIONS // rows) <= MAX_MISS_RATE)
    return PERMUTATIONS // rows, rows


def _minhash(text_shingles: frozenset[str]) -> MinHash:
    minhash = MinHash(num_perm=PERMUTATIONS, seed=1)
    minhash.update_batch([shingle.encode() for shingle in sorted(text_shingles)])
    return minhash
