"""Static word vectors from a sentence encoder: each word encoded alone, reduced, and scaled by its rank.

The recipe is model2vec's (https://github.com/MinishLab/model2vec), for whole words and the pieces of rare ones.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evenmood.errors import DataError
from evenmood.text.normalization import PIECE
from evenmood.text.symbols import spell_out
from train.progress import counted

ENCODER = "encoder:"
BATCH_WORDS = 128
LONGEST = 32
"""Tokens of the encoder that a word is cut to."""


def encoder_vectors(model: str, words: Sequence[str], size: int | None, log: Callable[[str], None]) -> np.ndarray:
    """Word vectors of a vocabulary, computed by a transformers encoder.

    A word's vector is the mean of the encoder's last hidden states over the word's pieces; principal components bring
    it to `size`, and the logarithm of the word's rank weighs it, as frequent words say less.

    Args:
        model: Folder or Hub id.
        words: Words by falling frequency, and pieces that begin with `##`.
        size: Numbers a vector, at the most the encoder's own; None for as many as it has.
        log: Receives lines about what is done.

    Returns:
        float32 of shape (len(words), size); every word has one.

    Raises:
        DataError: No such model, or its vectors are smaller than `size`.
    """
    tokenizer, run = load_encoder(model)
    order = np.argsort([len(word) for word in words], kind="stable")  # no time is spent on padding
    parts = [order[start : start + BATCH_WORDS] for start in range(0, len(words), BATCH_WORDS)]
    steps = counted(parts, log, f"vectors: encoding {len(words):,} words")
    hidden = np.concatenate([encode_words(tokenizer, run, [words[row] for row in rows]) for rows in steps])
    hidden = hidden[np.argsort(order)]
    size = size or hidden.shape[1]
    if hidden.shape[1] < size:
        raise DataError(f"{model}: vectors of {hidden.shape[1]} numbers, but --embedding-size is {size}")
    hidden -= hidden.mean(axis=0)
    # Principal components through the covariance: it is small, whatever the vocabulary.
    _, components = np.linalg.eigh(hidden.T.astype(np.float64) @ hidden)
    reduced = hidden @ components[:, ::-1][:, :size].astype(np.float32)
    reduced *= np.log1p(np.arange(1, len(words) + 1, dtype=np.float32))[:, None]
    reduced /= reduced.std()
    log(f"vectors: {len(words):,} words encoded by {model}, {hidden.shape[1]} numbers reduced to {size}")
    return reduced.astype(np.float32)


def load_encoder(model: str) -> tuple[Any, Callable[[dict[str, np.ndarray]], np.ndarray]]:
    """A transformers encoder: its tokenizer, and what turns a batch into its last hidden states."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        network = AutoModel.from_pretrained(model, dtype=torch.float32, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise DataError(f"encoder {model!r} cannot be loaded: {' '.join(str(error).split())[:300]}") from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device).eval()

    def run(batch: dict[str, np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(np.asarray(values)).to(device) for name, values in batch.items()}
            states: np.ndarray = network(**tensors).last_hidden_state.float().cpu().numpy()
        return states

    return tokenizer, run


def encode_words(
    tokenizer: Any, run: Callable[[dict[str, np.ndarray]], np.ndarray], words: Sequence[str]
) -> np.ndarray:
    """Mean hidden state over each word's own tokens, float32 (n, hidden)."""
    own = tokenizer.get_vocab()
    inside, whole = tokenizer.encode("a", add_special_tokens=False), tokenizer.encode("a")
    before = whole.index(inside[0])
    rows = []
    for word in words:
        # An encoder of word pieces knows what a continuation means; another one reads the letters.
        if word.startswith(PIECE) and word in own:
            rows.append([own[word]])
        else:
            letters = tokenizer.encode(spell_out(word.removeprefix(PIECE)), add_special_tokens=False)
            rows.append(letters[:LONGEST] or [tokenizer.unk_token_id])
    framed = [[*whole[:before], *row, *whole[before + len(inside) :]] for row in rows]
    states = run(dict(tokenizer.pad({"input_ids": framed}, return_tensors="np")))
    return np.stack([states[i, before : before + len(row)].mean(axis=0) for i, row in enumerate(rows)])
