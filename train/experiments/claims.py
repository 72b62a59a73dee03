"""Claims of the paper (arXiv 2511.14073), the pairs of arms that test them, and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evenmood.evaluation.bootstrap import interval
from train.evaluation.resampling import BootstrapSamples
from train.experiments.arms import ARMS

METRICS = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "macro_roc_auc": "macro ROC AUC",
    "subset_accuracy": "subset accuracy",
}
IMPROVED, WORSENED, NOT_SIGNIFICANT = "improved", "worsened", "no significant difference"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and the pairs of arms that test it, by type of comparison."""

    title: str
    pairs: Mapping[str, tuple[tuple[str, str], ...]]
    best: bool = False
    """Whether the first arm is claimed to be better than every other arm."""


BALANCED, BALANCED_AVERAGE, UNBALANCED, UNBALANCED_AVERAGE, MATCHED, MATCHED_AVERAGE, ALL_SOURCES = ARMS
CLAIMS = {
    "balancing": Claim(
        "Balancing helps",
        {
            "full": ((BALANCED, UNBALANCED), (BALANCED_AVERAGE, UNBALANCED_AVERAGE)),
            "equal size": ((BALANCED, MATCHED), (BALANCED_AVERAGE, MATCHED_AVERAGE)),
        },
    ),
    "attention": Claim(
        "Attention helps",
        {
            "full": ((BALANCED, BALANCED_AVERAGE), (UNBALANCED, UNBALANCED_AVERAGE)),
            "equal size": ((BALANCED, BALANCED_AVERAGE), (MATCHED, MATCHED_AVERAGE)),
        },
    ),
    "both": Claim(
        "Balancing and attention together are best",
        {
            "full": ((BALANCED, BALANCED_AVERAGE), (BALANCED, UNBALANCED), (BALANCED, UNBALANCED_AVERAGE)),
            "equal size": ((BALANCED, BALANCED_AVERAGE), (BALANCED, MATCHED), (BALANCED, MATCHED_AVERAGE)),
        },
        best=True,
    ),
}
OPTIONAL_PAIRS = ((ALL_SOURCES, UNBALANCED), (ALL_SOURCES, BALANCED))
"""Additional pairs, shown if the optional arm was run."""
LABEL_PAIRS = ((BALANCED, UNBALANCED), (BALANCED, MATCHED), (BALANCED, BALANCED_AVERAGE))


def compare(first: BootstrapSamples, second: BootstrapSamples) -> dict[str, Any]:
    """Compute the differences between two arms with the same bootstrap samples, and a verdict for each metric."""
    differences = {name: interval(first[name] - second[name]) for name in METRICS if name in first}
    return {"metrics": {name: value | {"verdict": verdict(value)} for name, value in differences.items()}}


def verdict(difference: Mapping[str, Any]) -> str:
    """Classify a difference by its interval: above 0, below 0, or including 0."""
    if difference["low"] is not None and difference["low"] > 0:
        return IMPROVED
    return WORSENED if difference["high"] is not None and difference["high"] < 0 else NOT_SIGNIFICANT


def judge(claim: Claim, comparisons: Mapping[str, Any]) -> dict[str, Any]:
    """Judge a claim for each metric and type of comparison."""
    sides = {}
    for side, required in claim.pairs.items():
        pairs = [f"{a} - {b}" for a, b in required if f"{a} - {b}" in comparisons]
        if len(pairs) == len(required):
            conclusions = {
                name: conclusion([comparisons[pair]["metrics"][name]["verdict"] for pair in pairs], claim.best)
                for name in METRICS
            }
            sides[side] = {"pairs": pairs, "verdicts": conclusions}
    return {"title": claim.title, "sides": sides}


def conclusion(verdicts: Sequence[str], best: bool = False) -> str:
    """Summarize the verdicts of several comparisons.

    Args:
        verdicts: Verdict of each comparison.
        best: Whether the claim is that the first arm is the best, which a single better arm refutes.
    """
    improved, worsened = verdicts.count(IMPROVED), verdicts.count(WORSENED)
    if improved == len(verdicts):
        return "supported"
    if best and worsened:
        return "not supported (another arm scored higher)"
    if best or not improved + worsened:
        return "inconclusive"
    if not improved:
        others = "" if worsened == len(verdicts) else " or did not change significantly"
        return f"not supported (scores worsened{others})"
    other_verdict = "scores worsened" if worsened else "no significant difference"
    others = "other" if len(verdicts) - improved == 1 else "others"
    return f"supported in {improved} of {len(verdicts)} comparisons ({other_verdict} in the {others})"
