"""Eighth stage: an even distribution over the 28 labels, although rows carry several."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow

from data_build import goemotions, relabel, review
from data_build.stage import Say, input_hashes, open_stage, read_rows
from evenmood import LABELS
from evenmood.errors import UsageError
from evenmood.rows import SOURCES, schema, table, text_hash

STAGE = "balance"
RATIO = 1.5
"""Rows of the most frequent label for each one of the rarest, at the most."""
TARGETS = (50, 100, 200, 300, 480, 700, 1000, 1500, 2000)
"""Rows per label for which the manifest says what is missing."""


def run(
    build: Path,
    say: Say,
    *,
    target: int | None = None,
    ratio: float = RATIO,
    limit: int | None = None,
    seed: int = 0,
    restart: bool = False,
) -> None:
    """Choose rows so that the labels' counts are even, and write them in one shard, shuffled.

    Args:
        build: Build folder.
        say: Receives progress, a line at a time.
        target: Rows per label; the largest that the supply reaches within the ratio, if left out.
        ratio: Rows of the most frequent label for each one of the rarest, at the most.
        limit: Rows of the supply to choose from; all of them if left out.
        seed: Of every draw.
        restart: Forget what an earlier run wrote.

    Raises:
        DataError: An earlier stage is missing.
        UsageError: The target is below 1, or the ratio below 1.
    """
    if (target is not None and target < 1) or ratio < 1:
        raise UsageError("--target and --ratio must be at least 1")
    inputs = input_hashes(build, goemotions.STAGE, relabel.OFFICIAL, review.source_of(build))
    options = {"target": target, "ratio": ratio, "limit": limit, "seed": seed}
    with open_stage(build, STAGE, inputs, options, say, restart) as stage:
        if stage.finished:
            return
        supply = supply_of(build).slice(0, limit)
        labels: list[list[int]] = supply["labels"].to_pylist()
        ranks = np.array([SOURCES.index(source) for source in supply["source"].to_pylist()])
        held = counts_of(labels, range(len(labels)))
        reached = largest(labels, ranks, ratio, seed) if target is None else target
        chosen = choose(labels, ranks, reached, ratio, seed)
        counts = counts_of(labels, chosen)
        rows = supply.take(pyarrow.array(np.random.default_rng(seed).permutation(chosen)))
        stage.write("train-00000", rows, {"in": supply.num_rows, "not needed": supply.num_rows - len(chosen)})
        before = counts_of(labels, np.flatnonzero(ranks == 0))
        stage.finish(
            target=reached,
            label_counts_before=_by_label(before),
            label_counts_supply=_by_label(held),
            label_counts_after=_by_label(counts),
            evenness_before=evenness(before),
            evenness_after=evenness(counts),
            missing={str(size): _by_label(np.maximum(0, size - held)) for size in (*TARGETS, reached)},
        )
        say(f"{STAGE}: from {min(counts):,} to {max(counts):,} rows a label, ratio {evenness(counts)['ratio']:.2f}")


def supply_of(build: Path) -> pyarrow.Table:
    """All rows there are to choose from: the official training split's, then those that passed verify and review."""
    official = read_rows(build, relabel.OFFICIAL, "train")
    texts = official["text"].to_pylist()
    people = table(
        id=[f"{goemotions.STAGE}:{own_id}" for own_id in official["id"].to_pylist()],
        text=texts,
        text_hash=[text_hash(text) for text in texts],
        labels=official["labels"],
        source=[goemotions.STAGE] * len(texts),
        scores=official["scores"],
    )
    return pyarrow.concat_tables([people, read_rows(build, review.source_of(build)).cast(schema())]).combine_chunks()


def choose(labels: Sequence[Sequence[int]], ranks: np.ndarray, target: int, ratio: float, seed: int) -> np.ndarray:
    """Rows for a target, the rarest label first.

    Each label takes rows until it has the target: people's first, then tweets, then generated ones. A row that would
    lift another label over the limit (`ratio` times what the rarest label can have) is left out, unless it is people's
    and its label would miss the target without it. Rows of one label are not preferred: labels still occur together.

    Args:
        labels: Label numbers of each row.
        ranks: Place of its source among `SOURCES`, shape (n,).
        target: Rows per label.
        ratio: See `run`.
        seed: Of the order among equals.

    Returns:
        Row numbers, ascending.
    """
    supply = counts_of(labels, range(len(labels)))
    limit = max(target, int(ratio * min(target, supply.min())))
    holders: list[list[int]] = [[] for _ in LABELS]
    for row in np.random.default_rng(seed).permutation(len(labels)).tolist():
        for label in labels[row]:
            holders[label].append(row)
    counts = np.zeros(len(LABELS), int)
    taken = np.zeros(len(labels), bool)
    for label in np.argsort(supply, kind="stable").tolist():
        people, tweets, generated = ([row for row in holders[label] if ranks[row] == rank] for rank in range(3))
        for rows, force in ((people, False), (people, True), (tweets, False), (generated, False)):
            for row in rows:
                if counts[label] >= target:
                    break
                crowded = any(counts[other] >= limit for other in labels[row] if other != label)
                if not taken[row] and (force or not crowded):
                    taken[row] = True
                    counts[list(labels[row])] += 1
    return np.flatnonzero(taken)


def largest(labels: Sequence[Sequence[int]], ranks: np.ndarray, ratio: float, seed: int) -> int:
    """The largest target whose outcome keeps the ratio, found by going down from the most there could be."""
    target = int(ratio * counts_of(labels, range(len(labels))).min())
    while target > 1:
        counts = counts_of(labels, choose(labels, ranks, target, ratio, seed))
        if counts.max() <= ratio * counts.min():
            return target
        target = min(target - 1, int(target * 0.97))
    return 1


def counts_of(labels: Sequence[Sequence[int]], rows: Any) -> np.ndarray:
    """Rows with each label, shape (28,)."""
    return np.bincount([label for row in rows for label in labels[row]], minlength=len(LABELS))


def evenness(counts: np.ndarray) -> dict[str, float]:
    """How even counts are.

    Returns:
        `ratio` of the largest to the smallest; `entropy`, normalised to 1 for equal counts; `mean_ir`, the mean
        imbalance ratio (largest count over each label's, https://doi.org/10.1016/j.neucom.2014.08.091).
    """
    shares = counts[counts > 0] / counts.sum()
    whole = np.maximum(counts, 1)
    return {
        "ratio": round(float(counts.max() / whole.min()), 3),
        "entropy": round(float(-(shares * np.log(shares)).sum() / np.log(len(counts))), 4),
        "mean_ir": round(float((counts.max() / whole).mean()), 3),
    }


def _by_label(counts: np.ndarray) -> dict[str, int]:
    return dict(zip(LABELS, map(int, counts), strict=True))
