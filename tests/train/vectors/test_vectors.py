"""Word vectors: fastText files, read as the fastText library does."""

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import fasttext
import huggingface_hub
import numpy as np
import pytest

from evenmood import DataError
from evenmood.errors import UsageError
from evenmood.text.symbols import spell_out
from tests.fakes.hub_server import HubServer
from train.config import TrainConfig
from train.vectors import fasttext_files
from train.vectors import sources as vectors
from train.vectors.encoder_vectors import encoder_vectors
from train.vectors.fasttext_files import read_bin, read_vec
from train.vectors.sources import check_distinct, load_vectors

SIZE = 16
WORDS = ["happy", "joy", "naïve", "日本", "grateful", "the"]
UNSEEN = ["happyish", "naïvely", "日本語", "zzz"]
TEXTS = [f"the {word} people are {other}" for word in WORDS for other in WORDS] * 5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("vectors")
    (folder / "corpus.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    model = fasttext.train_unsupervised(
        str(folder / "corpus.txt"), dim=SIZE, minCount=1, bucket=500, epoch=1, thread=1, verbose=0, minn=1, maxn=4
    )
    model.save_model(str(folder / "model.bin"))
    return folder / "model.bin", model


def vec_file(path: Path, words: list[str], size: int = SIZE, header: str | None = None) -> Path:
    random = np.random.default_rng(0)
    lines = [f"{word} " + " ".join(f"{value:.4f}" for value in random.normal(size=size)) for word in words]
    path.write_text("\n".join([header or f"{len(words)} {size}", *lines]) + "\n", encoding="utf-8")
    return path


def test_bin_matches_fasttext(model: tuple[Path, Any]) -> None:
    path, library = model
    table = read_bin(path, WORDS + UNSEEN, SIZE)
    for row, word in enumerate(WORDS + UNSEEN):
        np.testing.assert_allclose(table[row], library.get_word_vector(word), atol=1e-6)
    assert np.abs(table).max() > 1e-3


def test_bin_without_subwords(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    library = fasttext.train_unsupervised(
        str(tmp_path / "c.txt"), dim=SIZE, minCount=1, bucket=0, maxn=0, minn=0, epoch=1, thread=1, verbose=0
    )
    library.save_model(str(tmp_path / "m.bin"))
    table = read_bin(tmp_path / "m.bin", ["happy", "zzz"], SIZE)
    np.testing.assert_allclose(table[0], library.get_word_vector("happy"), atol=1e-6)
    assert np.isnan(table[1]).all()


def test_vec_reads_only_requested_words(tmp_path: Path) -> None:
    path = vec_file(tmp_path / "v.vec", ["joy", "other", "日本"])
    table = read_vec(path, ["日本", "missing", "joy"], SIZE)
    lines = path.read_text(encoding="utf-8").splitlines()
    np.testing.assert_allclose(table[2], np.array(lines[1].split()[1:], np.float32))
    np.testing.assert_allclose(table[0], np.array(lines[3].split()[1:], np.float32))
    assert np.isnan(table[1]).all()


def test_vec_is_streamed(tmp_path: Path) -> None:
    path = vec_file(tmp_path / "large.vec", [f"w{i}" for i in range(30_000)], size=100)
    assert path.stat().st_size > 20_000_000
    tracemalloc.start()
    read_vec(path, ["w5"], 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def replace_line(path: Path, line: int, text: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_invalid_vec_files_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "v.vec"
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: vec_file(path, WORDS, size=7), "vectors of size 7; expected --embedding-size 16"),
        (
            lambda: replace_line(vec_file(path, WORDS), 3, "joy 0.1 0.2"),
            "line 3: invalid; expected a word and 16 numbers",
        ),
        (
            lambda: replace_line(vec_file(path, WORDS), 2, "happy" + " x" * 16),
            "line 2: invalid; expected a word and 16 numbers",
        ),
        (
            lambda: vec_file(path, WORDS, header="no header"),
            "line 1: not a fastText header; expected the number of words",
        ),
        (lambda: vec_file(path, WORDS, header="99 16"), "6 vectors; expected 99 according to its first line"),
        (lambda: path.write_text(""), "the file is empty"),
        (lambda: path.unlink(), "no such vectors file"),
    ]
    for write_invalid_file, message in cases:
        write_invalid_file()
        config = TrainConfig(vectors=str(path), embedding_size=SIZE)
        with pytest.raises(DataError) as error:
            load_vectors(config, ["[PAD]", "[UNK]", *WORDS], [], lambda line: None)
        assert message in str(error.value)


def test_invalid_bin_files_are_rejected(model: tuple[Path, Any], tmp_path: Path) -> None:
    model_bytes = model[0].read_bytes()
    path = tmp_path / "m.bin"
    quantized_bytes = bytearray(model_bytes)
    # The flag directly precedes the row and column counts of the input matrix in the middle of the file.
    rows = struct.pack("<qq", len(model[1].words) + 500, SIZE)
    quantized_bytes[model_bytes.index(rows) - 1] = 1
    for content, message in [
        (b"", "the file is empty"),
        (b"not fastText at all" * 10, "not a fastText model"),
        (model_bytes[:50], "corrupt or truncated"),
        (model_bytes[:200], "corrupt or truncated"),
        (model_bytes[: len(model_bytes) // 3], "corrupt or truncated"),
        (bytes(quantized_bytes), "quantized"),
    ]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_bin(path, WORDS, SIZE)
    path.write_bytes(model_bytes)
    with pytest.raises(DataError, match="vectors of size 16; expected --embedding-size 300"):
        read_bin(path, WORDS, 300)


def test_missing_words_get_random_vectors(tmp_path: Path) -> None:
    path = vec_file(tmp_path / "v.vec", WORDS)
    messages: list[str] = []
    config = TrainConfig(vectors=str(path), embedding_size=SIZE)
    words = ["[PAD]", "[UNK]", "joy", "unheard", "happy"]
    table = load_vectors(config, words, [], messages.append)
    assert table.shape == (5, SIZE)
    assert table.dtype == np.float32
    assert not table[0].any()
    np.testing.assert_allclose(table[1], table[[2, 4]].mean(axis=0), rtol=1e-5)
    assert np.isfinite(table).all()
    assert table[3].any()
    assert messages == [f"vectors: 2 of 3 words found in {path}"]
    np.testing.assert_array_equal(table, load_vectors(config, words, [], messages.append))
    other_seed = load_vectors(replace(config, seed=1), words, [], messages.append)
    assert (other_seed[3] != table[3]).any()
    with pytest.raises(DataError, match="none of the 1 words"):
        load_vectors(config, ["[PAD]", "[UNK]", "unheard"], [], messages.append)


def test_self_trained_vectors_are_reproducible_and_use_the_corpus(tmp_path: Path) -> None:
    corpus = tmp_path / "more.txt"
    corpus.write_text("more words about Gratitude!\n" * 20, encoding="utf-8")
    config = TrainConfig(vectors="self", embedding_size=SIZE, corpus=(str(corpus),), min_frequency=1)
    words = ["[PAD]", "[UNK]", "happy", "gratitude"]
    table = load_vectors(config, words, TEXTS, lambda line: None)
    np.testing.assert_array_equal(table, load_vectors(config, words, TEXTS, lambda line: None))
    without_corpus = load_vectors(replace(config, corpus=()), words, TEXTS, lambda line: None)
    assert (table[3] != without_corpus[3]).any()
    with pytest.raises(DataError, match="too short"):
        load_vectors(replace(config, corpus=(), min_frequency=2), words, ["once"], lambda line: None)


def test_unknown_source_is_rejected() -> None:
    with pytest.raises(DataError, match="--vectors self"):
        load_vectors(TrainConfig(vectors="no/such/thing"), ["[PAD]", "[UNK]", "a"], [], lambda line: None)


def test_nearly_identical_vectors_are_rejected() -> None:
    random = np.random.default_rng(0)
    words, distinct = [f"word{number}" for number in range(400)], random.normal(size=(400, 30))
    check_distinct(words, distinct, "vectors")
    similar = distinct.copy()
    similar[100:160] = distinct[100] + random.normal(size=(60, 30)) / 100
    with pytest.raises(DataError, match=r"vectors: 60 words have nearly the same vector .*: word100, word101"):
        check_distinct(words, similar, "vectors")
    similar[:370] = distinct[:370]
    check_distinct(words, similar, "vectors")  # a few such words are normal, such as accented letters


def test_emoji_have_distinct_vectors(tiny_encoder: Path) -> None:
    emoji = ["😂", "😭", "😡", "❤", "🎉"]
    vectors = encoder_vectors(str(tiny_encoder), [*emoji, "joy", "anger", "the", "fear"], None, print)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (units @ units.T)[~np.eye(9, dtype=bool)].max() < 0.99
    assert spell_out("see you 😂👍🏽 ❤️ née") == "see you  face with tears of joy  thumbs up   red heart  née"
    assert spell_out("see you 😂", lambda symbol: symbol == "😂") == "see you 😂"


def test_wrong_vector_count_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "more.vec"
    path.write_text("1 2\na 0.5 1\nb 1 2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"2 vectors; expected 1 according to its first line; correct that line"):
        read_vec(path, ["<pad>", "<unk>", "a"], 2)
    path.write_text("3 2\na 0.5 1\nb 1 2\n", encoding="utf-8")
    with pytest.raises(DataError, match="2 vectors; expected 3 according to its first line; the file is truncated"):
        read_vec(path, ["<pad>", "<unk>", "a"], 2)


def test_gzipped_vec_file(tmp_path: Path) -> None:
    path = tmp_path / "small.vec.gz"
    content = gzip.compress(b"2 2\na 0.5 1\nb 1 2\n" + b"")
    path.write_bytes(content)
    config = TrainConfig(vectors=str(path), embedding_size=2)
    table = load_vectors(config, ["<pad>", "<unk>", "a", "b"], [], lambda line: None)
    np.testing.assert_array_equal(table[2:], np.array([[0.5, 1], [1, 2]], np.float32))
    path.write_bytes(content[:-9])
    with pytest.raises(DataError, match=r"small\.vec\.gz: corrupt or truncated"):
        load_vectors(config, ["<pad>", "<unk>", "a", "b"], [], lambda line: None)
    path = path.rename(tmp_path / "small.vec")  # compression is detected from the content
    path.write_bytes(content)
    np.testing.assert_array_equal(read_vec(path, ["a", "b"], 2), table[2:])


def test_gzipped_bin_file(model: tuple[Path, Any], tmp_path: Path) -> None:
    model_bytes = model[0].read_bytes()
    path = tmp_path / "model.bin.gz"
    path.write_bytes(gzip.compress(model_bytes, 1))
    np.testing.assert_array_equal(read_bin(path, WORDS + UNSEEN, SIZE), read_bin(model[0], WORDS + UNSEEN, SIZE))
    config = TrainConfig(vectors=str(path), embedding_size=SIZE)
    assert np.isfinite(load_vectors(config, ["<pad>", "<unk>", *WORDS], [], lambda line: None)).all()
    content = path.read_bytes()
    corrupt_bytes = bytearray(content)
    corrupt_bytes[len(content) // 2 :] = b"\xff" * len(corrupt_bytes[len(content) // 2 :])
    for broken_content in (
        content[: len(content) // 4],
        bytes(corrupt_bytes),
        gzip.compress(model_bytes[: len(model_bytes) // 3]),
    ):
        path.write_bytes(broken_content)
        with pytest.raises(DataError, match=r"model\.bin\.gz: corrupt or truncated"):
            read_bin(path, WORDS, SIZE)


def test_large_dictionary_is_read_in_blocks(
    model: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_bin(model[0], WORDS + UNSEEN, SIZE)
    monkeypatch.setattr(fasttext_files, "BLOCK_BYTES", 30)
    np.testing.assert_array_equal(read_bin(model[0], WORDS + UNSEEN, SIZE), expected)


def test_gzipped_corpus(tmp_path: Path) -> None:
    text = "more words about Gratitude!\n" * 20
    words, tables = ["[PAD]", "[UNK]", "happy", "gratitude"], []
    for name, content in (("a.txt", text.encode()), ("a.txt.gz", gzip.compress(text.encode()))):
        (tmp_path / name).write_bytes(content)
        config = TrainConfig(vectors="self", embedding_size=SIZE, corpus=(str(tmp_path / name),), min_frequency=1)
        tables.append(load_vectors(config, words, TEXTS, lambda line: None))
    np.testing.assert_array_equal(tables[0], tables[1])


def test_large_download_needs_confirmation(
    hub: HubServer, token: str, monkeypatch: pytest.MonkeyPatch, small_data: Path, tmp_path: Path
) -> None:
    hub.add("you/vectors", {"model.bin": b"x" * 2000})
    vectors.confirm_download("you/vectors", yes=False)  # small downloads need no confirmation
    monkeypatch.setattr(vectors, "LARGE_DOWNLOAD", 1000)
    vectors.confirm_download("you/vectors", yes=True)
    for source in ("self", "random", "encoder:you/vectors", "some.vec", str(small_data), "nobody/nothing"):
        vectors.confirm_download(source, yes=False)
    options = ["fit", "--data", str(small_data), "--vectors", "you/vectors", "--out", str(tmp_path / "model")]
    with pytest.raises(UsageError, match=r"requires a 0\.00 GB download; confirm it with --yes, or .* --vectors self"):
        import_module("train.__main__").app(options, standalone_mode=False)
    assert not hub.sent["you/vectors/model.bin"]
    huggingface_hub.hf_hub_download("you/vectors", "model.bin")
    vectors.confirm_download("you/vectors", yes=False)  # cached
