"""Generate docs/performance.md and the README's speed table from the results files."""

import json
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import speed_figure
from evenmood.model import cards

ROOT = Path(__file__).parent.parent
TEMPLATE = Path(__file__).with_name("performance.md.jinja")
DOCUMENT = ROOT / "docs" / "performance.md"
FILES = {
    "quick": "bench-quick",
    **{name: name for name in ("bench", "streaming", "scaling", "training", "teacher", "vectors")},
}
OURS = {"evenmood": "default_model", "accurate": "accurate_model"}
"""Name of each bundled model in the benchmark, and its results file."""


def results(name: str) -> dict[str, Any]:
    """Read a results file."""
    content: dict[str, Any] = json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return content


def bench_results() -> dict[str, Any]:
    """Read results/bench.json without `accurate`, which `make bench-accurate` measures."""
    bench = results("bench")
    return bench | {
        part: {name: value for name, value in bench[part].items() if name != "accurate"} for part in ("peers", "ratios")
    }


def document() -> str:
    """Render docs/performance.md."""
    measurements = {name: results(file) for name, file in FILES.items()} | {"bench": bench_results()}
    runs_by_setting: dict[tuple[Any, ...], list[Any]] = {}
    for run in measurements["training"]["runs"]:
        for key in ("plain", "precision", "batch_size", "share_of_time_computing"):
            run.setdefault(key, None)
        setting = (run["plain"], run["backend"], run["precision"], run["batch_size"])
        runs_by_setting.setdefault(setting, []).append(run)
    bench = measurements["bench"]
    nodes = {workers: median(rates) for workers, rates in measurements["scaling"]["rows_per_second"].items()}
    return cards.render_template(
        TEMPLATE,
        **measurements,
        training_runs=list(runs_by_setting.values()),
        ours=bench["peers"]["evenmood"],
        two_nodes=nodes["2"] / nodes["1"],
        table=table(bench),
        both=results("bench-accurate"),
        table_of_both=table(results("bench-accurate")),
        speedups=speedups,
    )


def speeds() -> dict[str, float]:
    """Return the texts per second of evenmood and of other models, for the plot."""
    return speed_figure.rates(bench_results(), OURS)


def table(bench: dict[str, Any]) -> str:
    """Format a Markdown table with one row per model."""
    lines = [
        "| | texts per second | latency per text (p50, p99) | startup time | memory | model size "
        "| size of dependencies | macro-F1 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, peer in bench["peers"].items():
        title = f"**{peer['title']}**" if name in OURS else peer["title"]
        cells = [
            title,
            f"{peer['texts_per_second']['median']:,.0f}",
            f"{peer['p50_ms']['median']:.2f} ms, {peer['p99_ms']['median']:.2f} ms",
            f"{peer['start_seconds']['median']:.2f} s",
            f"{peer['peak_memory_mb']['median']:,.0f} MB",
            f"{peer['model_bytes'] / 1e6:,.1f} MB",
            f"{peer['dependencies_bytes'] / 1e6:,.0f} MB",
            macro_f1(name),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def readme_table() -> str:
    """Format the README's table: the most widely used baselines, and both bundled models."""
    bench = results("bench-accurate")
    faster = bench_results()["peers"]["evenmood"]["texts_per_second"]["median"]
    return (
        f"{table(bench)}\n\nMeasured from raw strings to labels on the {bench['texts']:,} texts of GoEmotions' test "
        f"split; {bench['machine']}.\nCompared with RoBERTa-base in float32 and in int8, the accurate model is "
        f"{speedups(bench, 'accurate')} as fast, and\nthe fast model {speedups(bench, 'evenmood')}. On a faster "
        f"machine, the fast model reads {faster:,.0f} texts per second.\n"
        "The default thresholds are tuned on the validation sets of GoEmotions and of the everyday benchmark."
    )


def default_model_reason() -> str:
    """Explain why `fast` is the default, with measurements of both models."""
    peers = results("bench-accurate")["peers"]
    fast, accurate = (
        {key: value["median"] for key, value in peers[name].items() if isinstance(value, dict)}
        for name in ("evenmood", "accurate")
    )
    return (
        f"`fast` is the default because it suits every size of input: it reads "
        f"{fast['texts_per_second'] / accurate['texts_per_second']:.0f} times as many texts per second, and\n"
        f"takes {fast['peak_memory_mb']:.0f} MB of memory instead of {accurate['peak_memory_mb']:.0f}. Both start "
        f"quickly: the first prediction is ready {fast['start_seconds']:.2f} s after the start of\nthe process with "
        f"`fast`, and {accurate['start_seconds']:.2f} s with `accurate` "
        "([Speed](../performance.md#the-accurate-model))."
    )


def speedups(bench: dict[str, Any], name: str) -> str:
    """Format the speedups over RoBERTa-base in float32 and in int8, from the medians in the table."""
    rates = {peer: values["texts_per_second"]["median"] for peer, values in bench["peers"].items()}
    times = [rates[name] / rates[baseline] for baseline in ("roberta_float32", "roberta_int8")]
    return " and ".join(f"{value:,.0f}" if value >= 100 else f"{value:.1f}" for value in times) + " times"


def macro_f1(name: str) -> str:
    """Format macro-F1 on the test split with tuned thresholds and at 0.5; empty if not measured."""
    if name in OURS:
        test = results(OURS[name])["metrics"]["test"]
        where = "with the default thresholds"
    elif name == "teacher":
        test = results("dataset")["teacher"]["metrics"]["test"]
        where = "tuned on GoEmotions validation"
    elif name == "roberta_float32":
        rows = [row for row in results("published")["models"] if row["model"].startswith("SamLowe/")]
        tuned, half = (
            next(row["macro_f1"] for row in rows if row["thresholds"].startswith("0.5") == plain)
            for plain in (False, True)
        )
        return f"{tuned:.3f} tuned on the test split, {half:.3f} at 0.5, as published"
    else:
        return ""
    tuned, half = (test[kind]["macro_f1"]["value"] for kind in ("tuned", "at_0.5"))
    return f"{tuned:.3f} {where}, {half:.3f} at 0.5"
