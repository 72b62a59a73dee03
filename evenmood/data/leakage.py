"""Leakage check: find texts that duplicate or nearly duplicate a validation or test text."""

from collections.abc import Iterable

from datasketch import MinHash, MinHashLSH

from evenmood.data.rows import text_hash
from evenmood.text.normalization import clean

NEAR = 0.8
"""Minimum Jaccard similarity of word 3-shingles for two texts to count as near-duplicates."""
SHINGLE = 3
"""Words per shingle."""
PERMUTATIONS = 128
MISSED = 1e-4
"""Share of pairs exactly at the threshold that the index may miss; its candidates are then compared exactly."""


class Known:
    """A growing set of texts that finds duplicates and near-duplicates."""

    def __init__(self, near: float, texts: Iterable[str] = ()) -> None:
        """Create the set.

        Args:
            near: Minimum Jaccard similarity of word 3-shingles for two texts to count as near-duplicates.
            texts: Initial texts.
        """
        self._near = near
        self._hashes: set[str] = set()
        self._shingles: dict[str, frozenset[str]] = {}
        self._all_shingles: set[str] = set()
        self._index = MinHashLSH(num_perm=PERMUTATIONS, params=_bands(near))
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Add a text."""
        self._hashes.add(text_hash(text))
        if new_shingles := shingles(text):
            name = str(len(self._shingles))
            self._shingles[name] = new_shingles
            self._all_shingles |= new_shingles
            self._index.insert(name, _minhash(new_shingles))

    def equals(self, text: str) -> bool:
        """Whether the set contains the same text after cleaning."""
        return text_hash(text) in self._hashes

    def nearly_equals(self, text: str) -> bool:
        """Whether the set contains a near-duplicate of the text."""
        own = shingles(text)
        # The overlap with one text is at most the overlap with all: this skips the slow index query for most texts.
        if not own or len(own & self._all_shingles) / len(own) < self._near:
            return False
        return any(similarity(own, self._shingles[name]) >= self._near for name in self._index.query(_minhash(own)))


class Leakage:
    """Rejects training texts that duplicate or nearly duplicate a held-out text."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Index the held-out texts: those of the validation and test splits."""
        self._held_out = Known(NEAR, texts)

    def reason(self, text: str) -> str | None:
        """Why a text must not be used for training; None if it may be used."""
        if self._held_out.equals(text):
            return "equals a validation or test text"
        return "nearly equals a validation or test text" if self._held_out.nearly_equals(text) else None


def similarity(first: frozenset[str], second: frozenset[str]) -> float:
    """Jaccard similarity of two sets of shingles; 0 if either is empty."""
    return len(first & second) / len(first | second) if first and second else 0.0


def shingles(text: str) -> frozenset[str]:
    """Word 3-shingles of the cleaned text; empty for fewer than three words."""
    words = clean(text).split()
    return frozenset(" ".join(words[at : at + SHINGLE]) for at in range(len(words) - SHINGLE + 1))


def _bands(near: float) -> tuple[int, int]:
    """Number of LSH bands and rows per band: the longest bands that miss at most `MISSED` of the pairs at `near`.

    Two texts of similarity s agree in a band of r rows with probability s^r (https://www.mmds.org, chapter 3).
    """
    size = max(size for size in range(1, 9) if (1 - near**size) ** (PERMUTATIONS // size) <= MISSED)
    return PERMUTATIONS // size, size


def _minhash(text_shingles: frozenset[str]) -> MinHash:
    minhash = MinHash(num_perm=PERMUTATIONS, seed=1)
    minhash.update_batch([shingle.encode() for shingle in sorted(text_shingles)])
    return minhash
