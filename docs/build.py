"""Write measured figures into README.md and generated documents: `python docs/build.py`; `--check` compares only."""

import ast
import contextlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import DOCUMENT, document, readme_table
from data_build.annotation import written_votes
from evenmood.model.model_folder import figure_text
from train.experiments import report as experiments

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
EXPERIMENTS = ROOT / "docs/experiments.md"
WRITTEN = ROOT / "docs/written.md"
FILES = ROOT / "docs/files.md"
OTHERS = {
    "minilm-goemotions": "MiniLM tuned on GoEmotions alone",
    "teacher-everyday": "the teacher of the everyday texts (MiniLM)",
    "NRCLex": "NRCLex, a word list",
}
"""What README calls the others of results/everyday.json."""
DESCRIPTIONS = {
    ".ci/run": "what continuous integration runs",
    ".github/workflows/ci.yml": "the same on GitHub, for each Python",
    ".gitignore": "what git leaves out",
    ".pre-commit-config.yaml": "checks before a commit",
    "CHANGELOG.md": "what changed in each version",
    "LICENSE": "Apache-2.0",
    "Makefile": "every command of the project",
    "README.md": "what it is, how to use it, results, limits",
    "benchmarks/performance.md.jinja": "template of docs/performance.md",
    "constraints.txt": "versions that were tried together",
    "data_build/annotation/annotate.js": "keyboard of the annotators' app",
    "data_build/publishing/dataset_card.md.jinja": "template of the data set's card",
    "data_build/publishing/dataset_report.md.jinja": "template of docs/dataset.md",
    "data_build/written/train.parquet": "everyday texts written for this project, with labels and votes (CC BY 4.0)",
    "data_build/written/audit.parquet": "an annotator's verdicts on 1,000 random texts",
    "data_build/written/votes.parquet": "the votes of their annotators, language models",
    "data_build/annotation/written_report.md.jinja": "template of docs/written.md",
    "data_build/generated.parquet": "the generated rows that passed verification, with their provenance",
    "docs/data-build.md": "guide: build the data set",
    "docs/files.md": "this page",
    "docs/hub.md": "guide: push, load and deploy on the Hugging Face Hub",
    "docs/training.md": "guide: retrain, distill, score your own test set",
    "docs/dataset.md": "the data set: stages, gates, balance, measured on a real build",
    "docs/demo.gif": "a recording of the demo",
    "docs/demo.png": "the README's picture",
    "docs/experiments.md": "the paper's claims tested: arms, intervals, verdicts, labels, what people agree on",
    "docs/performance.md": "speed, memory and scale, beside what people use instead",
    "docs/quality-log.md": "every training run that was tried, with its options and its figures on validation",
    "docs/written.md": "the written texts: annotation, agreement, what was dropped, limits",
    "docs/figures/": "figures of the documents",
    "evenmood/default_model/README.md": "model card of the bundled model",
    "evenmood/default_model/emotions.json": "labels, thresholds, measured figures",
    "evenmood/default_model/model.onnx": "the bundled model",
    "evenmood/default_model/tokenizer.json": "its vocabulary and cleaning",
    "evenmood/default_model/training/": "its configuration, history and metrics",
    "evenmood/py.typed": "tells type checkers that the package has types",
    "pyproject.toml": "package, dependencies, tools",
    "results/bench.json": "speed of evenmood and its peers",
    "results/bench-quick.json": "the ratio that continuous integration holds",
    "results/scaling.json": "rows a second on one node and on two",
    "results/streaming.json": "memory of predicting ten million rows",
    "results/teacher.json": "how much of a device's matrix peak the relabelling stage reaches",
    "results/training.json": "seconds an epoch",
    "results/vectors.json": "memory of reading a 7 GB fastText file",
    "results/default_model.json": "measured figures of the bundled model",
    "results/demo.json": "measured figures of the demo: start, load, memory, a table",
    "results/dataset.json": "counts and figures of a real build of the data set",
    "results/experiments.json": "figures of the paper's experiments, arm by arm",
    "results/quality-log.jsonl": "every training run that was tried, a line each",
    "results/everyday.json": "teachers and a lexicon on the everyday texts",
    "results/windows.json": "rules that combine the windows of long texts",
    "results/typos.json": "misspelt texts, read with the misspellings that the tokenizer knows and without",
    "results/tweets.json": "memory and rate of the stage sentiment140 on 1.6 million rows",
    "results/written.json": "counts and agreement of the written texts",
    "results/killed.json": "builds killed at twenty moments: the same bytes after they went on",
    "results/published.json": "figures that others published, with sources",
    "space/README.md": "front page of the Hugging Face Space",
    "space/locales/": "what the page says: English, Spanish, Chinese",
    "space/page.css": "how the page looks",
    "space/page.js": "Ctrl+Enter, live analysis, names for screen readers",
    "space/requirements.txt": "what the Space installs",
    "tests/miniature/": "300 rows written for make data-demo",
    "train/default_model_terms.md": "what research-only text means for the bundled model's licence",
    "train/experiments/experiments.md.jinja": "template of docs/experiments.md",
    "train/evaluation/everyday/": "the everyday benchmark, written for this project (CC BY 4.0)",
    "train/evaluation/hard_sentences.json": "100 hard sentences with their labels: negation, irony, crises, emoji",
    "train/evaluation/robustness_texts.json": "texts of the robustness suite: negation, sarcasm, names, identity terms",
    "train/transfer/mappings/": "other labels in terms of GoEmotions': Ekman, sentiment, four emotions of tweets",
    "train/quality_log.md.jinja": "template of docs/quality-log.md",
    "train/model_card.md.jinja": "template of the model card",
}
"""What files without a docstring hold; a folder's entry stands for all in it."""


def main() -> None:
    """Write the documents anew, or compare."""
    made = {
        README: build(README.read_text(encoding="utf-8")),
        DOCUMENT: document(),
        EXPERIMENTS: experiments.document(ROOT / "results/experiments.json"),
        WRITTEN: written_votes.document(ROOT / "results/written.json"),
        FILES: f"# Files\n\nWritten by `make docs`.\n\n{file_tree()}\n",
    }
    for path, new in made.items():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if "--check" not in sys.argv:
            path.write_text(new, encoding="utf-8", newline="\n")
        elif old != new:
            name = path.relative_to(ROOT)
            sys.exit(f"error: {name} is out of date with the results files, the code or the file tree; run: make docs")


def build(text: str) -> str:
    """Fill every generated part of a README."""
    parts: dict[str, Callable[[str], str]] = {
        "output": example_output,
        "results": results,
        "speed": lambda _: readme_table(),
        "demo": demo,
    }
    for name, make in parts.items():
        before, mark, rest = text.partition(f"<!-- generated: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not (mark and end):
            sys.exit(f"error: README.md needs a part from <!-- generated: {name} --> to <!-- end -->")
        text = f"{before}{mark}{make(text)}\n{end}{after}"
    return text


def example_output(text: str) -> str:
    """What the README's first Python example prints."""
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own README
    return f"```text\n{printed.getvalue()}```"


def results(_: str) -> str:
    """The measured table of the bundled model, and published figures beside it."""
    measured = json.loads((ROOT / "results/default_model.json").read_text(encoding="utf-8"))
    published = json.loads((ROOT / "results/published.json").read_text(encoding="utf-8"))
    test, storage = measured["metrics"]["test"], measured["storage"]
    tuned, half, rest = test["tuned"], test["at_0.5"], test["tuned_without_overlap"]
    size = sum(measured["bytes"].values()) / 1e6
    lines = [
        f"The bundled model ({size:.1f} MB) on GoEmotions' official test split, {tuned['rows']:,} texts.",
        "Thresholds were tuned on validation; brackets are 95 % bootstrap intervals.",
        "",
        "| | tuned thresholds | at 0.5 |",
        "|---|---|---|",
    ]
    for name, title in (
        ("macro_f1", "macro-F1"),
        ("micro_f1", "micro-F1"),
        ("macro_roc_auc", "macro ROC AUC"),
        ("macro_average_precision", "macro average precision"),
        ("subset_accuracy", "subset accuracy"),
    ):
        lines.append(f"| {title} | {figure_text(tuned[name])} | {figure_text(half[name])} |")
    seeds = measured["seeds"]["groups"][0]
    means = {name: figure_text(figure) for name, figure in seeds["figures"].items()}
    count = len(seeds["folders"])
    typos = json.loads((ROOT / "results/typos.json").read_text(encoding="utf-8"))
    drops = [figure_text(group["drop"]["macro_f1"]) for group in typos["groups"]]
    overlap = tuned["rows"] - rest["rows"]
    moved = storage["macro_f1_onnx"] - storage["macro_f1_keras"]
    own = test.get("tuned_on_own_validation", tuned)
    lines += [
        "",
        f"With thresholds tuned on GoEmotions' validation alone: macro-F1 {figure_text(own['macro_f1'])}, micro-F1 "
        f"{figure_text(own['micro_f1'])}"
        + (f" (means of {count} seeds: {means['macro_f1']}, {means['micro_f1']})." if count > 1 else "; one seed."),
        "",
        f"Where {100 * typos['typos']:.0f} % of the words of a test text are misspelt, macro-F1 falls by {drops[0]}; "
        f"by {drops[1]}",
        "without the tokenizer's spelling correction.",
        "",
    ]
    everyday = {name: measured[f"everyday-{name}"] for name in ("validation", "test") if f"everyday-{name}" in measured}
    others = json.loads((ROOT / "results/everyday.json").read_text(encoding="utf-8"))
    if everyday:
        lines += [
            "On everyday texts (chats, reviews, tickets), written by language models like part of the training data:",
            "",
            "| everyday texts | macro-F1 | the most probable label is right |",
            "|---|---|---|",
            *(
                f"| {name}, {found['rows']} texts | {figure_text(found['macro_f1'])} | "
                f"{figure_text(found['first_label_right'])} |"
                for name, found in everyday.items()
            ),
            *(
                f"| {OTHERS[other['model']]}, test | {figure_text(other['macro_f1'])} | "
                f"{figure_text(other['first_label_right'])} |"
                for other in others["models"]
                if other["model"] in OTHERS
            ),
            "",
        ]
    lines += [
        f"{overlap} test texts, once cleaned, stand in training or validation too; without them macro-F1 is "
        f"{figure_text(rest['macro_f1'])}.",
        f"Storing the weights of words in {storage['bits']} bits moves macro-F1 on validation by {moved:+.4f}.",
        "",
        "| model, same test split | macro-F1 | thresholds |",
        "|---|---|---|",
        f"| **evenmood, bundled model** | {figure_text(tuned['macro_f1'])} | per label, tuned on validation |",
        f"| **evenmood, bundled model** | {figure_text(half['macro_f1'])} | 0.5 for all labels |",
    ]
    lines += [
        f"| [{peer['model']}]({peer['source']}), as published | {peer['macro_f1']:.3f} | {peer['thresholds']} |"
        for peer in published["models"]
    ]
    return "\n".join(lines)


def demo(_: str) -> str:
    """What the demo measured under load."""
    measured = json.loads((ROOT / "results/demo.json").read_text(encoding="utf-8"))
    table, many, memory = measured["beside_a_table"], measured["many"], measured["memory"]
    return (
        f"Measured on 2 cores (`make bench-demo`): {measured['start_to_first_answer_seconds']:.1f} s from start to "
        f"first answer; {table['table_rows']:,} rows in {table['table_seconds_alone']:.0f} s; beside such a table,\n"
        f"{table['visitors']} visitors who ask without a pause wait {table['p50_seconds']:.2f} s (median), "
        f"{table['p95_seconds']:.2f} s (95th percentile); {many['requests']} requests of {many['clients']} clients:\n"
        f"{many['errors']} errors; memory {memory['before_mb']} MB before and {memory['after_mb']} MB after "
        f"{memory['requests']:,} requests of as many visitors."
    )


def file_tree() -> str:
    """One line a file that git knows or would add: its docstring's first line, or what `DESCRIPTIONS` says."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    rows: dict[str, str] = {}
    for name in sorted(name for name in listed if name and (ROOT / name).exists()):
        folder = next((entry for entry in DESCRIPTIONS if entry.endswith("/") and name.startswith(entry)), None)
        key = folder or name
        if key.endswith(".py"):
            rows[key] = first_line(ROOT / key)
        elif key in DESCRIPTIONS:
            rows[key] = DESCRIPTIONS[key]
        else:
            sys.exit(f"error: {key} has no description; add one to DESCRIPTIONS in docs/build.py")
    width = max(map(len, rows)) + 2
    return "```text\n" + "\n".join(f"{name:{width}}{about}".rstrip() for name, about in rows.items()) + "\n```"


def first_line(path: Path) -> str:
    """The first sentence of a module's docstring, without its full stop."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<=\w|\))[.;](?:\s|$)", docstring.split("\n")[0])[0]


if __name__ == "__main__":
    main()
