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
IN_README = ("roberta_float32", "roberta_int8", "evenmood")
OURS = {"evenmood": "default_model"}
"""Results file of each bundled model in results/bench.json."""


def results(name: str) -> dict[str, Any]:
    """Read a results file."""
    content: dict[str, Any] = json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return content


def document() -> str:
    """Render docs/performance.md."""
    measurements = {name: results(file) for name, file in FILES.items()}
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
        table=table(bench, [name for name in bench["peers"] if name != "accurate"]),
        accurate_speed=accurate_speed(),
    )


def speeds() -> dict[str, float]:
    """Return the texts per second of evenmood and of other models, for the plot."""
    return speed_figure.rates(results("bench"), OURS)


def table(bench: dict[str, Any], names: list[str]) -> str:
    """Format a Markdown table with one row per model."""
    lines = [
        "| | texts per second | latency per text (p50, p99) | startup time | memory | model size "
        "| size of dependencies | macro-F1 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        peer = bench["peers"][name]
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
    """Format the README's table: the most widely used baselines, and evenmood."""
    bench = results("bench")
    ratios = bench["ratios"]
    return (
        f"{table(bench, [name for name in IN_README if name in bench['peers']])}\n\n"
        f"Measured from raw strings to labels on the {bench['texts']:,} texts of GoEmotions' test split; "
        f"{bench['machine']}. In the same run,\n"
        f"the fast model is {ratios['roberta_float32']['median']:,.0f} times as fast as RoBERTa-base in float32 and "
        f"{ratios['roberta_int8']['median']:,.0f} times as fast as its int8 version.\n{accurate_speed()}\n"
        "The default thresholds are tuned on the validation sets of GoEmotions and of the everyday benchmark."
    )


def accurate_speed() -> str:
    """Describe the speed of the accurate model, which was measured in another run, on a slower machine."""
    medians = {
        name: {key: value["median"] for key, value in peer.items() if isinstance(value, dict)}
        for name, peer in results("bench-accurate")["peers"].items()
    }
    fast, accurate, roberta = (medians[name] for name in ("evenmood", "accurate", "roberta_int8"))
    rates = accurate["texts_per_second"], roberta["texts_per_second"]
    return (
        f"In another run, on a slower machine, the accurate model reads {rates[0]:,.0f} texts per second, and\n"
        f"RoBERTa-base in int8 {rates[1]:,.0f}: {rates[0] / rates[1]:.1f} times as many. One text takes "
        f"{accurate['p50_ms']:.1f} ms (int8: {roberta['p50_ms']:.1f} ms, fast: {fast['p50_ms']:.1f} ms),\nthe start "
        f"{accurate['start_seconds']:.2f} s, and the process {accurate['peak_memory_mb']:.0f} MB of memory."
    )


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
