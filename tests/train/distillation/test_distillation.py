"""Soft targets: blended targets, batches by length, encoder vectors, the log of runs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from evenmood import LABELS, DataError, EmotionClassifier
from evenmood.data.splits import Split, load_split
from evenmood.text.normalization import encode, fit_tokenizer
from tests.commands import run_command
from tests.conftest import SMALL
from train.config import TrainConfig
from train.distillation.encoder import TeacherConfig
from train.distillation.soft_targets import read_soft_targets, training_texts
from train.distillation.teacher import training_split
from train.fitting.batches import epoch_batches, token_counts, trim_padding
from train.vectors.encoder_vectors import encode_words, encoder_vectors, load_encoder
from train.vectors.fasttext_files import read_vec
from train.vectors.sources import load_vectors, write_vec


def write_soft_targets(path: Path, texts: list[str], probabilities: np.ndarray) -> Path:
    parquet.write_table(pyarrow.table({"text": texts, "probabilities": list(probabilities.astype(np.float32))}), path)
    return path


def make_split(*texts: str) -> Split:
    labels = np.zeros((len(texts), len(LABELS)), np.float32)
    labels[np.arange(len(texts)), np.arange(len(texts))] = 1
    return Split(list(texts), labels, [None] * len(texts))


def test_targets_are_mixed_and_held_out_texts_excluded(tmp_path: Path) -> None:
    soft = np.random.default_rng(0).uniform(size=(4, len(LABELS))).astype(np.float32)
    path = write_soft_targets(tmp_path / "soft.parquet", ["Second one!", "third", "HELD out", "third?"], soft)
    config = TrainConfig(soft_targets=(str(path),), label_share=0.25)
    messages: list[str] = []
    train = make_split("first", "second one")
    training = training_texts(config, train, None, [make_split("held out")], messages.append)
    assert training.texts == ["first", "second one", "third"]
    np.testing.assert_array_equal(training.targets[0], train.labels[0])
    np.testing.assert_allclose(training.targets[1], 0.25 * train.labels[1] + 0.75 * soft[0], rtol=1e-6)
    np.testing.assert_array_equal(training.targets[2], soft[1])
    assert messages == [
        "soft targets: 1 of 2 labeled texts",
        "soft targets: 1 unlabeled texts (1 validation or test texts excluded)",
    ]
    assert train.labels.sum() == 2  # the split itself is unchanged
    assert training_texts(replace(config, soft_targets=()), train, None, [], messages.append).texts == train.texts


def test_repeats_do_not_change_label_frequencies() -> None:
    train, extra = make_split("first", "second"), make_split("further")
    extra.labels[:] = 1
    config = TrainConfig(repeats=3, extra="further", extra_repeats=2)
    training = training_texts(config, train, extra, [], lambda line: None)
    assert training.texts == ["first", "second"] * 3 + ["further"] * 2
    assert training.targets.shape == (8, len(LABELS))
    np.testing.assert_allclose(training.frequencies, train.labels.mean(axis=0))  # extra texts do not count


def test_teacher_learns_blended_and_unlabeled_targets(small_data: Path, tmp_path: Path) -> None:
    train, held_out = load_split(str(small_data), "train"), load_split(str(small_data), "test").texts[0]
    random = np.random.default_rng(0)
    soft, more = (random.uniform(size=(rows, len(LABELS))).astype(np.float32) for rows in (len(train), 2))
    files = (
        write_soft_targets(tmp_path / "soft.parquet", train.texts, soft),
        write_soft_targets(tmp_path / "more.parquet", ["An unlabeled text.", held_out], more),
    )
    config = TeacherConfig("x", str(small_data), soft_targets=tuple(map(str, files)), label_share=0.25)
    messages: list[str] = []
    rows = training_split(config, messages.append)
    assert rows.texts == [*train.texts, "An unlabeled text."]
    expected = 0.25 * train.labels + 0.75 * soft
    np.testing.assert_allclose(rows.labels, np.concatenate([expected, more[:1]]), rtol=1e-6)
    assert "1 of 2 texts" in messages[-1]
    write_soft_targets(tmp_path / "more.parquet", [held_out, train.texts[0].upper()], more)
    rows = training_split(config, messages.append)
    assert rows.texts == train.texts
    np.testing.assert_allclose(rows.labels, expected, rtol=1e-6)  # the first file has precedence
    with pytest.raises(DataError, match=rf"more.parquet: {len(train) - 1} training texts of .* are missing"):
        training_split(replace(config, soft_targets=(str(files[1]),)), messages.append)


def test_invalid_soft_targets_are_rejected(tmp_path: Path) -> None:
    good = np.full((2, len(LABELS)), 0.5)
    with pytest.raises(DataError, match=r"no-file\.parquet: no such file; write it with"):
        read_soft_targets(tmp_path / "no-file.parquet")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(DataError, match=r"text\.parquet: not a Parquet file"):
        read_soft_targets(tmp_path / "text.parquet")
    parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "short.parquet")
    with pytest.raises(DataError, match="probabilities"):
        read_soft_targets(tmp_path / "short.parquet")
    with pytest.raises(DataError, match="28 probabilities in each row"):
        read_soft_targets(write_soft_targets(tmp_path / "few.parquet", ["a", "b"], good[:, :27]))
    with pytest.raises(DataError, match="outside 0 to 1"):
        read_soft_targets(write_soft_targets(tmp_path / "high.parquet", ["a", "b"], good * 3))
    with pytest.raises(DataError, match="outside 0 to 1"):
        read_soft_targets(write_soft_targets(tmp_path / "nan.parquet", ["a", "b"], good * np.nan))


def test_batches_contain_every_row_once_with_little_padding() -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(1, 31, 20_000)
    ids = np.where(np.arange(30) < lengths[:, None], 5, 0).astype(np.int32)
    counts = token_counts(ids)
    np.testing.assert_array_equal(counts, lengths)
    first, second = (list(epoch_batches(counts, 64, random)) for _ in range(2))
    for batches in (first, second):
        assert sorted(np.concatenate(batches).tolist()) == list(range(20_000))
        assert max(map(len, batches)) == 64
    assert not np.array_equal(first[0], second[0])
    widths = [trim_padding(ids[rows], counts[rows]).shape[1] for rows in first]
    assert all(width % 2 == 0 for width in widths)
    assert sum(w * len(rows) for w, rows in zip(widths, first, strict=True)) < 1.2 * lengths.sum()
    assert np.std([counts[rows].mean() for rows in first[:20]]) > 3  # short and long batches alternate


def test_unseen_words_are_split_into_word_pieces() -> None:
    texts = ["happy sad happily sadly happiness sadness", "happy happy sad sad"] * 3
    words = fit_tokenizer(texts, min_frequency=1, max_length=8)
    pieces = fit_tokenizer(texts, min_frequency=1, max_length=8, pieces=60)
    assert pieces.encode("happy sadness").tokens == words.encode("happy sadness").tokens
    assert words.encode("saddily").tokens[0] == "[UNK]"
    tokens = pieces.encode("Saddily, happy").tokens
    assert tokens[0] == "sad"
    assert tokens[1].startswith("##")
    assert "[UNK]" not in tokens
    assert pieces.encode("日本").tokens[0] == "[UNK]"
    assert fit_tokenizer(texts, min_frequency=1, max_words=2).get_vocab_size() == 4
    assert (encode(pieces, ["happy"])[0] == encode(words, ["happy"])[0]).all()


def test_encoder_vectors(tiny_encoder: Path, tmp_path: Path) -> None:
    words = ["joy", "anger", "joyful", "##ful", "nowhere"]
    vectors = encoder_vectors(str(tiny_encoder), words, 4, print)
    assert vectors.shape == (5, 4)
    np.testing.assert_allclose(vectors.std(), 1, rtol=1e-5)
    tokenizer, run = load_encoder(str(tiny_encoder))
    single = encode_words(tokenizer, run, ["joy"])
    batch = encode_words(tokenizer, run, ["so much anger now", "joy", "##ful"])
    np.testing.assert_allclose(batch[1], single[0], atol=1e-5)  # padding does not change the output
    assert np.abs(batch[2] - encode_words(tokenizer, run, ["ful"])[0]).max() > 1e-3  # "##ful" is not the word
    with pytest.raises(DataError, match="vectors of size 16; expected at least --embedding-size 300"):
        encoder_vectors(str(tiny_encoder), words, 300, print)
    with pytest.raises(DataError, match="cannot be loaded"):
        encoder_vectors(str(tmp_path / "nothing"), words, 4, print)


def test_vec_file_round_trip(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    words = ["[PAD]", "[UNK]", "joy", "##ful", "naïve"]
    write_vec(tmp_path / "v.vec", words, table)
    np.testing.assert_allclose(read_vec(tmp_path / "v.vec", words, 6)[2:], table[2:], rtol=1e-4)
    config = TrainConfig(vectors=str(tmp_path / "v.vec"), embedding_size=6)
    np.testing.assert_allclose(load_vectors(config, words, [], print)[2:], table[2:], rtol=1e-4)


def test_fit_with_all_distillation_options(small_data: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    """Train with all options beyond the paper's; the export splits unseen words into pieces."""
    train = load_split(str(small_data), "train")
    probabilities = np.clip(train.labels, 0.02, 0.9)
    texts = [*train.texts[:300], *(f"so {LABELS[n % 28]}ful here now" for n in range(60))]
    soft_file = write_soft_targets(
        tmp_path / "soft.parquet", texts, np.concatenate([probabilities[:300], probabilities[:60]])
    )
    options: list[str | Path] = [
        *("--data", str(small_data), "--out", str(tmp_path / "model"), *SMALL, "--vectors", f"encoder:{tiny_encoder}"),
        *(
            "--soft-targets",
            str(soft_file),
            "--vocabulary",
            "all",
            "--word-pieces",
            "200",
            "--max-words",
            "40",
            "--typos",
            "0.2",
        ),
        *("--decay", "cosine", "--epochs", "3", "--calibrate", "--prior-bias", "--embedding-bits", "8", "--symbols"),
        *("--thresholds", "shrunk", "--misspellings", "10", "--label-weights", "rarity"),
        *("--log", tmp_path / "log.jsonl", "--note", "all options"),
    ]
    result = run_command("train", "fit", *options)
    assert result.returncode == 0, result.stderr
    assert "soft targets: 300 of 400 labeled texts" in result.stderr
    classifier = EmotionClassifier.from_pretrained(tmp_path / "model")
    words = classifier.explain("I feel joyfulness, zzz")
    assert [word.text for word in words] == ["I", "feel", "joyfulness", "zzz"]
    assert all(word.known for word in words)
    assert sum(word.weight for word in words) == pytest.approx(1)
    marks = classifier.explain("!!! :) ... (a?)")
    assert [word.text for word in marks] == ["!!!", ":)", "...", "a", "?"]
    entry = json.loads((tmp_path / "log.jsonl").read_text())
    assert entry["note"] == "all options"
    assert entry["options"]["word_pieces"] == 200
    assert "seed" not in entry["options"]
    log_result = run_command("train", "log", "--log", tmp_path / "log.jsonl", "--out", tmp_path / "log.md")
    assert log_result.returncode == 0, log_result.stderr
    assert "`--word-pieces 200`" in (tmp_path / "log.md").read_text()
    assert "| 1 | all options | 0." in (tmp_path / "log.md").read_text()
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"time": 1}\n')
    invalid_log = run_command("train", "log", "--log", tmp_path / "log.jsonl", "--out", tmp_path / "log.md")
    assert (invalid_log.returncode, invalid_log.stderr) == (
        1,
        f"error: {tmp_path / 'log.jsonl'}, line 2: not a run; expected a line written by fit --log\n",
    )
    card = (tmp_path / "model/README.md").read_text()
    assert "license: other" in card
    assert "| soft.parquet | | | not recorded |" in card
    assert "are split into pieces" in card
    missing_file = run_command(
        "train", "fit", "--data", small_data, "--out", tmp_path / "other", "--soft-targets", "no.parquet"
    )
    assert (missing_file.returncode, missing_file.stderr.splitlines()[-1]) == (
        1,
        "error: no.parquet: no such file; write it with: python -m train label",
    )
