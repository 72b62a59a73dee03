"""Eighth stage: all rows there are, each text once, and of them an even distribution over the 28 labels."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow

from data_build.stage import Say, input_hashes, open_stage
from data_build.stages import goemotions, relabel, review, written
from evenmood import LABELS
from evenmood.data.build_folder import CONFIGURATIONS, read_rows
from evenmood.data.rows import SOURCES, schema, table, text_hash
from evenmood.errors import UsageError

STAGE, UNBALANCED = CONFIGURATIONS["balanced"], CONFIGURATIONS["unbalanced"]
RATIO = 1.5
"""Rows of the most frequent label for each one of the rarest, at the most."""
TARGETS = (50, 100, 200, 300, 480, 700, 1000, 1500, 2000)
"""Rows per label for which the manifest says what is missing."""
RANKS = {"goemotions": 0, "written": 1, "feedback": 2, "sentiment140": 2, "generated": 3}
"""People's rows come first, then texts by a large model, then those that the teacher labeled, then a small model's."""


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
    """Write all rows there are, each text once; then choose among them so that the labels' counts are even.

    Both are training splits: `BUILD:unbalanced` and `BUILD:balanced`, a shard each, the second one shuffled.

    Args:
        build: Build folder.
        say: Receives progress, a line at a time.
        target: Rows per label; the largest that every label reaches within the ratio, if left out.
        ratio: Rows of the most frequent label for each one of the rarest, at the most.
        limit: Rows to choose from; all of them if left out.
        seed: Of every draw.
        restart: Forget what an earlier run wrote.

    Raises:
        DataError: An earlier stage is missing.
        UsageError: The target is below 1, or the ratio below 1.
    """
    if (target is not None and target < 1) or ratio < 1:
        raise UsageError("--target and --ratio must be at least 1")
    inputs = input_hashes(build, goemotions.STAGE, relabel.OFFICIAL, review.source_of(build), *written.stages(build))
    with open_stage(build, UNBALANCED, inputs, {"limit": limit}, say, restart) as stage:
        if not stage.finished:
            rows, dropped = supply_of(build)
            stage.write("train-00000", rows.slice(0, limit), dropped + Counter(_over(rows, limit)))
            stage.finish()
    options = {"target": target, "ratio": ratio, "limit": limit, "seed": seed}
    inputs = input_hashes(build, goemotions.STAGE, UNBALANCED)
    with open_stage(build, STAGE, inputs, options, say, restart) as stage:
        if stage.finished:
            return
        supply = read_rows(build, UNBALANCED).combine_chunks()
        labels: list[list[int]] = supply["labels"].to_pylist()
        ranks = np.array([RANKS[source] for source in supply["source"].to_pylist()])
        held = counts_of(labels, range(len(labels)))
        reached = largest(labels, ranks, ratio, seed) if target is None else target
        chosen = choose(labels, ranks, reached, ratio, seed)
        counts = counts_of(labels, chosen)
        rows = supply.take(pyarrow.array(np.random.default_rng(seed).permutation(chosen)))
        stage.write("train-00000", rows, {"in": supply.num_rows, "not needed": supply.num_rows - len(chosen)})
        official: list[list[int]] = read_rows(build, goemotions.STAGE, "train")["labels"].to_pylist()
        before = counts_of(official, range(len(official)))
        sizes = sorted({*TARGETS, reached})
        stage.finish(
            target=reached,
            label_counts_before=_by_label(before),
            label_counts_supply=_by_label(held),
            label_counts_after=_by_label(counts),
            evenness_before=evenness(before),
            evenness_after=evenness(counts),
            missing={str(size): _by_label(missing(labels, ranks, size, ratio, seed)) for size in sizes},
        )
        say(f"{STAGE}: from {min(counts):,} to {max(counts):,} rows a label, ratio {evenness(counts)['ratio']:.2f}")


def supply_of(build: Path) -> tuple[pyarrow.Table, Counter[str]]:
    """All rows there are to choose from, each cleaned text once, and the counts of what was left out.

    The official training split's come first, then the written texts, then the tweets and the generated rows that passed
    verify and review. Of rows with the same cleaned text the first one stays, whatever labels the others carry.
    """
    official = read_rows(build, relabel.OFFICIAL, "train")
    texts = official["text"].to_pylist()
    people = table(
        id=[
            f"{goemotions.STAGE}:{own_id or f'train-{row}'}" for row, own_id in enumerate(official["id"].to_pylist(), 1)
        ],
        text=texts,
        text_hash=[text_hash(text) for text in texts],
        labels=official["labels"],
        source=[goemotions.STAGE] * len(texts),
        scores=official["scores"],
    )
    added = [read_rows(build, name).cast(schema()) for name in (*written.stages(build), review.source_of(build))]
    rows = pyarrow.concat_tables([people, *added]).combine_chunks()
    ranks = [SOURCES.index(source) for source in rows["source"].to_pylist()]
    hashes, labels = rows["text_hash"].to_pylist(), rows["labels"].to_pylist()
    counts, first, kept = Counter({"in": rows.num_rows}), dict[str, list[int]](), []
    for row in sorted(range(len(ranks)), key=ranks.__getitem__):
        if hashes[row] not in first:
            first[hashes[row]] = labels[row]
            kept.append(row)
            continue
        others = " under other labels" if first[hashes[row]] != labels[row] else ""
        counts[f"{SOURCES[ranks[row]]} row repeats a text{others}"] += 1
    return rows.take(pyarrow.array(kept)), counts


def _over(rows: pyarrow.Table, limit: int | None) -> dict[str, int]:
    return {} if limit is None or limit >= rows.num_rows else {"over the limit": rows.num_rows - limit}


def choose(labels: Sequence[Sequence[int]], ranks: np.ndarray, target: int, ratio: float, seed: int) -> np.ndarray:
    """Rows for a target, the rarest label first.

    Each label takes rows until it has the target: people's first, then by rank; of those that are not people's, rows
    whose labels all lack people's rows come first, so that none stands where people's own would do. A row that would
    lift another label over the limit (`ratio` times what the rarest label can have) is left out, unless it is people's
    and its label would miss the target without it. Rows of one label are not preferred: labels still occur together.

    Args:
        labels: Label numbers of each row.
        ranks: Of its source, as in `RANKS`, shape (n,).
        target: Rows per label.
        ratio: See `run`.
        seed: Of the order among equals.

    Returns:
        Row numbers, ascending.
    """
    supply = counts_of(labels, range(len(labels)))
    short = counts_of(labels, np.flatnonzero(ranks == 0)) < target
    limit = max(target, int(ratio * min(target, supply.min())))
    holders: list[list[int]] = [[] for _ in LABELS]
    for row in np.random.default_rng(seed).permutation(len(labels)).tolist():
        for label in labels[row]:
            holders[label].append(row)
    counts = np.zeros(len(LABELS), int)
    taken = np.zeros(len(labels), bool)
    for label in np.argsort(supply, kind="stable").tolist():
        people, *others = (
            [row for row in holders[label] if ranks[row] == rank] for rank in range(max(RANKS.values()) + 1)
        )
        for added in others:
            added.sort(key=lambda row: not all(short[labels[row]]))
        for rows, force in ((people, False), (people, True), *((added, False) for added in others)):
            for row in rows:
                if counts[label] >= target:
                    break
                crowded = any(counts[other] >= limit for other in labels[row] if other != label)
                if not taken[row] and (force or not crowded):
                    taken[row] = True
                    counts[list(labels[row])] += 1
    return np.flatnonzero(taken)


def largest(labels: Sequence[Sequence[int]], ranks: np.ndarray, ratio: float, seed: int) -> int:
    """The largest target that every label reaches within the ratio, found by going down from the rarest one's rows."""
    target = int(counts_of(labels, range(len(labels))).min())
    while target > 1:
        counts = counts_of(labels, choose(labels, ranks, target, ratio, seed))
        if counts.min() >= target and counts.max() <= ratio * counts.min():
            return target
        target = min(target - 1, int(target * 0.99))
    return 1


def missing(labels: Sequence[Sequence[int]], ranks: np.ndarray, target: int, ratio: float, seed: int) -> np.ndarray:
    """Rows that each label lacks to a target in what can be chosen for it, which the supply may hold: shape (28,)."""
    lacking: np.ndarray = target - counts_of(labels, choose(labels, ranks, target, ratio, seed))
    return lacking.clip(min=0)


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
