"""Stage `balance`: deduplicate all rows, and select rows with an even label distribution."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow

from data_build.stage import Log, input_hashes, open_stage
from data_build.stages import goemotions, relabel, review, written
from evenmood import LABELS
from evenmood.data.build_folder import CONFIGURATIONS, read_rows
from evenmood.data.rows import SOURCES, schema, table, text_hash
from evenmood.errors import UsageError

STAGE, UNBALANCED = CONFIGURATIONS["balanced"], CONFIGURATIONS["unbalanced"]
RATIO = 1.5
"""Default maximum ratio of the most frequent to the rarest label."""
TARGETS = (50, 100, 200, 300, 480, 700, 1000, 1500, 2000)
"""Targets in rows per label; the manifest records each label's shortfall for them."""
RANKS = {"goemotions": 0, "written": 1, "feedback": 2, "sentiment140": 2, "generated": 3}
"""Rank of each source; lower ranks are preferred: human labels, written texts, teacher labels, generated texts."""
HUMAN = 0
"""Rank of rows that people labeled."""


def run(
    build: Path,
    log: Log,
    *,
    target: int | None = None,
    ratio: float = RATIO,
    limit: int | None = None,
    seed: int = 0,
    restart: bool = False,
) -> None:
    """Write all rows, deduplicated, and a selection with an even label distribution.

    Both are training splits of one shard, `BUILD:unbalanced` and `BUILD:balanced`; the second is shuffled.

    Args:
        build: Build folder.
        log: Called with each progress message.
        target: Number of rows per label; by default, the largest that every label reaches within the ratio.
        ratio: Maximum ratio of the most frequent to the rarest label.
        limit: Maximum number of rows to select from; by default, all.
        seed: Random seed.
        restart: Discard the output of an earlier run.

    Raises:
        DataError: An earlier stage is incomplete.
        UsageError: The target is below 1, or the ratio below 1.
    """
    for option, value in (("--target", target), ("--ratio", ratio)):
        if value is not None and value < 1:
            raise UsageError(f"{option} is {value}; expected at least 1")
    inputs = input_hashes(
        build, goemotions.STAGE, relabel.OFFICIAL_SCORES, review.source_stage(build), *written.stages(build)
    )
    with open_stage(build, UNBALANCED, inputs, {"limit": limit}, log, restart) as stage:
        if not stage.finished:
            rows, dropped = deduplicated_rows(build)
            stage.write("train-00000", rows.slice(0, limit), dropped + Counter(_count_over_limit(rows, limit)))
            stage.finish()
    options = {"target": target, "ratio": ratio, "limit": limit, "seed": seed}
    inputs = input_hashes(build, goemotions.STAGE, UNBALANCED)
    with open_stage(build, STAGE, inputs, options, log, restart) as stage:
        if stage.finished:
            return
        candidates = read_rows(build, UNBALANCED).combine_chunks()
        labels: list[list[int]] = candidates["labels"].to_pylist()
        ranks = np.array([RANKS[source] for source in candidates["source"].to_pylist()])
        target = largest_target(labels, ranks, ratio, seed) if target is None else target
        selected_rows = select(labels, ranks, target, ratio, seed)
        counts = label_counts(labels, selected_rows)
        rows = candidates.take(pyarrow.array(np.random.default_rng(seed).permutation(selected_rows)))
        stage.write(
            "train-00000", rows, {"in": candidates.num_rows, "not selected": candidates.num_rows - len(selected_rows)}
        )
        official: list[list[int]] = read_rows(build, goemotions.STAGE, "train")["labels"].to_pylist()
        official_counts = label_counts(official, range(len(official)))
        targets = sorted({*TARGETS, target})
        stage.finish(
            target=target,
            label_counts_before=_by_label(official_counts),
            label_counts_available=_by_label(label_counts(labels, range(len(labels)))),
            label_counts_after=_by_label(counts),
            evenness_before=evenness(official_counts),
            evenness_after=evenness(counts),
            shortfall={str(size): _by_label(shortfall(labels, ranks, size, ratio, seed)) for size in targets},
        )
        log(f"{STAGE}: {min(counts):,} to {max(counts):,} rows per label, ratio {evenness(counts)['ratio']:.2f}")


def deduplicated_rows(build: Path) -> tuple[pyarrow.Table, Counter[str]]:
    """Return all training rows, deduplicated by cleaned text, and the number dropped for each reason.

    Only the first row with a text is kept, even if later ones have other labels. The order is: official training split,
    written texts, then the feedback, tweets and generated rows that passed verify and review.
    """
    official = read_rows(build, relabel.OFFICIAL_SCORES, "train")
    texts = official["text"].to_pylist()
    human_rows = table(
        id=[
            f"{goemotions.STAGE}:{source_id or f'train-{row}'}"
            for row, source_id in enumerate(official["id"].to_pylist(), 1)
        ],
        text=texts,
        text_hash=[text_hash(text) for text in texts],
        labels=official["labels"],
        source=[goemotions.STAGE] * len(texts),
        scores=official["scores"],
    )
    sources = (*written.stages(build), review.source_stage(build))
    rows = pyarrow.concat_tables(
        [human_rows, *(read_rows(build, name).cast(schema()) for name in sources)]
    ).combine_chunks()
    source_numbers = [SOURCES.index(source) for source in rows["source"].to_pylist()]
    hashes, labels = rows["text_hash"].to_pylist(), rows["labels"].to_pylist()
    counts, first_labels, unique_rows = Counter({"in": rows.num_rows}), dict[str, list[int]](), []
    for row in sorted(range(rows.num_rows), key=source_numbers.__getitem__):
        if hashes[row] not in first_labels:
            first_labels[hashes[row]] = labels[row]
            unique_rows.append(row)
            continue
        conflict = " with other labels" if first_labels[hashes[row]] != labels[row] else ""
        counts[f"duplicate {SOURCES[source_numbers[row]]} text{conflict}"] += 1
    return rows.take(pyarrow.array(unique_rows)), counts


def _count_over_limit(rows: pyarrow.Table, limit: int | None) -> dict[str, int]:
    return {} if limit is None or limit >= rows.num_rows else {"over the limit": rows.num_rows - limit}


def select(labels: Sequence[Sequence[int]], ranks: np.ndarray, target: int, ratio: float, seed: int) -> np.ndarray:
    """Select rows until each label has the target, starting with the rarest label.

    Human rows come first, then the others by rank. Among non-human rows, those whose labels all have too few human rows
    come first, so that they do not replace human rows. A row that would raise another label above the limit (`ratio`
    times the count that the rarest label can reach) is skipped, unless it is human and its label would miss the target
    without it. Rows with a single label are not preferred: labels still co-occur.

    Args:
        labels: Label indices of each row.
        ranks: Rank of each row's source, see `RANKS`; shape (n,).
        target: Number of rows per label.
        ratio: See `run`.
        seed: Random seed of the order of equally preferred rows.

    Returns:
        Row numbers, ascending.
    """
    available = label_counts(labels, range(len(labels)))
    lacks_human_rows = label_counts(labels, np.flatnonzero(ranks == HUMAN)) < target
    limit = max(target, int(ratio * min(target, available.min())))
    rows_with_label: list[list[int]] = [[] for _ in LABELS]
    for row in np.random.default_rng(seed).permutation(len(labels)).tolist():
        for label in labels[row]:
            rows_with_label[label].append(row)
    counts = np.zeros(len(LABELS), int)
    is_selected = np.zeros(len(labels), bool)
    for label in np.argsort(available, kind="stable").tolist():
        human, *others = (
            [row for row in rows_with_label[label] if ranks[row] == rank] for rank in range(max(RANKS.values()) + 1)
        )
        for rank_rows in others:
            rank_rows.sort(key=lambda row: not all(lacks_human_rows[labels[row]]))
        for rows, ignore_limit in ((human, False), (human, True), *((rank_rows, False) for rank_rows in others)):
            for row in rows:
                if counts[label] >= target:
                    break
                exceeds_limit = any(counts[other] >= limit for other in labels[row] if other != label)
                if not is_selected[row] and (ignore_limit or not exceeds_limit):
                    is_selected[row] = True
                    counts[list(labels[row])] += 1
    return np.flatnonzero(is_selected)


def largest_target(labels: Sequence[Sequence[int]], ranks: np.ndarray, ratio: float, seed: int) -> int:
    """Find the largest target that every label reaches within the ratio, downward from the rarest label's count."""
    target = int(label_counts(labels, range(len(labels))).min())
    while target > 1:
        counts = label_counts(labels, select(labels, ranks, target, ratio, seed))
        if counts.min() >= target and counts.max() <= ratio * counts.min():
            return target
        target = min(target - 1, int(target * 0.99))
    return 1


def shortfall(labels: Sequence[Sequence[int]], ranks: np.ndarray, target: int, ratio: float, seed: int) -> np.ndarray:
    """Count the rows that each label lacks after selecting for a target: shape (28,).

    A label can fall short even if enough rows have it, since rows that exceed the limit of another label are skipped.
    """
    lacking: np.ndarray = target - label_counts(labels, select(labels, ranks, target, ratio, seed))
    return lacking.clip(min=0)


def label_counts(labels: Sequence[Sequence[int]], rows: Any) -> np.ndarray:
    """Count the labels of the selected rows: shape (28,)."""
    return np.bincount([label for row in rows for label in labels[row]], minlength=len(LABELS))


def evenness(counts: np.ndarray) -> dict[str, float]:
    """Measure the evenness of a label distribution.

    Returns:
        `ratio`: largest to smallest count; `entropy`: normalized to 1 for equal counts; `mean_ir`: mean imbalance
        ratio, the largest count divided by each label's (https://doi.org/10.1016/j.neucom.2014.08.091).
    """
    shares = counts[counts > 0] / counts.sum()
    at_least_one = np.maximum(counts, 1)
    return {
        "ratio": round(float(counts.max() / at_least_one.min()), 3),
        "entropy": round(float(-(shares * np.log(shares)).sum() / np.log(len(counts))), 4),
        "mean_ir": round(float((counts.max() / at_least_one).mean()), 3),
    }


def _by_label(counts: np.ndarray) -> dict[str, int]:
    return dict(zip(LABELS, map(int, counts), strict=True))
