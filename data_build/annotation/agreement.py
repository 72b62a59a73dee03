"""Inter-annotator agreement per label and per annotator: Krippendorff's alpha, Fleiss' and Cohen's kappa."""

import math
from collections.abc import Sequence
from typing import Any

import krippendorff
import numpy as np
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa
from statsmodels.stats.proportion import proportion_confint

from data_build.annotation.majority import ANNOTATORS, Vote
from evenmood import LABELS


def matrix(votes: Sequence[Vote]) -> tuple[np.ndarray, list[str], list[str]]:
    """Convert votes to an array of 0 and 1.

    Returns:
        float64 of shape (annotators, rows, 28), NaN where an annotator was unsure or did not vote; the annotators'
        names; the rows' ids.
    """
    annotators, rows = sorted({vote.annotator for vote in votes}), list(dict.fromkeys(vote.id for vote in votes))
    values = np.full((len(annotators), len(rows), len(LABELS)), np.nan)
    annotator_index = {name: index for index, name in enumerate(annotators)}
    row_index = {name: index for index, name in enumerate(rows)}
    for vote in votes:
        if not vote.unsure:
            values[annotator_index[vote.annotator], row_index[vote.id]] = 0
            values[annotator_index[vote.annotator], row_index[vote.id], list(vote.labels)] = 1
    return values, annotators, rows


def measure(votes: Sequence[Vote]) -> dict[str, Any]:
    """Compute inter-annotator agreement.

    Returns:
        `alpha`: Krippendorff's alpha for nominal data, per label; `kappa`: Fleiss' kappa per label, over rows on
        which all five annotators were sure; the means of both; `annotators`: each annotator's number of votes and of
        unsure votes, and Cohen's kappa with the majority of the others. Undefined values (too few votes, or no
        variation) are None.
    """
    values, annotators, rows = matrix(votes)
    labels = range(len(LABELS))
    alpha = {LABELS[label]: _alpha(values[:, :, label]) for label in labels}
    kappa = {LABELS[label]: _fleiss(values[:, :, label]) for label in labels}
    return {
        "rows": len(rows),
        "votes": len(votes),
        "alpha": alpha,
        "kappa": kappa,
        "mean_alpha": _mean(list(alpha.values())),
        "mean_kappa": _mean(list(kappa.values())),
        "annotators": {
            name: {
                "votes": sum(vote.annotator == name for vote in votes),
                "unsure": sum(vote.annotator == name and vote.unsure for vote in votes),
                "kappa_with_others": _kappa_with_others(values, index),
            }
            for index, name in enumerate(annotators)
        },
    }


def audit(correct: int, rows: int) -> dict[str, Any]:
    """Compute the share of audited rows with correct labels.

    Returns:
        `rows`, `correct`, and `share`: its `value`, and its exact (Clopper-Pearson) 95% interval from `low` to `high`.
    """
    low, high = proportion_confint(correct, rows, method="beta") if rows else (0.0, 1.0)
    return {
        "rows": rows,
        "correct": correct,
        "share": {"value": correct / rows if rows else None, "low": float(low), "high": float(high)},
    }


def _alpha(values: np.ndarray) -> float | None:
    """Compute Krippendorff's alpha, shape (annotators, rows); None unless both 0 and 1 occur in rows with two votes."""
    has_two_votes = (~np.isnan(values)).sum(axis=0) >= 2
    if len(np.unique(values[:, has_two_votes][~np.isnan(values[:, has_two_votes])])) < 2:
        return None
    return _finite(krippendorff.alpha(reliability_data=values, level_of_measurement="nominal"))


def _fleiss(values: np.ndarray) -> float | None:
    """Compute Fleiss' kappa over the rows on which all annotators were sure; None if all votes are the same."""
    votes = (~np.isnan(values)).sum(axis=0)
    positive = np.nansum(values[:, votes == ANNOTATORS], axis=0)
    if not len(positive) or positive.sum() in (0, ANNOTATORS * len(positive)):
        return None
    return _finite(fleiss_kappa(np.stack([ANNOTATORS - positive, positive], axis=1)))


def _kappa_with_others(values: np.ndarray, annotator: int) -> float | None:
    """Compute Cohen's kappa of an annotator with the majority of the others over all labels, excluding ties."""
    others = np.delete(values, annotator, axis=0)
    votes = (~np.isnan(others)).sum(axis=0)
    share = np.nansum(others, axis=0) / np.maximum(votes, 1)
    is_compared = ~np.isnan(values[annotator]) & (votes > 0) & (share != 0.5)
    own, majority = values[annotator][is_compared] > 0, share[is_compared] > 0.5
    if not len(own) or (own.all() and majority.all()) or not (own.any() or majority.any()):
        return None
    return _finite(cohen_kappa_score(own, majority))


def _finite(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return round(float(np.mean(defined)), 4) if defined else None
