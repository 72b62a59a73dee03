"""How far annotators agree, per label and per annotator, through the libraries that are known for it."""

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
    """Who gave what: float64 of shape (annotators, rows, 28), NaN where somebody was unsure or did not read.

    Returns:
        The matrix, the annotators' names, and the rows' ids.
    """
    people, rows = sorted({vote.annotator for vote in votes}), list(dict.fromkeys(vote.id for vote in votes))
    given = np.full((len(people), len(rows), len(LABELS)), np.nan)
    person, row = {name: at for at, name in enumerate(people)}, {name: at for at, name in enumerate(rows)}
    for vote in votes:
        if not vote.unsure:
            given[person[vote.annotator], row[vote.id]] = 0
            given[person[vote.annotator], row[vote.id], list(vote.labels)] = 1
    return given, people, rows


def measure(votes: Sequence[Vote]) -> dict[str, Any]:
    """Agreement of annotators.

    Returns:
        `alpha`, Krippendorff's for nominal data, per label; `kappa`, Fleiss', per label over the rows that five were
        sure of; the means of both; `annotators`: for each their votes, how often they were unsure, and Cohen's kappa
        with the majority of the others. None where a figure does not exist: too few votes, or no disagreement possible.
    """
    given, people, rows = matrix(votes)
    labels = range(len(LABELS))
    alpha = {LABELS[label]: _alpha(given[:, :, label]) for label in labels}
    kappa = {LABELS[label]: _fleiss(given[:, :, label]) for label in labels}
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
                "kappa_with_others": _with_others(given, at),
            }
            for at, name in enumerate(people)
        },
    }


def audit(right: int, rows: int) -> dict[str, Any]:
    """The share of audited rows whose labels hold, with its exact (Clopper-Pearson) 95 % interval."""
    low, high = proportion_confint(right, rows, method="beta") if rows else (0.0, 1.0)
    return {
        "rows": rows,
        "right": right,
        "share": {"value": right / rows if rows else None, "low": float(low), "high": float(high)},
    }


def _alpha(given: np.ndarray) -> float | None:
    """Krippendorff's alpha of 0 and 1, shape (annotators, rows); it needs both values, and two readers of a row."""
    read_twice = (~np.isnan(given)).sum(axis=0) >= 2
    if len(np.unique(given[:, read_twice][~np.isnan(given[:, read_twice])])) < 2:
        return None
    return _finite(krippendorff.alpha(reliability_data=given, level_of_measurement="nominal"))


def _fleiss(given: np.ndarray) -> float | None:
    readers = (~np.isnan(given)).sum(axis=0)
    yes = np.nansum(given[:, readers == ANNOTATORS], axis=0)
    if not len(yes) or yes.sum() in (0, ANNOTATORS * len(yes)):
        return None
    return _finite(fleiss_kappa(np.stack([ANNOTATORS - yes, yes], axis=1)))


def _with_others(given: np.ndarray, at: int) -> float | None:
    """Cohen's kappa of one annotator with the majority of the others, all labels together; ties are left out."""
    others = np.delete(given, at, axis=0)
    readers = (~np.isnan(others)).sum(axis=0)
    share = np.nansum(others, axis=0) / np.maximum(readers, 1)
    clear = ~np.isnan(given[at]) & (readers > 0) & (share != 0.5)
    own, theirs = given[at][clear] > 0, share[clear] > 0.5
    if not len(own) or (own.all() and theirs.all()) or not (own.any() or theirs.any()):
        return None
    return _finite(cohen_kappa_score(own, theirs))


def _finite(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None
