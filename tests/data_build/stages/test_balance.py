"""Balancing: even counts with multi-label rows, human rows first, reproducible selection."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest

from data_build.stages import balance
from data_build.stages.balance import deduplicated_rows, evenness, label_counts, largest_target, select, shortfall
from evenmood import LABELS
from evenmood.data.rows import schema, table, text_hash


def candidates(seed: int = 0, rows: int = 6000) -> tuple[list[list[int]], np.ndarray]:
    """Rows with GoEmotions' imbalance, some with two labels; half of them human, a quarter tweets."""
    rng = np.random.default_rng(seed)
    shares = np.geomspace(1, 150, len(LABELS))
    shares /= shares.sum()
    labels = [sorted({*rng.choice(28, size=rng.integers(1, 3), p=shares).tolist()}) for _ in range(rows)]
    return labels, rng.choice(3, size=rows, p=[0.5, 0.25, 0.25])


def test_counts_are_even() -> None:
    labels, ranks = candidates()
    before = label_counts(labels, range(len(labels)))
    target = largest_target(labels, ranks, 1.5, seed=0)
    selected = select(labels, ranks, target, 1.5, seed=0)
    after = label_counts(labels, selected)
    assert evenness(before)["ratio"] > 50
    assert after.max() <= 1.5 * after.min()
    assert after.min() >= target > 0.6 * before.min()
    assert len(set(selected.tolist())) == len(selected)


def test_human_rows_come_first_and_are_all_used_below_the_target() -> None:
    labels, ranks = candidates()
    target = 60
    selected = select(labels, ranks, target, 1.5, seed=0)
    is_selected = np.isin(np.arange(len(labels)), selected)
    counts = label_counts(labels, selected)
    for label in range(28):
        has_label = np.array([label in row for row in labels])
        if counts[label] < target:
            assert is_selected[has_label & (ranks == 0)].all()
    assert (counts < target).any()
    shares = np.bincount(ranks[selected], minlength=3) / len(selected)
    assert shares[0] > 0.7
    assert shares[1] > shares[2]


def test_the_shortfall_counts_selectable_rows() -> None:
    labels, ranks = candidates()
    available = label_counts(labels, range(len(labels)))
    for target in (20, 60, int(available.min()) + 20):
        after = label_counts(labels, select(labels, ranks, target, 1.0, seed=0))
        lacking = shortfall(labels, ranks, target, 1.0, seed=0)
        assert lacking.tolist() == np.maximum(np.maximum(0, target - available), target - after).tolist()
    # A label falls short although enough rows carry it, because their other labels are at the limit.
    labels = [[label] for label in range(27) for _ in range(12)] + [[label, 27] for label in range(4) for _ in range(4)]
    assert label_counts(labels, range(len(labels)))[27] == 16
    ranks = np.array([0] * 27 * 12 + [1] * 16)
    assert shortfall(labels, ranks, 12, 1.0, seed=0).tolist() == [0] * 27 + [12]


def test_generated_rows_do_not_replace_human_rows() -> None:
    human = [[label] for label in range(1, 28) for _ in range(10)]
    generated = [[0, 5]] * 20 + [[0]] * 20
    labels, ranks = [*human, *generated], np.array([0] * len(human) + [2] * 40)
    selected = select(labels, ranks, 10, 1.5, seed=0)
    assert sorted(labels[row] for row in selected if ranks[row] == 2) == [[0]] * 10
    assert label_counts(labels, selected).tolist() == [10] * 28


def test_texts_are_deduplicated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Human rows win over tweets, tweets over generated rows; within a source, the first row wins."""

    def rows(source: str, texts: dict[str, list[int]]) -> dict[str, list[Any]]:
        names, labels = [f"{source}:{number}" for number in range(len(texts))], list(texts.values())
        hashes = [text_hash(text) for text in texts]
        return {"id": names, "text": [*texts], "text_hash": hashes, "labels": labels, "source": [source] * len(texts)}

    official = {"Thank you": [15], "thank YOU!": [15], "thank, you": [0], "nice": [1], "ok": [27]}
    added = [
        table(**rows("generated", {"OK.": [27], "so proud": [21], "So proud!": [21], "a tweet": [21], "nice!": [1]})),
        table(**rows("sentiment140", {"a tweet": [3], "nice?": [1]})),
    ]
    stages = {"relabel-official": pyarrow.table({**rows("goemotions", official), "scores": [None] * 5})}
    stages["verify"] = pyarrow.concat_tables(added)
    monkeypatch.setattr(balance, "read_rows", lambda build, name, prefix="": stages[name])
    unique, counts = deduplicated_rows(Path("nowhere"))
    assert unique["text"].to_pylist() == ["Thank you", "nice", "ok", "a tweet", "so proud"]
    assert len(set(unique["text_hash"].to_pylist())) == unique.num_rows
    assert unique.schema == schema()
    assert counts == {
        "in": 12,
        "duplicate goemotions text": 1,
        "duplicate goemotions text with other labels": 1,
        "duplicate sentiment140 text": 1,
        "duplicate generated text": 3,
        "duplicate generated text with other labels": 1,
    }


def test_labels_still_co_occur() -> None:
    labels, ranks = candidates()
    selected = select(labels, ranks, 60, 1.5, seed=0)
    before = np.mean([len(row) > 1 for row in labels])
    assert np.mean([len(labels[row]) > 1 for row in selected]) > 0.7 * before


def test_the_seed_determines_the_selection() -> None:
    labels, ranks = candidates()
    first, same, other = (select(labels, ranks, 40, 1.5, seed) for seed in (1, 1, 2))
    assert first.tolist() == same.tolist()
    assert first.tolist() != other.tolist()


def test_a_target_above_the_available_rows_selects_all_rows() -> None:
    labels, ranks = candidates(rows=500)
    available = label_counts(labels, range(len(labels)))
    counts = label_counts(labels, select(labels, ranks, 10_000, 1e9, seed=0))
    assert counts.tolist() == available.tolist()


@pytest.mark.parametrize(
    ("counts", "ratio", "entropy", "mean_ir"), [([5] * 28, 1.0, 1.0, 1.0), ([10] + [5] * 27, 2.0, 0.9960, 1.964)]
)
def test_evenness(counts: list[int], ratio: float, entropy: float, mean_ir: float) -> None:
    measures = evenness(np.array(counts))
    assert measures["ratio"] == ratio
    assert measures["entropy"] == pytest.approx(entropy, abs=0.004)
    assert measures["mean_ir"] == pytest.approx(mean_ir, abs=0.001)


def test_official_rows_without_ids_get_unique_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["one", "two", "three"]
    official = {"id": [None, "abc", ""], "text": texts, "labels": [[0]] * 3, "scores": [None] * 3}
    stages = {"relabel-official": pyarrow.table(official), "verify": table(id=[])}
    monkeypatch.setattr(balance, "read_rows", lambda build, name, prefix="": stages[name])
    unique, _ = deduplicated_rows(Path("nowhere"))
    assert unique["id"].to_pylist() == ["goemotions:train-1", "goemotions:abc", "goemotions:train-3"]
