"""Leakage: texts that equal or nearly equal one of validation or test, which may not enter training."""

from collections.abc import Iterable

from datasketch import MinHash, MinHashLSH

from evenmood.data.rows import text_hash
from evenmood.text.normalization import clean

NEAR = 0.8
"""Jaccard similarity of word 3-shingles from which on two texts are nearly equal."""
SHINGLE = 3
PERMUTATIONS = 128
MISSED = 1e-4
"""Share of pairs at the very threshold that the index may miss; what it finds is then compared exactly."""


class Known:
    """A growing set of texts, and whether another one equals or nearly equals one of them."""

    def __init__(self, near: float, texts: Iterable[str] = ()) -> None:
        """Take the Jaccard similarity of word 3-shingles from which on two texts are nearly equal, and texts."""
        self._near = near
        self._hashes: set[str] = set()
        self._shingles: dict[str, frozenset[str]] = {}
        self._every: set[str] = set()
        self._index = MinHashLSH(num_perm=PERMUTATIONS, params=_bands(near))
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Take one more text."""
        self._hashes.add(text_hash(text))
        if found := shingles(text):
            name = str(len(self._shingles))
            self._shingles[name] = found
            self._every |= found
            self._index.insert(name, _minhash(found))

    def equals(self, text: str) -> bool:
        """Whether one of the texts is the same after cleaning."""
        return text_hash(text) in self._hashes

    def nearly_equals(self, text: str) -> bool:
        """Whether one of the texts is nearly the same."""
        found = shingles(text)
        # What a text shares with one of them is among what it shares with all: most need no index, the slow part.
        if not found or len(found & self._every) / len(found) < self._near:
            return False
        return any(similarity(found, self._shingles[name]) >= self._near for name in self._index.query(_minhash(found)))


class Leakage:
    """The texts of validation and test, and whether another one equals or nearly equals one of them."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Take the held-out texts."""
        self._held = Known(NEAR, texts)

    def reason(self, text: str) -> str | None:
        """Why a text may not enter training; None if it may."""
        if self._held.equals(text):
            return "equals a validation or test text"
        return "nearly equals a validation or test text" if self._held.nearly_equals(text) else None


def similarity(first: frozenset[str], second: frozenset[str]) -> float:
    """Jaccard similarity; 0 where one has no shingles."""
    return len(first & second) / len(first | second) if first and second else 0.0


def shingles(text: str) -> frozenset[str]:
    """Runs of three words of the cleaned text; none where it has fewer."""
    words = clean(text).split()
    return frozenset(" ".join(words[at : at + SHINGLE]) for at in range(len(words) - SHINGLE + 1))


def _bands(near: float) -> tuple[int, int]:
    """Bands of the index and permutations in each: as many as miss no more than `MISSED` of the pairs at `near`.

    Two texts of similarity s share a band of r permutations with probability s^r (https://www.mmds.org, chapter 3).
    """
    size = max(size for size in range(1, 9) if (1 - near**size) ** (PERMUTATIONS // size) <= MISSED)
    return PERMUTATIONS // size, size


def _minhash(found: frozenset[str]) -> MinHash:
    minhash = MinHash(num_perm=PERMUTATIONS, seed=1)
    minhash.update_batch([shingle.encode() for shingle in sorted(found)])
    return minhash
