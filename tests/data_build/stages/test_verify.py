"""Acceptance rules, and no leakage of held-out texts."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from data_build.stages import generate, relabel
from data_build.stages.verify import Alignment, confirmed_labels
from data_build.teacher.acceptance_rules import accepted_by_intended, precision_thresholds
from evenmood import LABELS
from evenmood.data.leakage import NEAR_DUPLICATE, DuplicateIndex, LeakageFilter, shingles, similarity
from evenmood.data.rows import table


def test_the_precision_threshold_is_the_lowest_sufficient_probability() -> None:
    scores = np.linspace(1, 0, 400, dtype=np.float32)[:, None]
    truth = np.zeros((400, 1))
    truth[:90] = 1  # only the 90 highest are correct
    (threshold,) = precision_thresholds(truth, scores, 0.7)
    predicted = int((scores[:, 0] >= threshold).sum())
    lower_bound = proportion_confint(90, predicted, method="wilson")[0]
    assert lower_bound >= 0.7
    assert proportion_confint(90, predicted + 1, method="wilson")[0] < 0.7


def test_a_label_without_sufficient_precision_has_no_threshold() -> None:
    scores = np.random.default_rng(0).random((200, 2)).astype(np.float32)
    truth = np.zeros((200, 2))
    truth[scores[:, 0].argmax(), 0] = 1  # one correct text is not enough
    assert np.isinf(precision_thresholds(truth, scores, 0.7)).all()


def test_the_intended_label_is_in_the_top_two_and_reaches_its_threshold() -> None:
    scores = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.6], [0.2, 0.1, 0.05], [0.5, 0.5, 0.5]])
    accepted = accepted_by_intended(scores, np.array([1, 1, 0, 2]), np.array([0.3, 0.3, 0.3]))
    assert accepted.tolist() == [True, False, False, True]


def test_the_three_alignments() -> None:
    """A tweet and three generated rows: pride accepted only by `intended`; pride third; pride and a second label."""
    pride, joy, love = (LABELS.index(label) for label in ("pride", "joy", "love"))
    scores = np.zeros((4, len(LABELS)), np.float32)
    scores[0, [pride, joy]] = 0.6, 0.75
    scores[1, [pride, joy]] = 0.4, 0.8
    scores[2, [pride, joy, love]] = 0.4, 0.8, 0.9
    scores[3, [pride, joy]] = 0.72, 0.2
    sources = ["sentiment140", *["generated"] * 3]
    unscored = table(id=list("abcd"), labels=[None, [pride], [pride], [pride, joy]], source=sources)
    rows = relabel.add_scores(unscored, scores)
    base = np.full(len(LABELS), 0.7, np.float32)
    thresholds = {"probability": base, "precision": base + np.float32(0.06), "tuned": base - np.float32(0.55)}

    def confirmed(alignment: Alignment) -> list[list[int]]:
        return [row.nonzero()[0].tolist() for row in confirmed_labels(rows, alignment, thresholds)]

    assert confirmed("probability") == [[joy], [joy], [joy, love], [pride]]
    assert confirmed("precision") == [[], [joy], [joy, love], []]
    assert confirmed("intended") == [[joy], [pride], [], [joy, pride]]


HELD_OUT = ["I really did not expect to see you here today my old friend", "ok then", "thank you"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HELD_OUT[0], "duplicate"),
        (HELD_OUT[0].upper() + "!!!", "duplicate"),
        ("OK, then.", "duplicate"),
        ("I really did not expect to see you here today my old friend Bob", "near-duplicate"),
        ("I really did not expect to see him here today my old friend", None),
        ("something else that nobody has ever said", None),
        ("ok", None),
        ("", None),
    ],
)
def test_leakage(text: str, reason: str | None) -> None:
    assert LeakageFilter(HELD_OUT).rejection_reason(text) == (f"{reason} of a held-out text" if reason else None)


@pytest.mark.parametrize("near", [NEAR_DUPLICATE, pytest.param(generate.COPY_SIMILARITY, marks=pytest.mark.slow)])
def test_near_duplicates_are_found(near: float) -> None:
    """At least 999 of 1,000 pairs just above the threshold, where an index is most likely to miss some."""
    rng = np.random.default_rng(0)
    pairs: list[tuple[str, str]] = []
    while len(pairs) < 1000:
        words = [f"w{number}" for number in rng.integers(0, 10**9, size=rng.integers(12, 40))]
        other = list(words)
        for index in rng.integers(0, len(words), size=rng.integers(1, 4)):
            other[index] = f"x{rng.integers(0, 10**9)}"
        other += [f"y{number}" for number in rng.integers(0, 10**9, size=rng.integers(0, 3))]
        first, second = " ".join(words), " ".join(other)
        if near <= similarity(shingles(first), shingles(second)) < near + 0.05:
            pairs.append((first, second))
    near_duplicates = DuplicateIndex(near, [first for first, _ in pairs])
    assert sum(near_duplicates.has_near_duplicate(second) for _, second in pairs) >= 0.999 * len(pairs)
    assert not any(near_duplicates.has_near_duplicate(first.replace("w", "z")) for first, _ in pairs[:100])


def test_shingles() -> None:
    assert shingles("One, two THREE four") == {"one two three", "two three four"}
    assert shingles("one two") == frozenset()
