"""Write the results file, figures and document of a build, from its manifests."""

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
FEW_TWEETS = 100
"""Number of tweets below which the report counts a label as lacking tweets."""
PROMPTS_WITHOUT_STYLE = ("v1", "v2", "v3")
"""Prompt versions whose `lines` form omitted length and point of view, although the rows record both."""
WORDS = 50
"""Number of words in the figure of the most frequent words, as in figure 3 of the paper (arXiv 2511.14073)."""
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
"""English function words, which are excluded from the figure."""


def run(build: Path, log: Log, results: Path, document: Path, generated: Path | None = None) -> None:
    """Write the results file, the figures and the document.

    If the build folder does not exist, only the document is written, from the existing results file.

    Args:
        build: Build folder, with all stages up to `balance` finished.
        log: Called with each progress message.
        results: JSON file to write, or to read if there is no build folder.
        document: Markdown file to write; its figures are written to `figures/dataset/` in the same folder.
        generated: Parquet file for exporting the verified generated rows, for `generate --rows`; not exported if None.

    Raises:
        DataError: A stage is missing, or there is neither a build folder nor a results file.
    """
    folder = document.parent / "figures" / "dataset"
    if not build.is_dir() and results.is_file() and generated is None:
        write_text(document, render_document(results))
        log(f"build folder not found: {build}; wrote {document} from {results}")
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
    write_text(document, render(content, folder.relative_to(document.parent).as_posix()))
    if generated is not None:
        generated_rows.export_rows(build, set(read_rows(build, verify.STAGE)["id"].to_pylist()), generated)
    log(f"{document} and {results} written")


def render_document(results: Path) -> str:
    """Render the document from a results file.

    Raises:
        DataError: The file is invalid, or lacks an entry.
    """
    try:
        return render(json.loads(results.read_text(encoding="utf-8")), "figures/dataset")
    except (ValueError, KeyError, TypeError, jinja2.UndefinedError) as error:
        raise DataError(f"{results}: not a results file of this version ({error}); run the report on a build") from None


def render(content: Mapping[str, Any], figures_folder: str) -> str:
    """Render the document from a parsed results file; `figures_folder` is relative to the document."""
    return cards.render_template(
        TEMPLATE,
        **{**content, "shortfall": sorted((int(size), lacking) for size, lacking in content["shortfall"].items())},
        labels=LABELS,
        groups=GROUP_OF,
        few_tweets_below=FEW_TWEETS,
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
    frequent_words = [(word, count) for word, count in words.most_common() if word not in STOP_WORDS][:WORDS]
    figures.word_counts(frequent_words, folder / "words.png")
    figures.co_occurrence(rows["labels"].to_pylist(), folder / "co-occurrence.png")


def by_source(rows: pyarrow.Table) -> dict[str, dict[str, int]]:
    """Count the rows with each label, by source."""
    counts = {source: dict.fromkeys(LABELS, 0) for source in sorted(set(rows["source"].to_pylist()))}
    for source, numbers in zip(rows["source"].to_pylist(), rows["labels"].to_pylist(), strict=True):
        for number in numbers:
            counts[source][LABELS[number]] += 1
    return counts


def finished_stages(build: Path) -> list[str]:
    """Return the names of the finished stages of a build, in order."""
    review_stage = [review.STAGE] if review.source_stage(build) == review.STAGE else []
    later_stages = [
        *generate.rounds(build),
        *relabel.stages(build),
        verify.STAGE,
        *review_stage,
        balance.UNBALANCED,
        balance.STAGE,
    ]
    optional_stages = [name for name in (sentiment140.STAGE, feedback.STAGE) if (build / name / MANIFEST_FILE).exists()]
    return [goemotions.STAGE, *optional_stages, *written.stages(build), *later_stages]


def collect(build: Path) -> dict[str, Any]:
    """Collect the content of the results file from the manifests."""
    check_current(build, balance.STAGE)
    names = finished_stages(build)
    manifests = {name: read_manifest(build, name) for name in (*names, relabel.OFFICIAL_SCORES)}
    balance_manifest, verify_manifest = manifests[balance.STAGE], manifests[verify.STAGE]
    table = read_rows(build, balance.STAGE)
    rows = table.select(["source", "labels", "generator", "reviewed"]).to_pylist()
    prompt_ids = [prompt_id for prompt_id in read_rows(build, verify.STAGE)["prompt_id"].to_pylist() if prompt_id]
    prompts = [json.loads(prompt_id)["prompt"] for prompt_id in prompt_ids]
    has_evaluation = (build / relabel.EVALUATION / MANIFEST_FILE).exists()
    evaluation = read_manifest(build, relabel.EVALUATION)["evaluation"] if has_evaluation else {}
    metrics = ("rows", "macro_f1", "micro_f1", "macro_roc_auc")
    return {
        "target": balance_manifest["target"],
        "rows": balance_manifest["rows_out"],
        "rows_by_source": dict(sorted(Counter(row["source"] for row in rows).items())),
        "labels_per_row": round(sum(len(row["labels"]) for row in rows) / len(rows), 3),
        "label_counts_before": balance_manifest["label_counts_before"],
        "label_counts_available": balance_manifest["label_counts_available"],
        "label_counts_after": balance_manifest["label_counts_after"],
        "label_counts_by_source": by_source(table),
        "ratio_before": balance_manifest["evenness_before"]["ratio"],
        "ratio_after": balance_manifest["evenness_after"]["ratio"],
        "evenness_before": balance_manifest["evenness_before"],
        "evenness_after": balance_manifest["evenness_after"],
        "shortfall": balance_manifest["shortfall"],
        "dropped": {name: manifests[name]["dropped"] for name in names},
        "stages": {name: {key: manifests[name][key] for key in ("options", "rows_in", "rows_out")} for name in names},
        "official_overlap": verify_manifest["official_overlap"],
        "tweets_by_rule": verify_manifest["tweets_by_rule"],
        "generated_by_rule": verify_manifest["generated_by_rule"],
        "few_tweets": {
            rule: sum(count < FEW_TWEETS for count in verify_manifest["tweets_by_rule"][rule].values())
            for rule in ("probability", "precision")
        },
        "attempts": generate.generation_counts(build),
        "provenance": {
            "rows": len(prompt_ids),
            "missing_keys": generated_rows.missing_keys(prompt_ids),
            "style_not_in_prompt": sum(prompt in PROMPTS_WITHOUT_STYLE for prompt in prompts),
            "prompt_versions": sorted(set(prompts)),
        },
        "generators": sorted({row["generator"] for row in rows if row["source"] == "generated"}),
        "reviewed": sum(row["reviewed"] for row in rows),
        "agreement": manifests.get(review.STAGE, {}).get("agreement"),
        "audit": review.audit_result(build),
        "thresholds": verify_manifest["thresholds"],
        "teacher": {
            "name": manifests[relabel.OFFICIAL_SCORES]["options"]["teacher"],
            "metrics": {
                split: {
                    thresholds: {name: evaluation[split][thresholds][name] for name in metrics}
                    for thresholds in ("tuned", "at_0.5")
                }
                for split in ("validation", "test")
                if split in evaluation
            },
        },
    }
