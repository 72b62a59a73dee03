"""Report of the experiments of the paper (arXiv 2511.14073): metrics of the arms, differences, verdicts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from evenmood import GROUP_OF, LABELS
from evenmood.data.splits import Split
from evenmood.evaluation.bootstrap import BOOTSTRAP_SAMPLES, interval, row_weights, seed_weights
from evenmood.evaluation.metrics import round_floats, score
from evenmood.model import cards
from evenmood.model.model_folder import write_text
from evenmood.text.normalization import clean
from train.evaluation.everyday import bootstrap_samples, load_everyday
from train.evaluation.resampling import PER_LABEL, BootstrapSamples, arm_samples, run_samples
from train.experiments.arms import ARMS, Run
from train.experiments.claims import BALANCED, CLAIMS, LABEL_PAIRS, METRICS, OPTIONAL_PAIRS, compare, judge
from train.release import figures

ROOT = Path(__file__).parents[2]
TEMPLATE = Path(__file__).with_name("experiments.md.jinja")
IMAGES = "figures/experiments"
"""Folder of the figures, next to the document."""
EVERYDAY_METRICS = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "first_label_right": "top-1 accuracy",
}
PUBLISHED, DEFAULT_MODEL = ROOT / "results/published.json", ROOT / "results/default_model.json"
UNLISTED_OPTIONS = ("data", "pooling", "seed", "vectors", "corpus", "soft_targets")
"""Options not listed as shared configuration: the first three differ between arms, the others are shown separately."""


def collect(
    runs: Sequence[Run],
    test: Split,
    earlier: Sequence[Split],
    vectors: Any,
    sources: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, Any]:
    """Compute the content of the results file.

    Args:
        runs: Finished runs, the same number for each arm.
        test: The test split.
        earlier: Splits whose texts are excluded from the test split for metrics without overlap.
        vectors: Record of the shared vectors, if they were trained for the experiments.
        sources: Training rows by source, for arms with several sources.
    """
    earlier_texts = {clean(text) for split in earlier for text in split.texts}
    disjoint = np.array([clean(text) not in earlier_texts for text in test.texts])
    by_arm = {name: [run for run in runs if run.arm == name] for name in ARMS if any(run.arm == name for run in runs)}
    seeds = len(next(iter(by_arm.values())))
    truth = test.labels.astype(bool)
    run_weights = {name: seed_weights(seeds, list(ARMS).index(name)) for name in by_arm}
    rows = row_weights(len(test))
    samples = {name: arm_samples(arm_runs, truth, rows, run_weights[name]) for name, arm_runs in by_arm.items()}
    samples_without_overlap = subset_samples(by_arm, truth, disjoint, run_weights)
    regular_runs = {
        name: [run for run in arm_runs if run.seed not in stopped_early(arm_runs)] for name, arm_runs in by_arm.items()
    }
    regular_samples = {
        name: samples[name]
        if len(arm_runs) == seeds
        else arm_samples(arm_runs, truth, rows, seed_weights(len(arm_runs), list(ARMS).index(name)))
        for name, arm_runs in regular_runs.items()
    }
    pairs = dict.fromkeys(pair for claim in CLAIMS.values() for side in claim.pairs.values() for pair in side)
    comparisons = {
        f"{a} - {b}": compare(samples[a], samples[b])
        | {"without_overlap": compare(samples_without_overlap[a], samples_without_overlap[b])["metrics"]}
        for a, b in (*pairs, *OPTIONAL_PAIRS)
        if a in by_arm and b in by_arm
    }
    main = BALANCED if BALANCED in by_arm else next(iter(by_arm))
    config = {name: value for name, value in runs[0].record["config"].items() if name not in UNLISTED_OPTIONS}
    return {
        "test_rows": len(test),
        "test_rows_without_overlap": int(disjoint.sum()),
        "seeds": seeds,
        "resamples": BOOTSTRAP_SAMPLES,
        "machines": sorted({run.record["machine"] for run in runs}),
        "config": config,
        "vectors": {
            "source": "self" if vectors else source_name(runs[0].record["config"]["vectors"]),
            "trained_here": vectors,
        },
        "arms": {
            name: describe_arm(name, arm_runs)
            | {"sources": dict((sources or {}).get(name, {})), "macro_f1_of_runs": macro_f1_of_runs(arm_runs, truth)}
            | {"metrics": intervals(samples[name]), "without_overlap": intervals(samples_without_overlap[name])}
            for name, arm_runs in by_arm.items()
        },
        "comparisons": comparisons,
        "comparisons_without_stopped_early": {
            f"{a} - {b}": compare(regular_samples[a], regular_samples[b])
            for a, b in pairs
            if a in by_arm and b in by_arm and len(regular_runs[a]) + len(regular_runs[b]) < 2 * seeds
        },
        "claims": {name: judge(claim, comparisons) for name, claim in CLAIMS.items()},
        "label_differences": {
            f"{a} - {b}": {
                label: interval(samples[a][PER_LABEL][:, row] - samples[b][PER_LABEL][:, row])
                for row, label in enumerate(LABELS)
            }
            for a, b in LABEL_PAIRS
            if a in by_arm and b in by_arm
        },
        "everyday": everyday(by_arm, run_weights),
        "single_emotions": {"arm": main, "labels": single_emotions(by_arm[main], test, samples[main])},
        "label_vectors": label_vectors(by_arm[main][0]),
    }


def source_name(vectors: str) -> str:
    """Return the name of a source of vectors, without the folder of a file."""
    return Path(vectors).name if vectors.endswith((".bin", ".vec")) else vectors


def subset_samples(
    by_arm: Mapping[str, Sequence[Run]],
    truth: np.ndarray,
    included: np.ndarray,
    run_weights: Mapping[str, np.ndarray],
) -> dict[str, BootstrapSamples]:
    """Compute the metrics of each arm, except ROC AUC, on a subset of the test rows."""
    rows = row_weights(int(included.sum()))
    subset = {
        name: [replace(run, probabilities=run.probabilities[included]) for run in arm_runs]
        for name, arm_runs in by_arm.items()
    }
    return {
        name: arm_samples(runs, truth[included], rows, run_weights[name], auc=False) for name, runs in subset.items()
    }


def everyday(by_arm: Mapping[str, Sequence[Run]], run_weights: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Compute the metrics of each arm on the everyday test texts, and the effect of balancing."""
    rows = load_everyday("test")
    samples: dict[str, BootstrapSamples] = {}
    for name, runs in by_arm.items():
        run_metrics = [bootstrap_samples(rows, run.everyday, run.thresholds, auc=False) for run in runs]
        samples[name] = {
            metric: np.einsum("bs,sb->b", run_weights[name], np.stack([values[metric] for values in run_metrics]))
            for metric in EVERYDAY_METRICS
        }
    pairs = [pair for side in CLAIMS["balancing"].pairs.values() for pair in side]
    return {
        "rows": len(rows.split),
        "arms": {name: {metric: interval(values) for metric, values in arm.items()} for name, arm in samples.items()},
        "comparisons": {
            f"{a} - {b}": {metric: interval(samples[a][metric] - samples[b][metric]) for metric in EVERYDAY_METRICS}
            for a, b in pairs
            if a in by_arm and b in by_arm
        },
    }


def best_epoch(run: Run) -> int:
    """Return the best epoch of a run."""
    return int(min(run.history, key=lambda entry: entry["val_loss"])["epoch"])


def stopped_early(runs: Sequence[Run]) -> list[int]:
    """Return the seeds of runs that early stopping ended too soon, as determined without test labels.

    With few steps per epoch, the validation loss may increase for `patience` epochs at the beginning. A run ended too
    soon if its best epoch is less than a third of the arm's median best epoch.
    """
    median_epoch = median(best_epoch(run) for run in runs)
    return [run.seed for run in runs if best_epoch(run) < median_epoch / 3]


def macro_f1_of_runs(runs: Sequence[Run], truth: np.ndarray) -> list[float]:
    """Return the macro-F1 of each run."""
    weights = np.ones((1, len(truth)), np.float32)
    return [float(run_samples(truth, r.probabilities, r.thresholds, weights, auc=False)["macro_f1"][0]) for r in runs]


def describe_arm(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    """Describe the training of an arm: rows, epochs, duration, and loss curves."""
    epochs = [entry for run in runs for entry in run.history]
    return {
        "title": ARMS[name].title,
        "train_rows": runs[0].record["train"]["rows"],
        "words": round(float(np.mean([run.record["words"] for run in runs]))),
        "epochs": [len(run.history) for run in runs],
        "best_epochs": [best_epoch(run) for run in runs],
        "stopped_early": stopped_early(runs),
        "seconds_per_epoch": round(median(entry["seconds"] for entry in epochs), 1),
        "minutes_per_run": round(sum(entry["seconds"] for entry in epochs) / len(runs) / 60, 1),
        "losses": [[[entry["loss"], entry["val_loss"]] for entry in run.history] for run in runs],
    }


def intervals(samples: BootstrapSamples) -> dict[str, Any]:
    """Return the value and interval of each averaged metric."""
    # Scaled bootstrap samples may be outside [0, 1].
    return {name: interval(samples[name].clip(0, 1)) for name in METRICS if name in samples}


def single_emotions(runs: Sequence[Run], test: Split, samples: BootstrapSamples) -> dict[str, Any]:
    """Compute the mean precision, recall, F1 and ROC AUC of each label over the runs of an arm."""
    run_metrics = [
        score(test.labels, run.probabilities, run.thresholds, LABELS, bootstrap_samples=0)["per_label"] for run in runs
    ]
    table = {}
    for row, label in enumerate(LABELS):
        means = {
            name: None
            if any(metrics[label][name] is None for metrics in run_metrics)
            else np.mean([metrics[label][name] for metrics in run_metrics])
            for name in ("precision", "recall", "roc_auc")
        }
        means = {name: None if value is None else float(value) for name, value in means.items()}
        table[label] = {
            "support": run_metrics[0][label]["support"],
            **means,
            "f1": interval(samples[PER_LABEL][:, row].clip(0, 1)),
        }
    return table


def label_vectors(run: Run) -> dict[str, Any]:
    """Compute cosine similarities of labels in a run's embedding, in the order of the figure, and summarize them."""
    with_vector = np.flatnonzero(~np.isnan(run.label_vectors).any(axis=1))
    vectors = run.label_vectors[with_vector]
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = np.clip(units @ units.T, -1, 1)
    names = [LABELS[row] for row in with_vector]
    order = [names.index(label) for label in figures.grouped_order(names, cosines)]
    upper = [(a, b) for a in range(len(names)) for b in range(a)]
    by_group: dict[str, list[float]] = {}
    for a, b in upper:
        pair = " and ".join(sorted({GROUP_OF[names[a]], GROUP_OF[names[b]]}))
        by_group.setdefault(pair, []).append(float(cosines[a, b]))
    return {
        "arm": run.arm,
        "labels": [names[row] for row in order],
        "cosines": cosines[np.ix_(order, order)].tolist(),
        "left_out": [label for label in LABELS if label not in names],
        "stand_ins": {n: words for n in names if (words := run.record["label_words"][n]) != [n]},
        "mean_by_group": {pair: float(np.mean(values)) for pair, values in sorted(by_group.items())},
        "nearest": [
            [names[b], names[a], float(cosines[a, b])] for a, b in sorted(upper, key=lambda pair: -cosines[pair])[:5]
        ],
    }


def write(content: dict[str, Any], results: Path, path: Path) -> None:
    """Write the results file, the figures and the document."""
    content = round_floats(content) | {"config": content["config"]}
    results.parent.mkdir(parents=True, exist_ok=True)
    write_text(results, json.dumps(content, indent=1) + "\n")
    folder = path.parent / IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    arms = {arm["title"]: arm["losses"] for arm in content["arms"].values()}
    figures.arm_losses(arms, folder / "losses.png")
    figures.label_similarity(content["label_vectors"], folder / "label-similarity.png")
    for pair, differences in content["label_differences"].items():
        figures.label_differences(differences, folder / f"{pair.replace(' - ', '-minus-')}.png")
    write_text(path, document(results))


def document(results: Path) -> str:
    """Render the document from a results file and the metrics of the bundled and published models."""
    return cards.render_template(
        TEMPLATE,
        **json.loads(results.read_text(encoding="utf-8")),
        titles={name: arm.title for name, arm in ARMS.items()},
        metric_titles=METRICS,
        everyday_titles=EVERYDAY_METRICS,
        groups=GROUP_OF,
        published=json.loads(PUBLISHED.read_text(encoding="utf-8"))["models"],
        bundled=json.loads(DEFAULT_MODEL.read_text(encoding="utf-8"))["metrics"]["test"],
        images=IMAGES,
    )
