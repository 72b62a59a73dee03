"""Balancing: even counts although rows carry several labels, people's rows first, the same draw for the same seed."""

import numpy as np
import pytest

from data_build.balance import choose, counts_of, evenness, largest
from evenmood import LABELS


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
    chosen = choose(labels, ranks, largest(labels, ranks, 1.5, seed=0), 1.5, seed=0)
    after = counts_of(labels, chosen)
    assert evenness(before)["ratio"] > 50
    assert after.max() <= 1.5 * after.min()
    assert after.min() >= 0.6 * before.min()
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
