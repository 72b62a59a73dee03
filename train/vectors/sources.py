"""Load word vectors for a vocabulary from files, the Hub or an encoder, or train them."""

import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import typer

from evenmood.errors import DataError, EvenmoodError, UsageError
from evenmood.model import hub
from evenmood.model.hub_files import local_path
from evenmood.system.paths import expand_home
from evenmood.text.normalization import PAD_ID, UNKNOWN_ID, clean
from train.config import FASTTEXT, TrainConfig
from train.progress import elapsed
from train.vectors.encoder_vectors import ENCODER, encoder_vectors
from train.vectors.fasttext_files import is_bin, is_vectors_file, open_file, read_bin, read_vec, whole_lines

FIRST_WORD = 2
"""First id of a word; lower ids are `[PAD]` and `[UNK]`."""
RANDOM_SCALE = 0.05
"""Maximum absolute value of random vectors, as in Keras's `uniform` initializer."""
NEAR_IDENTICAL = 0.99
"""Cosine above which two vectors are nearly identical."""
MIN_NEIGHBORS = 5
"""Minimum number of other words with a nearly identical vector for a word to be flagged."""
MAX_FLAGGED = 50
"""Maximum number of flagged words; a typical vocabulary has about 20, all with accented letters."""
BLOCK_ROWS = 2048
LARGE_DOWNLOAD = 1_000_000_000
"""Minimum size of a download that requires confirmation, in bytes."""
KNOWN_SIZES = {FASTTEXT: 7_240_000_000}
"""Approximate sizes in bytes; the Hub is not queried for these."""
SELF_EPOCHS = 10
SELF_BUCKETS = 200_000
"""Number of n-gram buckets; fastText's default of 2,000,000 takes 2.4 GB at 300 dimensions, mostly unused here."""


def load_vectors(
    config: TrainConfig, words: Sequence[str], texts: Sequence[str], log: Callable[[str], None]
) -> np.ndarray:
    """Load the word vectors of a vocabulary.

    Args:
        config: Source, size and seed.
        words: Vocabulary by id; the first two entries are `[PAD]` and `[UNK]`.
        texts: Training texts, for the source `self`.
        log: Called with progress messages.

    Returns:
        float32 of shape (len(words), embedding_size), with zeros for `[PAD]`. For the source `random`, all other
        vectors are uniformly distributed. For other sources, `[UNK]` gets the mean vector, and words without a vector
        get normally distributed ones with the standard deviation of the vectors in the source.

    Raises:
        DataError: The source does not exist, is corrupt, has another dimension, has a vector for none of the words, or
            has nearly identical vectors for many of them; or the training texts are too short for `self`.
    """
    size = config.embedding_size
    random = np.random.default_rng(config.seed)
    if config.vectors == "random":
        table = random.uniform(-RANDOM_SCALE, RANDOM_SCALE, (len(words), size)).astype(np.float32)
        table[PAD_ID] = 0
        return table
    if config.vectors == "self":
        table = _train(config, words, texts, log)
    elif config.vectors.startswith(ENCODER):
        table = np.full((len(words), size), np.nan, np.float32)
        table[FIRST_WORD:] = encoder_vectors(config.vectors.removeprefix(ENCODER), words[FIRST_WORD:], size, log)
    else:
        path = _locate(config.vectors, log)
        with elapsed(log, f"vectors: reading {config.vectors}"):
            table = read_bin(path, words, size) if is_bin(path) else read_vec(path, words, size)
    known = np.asarray(~np.isnan(table).any(axis=1))
    known[:FIRST_WORD] = False
    if not known.any():
        raise DataError(
            f"{config.vectors}: none of the {len(words) - FIRST_WORD} words of the training texts has a vector; use "
            "another --vectors source"
        )
    missing = np.flatnonzero(~known)
    table[missing] = random.normal(0, table[known].std(), (len(missing), size))
    table[UNKNOWN_ID] = table[known].mean(axis=0)
    table[PAD_ID] = 0
    log(f"vectors: {known.sum():,} of {len(words) - FIRST_WORD:,} words found in {config.vectors}")
    if config.vectors.startswith(
        ENCODER
    ):  # fastText's n-gram vectors are similar for "hahaha" and "hahahaha", as intended
        check_distinct(
            [word for word, is_known in zip(words, known, strict=True) if is_known], table[known], config.vectors
        )
    return table


def check_distinct(words: Sequence[str], vectors: np.ndarray, source: str) -> None:
    """Reject vectors that are nearly identical for many words, because the encoder's tokenizer cannot represent them.

    Args:
        words: n words.
        vectors: Vectors of shape (n, size).
        source: Source of the vectors, for the error message.

    Raises:
        DataError: More than `MAX_FLAGGED` words have nearly the same vector as at least `MIN_NEIGHBORS` others.
    """
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    flagged: list[int] = []
    for start in range(0, len(units), BLOCK_ROWS):
        neighbors = (units[start : start + BLOCK_ROWS] @ units.T > NEAR_IDENTICAL).sum(axis=1) - 1
        flagged += (start + np.flatnonzero(neighbors >= MIN_NEIGHBORS)).tolist()
    if len(flagged) > MAX_FLAGGED:
        examples = ", ".join(words[row] for row in flagged[:8])
        raise DataError(
            f"{source}: {len(flagged):,} words have nearly the same vector (cosine above {NEAR_IDENTICAL}): "
            f"{examples}, …; use another --vectors source, or drop these words with --min-frequency or --no-symbols"
        )


def write_vec(path: Path, words: Sequence[str], table: np.ndarray) -> None:
    """Write vectors as a fastText text file, atomically.

    Args:
        path: File to write.
        words: Vocabulary by id; `[PAD]` and `[UNK]` are omitted.
        table: Vectors of shape (len(words), size).
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.write(f"{len(words) - FIRST_WORD} {table.shape[1]}\n")
            for word, row in zip(words[FIRST_WORD:], table[FIRST_WORD:].tolist(), strict=True):
                file.write(f"{word} {' '.join(f'{value:.5g}' for value in row)}\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _train(config: TrainConfig, words: Sequence[str], texts: Sequence[str], log: Callable[[str], None]) -> np.ndarray:
    """Train skip-gram vectors on the cleaned training texts and `config.corpus`, in one thread for reproducibility."""
    import fasttext

    log(f"vectors: training on {len(texts):,} texts" + "".join(f" and {name}" for name in config.corpus))
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        with corpus.open("w", encoding="utf-8") as lines:
            lines.writelines(clean(text) + "\n" for text in texts)
            for name in config.corpus:
                path = local_path(name)
                with open_file(path) as file:
                    lines.writelines(clean(line.decode("utf-8", "replace")) + "\n" for line in whole_lines(file, path))
        own_progress = sys.stderr is not None and sys.stderr.isatty()  # fastText's progress line
        try:  # fastText's seed is fixed: vectors do not depend on --seed
            with nullcontext() if own_progress else elapsed(log, "vectors: training"):
                model = fasttext.train_unsupervised(
                    str(corpus),
                    model="skipgram",
                    dim=config.embedding_size,
                    epoch=SELF_EPOCHS,
                    minCount=config.min_frequency,
                    bucket=SELF_BUCKETS,
                    thread=1,
                    verbose=2 if own_progress else 0,
                )
        except (ValueError, RuntimeError) as error:
            raise DataError(f"vectors: the training texts are too short for --vectors self ({error})") from None
    return np.array([model.get_word_vector(word) for word in words], np.float32)


def _locate(source: str, log: Callable[[str], None]) -> Path:
    path = expand_home(source)
    if is_vectors_file(path):
        if not path.is_file():
            raise DataError(f"{source}: no such vectors file")
        return path
    if path.exists():
        raise DataError(f"{source}: not a vectors file; expected .bin, .vec, .bin.gz or .vec.gz")
    from huggingface_hub import errors as hub_errors
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        size = hub.retry(lambda: get_hf_file_metadata(hf_hub_url(source, "model.bin"))).size or 0
        log(f"vectors: downloading {source} ({size / 1e9:.2f} GB, cached); --vectors self requires no download")
        return Path(hub.retry(lambda: hf_hub_download(source, "model.bin")))
    except Exception as error:
        expected = (hub_errors.HfHubHTTPError, hub_errors.HFValidationError, hub_errors.EntryNotFoundError, OSError)
        if not isinstance(error, expected) and not hub.is_transport_error(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"vectors {source!r}: neither a local .bin or .vec file nor a Hub repository with model.bin ({reason}); "
            "to train vectors on the training texts, use --vectors self"
        ) from None


def confirm_download(source: str, yes: bool) -> None:
    """Ask for confirmation of a large download of vectors, unless `yes`.

    Local files, cached files, downloads below `LARGE_DOWNLOAD` and repositories of unknown size require no
    confirmation.

    Raises:
        UsageError: There is no terminal to ask on.
        typer.Abort: The user declined.
    """
    path = expand_home(source)
    local = source in ("self", "random") or source.startswith(ENCODER) or is_vectors_file(path) or path.exists()
    if yes or local:
        return
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    try:
        if isinstance(try_to_load_from_cache(source, "model.bin"), str):
            return
        size = KNOWN_SIZES.get(source)
        if size is None:
            size = hub.retry(lambda: get_hf_file_metadata(hf_hub_url(source, "model.bin"))).size or 0
    except EvenmoodError:
        raise
    except Exception as error:  # reported when the vectors are loaded
        if not isinstance(error, (OSError, ValueError)) and not hub.is_transport_error(error):
            raise
        return
    if size < LARGE_DOWNLOAD:
        return
    download = f"--vectors {source} requires a {size / 1e9:.2f} GB download"
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()):
        raise UsageError(
            f"{download}; confirm it with --yes, or train vectors on the training texts with --vectors self"
        )
    typer.confirm(f"{download} (--vectors self requires none). Download now?", abort=True, err=True)
