"""Statistics of the paper's experiments: resampling, and verdicts on synthetic runs."""

import re
from pathlib import Path

import numpy as np
import pytest

from evenmood import LABELS
from evenmood.data.splits import Split
from evenmood.evaluation.bootstrap import row_weights, seed_weights
from evenmood.evaluation.metrics import score, weighted_ranking_metrics
from train.evaluation.everyday import load_everyday
from train.evaluation.resampling import run_samples, weighted_auc
from train.experiments import claims
from train.experiments import report as experiments
from train.experiments.arms import DEFAULT_ARMS, Run


def synthetic_runs(noise: dict[str, float], rows: int = 600, seeds: int = 3) -> tuple[list[Run], Split]:
    """Return runs whose probabilities are the truth plus noise, by arm, and the test split."""
    random = np.random.default_rng(7)
    truth = random.random((rows, len(LABELS))) < 0.1
    test = Split([f"text {row}" for row in range(rows)], truth.astype(np.float32), [None] * rows)
    runs = []
    for arm in DEFAULT_ARMS:
        for seed in range(seeds):
            scores = truth + random.normal(0, noise.get(arm, 0.4), truth.shape)
            probabilities = (1 / (1 + np.exp(-6 * (scores - 0.5)))).astype(np.float32)
            record = {
                "config": {"vectors": "random", "filters": 8},
                "history": [{"epoch": 1, "loss": 0.3, "val_loss": 0.2, "seconds": 1.0}],
                "train": {"rows": 100},
                "words": 10,
                "label_words": {label: [label] for label in LABELS},
                "machine": "synthetic",
            }
            vectors = random.normal(size=(len(LABELS), 4)).astype(np.float32)
            labels = load_everyday("test").split.labels
            everyday = (labels - 0.6 * random.random(labels.shape) - (0 if arm.startswith("b") else 0.1)).clip(0, 1)
            thresholds = np.full(len(LABELS), 0.5, np.float32)
            runs.append(Run(arm, seed, probabilities, thresholds, everyday, vectors, record))
    return runs, test


def verdicts(noise: dict[str, float], folder: Path | None = None) -> dict[str, dict[str, str]]:
    """Return the verdicts of each claim; with `folder`, check that the written document has the same."""
    runs, test = synthetic_runs(noise)
    overlap = Split(test.texts[:50], test.labels[:50], test.ids[:50])
    content = experiments.collect(runs, test, [overlap], None)
    assert content["test_rows_without_overlap"] == 550
    claim_results = content["claims"]
    assert content["comparisons_without_stopped_early"] == {}
    if folder:
        experiments.write(content, folder / "results.json", folder / "experiments.md")
        document = (folder / "experiments.md").read_text()
        assert "Runs stopped early" not in document
        assert document.count("| top-1 accuracy |") == 2
        everyday = content["everyday"]
        assert everyday["arms"]["balanced"]["macro_f1"]["value"] > everyday["arms"]["matched"]["macro_f1"]["value"]
        assert everyday["comparisons"]["balanced - matched"]["macro_f1"]["low"] > 0
        for claim in claim_results.values():
            part = document.split(f"### {claim['title']}\n")[1].split("\n#")[0]
            document_verdicts = re.findall(r"^Compared with .*: \*\*(.+)\*\*\.$", part, re.MULTILINE)
            assert document_verdicts == [side["verdicts"]["macro_f1"] for side in claim["sides"].values()]
    return {
        name: {side: comparison["verdicts"]["macro_f1"] for side, comparison in claim["sides"].items()}
        for name, claim in claim_results.items()
    }


def test_verdicts_if_balancing_helps_and_attention_has_no_effect() -> None:
    claim_verdicts = verdicts(dict.fromkeys(("unbalanced", "unbalanced-average", "matched", "matched-average"), 0.5))
    assert claim_verdicts["balancing"] == {"full": "supported", "equal size": "supported"}
    assert claim_verdicts["attention"] == dict.fromkeys(("full", "equal size"), "inconclusive")
    assert claim_verdicts["both"] == dict.fromkeys(("full", "equal size"), "inconclusive")


def test_verdicts_if_balancing_hurts_and_attention_helps(tmp_path: Path) -> None:
    noise = {"unbalanced": 0.3, "unbalanced-average": 0.4, "matched": 0.6, "matched-average": 0.7}
    claim_verdicts = verdicts({"balanced": 0.5, "balanced-average": 0.6, **noise}, tmp_path)
    assert claim_verdicts["balancing"] == {"full": "not supported (scores worsened)", "equal size": "supported"}
    assert claim_verdicts["attention"] == {"full": "supported", "equal size": "supported"}
    assert claim_verdicts["both"] == {"full": "not supported (another arm scored higher)", "equal size": "supported"}


def test_false_positive_rate_is_low() -> None:
    """The 95% intervals of two arms of equal quality exclude 0 in record one of twenty cases."""
    false_positives = total = 0
    for number in range(12):
        random = np.random.default_rng(number)
        truth = random.random((300, 4)) < 0.2
        rows = row_weights(300, 300)
        samples = []
        for arm in range(2):
            runs = [truth + random.normal(0, 0.5 + 0.05 * random.normal(), truth.shape) for _ in range(5)]
            sample_scores = np.stack(
                [run_samples(truth, scores, np.full(4, 0.5), rows, auc=False)["macro_f1"] for scores in runs]
            )
            samples.append(np.einsum("bs,sb->b", seed_weights(5, 10 * number + arm, 300), sample_scores))
        low, high = np.percentile((samples[0] - samples[1])[1:], [2.5, 97.5])
        false_positives += not low <= 0 <= high
        total += 1
    assert false_positives <= 2, f"{false_positives} of {total}"


def test_runs_stopped_early_are_reported_and_excluded(tmp_path: Path) -> None:
    runs, test = synthetic_runs({})
    for run in runs:
        rising = run.arm == "matched" and run.seed == 1
        losses = [0.2, 0.3, 0.4, 0.5] if rising else [0.5, 0.4, 0.3, 0.2]
        run.record["history"] = [
            {"epoch": epoch, "loss": 0.3, "val_loss": loss, "seconds": 1.0} for epoch, loss in enumerate(losses, 1)
        ]
        if rising:
            run.probabilities[:] = 0.1
    content = experiments.collect(runs, test, [], None, {"balanced": {"goemotions": 70, "generated": 30}})
    assert content["arms"]["matched"]["stopped_early"] == [1]
    assert [name for name, arm in content["arms"].items() if arm["stopped_early"]] == ["matched"]
    assert content["arms"]["matched"]["macro_f1_of_runs"][1] == 0
    pair = "balanced - matched"
    all_runs = content["comparisons"][pair]["metrics"]["macro_f1"]
    without = content["comparisons_without_stopped_early"][pair]["metrics"]["macro_f1"]
    mean = content["arms"]["balanced"]["metrics"]["macro_f1"]["value"]
    other_scores = [content["arms"]["matched"]["macro_f1_of_runs"][seed] for seed in (0, 2)]
    assert without["value"] == pytest.approx(mean - np.mean(other_scores), abs=1e-6)
    assert without["value"] < all_runs["value"] - 0.1
    assert all("matched" in name for name in content["comparisons_without_stopped_early"])
    experiments.write(content, tmp_path / "results.json", tmp_path / "experiments.md")
    text = (tmp_path / "experiments.md").read_text()
    assert "unbalanced of equal size, attention: seed 1." in text
    assert "contains GoEmotions comments (70) and generated texts (30), whereas" in text
    assert experiments.document(tmp_path / "results.json") == text


@pytest.mark.parametrize(
    ("outcomes", "best", "expected"),
    [
        (["improved", "improved"], False, "supported"),
        (["improved", "worsened"], False, "supported in 1 of 2 comparisons (scores worsened in the other)"),
        (
            ["improved", claims.NOT_SIGNIFICANT],
            False,
            "supported in 1 of 2 comparisons (no significant difference in the other)",
        ),
        (["worsened", "worsened"], False, "not supported (scores worsened)"),
        (
            ["worsened", claims.NOT_SIGNIFICANT],
            False,
            "not supported (scores worsened or did not change significantly)",
        ),
        ([claims.NOT_SIGNIFICANT] * 2, False, "inconclusive"),
        (["improved", claims.NOT_SIGNIFICANT], True, "inconclusive"),
        (["improved", "worsened"], True, "not supported (another arm scored higher)"),
    ],
)
def test_conclusion(outcomes: list[str], best: bool, expected: str) -> None:
    assert claims.conclusion(outcomes, best) == expected


def test_bootstrap_samples_match_the_metrics() -> None:
    runs, test = synthetic_runs({}, rows=200, seeds=1)
    run, truth, weights = runs[0], test.labels.astype(bool), row_weights(200, 40)
    probabilities = np.round(run.probabilities, 1)  # rows with equal scores
    samples = run_samples(truth, probabilities, run.thresholds, weights)
    expected = score(test.labels, probabilities, run.thresholds, LABELS, 0)
    for name in ("macro_f1", "micro_f1", "subset_accuracy", "macro_roc_auc"):
        assert samples[name][0] == pytest.approx(expected[name], abs=1e-6)
    for column in range(3):
        auc, _ = weighted_ranking_metrics(truth[:, column], probabilities[:, column], weights)
        assert weighted_auc(truth[:, column], probabilities[:, column], weights) == pytest.approx(auc)


def test_seed_weights() -> None:
    weights = seed_weights(5, 0, 4000)
    assert weights[0] == pytest.approx(np.full(5, 0.2))
    assert weights.sum(axis=1) == pytest.approx(np.ones(4001))
    values = np.array([0.40, 0.41, 0.43, 0.38, 0.42])
    assert (weights[1:] @ values).var() == pytest.approx(values.var(ddof=1) / 5, rel=0.1)
    assert np.array_equal(seed_weights(1, 0, 3), np.ones((4, 1)))
