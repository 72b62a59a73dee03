"""The paper's claims, the pairs of arms that test them, and what a difference says of a claim, in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evenmood.evaluation.bootstrap import interval
from train.evaluation.resampling import Draws
from train.experiments.arms import ARMS

FIGURES = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "macro_roc_auc": "macro ROC AUC",
    "subset_accuracy": "subset accuracy",
}
HELPED, HURT, NEITHER = "helped", "hurt", "no difference that these runs can tell"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and the pairs of arms whose difference tests it, by what they are compared with."""

    title: str
    pairs: Mapping[str, tuple[tuple[str, str], ...]]
    best: bool = False
    """Whether the first arm must be better than all others, not only on the whole."""


BOTH, AVERAGE, PLAIN, PLAIN_AVERAGE, EQUAL, EQUAL_AVERAGE, ALL = ARMS
CLAIMS = {
    "balancing": Claim(
        "Balancing helps",
        {
            "full": ((BOTH, PLAIN), (AVERAGE, PLAIN_AVERAGE)),
            "equal size": ((BOTH, EQUAL), (AVERAGE, EQUAL_AVERAGE)),
        },
    ),
    "attention": Claim(
        "Attention helps",
        {
            "full": ((BOTH, AVERAGE), (PLAIN, PLAIN_AVERAGE)),
            "equal size": ((BOTH, AVERAGE), (EQUAL, EQUAL_AVERAGE)),
        },
    ),
    "both": Claim(
        "Balancing and attention together are best",
        {
            "full": ((BOTH, AVERAGE), (BOTH, PLAIN), (BOTH, PLAIN_AVERAGE)),
            "equal size": ((BOTH, AVERAGE), (BOTH, EQUAL), (BOTH, EQUAL_AVERAGE)),
        },
        best=True,
    ),
}
BESIDES = ((ALL, PLAIN), (ALL, BOTH))
"""Pairs of no claim of the paper's, shown where the optional arm was run."""
LABEL_PAIRS = ((BOTH, PLAIN), (BOTH, EQUAL), (BOTH, AVERAGE))


def compare(first: Draws, second: Draws) -> dict[str, Any]:
    """Differences of two arms' figures under the same resamples, and what each says of the first."""
    found = {name: interval(first[name] - second[name]) for name in FIGURES if name in first}
    return {"figures": {name: value | {"verdict": verdict(value)} for name, value in found.items()}}


def verdict(difference: Mapping[str, Any]) -> str:
    """`helped` where the whole interval is above 0, `hurt` where it is below, else that nothing can be told."""
    if difference["low"] is not None and difference["low"] > 0:
        return HELPED
    return HURT if difference["high"] is not None and difference["high"] < 0 else NEITHER


def judge(claim: Claim, comparisons: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a claim held, by each figure and against each kind of counterpart, in plain words."""
    sides = {}
    for side, wanted in claim.pairs.items():
        pairs = [f"{a} - {b}" for a, b in wanted if f"{a} - {b}" in comparisons]
        if len(pairs) == len(wanted):
            told = {
                name: conclusion([comparisons[pair]["figures"][name]["verdict"] for pair in pairs], claim.best)
                for name in FIGURES
            }
            sides[side] = {"pairs": pairs, "verdicts": told}
    return {"title": claim.title, "sides": sides}


def conclusion(verdicts: Sequence[str], best: bool = False) -> str:
    """One phrase for the verdicts of several comparisons.

    Args:
        verdicts: Of each comparison.
        best: Whether the claim is that the first arm is the best: one that is better is enough to refute it.
    """
    helped, hurt = verdicts.count(HELPED), verdicts.count(HURT)
    if helped == len(verdicts):
        return "held"
    if best and hurt:
        return "did not hold: another arm was better"
    if best or not helped + hurt:
        return "cannot be told from these runs"
    if not helped:
        return "did not hold: it hurt" if hurt == len(verdicts) else "did not hold: it hurt, or made no difference"
    rest = "it hurt" if hurt else "no difference can be told"
    return f"held in {helped} of {len(verdicts)} comparisons; elsewhere {rest}"
