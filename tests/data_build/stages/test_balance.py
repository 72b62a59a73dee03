"""Balancing: even counts although rows carry several labels, people's rows first, the same draw for the same seed."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest

from data_build.stages import balance
from data_build.stages.balance import choose, counts_of, evenness, largest, missing, supply_of
from evenmood import LABELS
from evenmood.data.rows import schema, table, text_hash


def supply(seed: int = 0, rows: int = 6000) -> tuple[list[list[int]], np.ndarray]:
    """Rows whose labels are as uneven as GoEmotions', some with two; half of them by people, a quarter tweets."""
    draw = np.random.default_rng(seed)
    shares = np.geomspace(1, 150, len(LABELS))
    shares /= shares.sum()
    labels = [sorted({*draw.choice(28, size=draw.integers(1, 3), p=shares).tolist()}) for _ in range(rows)]
    return labels, draw.choice(3, size=rows, p=[0.5, 0.25, 0.25])


def test_counts_are_even() -> None:
    labels, ranks = supply()
    before = counts_of(labels, range(len(labels)))
    target = largest(labels, ranks, 1.5, seed=0)
    chosen = choose(labels, ranks, target, 1.5, seed=0)
    after = counts_of(labels, chosen)
    assert evenness(before)["ratio"] > 50
    assert after.max() <= 1.5 * after.min()
    assert after.min() >= target > 0.6 * before.min()
    assert len(set(chosen.tolist())) == len(chosen)


def test_people_go_first_and_none_of_theirs_is_left_out_under_the_target() -> None:
    labels, ranks = supply()
    target = 60
    chosen = choose(labels, ranks, target, 1.5, seed=0)
    taken = np.isin(np.arange(len(labels)), chosen)
    counts = counts_of(labels, chosen)
    for label in range(28):
        holders = np.array([label in row for row in labels])
        if counts[label] < target:
            assert taken[holders & (ranks == 0)].all()
    assert (counts < target).any()
    shares = np.bincount(ranks[chosen], minlength=3) / len(chosen)
    assert shares[0] > 0.7
    assert shares[1] > shares[2]


def test_what_is_missing_is_missing_in_what_can_be_chosen() -> None:
    labels, ranks = supply()
    held = counts_of(labels, range(len(labels)))
    for target in (20, 60, int(held.min()) + 20):
        after = counts_of(labels, choose(labels, ranks, target, 1.0, seed=0))
        lacking = missing(labels, ranks, target, 1.0, seed=0)
        assert lacking.tolist() == np.maximum(np.maximum(0, target - held), target - after).tolist()
    # a label whose rows all carry crowded ones lacks rows although the supply holds enough
    labels = [[label] for label in range(27) for _ in range(12)] + [[label, 27] for label in range(4) for _ in range(4)]
    assert counts_of(labels, range(len(labels)))[27] == 16
    ranks = np.array([0] * 27 * 12 + [1] * 16)
    assert missing(labels, ranks, 12, 1.0, seed=0).tolist() == [0] * 27 + [12]


def test_rows_that_only_short_labels_carry_come_before_those_that_take_a_place_of_people() -> None:
    people = [[label] for label in range(1, 28) for _ in range(10)]
    generated = [[0, 5]] * 20 + [[0]] * 20
    labels, ranks = [*people, *generated], np.array([0] * len(people) + [2] * 40)
    chosen = choose(labels, ranks, 10, 1.5, seed=0)
    assert sorted(labels[row] for row in chosen if ranks[row] == 2) == [[0]] * 10
    assert counts_of(labels, chosen).tolist() == [10] * 28


def test_no_text_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """People's rows before tweets before generated ones; of the same source the first."""

    def rows(source: str, texts: dict[str, list[int]]) -> dict[str, list[Any]]:
        names, labels = [f"{source}:{number}" for number in range(len(texts))], list(texts.values())
        hashes = [text_hash(text) for text in texts]
        return {"id": names, "text": [*texts], "text_hash": hashes, "labels": labels, "source": [source] * len(texts)}

    official = {"Thank you": [15], "thank YOU!": [15], "thank, you": [0], "nice": [1], "ok": [27]}
    added = [
        table(**rows("generated", {"OK.": [27], "so proud": [21], "So proud!": [21], "a tweet": [21], "nice!": [1]})),
        table(**rows("sentiment140", {"a tweet": [3], "nice?": [1]})),
    ]
    held = {"relabel-official": pyarrow.table({**rows("goemotions", official), "scores": [None] * 5})}
    held["verify"] = pyarrow.concat_tables(added)
    monkeypatch.setattr(balance, "read_rows", lambda build, name, prefix="": held[name])
    found, counts = supply_of(Path("nowhere"))
    assert found["text"].to_pylist() == ["Thank you", "nice", "ok", "a tweet", "so proud"]
    assert len(set(found["text_hash"].to_pylist())) == found.num_rows
    assert found.schema == schema()
    assert counts == {
        "in": 12,
        "goemotions row repeats a text": 1,
        "goemotions row repeats a text under other labels": 1,
        "sentiment140 row repeats a text": 1,
        "generated row repeats a text": 3,
        "generated row repeats a text under other labels": 1,
    }


def test_labels_go_on_occurring_together() -> None:
    labels, ranks = supply()
    chosen = choose(labels, ranks, 60, 1.5, seed=0)
    before = np.mean([len(row) > 1 for row in labels])
    assert np.mean([len(labels[row]) > 1 for row in chosen]) > 0.7 * before


def test_the_seed_decides() -> None:
    labels, ranks = supply()
    first, same, other = (choose(labels, ranks, 40, 1.5, seed) for seed in (1, 1, 2))
    assert first.tolist() == same.tolist()
    assert first.tolist() != other.tolist()


def test_a_target_beyond_the_supply_gives_what_there_is() -> None:
    labels, ranks = supply(rows=500)
    held = counts_of(labels, range(len(labels)))
    counts = counts_of(labels, choose(labels, ranks, 10_000, 1e9, seed=0))
    assert counts.tolist() == held.tolist()


@pytest.mark.parametrize(
    ("counts", "ratio", "entropy", "mean_ir"), [([5] * 28, 1.0, 1.0, 1.0), ([10] + [5] * 27, 2.0, 0.9960, 1.964)]
)
def test_figures(counts: list[int], ratio: float, entropy: float, mean_ir: float) -> None:
    found = evenness(np.array(counts))
    assert found["ratio"] == ratio
    assert found["entropy"] == pytest.approx(entropy, abs=0.004)
    assert found["mean_ir"] == pytest.approx(mean_ir, abs=0.001)


def test_official_rows_without_ids_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["one", "two", "three"]
    official = {"id": [None, "abc", ""], "text": texts, "labels": [[0]] * 3, "scores": [None] * 3}
    held = {"relabel-official": pyarrow.table(official), "verify": table(id=[])}
    monkeypatch.setattr(balance, "read_rows", lambda build, name, prefix="": held[name])
    found, _ = supply_of(Path("nowhere"))
    assert found["id"].to_pylist() == ["goemotions:train-1", "goemotions:abc", "goemotions:train-3"]
