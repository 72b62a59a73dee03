"""Throughput of `evenmood predict --engine ray`: `python -m benchmarks.scaling results/scaling.json`.

Measures one and two single-core nodes on this machine, excluding cluster startup and model loading.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.arguments import benchmark, results_file
from benchmarks.bench import environment, machine, write
from benchmarks.texts import endless_texts

ROWS = 1_000_000
ROUNDS = 3
WORKERS = (1, 2)
FIGURE = Path("docs/figures/scaling.png")


def predict(workers: int, source: str, target: str) -> None:
    """Predict a file on a local cluster of single-core nodes, and print the throughput as JSON.

    The JSON has the number of rows and of seconds after the first chunk.
    """
    from ray.cluster_utils import Cluster

    from evenmood import EmotionClassifier
    from evenmood.distributed import ray_cluster as cluster
    from evenmood.tables import emotion_columns

    local_cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(workers - 1):
        local_cluster.add_node(num_cpus=1)
    local_cluster.wait_for_nodes()
    labels = EmotionClassifier.from_pretrained().labels
    arguments = {"model": None, "revision": None, "selected_labels": labels, "proba": False}
    times: list[tuple[float, int]] = []

    def advance(count: int, _: float | None) -> None:
        times.append((time.monotonic(), count))

    def raise_error(message: str) -> None:
        raise ValueError(message)

    pieces = cluster.predict_file(source, "text", emotion_columns.PREDICTION_COLUMNS, arguments, local_cluster.address)
    cluster.write_file(pieces, target, "text", source, raise_error, advance, overwrite=True)
    local_cluster.shutdown()
    (first, rows_before), (last, rows_after) = times[0], times[-1]
    print(json.dumps({"rows": rows_after - rows_before, "seconds": last - first}))


def run(workers: int, source: Path) -> float:
    """Return the rows per second of a cluster, measured in a separate process."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.scaling", str(workers), str(source), f"{source}.out"]
    variables = environment() | {"RAY_worker_niceness": "0"}
    result = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    measurements = json.loads(result.stdout.splitlines()[-1])
    print(f"{workers}: {measurements['rows'] / measurements['seconds']:,.0f} rows/s", file=sys.stderr)
    return float(measurements["rows"] / measurements["seconds"])


def main() -> None:
    """Measure throughput for each cluster size over several rounds."""
    if len(sys.argv) == 4:
        predict(int(sys.argv[1]), *sys.argv[2:])
        return
    out = results_file(__doc__)
    import pyarrow
    from pyarrow import parquet

    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "in.parquet"
        texts = [text for _, text in zip(range(ROWS), endless_texts(), strict=False)]
        parquet.write_table(pyarrow.table({"id": range(ROWS), "text": texts}), source, row_group_size=50_000)
        rates: dict[str, list[float]] = {str(workers): [] for workers in WORKERS}
        for _ in range(ROUNDS):
            for workers in WORKERS:
                rates[str(workers)].append(round(run(workers, source)))
    content: dict[str, Any] = {"machine": machine(), "rows": ROWS, "rows_per_second": rates}
    write(out, content)
    draw(content, FIGURE)


def draw(content: dict[str, Any], path: Path) -> None:
    """Draw medians as bars, rounds as points, and linear scaling as a dashed line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rates = content["rows_per_second"]
    names = list(rates)
    medians = [statistics.median(rates[name]) for name in names]
    figure, axes = pyplot.subplots(figsize=(4.5, 3.2), layout="constrained")
    axes.bar(names, medians, width=0.55, color="#4c78a8", label="Median")
    for name in names:
        axes.scatter([name] * len(rates[name]), rates[name], color="black", s=14, zorder=3)
    ideal = [medians[0] * int(name) for name in names]
    axes.plot(names, ideal, color="#888888", linestyle="--", marker="_", label="Linear scaling")
    axes.set(xlabel="Single-core nodes", ylabel="Rows per second", ylim=(0, 1.15 * max(*ideal, *medians)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


if __name__ == "__main__":
    benchmark(main)
