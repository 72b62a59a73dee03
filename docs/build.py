"""Write measured figures into README.md and generated documents: `python docs/build.py`; `--check` compares only."""

import contextlib
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import DOCUMENT, document, readme_table
from data_build.written import written_votes
from evenmood.model.model_folder import figure_text
from train.experiments import report as experiments

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
EXPERIMENTS = ROOT / "docs/experiments.md"
WRITTEN = ROOT / "docs/written.md"
OTHERS = {
    "minilm-goemotions": "MiniLM tuned on GoEmotions alone",
    "teacher-everyday": "the teacher of the everyday texts (MiniLM)",
    "NRCLex": "NRCLex, a word list",
}
"""What README calls the others of results/everyday.json."""


def main() -> None:
    """Write the documents anew, or compare."""
    made = {
        README: build(README.read_text(encoding="utf-8")),
        DOCUMENT: document(),
        EXPERIMENTS: experiments.document(ROOT / "results/experiments.json"),
        WRITTEN: written_votes.document(ROOT / "results/written.json"),
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


if __name__ == "__main__":
    main()
