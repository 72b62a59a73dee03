"""Generate README.md's tables and the documents from results files: `python docs/build.py`; `--check` only compares."""

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import speed_figure
from benchmarks.report import DOCUMENT, default_model_reason, document, readme_table, speeds
from benchmarks.web_report import web_table
from data_build.publishing import report as dataset
from data_build.written import written_votes
from docs.examples import python_output, shell_output
from evenmood import EKMAN, GROUP_OF, LABELS
from evenmood.model.model_folder import format_metric
from evenmood.report.intervals import wilson
from train.experiments import report as experiments

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DATASET = ROOT / "docs/dataset.md"
EXPERIMENTS = ROOT / "docs/experiments.md"
WRITTEN = ROOT / "docs/written.md"
OURS = {"fast": "default_model", "accurate": "accurate_model"}
"""Results file of each bundled model."""
PEERS = ("evenmood", "accurate")
"""Name of each bundled model in results/bench-accurate.json."""
OTHERS = {
    "minilm-goemotions": "MiniLM fine-tuned on GoEmotions only",
    "teacher-everyday": "the teacher of the fast model (MiniLM, 46 MB)",
    "NRCLex": "NRCLex, a word-emotion lexicon",
}
"""Title of each other model in results/everyday.json."""


PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
"""Generated part of a page."""


def main() -> None:
    """Write the documents, or compare them with the results files."""
    contents = {
        DOCUMENT: document(),
        DATASET: dataset.render_document(ROOT / "results/dataset.json"),
        EXPERIMENTS: experiments.document(ROOT / "results/experiments.json"),
        WRITTEN: written_votes.render_document(ROOT / "results/written.json"),
    }
    for page in (README, *sorted((ROOT / "docs").rglob("*.md"))):
        text = page.read_text(encoding="utf-8")
        if page not in contents and PART.search(text):
            contents[page] = build(text)
    if "--check" not in sys.argv:
        speed_figure.draw(speeds())
    elif not speed_figure.is_current(speeds()):
        sys.exit(
            f"error: {speed_figure.FIGURE.relative_to(ROOT)} is out of date with the results files; run: make docs"
        )
    for path, new_text in contents.items():
        old_text = path.read_text(encoding="utf-8") if path.exists() else ""
        if "--check" not in sys.argv:
            path.write_text(new_text, encoding="utf-8", newline="\n")
        elif old_text != new_text:
            name = path.relative_to(ROOT)
            sys.exit(f"error: {name} is out of date with the results files or the code; run: make docs")


def build(text: str) -> str:
    """Replace the content of all generated parts of a page."""
    parts: dict[str, Callable[[str], str]] = {
        "output": python_output,
        "shell": shell_output,
        "results": lambda _: results(),
        "speed": lambda _: readme_table(),
        "default": lambda _: default_model_reason(),
        "demo": lambda _: demo(),
        "labels": lambda _: labels(),
        "web": lambda _: web_table(),
    }

    def fill(match: re.Match[str]) -> str:
        mark, name, end = match.groups()
        return f"{mark}{parts[name](text[: match.start()])}\n{end}"

    return PART.sub(fill, text)


def labels() -> str:
    """Table of the labels with their sentiment groups and basic emotions."""
    basic = {label: emotion for emotion, group in EKMAN.items() for label in group}
    rows = (_row(label, [GROUP_OF[label], basic[label]]) for label in LABELS)
    return "\n".join(["| label | sentiment group | basic emotion |", "|---|---|---|", *rows])


def results() -> str:
    """Tables of both bundled models and of other models, on both test sets."""
    models = {
        name: json.loads((ROOT / f"results/{file}.json").read_text(encoding="utf-8")) for name, file in OURS.items()
    }
    published = json.loads((ROOT / "results/published.json").read_text(encoding="utf-8"))
    others = json.loads((ROOT / "results/everyday.json").read_text(encoding="utf-8"))["models"]
    bench = json.loads((ROOT / "results/bench-accurate.json").read_text(encoding="utf-8"))["peers"]
    hard_sentences = models["fast"]["robustness"]["hard"]["sentences"]
    speed = [bench[peer]["texts_per_second"]["median"] for peer in PEERS]
    lines = [
        "| | `fast` (default) | `accurate` |",
        "|---|---|---|",
        "| use it for | many texts, one core | chats, reviews and tickets, where accuracy matters more than speed |",
        _row("model size", [f"{sum(model['bytes'].values()) / 1e6:.1f} MB" for model in models.values()]),
        _row("texts per second, 2 cores", [f"{rate:,.0f}" for rate in speed]),
        _row("GoEmotions test, macro-F1", [format_metric(_official(model)["macro_f1"]) for model in models.values()]),
        _row("GoEmotions test, micro-F1", [format_metric(_official(model)["micro_f1"]) for model in models.values()]),
        _row(
            "GoEmotions test, macro ROC AUC",
            [format_metric(_official(model)["macro_roc_auc"]) for model in models.values()],
        ),
        _row(
            "everyday benchmark, macro-F1",
            [format_metric(model["everyday-test"]["macro_f1"]) for model in models.values()],
        ),
        _row(
            "everyday benchmark, top-1 accuracy",
            [format_metric(model["everyday-test"]["first_label_right"]) for model in models.values()],
        ),
        _row("hard sentences, top-1 accuracy", [_hard(model["robustness"]["hard"]) for model in models.values()]),
        _row(
            "GoEmotions test, macro-F1, mean over seeds", [_over_seeds(model, "metrics") for model in models.values()]
        ),
        _row(
            "everyday benchmark, macro-F1, mean over seeds",
            [_over_seeds(model, "everyday") for model in models.values()],
        ),
        "",
        "GoEmotions: the official test split, 5,427 Reddit comments; thresholds tuned on its validation split",
        "only. Everyday benchmark: 672 held-out diary lines, chats, work messages and other texts, written and",
        "annotated by language models, like the written texts in the training data; default thresholds, tuned on",
        "both validation sets. Top-1 accuracy is the share of texts whose most probable label is correct. Hard",
        f"sentences: {hard_sentences} with negation, irony, hyperbole, emoji or a personal crisis, never used in",
        "training. The weights of `accurate` are the mean of those of its two seeds. 95% intervals in parentheses.",
        "",
        "| everyday benchmark, other models | macro-F1 | top-1 accuracy |",
        "|---|---|---|",
        *(
            _row(OTHERS[other["model"]], [format_metric(other["macro_f1"]), format_metric(other["first_label_right"])])
            for other in others
            if other["model"] in OTHERS
        ),
        "",
        "| GoEmotions test, other models, as published | macro-F1 | thresholds |",
        "|---|---|---|",
    ]
    lines += [
        f"| [{peer['model']}]({peer['source']}) | {peer['macro_f1']:.3f} | {peer['thresholds']} |"
        for peer in published["models"]
    ]
    return "\n".join(lines)


def _row(title: str, cells: Sequence[str]) -> str:
    return f"| {title} | {' | '.join(cells)} |"


def _hard(result: Any) -> str:
    low, high = wilson(result["right"] * result["sentences"], result["sentences"])
    return format_metric({"value": result["right"], "low": low, "high": high})


def _official(model: Any) -> Any:
    """Metrics at thresholds tuned on GoEmotions' validation split only."""
    test = model["metrics"]["test"]
    return test.get("tuned_on_own_validation", test["tuned"])


def _over_seeds(model: Any, which: str) -> str:
    group = model["seeds"]["groups"][0]
    return f"{format_metric(group[which]['macro_f1'])}, {len(group['folders'])} seeds"


def demo() -> str:
    """Results of the demo's load test, in sentences."""
    measurements = json.loads((ROOT / "results/demo.json").read_text(encoding="utf-8"))
    table, load, memory = measurements["beside_a_table"], measurements["concurrent_clients"], measurements["memory"]
    start, table_seconds = measurements["start_to_first_prediction_seconds"], table["table_seconds_alone"]
    return (
        f"Measured on 2 cores (`make bench-demo`): {start:.1f} s from start to first prediction; "
        f"{table_seconds:.0f} s for a table of {table['table_rows']:,} rows.\n"
        f"While such a table is scored, {table['visitors']} visitors who send one text after another wait "
        f"{table['p50_seconds']:.2f} s (median) or\n"
        f"{table['p95_seconds']:.2f} s (95th percentile). {load['requests']} requests from {load['clients']} "
        f"concurrent clients: {load['errors']} errors.\n"
        f"Memory: {memory['before_mib']} MiB before and {memory['after_mib']} MiB after {memory['requests']:,} "
        "requests, each from a new visitor."
    )


if __name__ == "__main__":
    main()
