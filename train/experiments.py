"""What the paper's experiments show: figures of the arms, differences between them, verdicts on the paper's claims."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from evenmood import GROUP_OF, LABELS, cards
from evenmood.metrics import score
from evenmood.model_folder import write_text
from evenmood.splits import Split
from evenmood.text import clean
from train import figures
from train.arms import ARMS, PAPER_ARMS, Run
from train.evaluate import rounded
from train.resampling import PER_LABEL, RESAMPLES, Draws, arm_draws, interval, row_weights, seed_weights

ROOT = Path(__file__).parent.parent
TEMPLATE = Path(__file__).with_name("experiments.md.jinja")
PUBLISHED, DEFAULT_MODEL = ROOT / "results/published.json", ROOT / "results/default_model.json"
FIGURES = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "macro_roc_auc": "macro ROC AUC",
    "subset_accuracy": "subset accuracy",
}
HELPED, HURT, NEITHER = "helped", "hurt", "no difference that these runs can tell"
SHARED = ("data", "pooling", "seed", "vectors", "corpus", "soft_targets")
"""Options not shown among those that all arms share: the first three are the arm's, the vectors have a line."""


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


def collect(runs: Sequence[Run], test: Split, earlier: Sequence[Split], vectors: Any) -> dict[str, Any]:
    """All that the results file holds.

    Args:
        runs: Finished runs, arm by arm, as many of each.
        test: The test split.
        earlier: Splits whose texts are taken out of test for the figures without overlap.
        vectors: What is known of vectors that the arms share and were trained here; None for others.
    """
    seen = {clean(text) for split in earlier for text in split.texts}
    apart = np.array([clean(text) not in seen for text in test.texts])
    by_arm = {name: [run for run in runs if run.arm == name] for name in ARMS if any(run.arm == name for run in runs)}
    seeds = len(next(iter(by_arm.values())))
    truth = test.labels.astype(bool)
    mixes = {name: seed_weights(seeds, list(ARMS).index(name)) for name in by_arm}
    rows = row_weights(len(test))
    draws = {name: arm_draws(own, truth, rows, mixes[name]) for name, own in by_arm.items()}
    without = without_rows(by_arm, truth, apart, mixes)
    pairs = dict.fromkeys(pair for claim in CLAIMS.values() for side in claim.pairs.values() for pair in side)
    comparisons = {
        f"{a} - {b}": compare(draws[a], draws[b]) | {"without_overlap": compare(without[a], without[b])["figures"]}
        for a, b in (*pairs, *BESIDES)
        if a in by_arm and b in by_arm
    }
    main = BOTH if BOTH in by_arm else next(iter(by_arm))
    config = {name: value for name, value in runs[0].about["config"].items() if name not in SHARED}
    return {
        "test_rows": len(test),
        "test_rows_without_overlap": int(apart.sum()),
        "seeds": seeds,
        "resamples": RESAMPLES,
        "machines": sorted({run.about["machine"] for run in runs}),
        "config": config,
        "vectors": {
            "source": "self" if vectors else shown(runs[0].about["config"]["vectors"]),
            "trained_here": vectors,
        },
        "arms": {
            name: about_arm(name, own)
            | {"figures": intervals(draws[name]), "without_overlap": intervals(without[name])}
            for name, own in by_arm.items()
        },
        "comparisons": comparisons,
        "claims": {name: judge(claim, comparisons) for name, claim in CLAIMS.items()},
        "label_differences": {
            f"{a} - {b}": {
                label: interval(draws[a][PER_LABEL][:, row] - draws[b][PER_LABEL][:, row])
                for row, label in enumerate(LABELS)
            }
            for a, b in LABEL_PAIRS
            if a in by_arm and b in by_arm
        },
        "single_emotions": {"arm": main, "labels": single_emotions(by_arm[main], test, draws[main])},
        "label_vectors": label_vectors(by_arm[main][0]),
    }


def shown(vectors: str) -> str:
    """A source of vectors without the place where a file lies."""
    return Path(vectors).name if vectors.endswith((".bin", ".vec")) else vectors


def without_rows(
    by_arm: Mapping[str, Sequence[Run]], truth: np.ndarray, kept: np.ndarray, mixes: Mapping[str, np.ndarray]
) -> dict[str, Draws]:
    """Draws of each arm on some of the test rows alone; the AUC, which hardly moves, is left out."""
    rows = row_weights(int(kept.sum()))
    part = {
        name: [Run(r.arm, r.seed, r.probabilities[kept], r.thresholds, r.label_vectors, r.about) for r in own]
        for name, own in by_arm.items()
    }
    return {name: arm_draws(own, truth[kept], rows, mixes[name], auc=False) for name, own in part.items()}


def about_arm(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    """What an arm trained on, how long, and its loss curves."""
    epochs = [entry for run in runs for entry in run.history]
    return {
        "title": ARMS[name].title,
        "train_rows": runs[0].about["train"]["rows"],
        "words": round(float(np.mean([run.about["words"] for run in runs]))),
        "epochs": [len(run.history) for run in runs],
        "best_epochs": [min(run.history, key=lambda entry: entry["val_loss"])["epoch"] for run in runs],
        "seconds_an_epoch": round(median(entry["seconds"] for entry in epochs), 1),
        "minutes_a_run": round(sum(entry["seconds"] for entry in epochs) / len(runs) / 60, 1),
        "losses": [[[entry["loss"], entry["val_loss"]] for entry in run.history] for run in runs],
    }


def intervals(draws: Draws) -> dict[str, Any]:
    """Value and interval of each averaged figure."""
    return {
        name: interval(draws[name].clip(0, 1)) for name in FIGURES if name in draws
    }  # a widened draw may leave them


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
    """Whether a claim held in macro-F1, against each kind of counterpart, in plain words."""
    sides = {}
    for side, wanted in claim.pairs.items():
        pairs = [f"{a} - {b}" for a, b in wanted if f"{a} - {b}" in comparisons]
        found = [comparisons[pair]["figures"]["macro_f1"]["verdict"] for pair in pairs]
        if len(found) == len(wanted):
            sides[side] = {"pairs": pairs, "verdict": conclusion(found, claim.best)}
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


def single_emotions(runs: Sequence[Run], test: Split, draws: Draws) -> dict[str, Any]:
    """Precision, recall, F1 and AUC of each label, means over an arm's runs."""
    scored = [score(test.labels, run.probabilities, run.thresholds, LABELS, resamples=0)["per_label"] for run in runs]
    table = {}
    for row, label in enumerate(LABELS):
        means = {
            name: None
            if any(each[label][name] is None for each in scored)
            else np.mean([e[label][name] for e in scored])
            for name in ("precision", "recall", "roc_auc")
        }
        means = {name: None if value is None else float(value) for name, value in means.items()}
        table[label] = {
            "support": scored[0][label]["support"],
            **means,
            "f1": interval(draws[PER_LABEL][:, row].clip(0, 1)),
        }
    return table


def label_vectors(run: Run) -> dict[str, Any]:
    """Cosine similarities of the labels in a run's embedding, in the figure's order, and summaries of them."""
    known = np.flatnonzero(~np.isnan(run.label_vectors).any(axis=1))
    units = run.label_vectors[known] / np.linalg.norm(run.label_vectors[known], axis=1, keepdims=True)
    cosines = np.clip(units @ units.T, -1, 1)
    names = [LABELS[row] for row in known]
    order = [names.index(label) for label in figures.grouped_order(names, cosines)]
    upper = [(a, b) for a in range(len(names)) for b in range(a)]
    within: dict[str, list[float]] = {}
    for a, b in upper:
        pair = " and ".join(sorted({GROUP_OF[names[a]], GROUP_OF[names[b]]}))
        within.setdefault(pair, []).append(float(cosines[a, b]))
    return {
        "arm": run.arm,
        "labels": [names[row] for row in order],
        "cosines": cosines[np.ix_(order, order)].tolist(),
        "left_out": [label for label in LABELS if label not in names],
        "stand_ins": {n: words for n in names if (words := run.about["label_words"][n]) != [n]},
        "mean_by_group": {pair: float(np.mean(values)) for pair, values in sorted(within.items())},
        "nearest": [
            [names[b], names[a], float(cosines[a, b])] for a, b in sorted(upper, key=lambda pair: -cosines[pair])[:5]
        ],
    }


def write(content: dict[str, Any], results: Path, document: Path) -> None:
    """Write the results file, the figures beside the document, and the document."""
    content = rounded_all(content) | {"config": content["config"]}
    results.parent.mkdir(parents=True, exist_ok=True)
    write_text(results, json.dumps(content, indent=1) + "\n")
    folder = document.parent / "figures" / "experiments"
    folder.mkdir(parents=True, exist_ok=True)
    arms = {name: content["arms"][name] for name in PAPER_ARMS if name in content["arms"]}
    if arms:
        figures.arm_losses({arm["title"]: arm["losses"] for arm in arms.values()}, folder / "losses.png")
    figures.label_similarity(content["label_vectors"], folder / "label-similarity.png")
    for pair, differences in content["label_differences"].items():
        figures.label_differences(differences, folder / f"{pair.replace(' - ', '-minus-')}.png")
    cards.render(
        TEMPLATE,
        document,
        **content,
        titles={name: arm.title for name, arm in ARMS.items()},
        figure_titles=FIGURES,
        groups=GROUP_OF,
        paper_arms=tuple(arms),
        published=json.loads(PUBLISHED.read_text(encoding="utf-8"))["models"],
        bundled=json.loads(DEFAULT_MODEL.read_text(encoding="utf-8"))["metrics"]["test"],
        images=folder.relative_to(document.parent).as_posix(),
    )


def rounded_all(figures: Any) -> Any:
    """The same nested objects and lists with numbers to four decimals."""
    if isinstance(figures, list):
        return [rounded_all(value) for value in figures]
    if isinstance(figures, dict):
        return {name: rounded_all(value) for name, value in figures.items()}
    return rounded(figures)
