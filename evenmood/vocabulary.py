"""Digest of a tokenizer's vocabulary: ties `model.onnx` to the `tokenizer.json` that its embedding was trained with."""

import hashlib
import json
from collections.abc import Mapping

SIZE_KEY = "vocabulary_size"
VOCABULARY_KEY = "vocabulary_sha256"
FILE_KEY = "tokenizer_sha256"
"""Keys of the ONNX metadata. The digest of the whole file spares parsing it: it differs where the file was rewritten,
and the vocabulary may be the same all the same."""


def digests(tokenizer: str) -> dict[str, str]:
    """Metadata for `model.onnx`: SHA-256 of the vocabulary, and of the whole file.

    Args:
        tokenizer: Content of `tokenizer.json`.

    Raises:
        ValueError: Not JSON, or there is no vocabulary in it.
    """
    return {FILE_KEY: _sha256(tokenizer), VOCABULARY_KEY: _vocabulary_sha256(tokenizer)}


def same_vocabulary(metadata: Mapping[str, str], tokenizer: str) -> bool:
    """Whether `tokenizer.json` has the vocabulary that the metadata of `model.onnx` names; true where it names none."""
    expected = metadata.get(VOCABULARY_KEY)
    return expected is None or metadata.get(FILE_KEY) == _sha256(tokenizer) or expected == _vocabulary_sha256(tokenizer)


def _vocabulary_sha256(tokenizer: str) -> str:
    try:
        vocabulary = json.loads(tokenizer)["model"]["vocab"]
    except (KeyError, TypeError):
        raise ValueError("no vocabulary in tokenizer.json") from None
    return _sha256(json.dumps(vocabulary, sort_keys=True, separators=(",", ":")))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
