"""Digest of a tokenizer's vocabulary: ties `model.onnx` to the `tokenizer.json` that its embedding was trained with."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from evenmood.errors import ModelError
from evenmood.text.normalization import PAD, PAD_ID

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
    return {FILE_KEY: _sha256(tokenizer), VOCABULARY_KEY: _vocabulary_sha256(_vocabulary(tokenizer))}


def check_vocabulary(metadata: Mapping[str, str], size: int, content: bytes, path: Path) -> None:
    """Check that a tokenizer has the vocabulary that `model.onnx` was trained with, if its metadata says which.

    Args:
        metadata: Metadata of `model.onnx`.
        size: Rows of the embedding.
        content: Content of `tokenizer.json`.
        path: Its path, for errors.

    Raises:
        ModelError: It is another vocabulary, or has ids outside the embedding.
    """
    text = content.decode("utf-8").replace("\r\n", "\n")
    expected = metadata.get(VOCABULARY_KEY)
    if expected and metadata.get(FILE_KEY) == _sha256(text):
        return
    vocabulary = _vocabulary(text)
    padding = [token for token, number in vocabulary.items() if number == PAD_ID and token != PAD]
    if padding:
        raise ModelError(f"{path}: {padding[0]!a:.60} has id {PAD_ID}, which is {PAD}'s")
    outside = [token for token, number in vocabulary.items() if not 0 <= number < size]
    if outside:
        raise ModelError(
            f"{path}: {outside[0]!a:.60} has id {vocabulary[outside[0]]}; model.onnx has ids from 0 to {size - 1}"
        )
    if expected and expected != _vocabulary_sha256(vocabulary):
        raise ModelError(
            f"{path}: its vocabulary is not the one that model.onnx was trained with; download the model again"
        )


def _vocabulary(tokenizer: str) -> dict[str, int]:
    try:
        vocabulary: dict[str, int] = json.loads(tokenizer)["model"]["vocab"]
        return dict(vocabulary.items())
    except (AttributeError, KeyError, TypeError):
        raise ValueError("no vocabulary in tokenizer.json") from None


def _vocabulary_sha256(vocabulary: dict[str, int]) -> str:
    return _sha256(json.dumps(vocabulary, sort_keys=True, separators=(",", ":")))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
