"""Resolve annotator votes on written texts into the input file of stage `written`, and record statistics.

Annotators are language models: nothing here is called a person's.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import parquet
from statsmodels.stats.proportion import proportion_confint

from data_build.annotation import agreement
from data_build.annotation.majority import Vote, majority
from data_build.stage import Say
from data_build.stages.written import everyday_texts
from evenmood import LABELS
from evenmood.data.leakage import NEAR, Known, Leakage
from evenmood.data.rows import symbol_hash
from evenmood.data.splits import Split, load_split
from evenmood.errors import DataError
from evenmood.model import cards
from evenmood.model.model_folder import write_text
from evenmood.text.normalization import clean, encodable
from evenmood.text.symbols import SYMBOL

TEMPLATE = Path(__file__).with_name("written_report.md.jinja")
SAMPLES = ("random", "contradicted", "control")
WINDOW = 1000
"""Window size, in words, for the type-token ratio: over the whole corpus it would mainly reflect corpus size."""


def resolve(
    texts: Sequence[Path], votes: Path, data: str, out: Path, results: Path, say: Say, audit: Path | None = None
) -> dict[str, Any]:
    """Write the texts with their final labels, and the figures.

    A text keeps its writer's labels unless annotators voted on it; then it has the labels of the majority. One without
    a majority is dropped, as are repeats and texts near a held-out one. Ids are `symbol_hash`.

    Args:
        texts: JSON Lines files of `text`, `labels` (the main one first), `domain` and `writer`.
        votes: Parquet file of `id`, `annotator`, `labels` (names between spaces, the main one first) and `sample`.
        data: Data set whose validation and test texts stay out, and whose validation texts are the control.
        out: Parquet file to write.
        results: JSON file to write.
        say: Receives a line about what was done.
        audit: Parquet file of `id` and `reasonable`: what another annotator says of the final labels of random texts.

    Returns:
        What `results` holds.

    Raises:
        DataError: A file cannot be read, or a row has an unknown label or sample.
    """
    written = [row for path in texts for row in _read(path)]
    held = {name: load_split(data, name) for name in ("validation", "test")}
    given = _votes(votes)
    leakage = Leakage([*(text for split in held.values() for text in split.texts), *everyday_texts()])
    known, counts, rows = Known(NEAR), Counter[str](), dict[str, dict[str, Any]]()
    for row in written:
        name = symbol_hash(row["text"])
        reason = leakage.reason(row["text"])
        # Near-duplicate matching ignores emoji, so texts with emoji skip it.
        if not reason and (name in rows or (not SYMBOL.search(row["text"]) and _repeats(known, row["text"]))):
            reason = "repeats another text"
        if reason:
            counts[reason] += 1
            continue
        known.add(row["text"])
        rows[name] = {**row, "id": name, "writer_labels": row["labels"], "votes": None, "resolution": None}
    changed = Counter[str]()
    for sample in ("random", "contradicted"):
        for name, own in _by_id(given[sample]).items():
            if name in rows:
                _apply(rows[name], own, changed)
    counts["no majority"] = sum(row["resolution"] == "open" for row in rows.values())
    kept = [row for row in rows.values() if row["resolution"] != "open"]
    _write(out, kept)
    figures = {
        "read": len(written),
        "kept": len(kept),
        "dropped": dict(counts),
        "annotators": len({vote.annotator for votes_of in given.values() for vote in votes_of}),
        "votes_per_text": max((len(own) for own in _by_id(given["random"]).values()), default=0),
        "annotated": {sample: len(_by_id(given[sample])) for sample in SAMPLES},
        "annotated_and_kept": sum(row["votes"] is not None for row in kept),
        "changed": dict(changed),
        "agreement": agreement.measure(given["random"]),
        "annotators_and_writers": _against(given["random"], {row["id"]: row["writer_labels"] for row in rows.values()}),
        "annotators_and_goemotions": _against(given["control"], _human(held["validation"])),
        "audit": _audited(audit, {row["id"] for row in kept}),
        "labels": _label_counts(kept),
        "writers": dict(Counter(row["writer"] for row in kept)),
        "convergence": convergence(kept),
    }
    write_text(results, json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    say(f"{out}: {len(kept):,} of {len(written):,} texts, {out.stat().st_size / 1e6:.1f} MB; figures: {results}")
    return figures


def _repeats(known: Known, text: str) -> bool:
    return known.equals(text) or known.nearly_equals(text)


def document(results: Path) -> str:
    """docs/written.md, from the results file."""
    return cards.rendered(TEMPLATE, **json.loads(results.read_text(encoding="utf-8")))


def convergence(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How far texts repeat one another.

    Returns:
        `distinct_openings`: the share of first three words that no other text has; `type_token_ratio`: distinct words
        among a thousand in a row, the mean; `words`: quantiles of texts' lengths.
    """
    cleaned = [clean(row["text"]).split() for row in rows]
    openings = Counter(tuple(words[:3]) for words in cleaned)
    together = [word for words in cleaned for word in words]
    windows = [together[at : at + WINDOW] for at in range(0, len(together) - WINDOW + 1, WINDOW)]
    return {
        "distinct_openings": round(sum(count == 1 for count in openings.values()) / max(len(rows), 1), 4),
        "type_token_ratio": round(float(np.mean([len(set(window)) / WINDOW for window in windows])), 4)
        if windows
        else None,
        "words": np.quantile([len(words) for words in cleaned], [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1]).tolist(),
    }


def _audited(path: Path | None, kept: set[str]) -> dict[str, Any] | None:
    """The share of audited texts whose labels are reasonable, with its exact 95 % interval."""
    if path is None:
        return None
    frame = _table(path, "an audit file", ["id", "reasonable"])
    if frame["reasonable"].dtype != bool or frame["id"].duplicated().any():
        raise DataError(f"{path}: not an audit file (expected each id once, and reasonable to be true or false)")
    frame = frame[frame["id"].isin(kept)]
    return agreement.audit(int(frame["reasonable"].sum()), len(frame))


def _apply(row: dict[str, Any], votes: Sequence[Vote], changed: Counter[str]) -> None:
    """Give a text the labels of the majority, the writer's main one first where it stays."""
    result = majority(votes)
    row["votes"], row["resolution"] = list(result.counts), result.resolution
    if result.resolution == "open":
        return
    before = row["writer_labels"]
    order = sorted(result.labels, key=lambda label: (LABELS[label] != before[0], -result.counts[label]))
    row["labels"] = [LABELS[label] for label in order]
    changed["main label changed"] += before[0] not in row["labels"]
    changed["a label added"] += bool(set(row["labels"]) - set(before))
    changed["a label removed"] += bool(set(before) - set(row["labels"]))


def _against(votes: Sequence[Vote], truth: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """How often an annotator gives the first label of a text, and any of its labels, with 95 % intervals (Wilson).

    Votes on one text are not independent: the intervals are over votes and too narrow by that.
    """
    own = [({LABELS[label] for label in vote.labels}, truth[vote.id]) for vote in votes if vote.id in truth]
    found: dict[str, Any] = {"votes": len(own)}
    for name, hits in (
        ("first_label", sum(labels[0] in said for said, labels in own)),
        ("any_label", sum(bool(said & set(labels)) for said, labels in own)),
    ):
        low, high = proportion_confint(hits, len(own), method="wilson") if own else (0.0, 1.0)
        found[name] = {"value": round(hits / max(len(own), 1), 4), "low": round(low, 4), "high": round(high, 4)}
    return found


def _human(validation: Split) -> dict[str, list[str]]:
    return {
        f"validation:{row}": [LABELS[label] for label in labels.nonzero()[0]]
        for row, labels in enumerate(validation.labels)
    }


def _label_counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    first, every = Counter(row["labels"][0] for row in rows), Counter(label for row in rows for label in row["labels"])
    return {label: {"main": first[label], "all": every[label]} for label in LABELS}


def _by_id(votes: Sequence[Vote]) -> dict[str, list[Vote]]:
    found = defaultdict[str, list[Vote]](list)
    for vote in votes:
        found[vote.id].append(vote)
    return found


def _table(path: Path, kind: str, columns: list[str]) -> pd.DataFrame:
    try:
        return pd.read_parquet(path, columns=columns)
    except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: not {kind} ({' '.join(str(error).split())[:200]})") from None


def _votes(path: Path) -> dict[str, list[Vote]]:
    frame = _table(path, "a file of votes", ["id", "annotator", "labels", "sample"])
    if (again := frame.duplicated(["id", "annotator", "sample"])).any():
        first = frame[again].iloc[0]
        raise DataError(f"{path}: {first['annotator']} voted on {first['id']} more than once")
    found: dict[str, list[Vote]] = {sample: [] for sample in SAMPLES}
    for number, row in enumerate(frame.to_dict("records"), 1):
        names = row["labels"].split() if isinstance(row["labels"], str) else []
        if row["sample"] not in found or not names or not set(names) <= set(LABELS):
            raise DataError(
                f"{path}, vote {number}: labels {row['labels']!r}, sample {row['sample']!r}; "
                f"expected GoEmotions labels and a sample of "
                f"{', '.join(SAMPLES)}"
            )
        labels = tuple(LABELS.index(name) for name in names)
        found[row["sample"]].append(Vote(row["id"], row["annotator"], labels, unsure=False, saw_machine=False))
    return found


def _read(path: Path) -> list[dict[str, Any]]:
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            labels = list(dict.fromkeys(row["labels"]))
            rows.append({"text": row["text"], "labels": labels, "domain": row["domain"], "writer": row["writer"]})
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: {type(error).__name__}: {error}") from None
        if not labels or not set(labels) <= set(LABELS):
            raise DataError(f"{path}, line {number}: expected labels of the 28, found {labels}")
        for name in ("text", "domain", "writer"):
            if not isinstance(row[name], str) or encodable(row[name]) != row[name]:
                raise DataError(f"{path}, line {number}: {name} is {row[name]!r}; expected a string")
    return rows


def _write(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    strings = pyarrow.list_(pyarrow.string())
    schema = pyarrow.schema(
        [
            ("id", pyarrow.string()),
            ("text", pyarrow.string()),
            ("labels", strings),
            ("writer_labels", strings),
            ("domain", pyarrow.string()),
            ("writer", pyarrow.string()),
            ("votes", pyarrow.list_(pyarrow.int64())),
            ("resolution", pyarrow.string()),
        ]
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema), part, compression="zstd", compression_level=19)
    part.replace(out)
