"""Ninth stage: collect the manifests in a results file, and write the figures and the document."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pyarrow
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from data_build.publishing import figures
from data_build.stage import Log
from data_build.stages import (
    balance,
    feedback,
    generate,
    generated_rows,
    goemotions,
    relabel,
    review,
    sentiment140,
    verify,
    written,
)
from evenmood import GROUP_OF, LABELS
from evenmood.data.build_folder import MANIFEST_FILE, check_current, read_manifest, read_rows
from evenmood.errors import DataError
from evenmood.model import cards
from evenmood.model.model_folder import write_text
from evenmood.text.normalization import clean

TEMPLATE = Path(__file__).with_name("dataset_report.md.jinja")
STARVED = 100
"""Number of rows below which a label counts as starved by a gate."""
NOT_SHOWN = ("v1", "v2", "v3")
"""Prompt versions whose `lines` form omitted length and point of view, although the rows record both."""
WORDS = 50
"""Number of most frequent words to draw, as in the paper's figure 3."""
STOP_WORDS = ENGLISH_STOP_WORDS | {
    "im",
    "dont",
    "its",
    "thats",
    "just",
    "like",
    "got",
    "u",
    "ive",
    "didnt",
    "youre",
    "hes",
    "id",
}
"""English function words, which are not informative."""


def run(build: Path, log: Log, results: Path, document: Path, generated: Path | None = None) -> None:
    """Write the results file, the figures and the document.

    If the build folder does not exist, only the document is written, from the existing results file.

    Args:
        build: Build folder, with all stages up to `balance` finished.
        log: Called with each progress message.
        results: JSON file to write, or to read if there is no build folder.
        document: Markdown file to write; its figures are written to `figures/dataset/` in the same folder.
        generated: Parquet file to write the verified generated rows to, for `generate --rows`; default: none.

    Raises:
        DataError: A stage is missing, or there is neither a build folder nor a results file.
    """
    folder = document.parent / "figures" / "dataset"
    if not build.is_dir() and results.is_file() and generated is None:
        write_text(document, document_of(results))
        log(f"{document} written from {results}; there is no build folder {build}")
        return
    try:
        content = collect(build)
    except (KeyError, TypeError) as error:  # written by another version, or edited
        raise DataError(
            f"{build}: a manifest lacks an entry required by the report ({error}); run the stages again with --restart"
        ) from None
    results.parent.mkdir(parents=True, exist_ok=True)
    write_text(results, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    draw(build, folder)
    write_text(document, rendered(content, folder.relative_to(document.parent).as_posix()))
    if generated is not None:
        generated_rows.export_rows(build, set(read_rows(build, verify.STAGE)["id"].to_pylist()), generated)
    log(f"{document} and {results} written")


def document_of(results: Path) -> str:
    """Render the document from a results file.

    Raises:
        DataError: The file is invalid, or lacks an entry.
    """
    try:
        return rendered(json.loads(results.read_text(encoding="utf-8")), "figures/dataset")
    except (ValueError, KeyError, TypeError, jinja2.UndefinedError) as error:
        raise DataError(f"{results}: not a results file of this version ({error}); run the report on a build") from None


def rendered(content: Mapping[str, Any], figures_folder: str) -> str:
    """Render the document from the content of a results file; `figures_folder` is relative to the document."""
    return cards.rendered(
        TEMPLATE,
        **{**content, "missing": sorted(((int(size), lacking) for size, lacking in content["missing"].items()))},
        labels=LABELS,
        groups=GROUP_OF,
        starved_below=STARVED,
        words=WORDS,
        figures=figures_folder,
    )


def draw(build: Path, folder: Path) -> None:
    """Draw the figures of a build's balanced rows into a folder.

    Raises:
        DataError: The stage `balance` is missing, or older than its inputs.
    """
    check_current(build, balance.STAGE)
    manifest = read_manifest(build, balance.STAGE)
    rows = read_rows(build, balance.STAGE)
    counts = {"balanced": manifest["label_counts_after"], "GoEmotions": manifest["label_counts_before"]}
    figures.label_counts(counts, by_source(rows), folder / "labels.png")
    words = Counter(word for text in rows["text"].to_pylist() for word in clean(text).split())
    frequent = [(word, count) for word, count in words.most_common() if word not in STOP_WORDS][:WORDS]
    figures.word_counts(frequent, folder / "words.png")
    figures.co_occurrence(rows["labels"].to_pylist(), folder / "co-occurrence.png")


def by_source(rows: pyarrow.Table) -> dict[str, dict[str, int]]:
    """Number of rows with each label, for each source that occurs."""
    counts = {source: dict.fromkeys(LABELS, 0) for source in sorted(set(rows["source"].to_pylist()))}
    for source, numbers in zip(rows["source"].to_pylist(), rows["labels"].to_pylist(), strict=True):
        for number in numbers:
            counts[source][LABELS[number]] += 1
    return counts


def stages_of(build: Path) -> list[str]:
    """Names of the finished stages of a build, in order."""
    review_stage = [review.STAGE] if review.source_of(build) == review.STAGE else []
    later_stages = [
        *generate.rounds(build),
        *relabel.stages(build),
        verify.STAGE,
        *review_stage,
        balance.UNBALANCED,
        balance.STAGE,
    ]
    tweets = [sentiment140.STAGE] if (build / sentiment140.STAGE / MANIFEST_FILE).exists() else []
    shared = [feedback.STAGE] if (build / feedback.STAGE / MANIFEST_FILE).exists() else []
    return [goemotions.STAGE, *tweets, *shared, *written.stages(build), *later_stages]


def collect(build: Path) -> dict[str, Any]:
    """Collect the content of the results file from the manifests."""
    check_current(build, balance.STAGE)
    names = stages_of(build)
    manifests = {name: read_manifest(build, name) for name in (*names, relabel.OFFICIAL)}
    balanced, verified = manifests[balance.STAGE], manifests[verify.STAGE]
    table = read_rows(build, balance.STAGE)
    rows = table.select(["source", "labels", "generator", "reviewed"]).to_pylist()
    recorded = [one for one in read_rows(build, verify.STAGE)["prompt_id"].to_pylist() if one]
    measured = (build / relabel.EVALUATION / MANIFEST_FILE).exists()
    evaluation = read_manifest(build, relabel.EVALUATION)["evaluation"] if measured else {}
    shown = ("rows", "macro_f1", "micro_f1", "macro_roc_auc")
    return {
        "target": balanced["target"],
        "rows": balanced["rows_out"],
        "rows_by_source": dict(sorted(Counter(row["source"] for row in rows).items())),
        "labels_per_row": round(sum(len(row["labels"]) for row in rows) / len(rows), 3),
        "label_counts_before": balanced["label_counts_before"],
        "label_counts_supply": balanced["label_counts_supply"],
        "label_counts_after": balanced["label_counts_after"],
        "label_counts_by_source": by_source(table),
        "ratio_before": balanced["evenness_before"]["ratio"],
        "ratio_after": balanced["evenness_after"]["ratio"],
        "evenness_before": balanced["evenness_before"],
        "evenness_after": balanced["evenness_after"],
        "missing": balanced["missing"],
        "rejected_by_reason": {name: manifests[name]["dropped"] for name in names},
        "stages": {name: {key: manifests[name][key] for key in ("options", "rows_in", "rows_out")} for name in names},
        "official_overlap": verified["official_overlap"],
        "yields": verified["yields"],
        "yields_generated": verified["yields_generated"],
        "starved": {
            gate: sum(count < STARVED for count in verified["yields"][gate].values())
            for gate in ("probability", "precision")
        },
        "attempts": generate.attempts(build),
        "provenance": {
            "rows": len(recorded),
            "not_recorded": generated_rows.unrecorded(recorded),
            "not_shown": sum(json.loads(prompt)["prompt"] in NOT_SHOWN for prompt in recorded),
            "prompts": sorted({json.loads(prompt)["prompt"] for prompt in recorded}),
        },
        "generators": sorted({row["generator"] for row in rows if row["source"] == "generated"}),
        "reviewed": sum(row["reviewed"] for row in rows),
        "agreement": manifests.get(review.STAGE, {}).get("agreement"),
        "audit": review.audited(build),
        "cuts": verified["cuts"],
        "teacher": {
            "name": manifests[relabel.OFFICIAL]["options"]["teacher"],
            "figures": {
                split: {way: {name: evaluation[split][way][name] for name in shown} for way in ("tuned", "at_0.5")}
                for split in ("validation", "test")
                if split in evaluation
            },
        },
    }
