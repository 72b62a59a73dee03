"""Add the vocabulary digest to a `model.onnx` that was exported without it."""

from pathlib import Path

import onnx
from onnx import helper

from evenmood.model.model_folder import ONNX_FILE, TOKENIZER_FILE, check_files
from evenmood.onnx.vocabulary import SIZE_KEY, VOCABULARY_KEY, check_vocabulary, digests


def add_vocabulary_digest(folder: Path, replace: bool = False) -> bool:
    """Add the digest of `tokenizer.json` to the metadata of `model.onnx`, unless it has one.

    The folder must be a working model, since the digest certifies that its two files belong together.

    Args:
        folder: Model folder.
        replace: Whether to replace an existing digest, after an intended change of the vocabulary.

    Returns:
        Whether the digest was added.

    Raises:
        ModelError: A file is missing, or the existing digest does not match the vocabulary.
    """
    check_files(folder, (ONNX_FILE, TOKENIZER_FILE))
    model = onnx.load(folder / ONNX_FILE)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    tokenizer = folder / TOKENIZER_FILE
    if VOCABULARY_KEY in metadata and not replace:
        check_vocabulary(metadata, int(metadata[SIZE_KEY]), tokenizer.read_bytes(), tokenizer)
        return False
    helper.set_model_props(model, metadata | digests(tokenizer.read_text(encoding="utf-8")))
    part = folder / f"{ONNX_FILE}.part"
    try:
        part.write_bytes(model.SerializeToString(deterministic=True))
        part.replace(folder / ONNX_FILE)
    finally:
        part.unlink(missing_ok=True)
    return True
