"""Word vectors for the vocabulary: read from fastText files in a stream, downloaded, or trained here."""

import gzip
import mmap
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import typer

from evenmood import hub
from evenmood.errors import DataError, UsageError
from evenmood.paths import expanded
from evenmood.text import PAD_ID, UNKNOWN_ID, clean
from train.config import TrainConfig
from train.encoder_vectors import ENCODER, encoder_vectors

FIRST_WORD = 2
"""Ids below it are padding and the unknown word."""
RANDOM_SCALE = 0.05
"""Spread of vectors drawn at random: Keras's `uniform` initializer."""
NEARLY_SAME, TWINS, MOST_ALIKE = 0.99, 5, 50
"""Cosine of near-identical vectors, neighbors that flag a word, flagged words allowed (accented letters: about 20)."""
BLOCK_ROWS = 2048
LARGE_DOWNLOAD = 1_000_000_000
"""Bytes from which on a download is asked about."""
SELF_EPOCHS = 10
SELF_BUCKETS = 200_000
"""fastText's 2,000,000 n-gram buckets cost 2.4 GB at 300 dimensions, and a corpus of this size fills a tenth."""
_MAGIC, _VERSION = 793712314, 12


def load_vectors(
    config: TrainConfig, words: Sequence[str], texts: Sequence[str], say: Callable[[str], None]
) -> np.ndarray:
    """Word vectors of a vocabulary.

    Args:
        config: Source, size and seed.
        words: The vocabulary by id; the first two are padding and the unknown word.
        texts: Training texts, for `self`.
        say: Receives a line about what is done and found.

    Returns:
        float32 of shape (len(words), embedding_size): zeros for padding, the mean of all found for the unknown word,
        random values of the same spread for words that the source lacks.

    Raises:
        DataError: The source is missing, damaged, or of another dimension.
    """
    size = config.embedding_size
    random = np.random.default_rng(config.seed)
    if config.vectors == "random":
        table = random.uniform(-RANDOM_SCALE, RANDOM_SCALE, (len(words), size)).astype(np.float32)
        table[PAD_ID] = 0
        return table
    if config.vectors == "self":
        found = _train(config, words, texts, say)
    elif config.vectors.startswith(ENCODER):
        found = np.full((len(words), size), np.nan, np.float32)
        found[FIRST_WORD:] = encoder_vectors(config.vectors.removeprefix(ENCODER), words[FIRST_WORD:], size, say)
    else:
        path = _locate(config.vectors, say)
        found = read_bin(path, words, size) if path.suffix == ".bin" else read_vec(path, words, size)
    known = ~np.isnan(found).any(axis=1)
    known[:FIRST_WORD] = False
    if not known.any():
        raise DataError(f"{config.vectors}: has none of the {len(words) - FIRST_WORD} words of the training text")
    lacking = np.flatnonzero(~known)
    found[lacking] = random.normal(0, found[known].std(), (len(lacking), size))
    found[UNKNOWN_ID] = found[known].mean(axis=0)
    found[PAD_ID] = 0
    say(f"vectors: {known.sum():,} of {len(words) - FIRST_WORD:,} words found in {config.vectors}")
    check_distinct([word for word, one in zip(words, known, strict=True) if one], found[known], config.vectors)
    return found


def check_distinct(words: Sequence[str], vectors: np.ndarray, source: str) -> None:
    """Refuse vectors that hardly tell many words apart, as an encoder's do of words that its tokenizer cannot read.

    Args:
        words: n words.
        vectors: Shape (n, size).
        source: Where they are from, for the message.

    Raises:
        DataError: More than `MOST_ALIKE` words have nearly the same vector as `TWINS` others.
    """
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    alike: list[int] = []
    for start in range(0, len(units), BLOCK_ROWS):
        twins = (units[start : start + BLOCK_ROWS] @ units.T > NEARLY_SAME).sum(axis=1) - 1
        alike += (start + np.flatnonzero(twins >= TWINS)).tolist()
    if len(alike) > MOST_ALIKE:
        shown = ", ".join(words[row] for row in alike[:8])
        raise DataError(
            f"{source}: {len(alike):,} words have nearly the same vector (cosine above {NEARLY_SAME}): {shown}, …; "
            "use another --vectors source, or drop these words with --min-frequency or --no-symbols"
        )


def read_vec(path: Path, words: Sequence[str], size: int) -> np.ndarray:
    """Read a text file of vectors, perhaps gzipped, in a stream: rows of the wanted words alone stay in memory.

    Returns:
        float32 (len(words), size); NaN for words that the file lacks.
    """
    wanted = {word.encode(): row for row, word in enumerate(words)}
    table = np.full((len(words), size), np.nan, np.float32)
    with _open(path) as lines:
        rows = _whole(lines, path)
        header = next(rows, b"").split()
        if len(header) != 2 or not all(field.isdigit() for field in header):
            raise DataError(f"{path}, line 1: expected the number of words and the dimension, as fastText writes them")
        count, dimension = map(int, header)
        _check_size(path, dimension, size)
        number = 1
        for number, line in enumerate(rows, 2):
            line = line.rstrip(b" \r\n")
            if line.count(b" ") != size:
                raise DataError(f"{path}, line {number}: expected a word and {size} numbers")
            word, _, values = line.partition(b" ")
            row = wanted.get(word)
            if row is not None:
                try:
                    table[row] = values.split()
                except ValueError:
                    raise DataError(f"{path}, line {number}: expected a word and {size} numbers") from None
    if number - 1 < count:
        raise DataError(f"{path}: {number - 1:,} vectors, but its first line says {count:,}; the file is cut short")
    if number - 1 > count:
        raise DataError(
            f"{path}: {number - 1:,} vectors, more than the {count:,} of its first line; correct that line if all of "
            "them belong to it"
        )
    return table


def write_vec(path: Path, words: Sequence[str], table: np.ndarray) -> None:
    """Write vectors as fastText's text file, whole or not at all; `read_vec` and the fastText library read it.

    Args:
        path: File to write.
        words: The vocabulary; padding and the unknown word, which no text holds, are left out.
        table: Shape (len(words), size).
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


def read_bin(path: Path, words: Sequence[str], size: int) -> np.ndarray:
    """Read fastText's binary model: the same vectors as the library's `get_word_vector`, without loading the file.

    A word's vector is the mean of its own row and its character n-grams' rows (of the n-grams alone where the file
    lacks the word), scaled to length 1 as fasttext-community does; the archived original does not scale.
    Format: `Args`, `Dictionary` and `DenseMatrix` of https://github.com/facebookresearch/fastText

    Returns:
        float32 (len(words), size); NaN for words that have neither row nor n-grams.
    """
    with _open(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        try:
            magic, version = struct.unpack_from("<ii", view, 0)
            if magic != _MAGIC or version != _VERSION:
                raise DataError(f"{path}: not a fastText model, or one of another format version")
            dimension, _, _, _, _, _, _, _, buckets, shortest, longest, _, _ = struct.unpack_from("<12id", view, 8)
            _check_size(path, dimension, size)
            position = 8 + 12 * 4 + 8
            entries, word_count, _, _, pruned = struct.unpack_from("<iiiqq", view, position)
            position += 28
            if pruned > 0:
                raise DataError(f"{path}: a pruned (quantized) model; give the full one")
            wanted = {word.encode(): row for row, word in enumerate(words)}
            ids = {}
            for entry in range(entries):
                end = view.find(b"\0", position)
                if end < 0:
                    raise DataError(f"{path}: damaged or cut short")
                row = wanted.get(view[position:end])
                if row is not None:
                    ids[row] = entry
                position = end + 10  # the zero, an 8-byte count, a type byte
            (quantized,) = struct.unpack_from("<?", view, position)
            if quantized:
                raise DataError(f"{path}: a quantized model (.ftz); give the full one")
            rows, columns = struct.unpack_from("<qq", view, position + 1)
        except struct.error:
            raise DataError(f"{path}: damaged or cut short") from None
        start = position + 17
        if columns != size or len(view) < start + rows * columns * 4:
            raise DataError(f"{path}: damaged or cut short")
    members: list[tuple[int, int]] = []  # (row of the file, row of the table)
    for row, word in enumerate(words):
        if row in ids:
            members.append((ids[row], row))
        for gram in _ngrams(word, shortest, longest) if buckets else ():
            members.append((word_count + _hash(gram) % buckets, row))
    return _means(path, start, size, members, len(words))


def _means(path: Path, start: int, size: int, members: list[tuple[int, int]], count: int) -> np.ndarray:
    """Mean of the file's rows for each row of the table, scaled to length 1; read in the file's order."""
    sums = np.zeros((count, size))
    if not members:
        return np.full((count, size), np.nan, np.float32)
    pairs = np.array(members)
    sources, inverse = np.unique(pairs[:, 0], return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    bounds = np.searchsorted(inverse[order], np.arange(len(sources) + 1))
    with path.open("rb") as file:
        for index, source in enumerate(sources):
            file.seek(start + int(source) * size * 4)
            vector = np.frombuffer(file.read(size * 4), np.float32)
            targets = pairs[order[bounds[index] : bounds[index + 1]], 1]
            np.add.at(sums, targets, vector)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(lengths > 0, sums / lengths, np.nan).astype(np.float32)


def _ngrams(word: str, shortest: int, longest: int) -> list[bytes]:
    marked = f"<{word}>"
    grams = []
    for start in range(len(marked)):
        for length in range(max(shortest, 1), min(longest, len(marked) - start) + 1):
            end = start + length
            if length == 1 and (start == 0 or end == len(marked)):
                continue
            grams.append(marked[start:end].encode())
    return grams


def _hash(gram: bytes) -> int:
    """FNV-1a, with fastText's sign extension of bytes from 128 on."""
    value = 2166136261
    for byte in gram:
        value ^= byte if byte < 128 else byte | 0xFFFFFF00
        value = value * 16777619 & 0xFFFFFFFF
    return value


def _train(config: TrainConfig, words: Sequence[str], texts: Sequence[str], say: Callable[[str], None]) -> np.ndarray:
    """Train skip-gram vectors on the cleaned training text and `config.corpus`; one thread, to be repeatable."""
    import fasttext

    say(f"vectors: training on {len(texts):,} texts" + "".join(f" and {name}" for name in config.corpus))
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        with corpus.open("w", encoding="utf-8") as lines:
            lines.writelines(clean(text) + "\n" for text in texts)
            for name in config.corpus:
                with _open(expanded(name)) as more:
                    lines.writelines(clean(line.decode("utf-8", "replace")) + "\n" for line in more)
        try:  # the library's own seed is fixed: vectors are the same for every --seed
            model = fasttext.train_unsupervised(
                str(corpus),
                model="skipgram",
                dim=config.embedding_size,
                epoch=SELF_EPOCHS,
                minCount=config.min_frequency,
                bucket=SELF_BUCKETS,
                thread=1,
                verbose=0,
            )
        except (ValueError, RuntimeError) as error:
            raise DataError(f"vectors: the training text is too short for --vectors self ({error})") from None
    return np.array([model.get_word_vector(word) for word in words], np.float32)


def _locate(source: str, say: Callable[[str], None]) -> Path:
    path = expanded(source)
    if path.suffix in (".bin", ".vec") or path.name.endswith(".vec.gz"):
        if not path.is_file():
            raise DataError(f"{source}: no such vectors file")
        return path
    if path.name.endswith(".bin.gz"):
        raise DataError(f"{source}: a gzipped .bin cannot be read as it is; unpack it with: gunzip --keep {path.name}")
    if path.exists():
        raise DataError(f"{source}: not a fastText .bin or .vec file (unpack an archive first)")
    from huggingface_hub import errors as hub_errors
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        size = hub.retrying(lambda: get_hf_file_metadata(hf_hub_url(source, "model.bin"))).size or 0
        say(f"vectors: {source} is a download of {size / 1e9:.2f} GB, once; --vectors self needs none")
        return Path(hub.retrying(lambda: hf_hub_download(source, "model.bin")))
    except Exception as error:
        known = (hub_errors.HfHubHTTPError, hub_errors.HFValidationError, hub_errors.EntryNotFoundError, OSError)
        if not isinstance(error, known) and not hub.of_transport(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"vectors {source!r}: neither a .bin or .vec file here nor a Hub repository with model.bin ({reason}); "
            "--vectors self trains vectors on the training text"
        ) from None


def confirm_download(source: str, yes: bool) -> None:
    """Ask before a large download of vectors starts; on no terminal, refuse it unless `yes`.

    What is a file, is in the cache already, or cannot be reached, asks nothing.
    """
    local = source in ("self", "random") or source.startswith(ENCODER) or Path(source).suffix in (".bin", ".vec", ".gz")
    if yes or local or expanded(source).exists():
        return
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    try:
        if isinstance(try_to_load_from_cache(source, "model.bin"), str):
            return
        size = get_hf_file_metadata(hf_hub_url(source, "model.bin")).size or 0
    except Exception as error:  # told when the vectors are loaded, with what to do
        if not isinstance(error, (OSError, ValueError)) and not hub.of_transport(error):
            raise
        return
    if size < LARGE_DOWNLOAD:
        return
    told = f"--vectors {source} is a download of {size / 1e9:.2f} GB"
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{told}; add --yes to start it, or train vectors on the training text with --vectors self")
    typer.confirm(f"{told} (--vectors self needs none). Start it?", abort=True, err=True)


def _open(path: Path) -> BinaryIO:
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if path.stat().st_size == 0:
        file.close()
        raise DataError(f"{path}: the file is empty")
    if path.suffix == ".gz":
        file.close()
        return cast("BinaryIO", gzip.open(path))
    return file


def _whole(lines: BinaryIO, path: Path) -> Iterator[bytes]:
    """Lines of a file that may be gzipped."""
    try:
        yield from lines
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged or cut short ({error})") from None


def _check_size(path: Path, dimension: int, size: int) -> None:
    if dimension != size:
        raise DataError(f"{path}: vectors of {dimension} numbers, but --embedding-size is {size}")
