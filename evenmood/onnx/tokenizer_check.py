"""Validate that the tokenizer of a BiLSTM has only components that `fit_tokenizer` has used.

Other components of the `tokenizers` library may panic, never terminate, or expand a short text to any length.
"""

import json
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer

from evenmood.errors import ModelError
from evenmood.text.normalization import MAX_WORD_CHARS, UNKNOWN, normalizer

MODELS = ("WordLevel", "WordPiece")
NORMALIZERS = ("Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Replace", "Strip", "StripAccents")
SPLITTERS = ("Split", "WhitespaceSplit")
MAX_INSERTIONS = 8
"""Maximum number of replacements, besides those of the current normalizer, that insert a character: each may double a
text."""


def check_content(content: bytes) -> None:
    """Reject a component on which the library panics, and prints to the terminal, while parsing the file.

    Raises:
        ModelError: The tokenizer has such a component.
    """
    if b'"Precompiled"' in content:
        raise ModelError("unexpected normalizer Precompiled")


def check_components(tokenizer: Tokenizer) -> None:
    """Reject tokenizer components that no BiLSTM model has.

    Raises:
        ModelError: The tokenizer has such a component.
    """
    model = type(tokenizer.model).__name__
    if model not in MODELS:
        raise ModelError(f"unexpected model {model}; expected {' or '.join(MODELS)}")
    if tokenizer.model.unk_token != UNKNOWN:
        raise ModelError(f"the unknown token is {tokenizer.model.unk_token!a:.40}; expected {UNKNOWN}")
    check_word_length(tokenizer)
    if tokenizer.post_processor is not None or tokenizer.get_added_tokens_decoder():
        raise ModelError("unexpected post-processor or added tokens")
    own_steps = [json.dumps(step) for step in steps(normalizer(symbols=True))]
    insertions = 0
    for step in steps(tokenizer.normalizer):
        if step["type"] not in NORMALIZERS:
            raise ModelError(f"unexpected normalizer {step['type']}")
        if step["type"] == "Replace" and step["content"] and json.dumps(step) not in own_steps:
            insertions += 1
            if len(step["content"]) > 1 or insertions > MAX_INSERTIONS:
                raise ModelError("a normalizer step can lengthen texts; expected none")
    for step in steps(tokenizer.pre_tokenizer):
        if step["type"] not in SPLITTERS:
            raise ModelError(f"unexpected pre-tokenizer {step['type']}")


def check_word_length(tokenizer: Tokenizer) -> None:
    """Raise `ModelError` if a tokenizer accepts words so long that splitting them into pieces is slow."""
    limit = getattr(tokenizer.model, "max_input_chars_per_word", 0)
    if limit > MAX_WORD_CHARS:
        raise ModelError(
            f"max_input_chars_per_word is {limit}; expected at most {MAX_WORD_CHARS}, since the time is quadratic in it"
        )


def steps(component: Any) -> Iterator[dict[str, Any]]:
    """Yield the steps of a normalizer or pre-tokenizer, with sequences flattened."""
    pending = [] if component is None else [json.loads(component.__getstate__())]
    while pending:
        step = pending.pop()
        if step["type"] == "Sequence":
            pending += step.get("normalizers") or step.get("pretokenizers") or []
        else:
            yield step
