"""Vocabulary digest that links `model.onnx` to the `tokenizer.json` with which its embedding was trained."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from evenmood.errors import ModelError
from evenmood.text.normalization import PAD, PAD_ID

SIZE_KEY = "vocabulary_size"
VOCABULARY_KEY = "vocabulary_sha256"
FILE_KEY = "tokenizer_sha256"
"""Keys of the ONNX metadata. If the digest of the whole file matches, the file need not be parsed; it may differ for
the same vocabulary if the file was rewritten."""


def digests(tokenizer: str) -> dict[str, str]:
    """Compute the metadata for `model.onnx`: SHA-256 of the vocabulary and of the whole file.

    Args:
        tokenizer: Content of `tokenizer.json`.

    Raises:
        ValueError: The content is not JSON, or has no vocabulary.
    """
    return {FILE_KEY: _sha256(tokenizer), VOCABULARY_KEY: _vocabulary_sha256(_vocabulary(tokenizer))}


def check_vocabulary(metadata: Mapping[str, str], size: int, content: bytes, path: Path) -> None:
    """Validate that a tokenizer has the vocabulary of `model.onnx`, as far as its metadata identifies it.

    Args:
        metadata: Metadata of `model.onnx`.
        size: Number of rows of the embedding.
        content: Content of `tokenizer.json`.
        path: Path of `tokenizer.json`, for error messages.

    Raises:
        ModelError: The vocabulary differs, or has ids outside the embedding.
    """
    text = content.decode("utf-8").replace("\r\n", "\n")
    expected = metadata.get(VOCABULARY_KEY)
    if expected and metadata.get(FILE_KEY) == _sha256(text):
        return
    vocabulary = _vocabulary(text)
    padding = [token for token, number in vocabulary.items() if number == PAD_ID and token != PAD]
    if padding:
        raise ModelError(f"{path}: {padding[0]!a:.60} has id {PAD_ID}, which is reserved for {PAD}")
    outside = [token for token, number in vocabulary.items() if not 0 <= number < size]
    if outside:
        raise ModelError(
            f"{path}: {outside[0]!a:.60} has id {vocabulary[outside[0]]}; expected 0 to {size - 1}, as in model.onnx"
        )
    if expected and expected != _vocabulary_sha256(vocabulary):
        raise ModelError(
            f"{path}: the vocabulary differs from the one that model.onnx was trained with; download the model again"
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
