"""The gates: where a label is sure enough, and that no held-out text gets in."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from data_build.stages import generate, relabel
from data_build.stages.verify import Alignment, given_by
from data_build.teacher.gates import intended_passes, precision_cuts
from evenmood import LABELS
from evenmood.data.leakage import NEAR, Known, Leakage, shingles, similarity
from evenmood.data.rows import table


def test_the_cut_is_the_lowest_probability_of_sure_precision() -> None:
    scores = np.linspace(1, 0, 400, dtype=np.float32)[:, None]
    truth = np.zeros((400, 1))
    truth[:90] = 1  # the 90 highest are right, and nothing after them
    (cut,) = precision_cuts(truth, scores, 0.7)
    given = int((scores[:, 0] >= cut).sum())
    low = proportion_confint(90, given, method="wilson")[0]
    assert low >= 0.7
    assert proportion_confint(90, given + 1, method="wilson")[0] < 0.7


def test_a_label_that_is_never_sure_gets_no_cut() -> None:
    scores = np.random.default_rng(0).random((200, 2)).astype(np.float32)
    truth = np.zeros((200, 2))
    truth[scores[:, 0].argmax(), 0] = 1  # one right text says little
    assert np.isinf(precision_cuts(truth, scores, 0.7)).all()


def test_the_intended_label_is_among_the_two_highest_and_reaches_its_threshold() -> None:
    scores = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.6], [0.2, 0.1, 0.05], [0.5, 0.5, 0.5]])
    passes = intended_passes(scores, np.array([1, 1, 0, 2]), np.array([0.3, 0.3, 0.3]))
    assert passes.tolist() == [True, False, False, True]


def test_the_three_alignments() -> None:
    """A tweet and three generated rows: pride sure enough for `intended` alone; pride third; pride and a second one."""
    pride, joy, love = (LABELS.index(label) for label in ("pride", "joy", "love"))
    scores = np.zeros((4, len(LABELS)), np.float32)
    scores[0, [pride, joy]] = 0.6, 0.75
    scores[1, [pride, joy]] = 0.4, 0.8
    scores[2, [pride, joy, love]] = 0.4, 0.8, 0.9
    scores[3, [pride, joy]] = 0.72, 0.2
    sources = ["sentiment140", *["generated"] * 3]
    made = table(id=list("abcd"), labels=[None, [pride], [pride], [pride, joy]], source=sources)
    rows = relabel.with_scores(made, scores)
    every = np.full(len(LABELS), 0.7, np.float32)
    cuts = {"probability": every, "precision": every + np.float32(0.06), "tuned": every - np.float32(0.55)}

    def given(alignment: Alignment) -> list[list[int]]:
        return [row.nonzero()[0].tolist() for row in given_by(rows, alignment, cuts)]

    assert given("probability") == [[joy], [joy], [joy, love], [pride]]
    assert given("precision") == [[], [joy], [joy, love], []]
    assert given("intended") == [[joy], [pride], [], [joy, pride]]


HELD = ["I really did not expect to see you here today my old friend", "ok then", "thank you"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HELD[0], "equals"),
        (HELD[0].upper() + "!!!", "equals"),
        ("OK, then.", "equals"),
        ("I really did not expect to see you here today my old friend Bob", "nearly equals"),
        ("I really did not expect to see him here today my old friend", None),
        ("something else that nobody has ever said", None),
        ("ok", None),
        ("", None),
    ],
)
def test_what_is_kept_out(text: str, reason: str | None) -> None:
    found = Leakage(HELD).reason(text)
    assert found == (f"{reason} a validation or test text" if reason else None)


@pytest.mark.parametrize("near", [NEAR, generate.COPY])
def test_what_is_nearly_equal_is_found(near: float) -> None:
    """At least 999 of 1,000 pairs just above the threshold, where an index misses most."""
    draw = np.random.default_rng(0)
    pairs: list[tuple[str, str]] = []
    while len(pairs) < 1000:
        words = [f"w{number}" for number in draw.integers(0, 10**9, size=draw.integers(12, 40))]
        other = list(words)
        for place in draw.integers(0, len(words), size=draw.integers(1, 4)):
            other[place] = f"x{draw.integers(0, 10**9)}"
        other += [f"y{number}" for number in draw.integers(0, 10**9, size=draw.integers(0, 3))]
        first, second = " ".join(words), " ".join(other)
        if near <= similarity(shingles(first), shingles(second)) < near + 0.05:
            pairs.append((first, second))
    known = Known(near, [first for first, _ in pairs])
    assert sum(known.nearly_equals(second) for _, second in pairs) >= 0.999 * len(pairs)
    assert not any(known.nearly_equals(first.replace("w", "z")) for first, _ in pairs[:100])


def test_shingles() -> None:
    assert shingles("One, two THREE four") == {"one two three", "two three four"}
    assert shingles("one two") == frozenset()
