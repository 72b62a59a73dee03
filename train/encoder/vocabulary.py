"""Prune an encoder's vocabulary to the most frequent word pieces in sample texts, and add emoji."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from evenmood.errors import DataError, UsageError
from evenmood.model.model_folder import atomic_folder, check_target, write_text
from evenmood.text.normalization import PAD, UNKNOWN, replace_surrogates
from evenmood.text.symbols import MODIFIER, SYMBOL, name_of
from train.distillation.encoder import quiet, save_encoder

CLS, SEP = "[CLS]", "[SEP]"
SPECIAL = (PAD, UNKNOWN, CLS, SEP)
"""Special tokens with the ids 0 to 3; padding and unknown have the same ids as in the fast model."""
EMOJI_BLOCKS = ((0x1F300, 0x1F650), (0x1F680, 0x1F700), (0x1F900, 0x1FA00), (0x1FA70, 0x1FB00))
"""Unicode blocks of emoji to add (https://www.unicode.org/charts/, "Emoji and pictographs")."""
RECORD_FILE = "vocabulary.json"


def prune(base: str, samples: Sequence[Sequence[str]], size: int, out: Path, *, overwrite: bool = False) -> int:
    """Write an encoder with a smaller vocabulary, to be fine-tuned with `python -m train teacher`.

    Single characters and the most frequent word pieces are kept with their vectors; other words are split into shorter
    pieces. All samples have equal weight, whatever their size. Emoji, which BERT's vocabulary lacks, are added; their
    vectors are initialized with the mean over the pieces of their Unicode names.

    Args:
        base: Folder or Hub id of a BERT encoder with a WordPiece tokenizer, fine-tuned or not.
        samples: Texts of each source, to count word pieces in.
        size: Size of the new vocabulary.
        out: Encoder folder.
        overwrite: Whether to replace an existing folder.

    Returns:
        Size of the new vocabulary: `size`, or less if the base has fewer tokens.

    Raises:
        UsageError: `out` exists, or `size` is too small for characters and emoji.
        DataError: The base cannot be loaded, or is not a BERT encoder with WordPiece.
    """
    import torch

    check_target(out, overwrite)
    network, state = _load(base)
    vocabulary: dict[str, int] = state["model"]["vocab"]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.no_truncation()
    tokens_to_keep = select_tokens(tokenizer, vocabulary, samples, size)
    # Rows of the base's embedding table: one per kept piece; for an emoji, those of its Unicode name.
    pieces = [[vocabulary[token]] if token in vocabulary else _name_ids(tokenizer, token) for token in tokens_to_keep]
    old = network.get_input_embeddings()
    with torch.no_grad():
        table = torch.stack([old.weight[rows].mean(dim=0) for rows in pieces])
        new = torch.nn.Embedding(len(tokens_to_keep), old.embedding_dim, padding_idx=0)
        new.weight.copy_(table)
        network.set_input_embeddings(new)
    network.config.vocab_size = len(tokens_to_keep)
    network.config.pad_token_id = 0
    with atomic_folder(out, overwrite) as work_folder:
        save_encoder(network, "float16", work_folder)
        save_tokenizer(wordpiece(state, tokens_to_keep), work_folder)
        record = {"base": base, "texts": [len(texts) for texts in samples], "tokens": len(tokens_to_keep)}
        write_text(work_folder / RECORD_FILE, json.dumps(record, indent=1) + "\n")
    return len(tokens_to_keep)


def select_tokens(
    tokenizer: Tokenizer, vocabulary: dict[str, int], samples: Sequence[Sequence[str]], size: int
) -> list[str]:
    """Select the tokens to keep in id order: special tokens, frequent pieces, single characters, emoji."""
    share: Counter[str] = Counter()
    symbols: set[str] = set()
    for texts in samples:
        counts: Counter[str] = Counter()
        for encoding in tokenizer.encode_batch([replace_surrogates(text) for text in texts], add_special_tokens=False):
            counts.update(encoding.tokens)
        total = max(sum(counts.values()), 1)
        share.update({token: count / total for token, count in counts.items()})
        symbols.update(SYMBOL.findall(MODIFIER.sub("", "".join(texts))))
    characters = [token for token in vocabulary if len(token.removeprefix("##")) == 1]
    blocks = (chr(number) for block in EMOJI_BLOCKS for number in range(*block))
    emoji = [*(symbol for symbol in blocks if unicodedata.category(symbol) == "So"), *sorted(symbols)]
    added = [symbol for symbol in dict.fromkeys(emoji) if symbol not in vocabulary and name_of(symbol)]
    reserved = len(SPECIAL) + len(characters) + len(added)
    if size <= reserved:
        raise UsageError(
            f"--size is {size}; expected more than {reserved:,}, the number of special tokens, single characters and "
            "emoji"
        )
    single = set(characters)
    frequent = [
        token for token, _ in share.most_common() if token in vocabulary and token not in single | {*SPECIAL, "[MASK]"}
    ]
    return [*SPECIAL, *frequent[: size - reserved], *characters, *added]


def wordpiece(state: dict[str, Any], tokens: Iterable[str]) -> Tokenizer:
    """Create a tokenizer like the base's with other tokens; each emoji is a token, without skin tone and joiner."""
    ids = {token: number for number, token in enumerate(tokens)}
    modifiers = {"type": "Replace", "pattern": {"Regex": MODIFIER.pattern}, "content": ""}
    emoji = {"type": "Split", "pattern": {"Regex": SYMBOL.pattern}, "behavior": "Isolated", "invert": False}
    # A pruned tokenizer contains both steps already.
    normalizers = [step for step in _steps(state["normalizer"], "normalizers") if step != modifiers]
    pre_tokenizers = [step for step in _steps(state["pre_tokenizer"], "pretokenizers") if step != emoji]
    special = {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in (CLS, SEP)}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    single = [{"SpecialToken": {"id": CLS, "type_id": 0}}, text, {"SpecialToken": {"id": SEP, "type_id": 0}}]
    new: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        # Plain entries, not "added tokens", which would be matched in the original text: a user may type [PAD].
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [modifiers, *normalizers]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*pre_tokenizers, emoji]},
        "post_processor": {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": special},
        "decoder": None,
        "model": {**state["model"], "vocab": ids},
    }
    return Tokenizer.from_str(json.dumps(new))


def _steps(component: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the steps of a component of a tokenizer: those of a sequence in `key`, or the component itself."""
    if component["type"] != "Sequence":
        return [component]
    return [step for part in component[key] for step in _steps(part, key)]


def _load(base: str) -> tuple[Any, dict[str, Any]]:
    """Load the network in float32, and the content of `tokenizer.json`."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        with quiet():
            network = AutoModelForSequenceClassification.from_pretrained(
                base, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
            )
        state = json.loads(AutoTokenizer.from_pretrained(base, trust_remote_code=False).backend_tokenizer.to_str())
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"encoder {base!r} cannot be loaded: {' '.join(str(error).split())[:300]}") from None
    if network.config.model_type != "bert" or state["model"]["type"] != "WordPiece":
        kind = f"{network.config.model_type} with {state['model']['type']}"
        raise DataError(f"encoder {base!r} is {kind}; expected bert with WordPiece")
    return network, state


def _name_ids(tokenizer: Tokenizer, symbol: str) -> list[int]:
    ids: list[int] = tokenizer.encode(name_of(symbol), add_special_tokens=False).ids
    return ids


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the files that `transformers.AutoTokenizer` reads."""
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNKNOWN, cls_token=CLS, sep_token=SEP
    ).save_pretrained(folder)
