"""Static word vectors from a sentence encoder: encode each word, reduce with PCA, and weight by frequency rank.

The method is that of model2vec (https://github.com/MinishLab/model2vec), for whole words and word pieces.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evenmood.errors import DataError
from evenmood.text.normalization import PIECE_PREFIX
from evenmood.text.symbols import spell_out
from train.progress import with_progress

ENCODER = "encoder:"
BATCH_WORDS = 128
MAX_WORD_TOKENS = 32
"""Maximum length of a word, in tokens of the encoder."""


def encoder_vectors(model: str, words: Sequence[str], size: int | None, log: Callable[[str], None]) -> np.ndarray:
    """Compute word vectors of a vocabulary with a transformers encoder.

    The vector of a word is the mean of the last hidden states over its tokens, reduced to `size` principal components
    and weighted by the logarithm of the word's rank, because frequent words are less informative.

    Args:
        model: Folder or Hub id.
        words: Words in descending order of frequency, and pieces, which begin with `##`.
        size: Size of a vector, at most the encoder's; None for the encoder's size.
        log: Called with progress messages.

    Returns:
        float32 of shape (len(words), size), without missing vectors.

    Raises:
        DataError: The model does not exist, or its vectors are smaller than `size`.
    """
    tokenizer, run = load_encoder(model)
    order = np.argsort([len(word) for word in words], kind="stable")  # less padding per batch
    batches = [order[start : start + BATCH_WORDS] for start in range(0, len(words), BATCH_WORDS)]
    steps = with_progress(batches, log, f"vectors: encoding {len(words):,} words")
    hidden = np.concatenate([encode_words(tokenizer, run, [words[row] for row in rows]) for rows in steps])
    hidden = hidden[np.argsort(order)]
    size = size or hidden.shape[1]
    if hidden.shape[1] < size:
        raise DataError(f"{model}: vectors of size {hidden.shape[1]}; expected at least --embedding-size {size}")
    hidden -= hidden.mean(axis=0)
    # Compute principal components from the covariance, whose size does not depend on the vocabulary.
    _, components = np.linalg.eigh(hidden.T.astype(np.float64) @ hidden)
    reduced = hidden @ components[:, ::-1][:, :size].astype(np.float32)
    reduced *= np.log1p(np.arange(1, len(words) + 1, dtype=np.float32))[:, None]
    reduced /= reduced.std()
    log(f"vectors: {len(words):,} words encoded by {model}, reduced from {hidden.shape[1]} to {size} dimensions")
    return reduced.astype(np.float32)


def load_encoder(model: str) -> tuple[Any, Callable[[dict[str, np.ndarray]], np.ndarray]]:
    """Load a transformers encoder; return its tokenizer, and a function from a batch to the last hidden states."""
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
    """Compute the mean hidden state over the tokens of each word: float32 of shape (n, hidden)."""
    vocabulary = tokenizer.get_vocab()
    inside, whole = tokenizer.encode("a", add_special_tokens=False), tokenizer.encode("a")
    before = whole.index(inside[0])
    rows = []
    for word in words:
        # A WordPiece encoder may have the piece as a token; any other encoder reads its letters.
        if word.startswith(PIECE_PREFIX) and word in vocabulary:
            rows.append([vocabulary[word]])
        else:
            letters = tokenizer.encode(spell_out(word.removeprefix(PIECE_PREFIX)), add_special_tokens=False)
            rows.append(letters[:MAX_WORD_TOKENS] or [tokenizer.unk_token_id])
    sequences = [[*whole[:before], *row, *whole[before + len(inside) :]] for row in rows]
    states = run(dict(tokenizer.pad({"input_ids": sequences}, return_tensors="np")))
    return np.stack([states[i, before : before + len(row)].mean(axis=0) for i, row in enumerate(rows)])
