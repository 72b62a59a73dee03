"""Resolve the votes on the written texts, and write the input file of the stage `written`.

The written texts are short English texts that language models wrote for training, and that other language models
annotated.
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
from data_build.stage import Log
from data_build.stages.written import benchmark_texts
from evenmood import LABELS
from evenmood.data.leakage import NEAR_DUPLICATE, DuplicateIndex, LeakageFilter
from evenmood.data.rows import symbol_hash
from evenmood.data.splits import Split, load_split
from evenmood.errors import DataError
from evenmood.model import cards
from evenmood.model.model_folder import write_text
from evenmood.text.normalization import clean, replace_surrogates
from evenmood.text.symbols import SYMBOL

TEMPLATE = Path(__file__).with_name("written_report.md.jinja")
SAMPLES = ("random", "contradicted", "control")
WINDOW = 1000
"""Words per window of the type-token ratio. Over the whole corpus, the ratio would mostly reflect corpus size."""


def resolve(
    texts: Sequence[Path], votes: Path, data: str, out: Path, results: Path, log: Log, audit: Path | None = None
) -> dict[str, Any]:
    """Write the texts with their final labels, and a file of statistics.

    Annotated texts get the majority labels; other texts keep their writer's labels. Annotated texts without a majority
    are dropped, as are duplicates and near-duplicates, including those of held-out texts. A text's id is its
    `symbol_hash`.

    Args:
        texts: JSON Lines files with `text`, `labels` (main label first), `domain` and `writer`.
        votes: Parquet file with `id`, `annotator`, `labels` (names separated by spaces, main label first) and `sample`.
        data: Data set whose validation and test texts are held out, besides those of the everyday benchmark, and whose
            validation texts are the control sample.
        out: Parquet file to write.
        results: JSON file to write.
        log: Called with each progress message.
        audit: Parquet file with `id` and `reasonable`: whether another annotator found the final labels reasonable.

    Returns:
        Statistics, as written to `results`.

    Raises:
        DataError: A file cannot be read, or a row has an unknown label or sample.
    """
    written_rows = [row for path in texts for row in _read_texts(path)]
    held_out = {name: load_split(data, name) for name in ("validation", "test")}
    votes_by_sample = _read_votes(votes)
    leakage = LeakageFilter([*(text for split in held_out.values() for text in split.texts), *benchmark_texts()])
    index, dropped, rows = DuplicateIndex(NEAR_DUPLICATE), Counter[str](), dict[str, dict[str, Any]]()
    for row in written_rows:
        text_id = symbol_hash(row["text"])
        reason = leakage.rejection_reason(row["text"])
        # The index ignores emoji, so it is not used for texts with emoji.
        has_emoji = SYMBOL.search(row["text"])
        if not reason and (text_id in rows or (not has_emoji and _is_duplicate(index, row["text"]))):
            reason = "duplicate or near-duplicate"
        if reason:
            dropped[reason] += 1
            continue
        index.add(row["text"])
        rows[text_id] = {**row, "id": text_id, "writer_labels": row["labels"], "votes": None, "resolution": None}
    label_changes = Counter[str]()
    for sample in ("random", "contradicted"):
        for text_id, text_votes in _by_id(votes_by_sample[sample]).items():
            if text_id in rows:
                _apply(rows[text_id], text_votes, label_changes)
    dropped["no majority"] = sum(row["resolution"] == "open" for row in rows.values())
    resolved_rows = [row for row in rows.values() if row["resolution"] != "open"]
    _write(out, resolved_rows)
    writer_labels = {row["id"]: row["writer_labels"] for row in rows.values()}
    statistics = {
        "texts_in": len(written_rows),
        "texts_out": len(resolved_rows),
        "dropped": dict(dropped),
        "annotators": len({vote.annotator for votes in votes_by_sample.values() for vote in votes}),
        "votes_per_text": max((len(votes) for votes in _by_id(votes_by_sample["random"]).values()), default=0),
        "annotated": {sample: len(_by_id(votes_by_sample[sample])) for sample in SAMPLES},
        "annotated_texts_out": sum(row["votes"] is not None for row in resolved_rows),
        "label_changes": dict(label_changes),
        "agreement": agreement.measure(votes_by_sample["random"]),
        "annotators_and_writers": _agreement_with(votes_by_sample["random"], writer_labels),
        "annotators_and_goemotions": _agreement_with(votes_by_sample["control"], _human_labels(held_out["validation"])),
        "audit": _audit(audit, {row["id"] for row in resolved_rows}),
        "labels": _label_counts(resolved_rows),
        "writers": dict(Counter(row["writer"] for row in resolved_rows)),
        "variety": variety(resolved_rows),
    }
    write_text(results, json.dumps(statistics, indent=1, ensure_ascii=False) + "\n")
    size = out.stat().st_size / 1e6
    log(f"{out}: {len(resolved_rows):,} of {len(written_rows):,} texts, {size:.1f} MB; statistics: {results}")
    return statistics


def _is_duplicate(index: DuplicateIndex, text: str) -> bool:
    return index.has_duplicate(text) or index.has_near_duplicate(text)


def render_document(results: Path) -> str:
    """Render docs/written.md from the results file."""
    return cards.render_template(TEMPLATE, **json.loads(results.read_text(encoding="utf-8")))


def variety(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Measure the variety of the texts.

    Returns:
        `distinct_openings`: share of texts whose first three words are unique; `type_token_ratio`: mean share of
        distinct words in windows of `WINDOW` words; `words`: quantiles of the text lengths in words.
    """
    words_by_text = [clean(row["text"]).split() for row in rows]
    openings = Counter(tuple(words[:3]) for words in words_by_text)
    corpus = [word for words in words_by_text for word in words]
    windows = [corpus[start : start + WINDOW] for start in range(0, len(corpus) - WINDOW + 1, WINDOW)]
    return {
        "distinct_openings": round(sum(count == 1 for count in openings.values()) / max(len(rows), 1), 4),
        "type_token_ratio": round(float(np.mean([len(set(window)) / WINDOW for window in windows])), 4)
        if windows
        else None,
        "words": np.quantile([len(words) for words in words_by_text], [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1]).tolist(),
    }


def _audit(path: Path | None, ids: set[str]) -> dict[str, Any] | None:
    """Return the share of audited texts with reasonable labels, with its exact 95% confidence interval."""
    if path is None:
        return None
    frame = _read_parquet(path, "an audit file", ["id", "reasonable"])
    if frame["reasonable"].dtype != bool or frame["id"].duplicated().any():
        raise DataError(f"{path}: invalid audit file; expected unique ids and a Boolean column `reasonable`")
    frame = frame[frame["id"].isin(ids)]
    return agreement.audit(int(frame["reasonable"].sum()), len(frame))


def _apply(row: dict[str, Any], votes: Sequence[Vote], label_changes: Counter[str]) -> None:
    """Apply the majority labels. The writer's main label stays first if it is among them."""
    result = majority(votes)
    row["votes"], row["resolution"] = list(result.counts), result.resolution
    if result.resolution == "open":
        return
    writer_labels = row["writer_labels"]
    labels = sorted(result.labels, key=lambda label: (LABELS[label] != writer_labels[0], -result.counts[label]))
    row["labels"] = [LABELS[label] for label in labels]
    label_changes["main label changed"] += writer_labels[0] not in row["labels"]
    label_changes["label added"] += bool(set(row["labels"]) - set(writer_labels))
    label_changes["label removed"] += bool(set(writer_labels) - set(row["labels"]))


def _agreement_with(votes: Sequence[Vote], labels_by_id: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the share of votes that include a text's first label, or any of its labels, with 95% Wilson intervals.

    Votes on the same text are not independent, so the intervals are too narrow.
    """
    pairs = [
        ({LABELS[label] for label in vote.labels}, labels_by_id[vote.id]) for vote in votes if vote.id in labels_by_id
    ]
    shares: dict[str, Any] = {"votes": len(pairs)}
    for name, hits in (
        ("first_label", sum(labels[0] in voted_labels for voted_labels, labels in pairs)),
        ("any_label", sum(bool(voted_labels & set(labels)) for voted_labels, labels in pairs)),
    ):
        low, high = proportion_confint(hits, len(pairs), method="wilson") if pairs else (0.0, 1.0)
        shares[name] = {"value": round(hits / max(len(pairs), 1), 4), "low": round(low, 4), "high": round(high, 4)}
    return shares


def _human_labels(validation: Split) -> dict[str, list[str]]:
    """Return the labels of the control sample, by id."""
    return {
        f"validation:{row}": [LABELS[label] for label in labels.nonzero()[0]]
        for row, labels in enumerate(validation.labels)
    }


def _label_counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    main = Counter(row["labels"][0] for row in rows)
    total = Counter(label for row in rows for label in row["labels"])
    return {label: {"main": main[label], "all": total[label]} for label in LABELS}


def _by_id(votes: Sequence[Vote]) -> dict[str, list[Vote]]:
    votes_by_id = defaultdict[str, list[Vote]](list)
    for vote in votes:
        votes_by_id[vote.id].append(vote)
    return votes_by_id


def _read_parquet(path: Path, kind: str, columns: list[str]) -> pd.DataFrame:
    try:
        return pd.read_parquet(path, columns=columns)
    except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
        raise DataError(
            f"{path}: not {kind} ({' '.join(str(error).split())[:200]}); "
            f"expected Parquet with the columns {', '.join(columns)}"
        ) from None


def _read_votes(path: Path) -> dict[str, list[Vote]]:
    """Read the votes, by sample."""
    frame = _read_parquet(path, "a votes file", ["id", "annotator", "labels", "sample"])
    if (is_duplicate := frame.duplicated(["id", "annotator", "sample"])).any():
        first = frame[is_duplicate].iloc[0]
        raise DataError(
            f"{path}: {first['annotator']} voted on {first['id']} more than once; keep one vote per annotator and text"
        )
    votes: dict[str, list[Vote]] = {sample: [] for sample in SAMPLES}
    for number, row in enumerate(frame.to_dict("records"), 1):
        names = row["labels"].split() if isinstance(row["labels"], str) else []
        if row["sample"] not in votes or not names or not set(names) <= set(LABELS):
            raise DataError(
                f"{path}, vote {number}: labels {row['labels']!r}, sample {row['sample']!r}; "
                f"expected GoEmotions labels separated by spaces, and one of the samples {', '.join(SAMPLES)}"
            )
        labels = tuple(LABELS.index(name) for name in names)
        votes[row["sample"]].append(Vote(row["id"], row["annotator"], labels, unsure=False, saw_predictions=False))
    return votes


def _read_texts(path: Path) -> list[dict[str, Any]]:
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; expected JSON Lines in UTF-8") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            labels = list(dict.fromkeys(row["labels"]))
            rows.append({"text": row["text"], "labels": labels, "domain": row["domain"], "writer": row["writer"]})
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number}: {type(error).__name__}: {error}; "
                "expected a JSON object with text, labels, domain and writer"
            ) from None
        if not labels or not set(labels) <= set(LABELS):
            raise DataError(f"{path}, line {number}: missing or unknown label in {labels}; expected GoEmotions labels")
        for name in ("text", "domain", "writer"):
            if not isinstance(row[name], str) or replace_surrogates(row[name]) != row[name]:
                raise DataError(
                    f"{path}, line {number}: {name} is {row[name]!r}; expected a string without lone surrogates"
                )
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
    temporary = out.with_name(f".{out.name}.part")
    parquet.write_table(
        pyarrow.Table.from_pylist(list(rows), schema), temporary, compression="zstd", compression_level=19
    )
    temporary.replace(out)
