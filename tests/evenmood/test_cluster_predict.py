"""`evenmood predict --engine ray`: same output as locally, even if a node is lost."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from benchmarks.texts import synthetic_texts
from evenmood import LABELS, EvenmoodError
from evenmood.distributed import ray_cluster
from evenmood.tables import emotion_columns
from tests.commands import run_command
from tests.fakes.local_hub import run_module
from tests.fresh_environment import ROOT

pytest.importorskip("ray", reason="ray is not installed: pip install 'evenmood[ray]'")
ROWS = 6_000
SCRIPT = """
import sys

from ray.cluster_utils import Cluster

from evenmood.cli import commands as cli
from evenmood.distributed import ray_cluster as cluster

cluster.PIECE_ROWS = 150
machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
node = machines.add_node(num_cpus=1)
machines.wait_for_nodes()
shares = []
write = cluster.write_file


def write_and_lose_a_node(predicted, *arguments):
    def pieces_until_lost():
        for piece, share in predicted:
            shares.append(share)
            if len(shares) == 3:
                machines.remove_node(node, allow_graceful=False)
            yield piece, share

    return write(pieces_until_lost(), *arguments)


cluster.write_file = write_and_lose_a_node
source, target = sys.argv[1:]
cli.predict(source, target, proba=True, quiet=True, engine="ray", ray_address=machines.address, column="text",
            output_format=None, input_format=None)
machines.shutdown()
print(len(shares), "pieces, node lost at", shares[2])
"""


def run_python(*command: str, timeout: int = 180) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", *command],
        cwd=ROOT,
        env={**os.environ, "RAY_worker_niceness": "0"},  # by default, workers starve on a busy machine
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


SERVE = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[str]]:
    """Command-line options for a single-node cluster that the tests of this module share."""
    environment = {**os.environ, "RAY_worker_niceness": "0"}
    command = [sys.executable, "-W", "ignore", "-c", SERVE]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    ) as process:
        assert process.stdin
        assert process.stdout
        yield ["--engine", "ray", "--ray-address", process.stdout.readline().strip()]
        process.stdin.close()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "texts.parquet"
    rows = pyarrow.table({"id": [f"row {number}" for number in range(ROWS)], "text": synthetic_texts(ROWS)})
    parquet.write_table(rows, path, row_group_size=500)
    return path


@pytest.mark.slow
def test_lost_node_loses_no_rows(table: Path, tmp_path: Path) -> None:
    local, distributed = tmp_path / "local.parquet", tmp_path / "ray.parquet"
    result = run_command("evenmood", "predict", table, local, "--proba")
    assert result.returncode == 0, result.stderr
    result = run_python("-c", SCRIPT, str(table), str(distributed))
    assert result.returncode == 0, result.stderr[-3000:]
    pieces, *_, lost_at = result.stdout.splitlines()[-1].split()
    assert int(pieces) > 6
    assert float(lost_at) < 0.7
    expected, actual = parquet.read_table(local), parquet.read_table(distributed)
    assert actual.schema == expected.schema
    for column in ("id", "text", "emotion_fallback"):
        assert actual[column] == expected[column]
    for column in actual.column_names:
        if column.startswith("emotion_") and actual[column].type == pyarrow.float64():
            np.testing.assert_allclose(actual[column].to_numpy(), expected[column].to_numpy(), atol=2e-4)
    # Probabilities depend on the batch in their last bits, which rarely moves one across its threshold.
    assert sum(map(list.__ne__, actual["emotions"].to_pylist(), expected["emotions"].to_pylist())) < 5


def test_failed_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**options: Any) -> None:
        raise RuntimeError("no free port")

    monkeypatch.setattr("ray.init", fail)
    with (
        pytest.raises(EvenmoodError, match=r"^cannot start a local Ray cluster: no free port$"),
        ray_cluster.connect(None),
    ):
        pass


def test_invalid_input_is_rejected_before_predicting(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    command: list[str | Path] = ["evenmood", "predict", table, out, "--engine", "ray"]
    numbers = tmp_path / "numbers.parquet"
    parquet.write_table(pyarrow.table({"text": [1, 2]}), numbers)
    cases = [
        (["--ray-address", "127.0.0.1:9"], 1, "no Ray cluster at 127.0.0.1:9"),
        (["--ray-address", "ray://127.0.0.1:9"], 2, "Ray Client is not supported"),
        (["--column", "words"], 2, "no column 'words'"),
        (["--format", "csv"], 2, "--engine ray"),
    ]
    for options, code, message in cases:
        result = run_module(*command, *options) if code == 1 else run_command(*command, *options)
        assert (result.returncode, len(result.stderr.splitlines())) == (code, 1), result.stderr
        assert message in result.stderr
    result = run_command("evenmood", "predict", numbers, out, "--engine", "ray")
    assert result.returncode == 1
    assert result.stderr == f"error: {numbers}: column 'text' has type int64; expected strings\n"
    invalid = pyarrow.table([pyarrow.array(["a"]), pyarrow.array([1]), pyarrow.array([2])], names=["text", "x", "x"])
    parquet.write_table(invalid, numbers)
    for engine in ("local", "ray"):
        result = run_command("evenmood", "predict", numbers, out, "--engine", engine)
        assert (result.returncode, result.stderr.count("\n")) == (1, 1)
        assert f"{numbers}: duplicate column 'x'" in result.stderr
        result = run_command("evenmood", "predict", "gone.parquet", out, "--engine", engine)
        assert (result.returncode, result.stderr) == (2, "error: gone.parquet: no such file\n")
    result = run_command("evenmood", "predict", table, out, "--ray-address", "127.0.0.1:9")
    assert result.returncode == 2
    assert "--engine ray" in result.stderr
    assert not out.exists()


@pytest.mark.slow
def test_model_missing_on_a_node(cluster: list[str], table: Path) -> None:
    script = (
        "import sys; from evenmood.distributed import ray_cluster as cluster\n"
        "from evenmood.cli.command import run; from evenmood.tables.emotion_columns import PREDICTION_COLUMNS\n"
        "def app(*arguments, **options): list(cluster.predict_file(sys.argv[1], 'text', PREDICTION_COLUMNS, "
        "{'model': '/nowhere/model', 'revision': None, 'selected_labels': ['joy'], 'proba': False}, sys.argv[2]))\n"
        "run(app, 'predict')"
    )
    result = run_python("-c", script, str(table), cluster[-1])
    assert result.returncode == 1
    error = next(line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert error.startswith("error: a node of the Ray cluster failed (evenmood.errors.ModelError: '/nowhere/model' is")
    assert error.endswith("files and models must be available under the same path on every node")
    assert "Traceback" not in result.stderr


def test_corrupt_page(cluster: list[str], tmp_path: Path) -> None:
    """The metadata at the end of the file is intact: only the node that reads the rows detects the damage."""
    path = tmp_path / "in.parquet"
    parquet.write_table(pyarrow.table({"text": synthetic_texts(2_000)}), path, compression=None, use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    result = run_python("-m", "evenmood", "predict", str(path), str(tmp_path / "out.parquet"), *cluster)
    assert result.returncode == 1
    # Ray may print lines before and after it.
    assert any(
        line.startswith(f"error: {path}: not a Parquet file, or corrupt (") for line in result.stderr.splitlines()
    )


@pytest.mark.slow
def test_local_cluster_ignores_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")  # Ray itself would retry this address forever
    texts = pyarrow.array(["thank you", "I am so sad", "thank you"])
    parquet.write_table(pyarrow.table({"text": texts.dictionary_encode()}), tmp_path / "in.parquet")
    tables = {}
    for engine, run in (("local", run_command), ("ray", run_module)):
        out = tmp_path / f"{engine}.parquet"
        result = run("evenmood", "predict", tmp_path / "in.parquet", out, "--engine", engine, RAY_worker_niceness="0")
        assert result.returncode == 0, result.stderr
        tables[engine] = parquet.read_table(out)
    assert tables["ray"] == tables["local"]
    assert tables["ray"]["text"].type == texts.dictionary_encode().type


def test_rows_without_a_text(cluster: list[str], tmp_path: Path) -> None:
    texts = ["thank you", None, "I am so sad", None]
    parquet.write_table(pyarrow.table({"text": texts, "id": [0, 1, 2, 3]}), tmp_path / "in.parquet")
    command: list[str | Path] = ["evenmood", "predict", tmp_path / "in.parquet", tmp_path / "out.parquet"]
    tables = []
    for result in (run_module(*command, *cluster), run_command(*command, "--overwrite")):
        assert result.returncode == 0, result.stderr
        # Ray may print lines before and after it.
        assert "rows without a text, which got an empty prediction: 2 of 4" in result.stderr.splitlines()
        tables.append(parquet.read_table(tmp_path / "out.parquet"))
    assert [row is None for row in tables[0]["emotions"].to_pylist()] == [False, True, False, True]
    assert tables[0] == tables[1]


@pytest.mark.slow
def test_strict_rows(cluster: list[str], tmp_path: Path) -> None:
    texts = ["thank you", None, "I am so sad", None]
    parquet.write_table(pyarrow.table({"text": texts, "id": [0, 1, 2, 3]}), tmp_path / "in.parquet")
    command: list[str | Path] = ["evenmood", "predict", tmp_path / "in.parquet", tmp_path / "out.parquet", "--strict"]
    result = run_module(*command, *cluster)
    assert result.returncode == 1
    (error,) = (line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert "row 2: 'text' is None, not a string" in error
    assert not (tmp_path / "out.parquet").exists()
    result = run_module(*command, *cluster, "--skip-bad")
    assert result.returncode == 0, result.stderr
    assert "invalid rows skipped: 2 of 4; the first:" in result.stderr
    skipped = parquet.read_table(tmp_path / "out.parquet")
    assert skipped["id"].to_pylist() == [0, 2]
    result = run_command(*command[:-1], "--overwrite")
    assert result.returncode == 0, result.stderr
    assert parquet.read_table(tmp_path / "out.parquet").take([0, 2]) == skipped


def test_accurate_model(cluster: list[str], tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"text": ["thank you", None, *synthetic_texts(20)]}), tmp_path / "in.parquet")
    command: list[str | Path] = ["evenmood", "predict", tmp_path / "in.parquet", tmp_path / "out.parquet", "--proba"]
    tables = {}
    for model, start, options in (
        ("accurate", run_module, cluster),
        ("accurate", run_command, []),
        ("fast", run_command, []),
    ):
        result = start(*command, "--overwrite", "--model", model, *options)
        assert result.returncode == 0, result.stderr
        tables[model, len(options)] = parquet.read_table(tmp_path / "out.parquet")
    local, ray, fast = tables["accurate", 0], tables["accurate", len(cluster)], tables["fast", 0]
    assert ray.schema == local.schema
    assert ray["emotions"] == local["emotions"]
    for label in LABELS:
        column = f"emotion_{label}"
        np.testing.assert_allclose(ray[column].to_pylist()[2:], local[column].to_pylist()[2:], atol=1e-4)
    assert fast["emotion_joy"] != local["emotion_joy"]


@pytest.mark.slow
def test_emotions_only(cluster: list[str], tmp_path: Path) -> None:
    texts = ["thank you", None, "I am so sad"]
    rows = pyarrow.table({"text": texts, "id": ["a", "b", "c"], "emotions": ["an", "existing", "column"]})
    parquet.write_table(rows, tmp_path / "in.parquet")
    local, distributed = tmp_path / "local.parquet", tmp_path / "ray.parquet"
    command: list[str | Path] = ["evenmood", "predict", tmp_path / "in.parquet"]
    for options, names in ((["--id", "ID"], ["id"]), (["--proba", "--labels", "joy"], [])):
        for result in (
            run_module(*command, distributed, *cluster, "--emotions-only", "--overwrite", *options),
            run_command(*command, local, "--emotions-only", "--overwrite", *options),
        ):
            assert result.returncode == 0, result.stderr
            assert "rows without a text, which got an empty prediction: 1 of 3" in result.stderr.splitlines()
        table = parquet.read_table(distributed)
        assert table == parquet.read_table(local)
        assert table.column_names[: len(names) + 3] == [*names, *emotion_columns.PREDICTION_COLUMNS]
    result = run_module(*command, distributed, *cluster, "--emotions-only", "--overwrite", "--strict", "--skip-bad")
    assert "invalid rows skipped: 1 of 3" in result.stderr
    for column, message in (("key", "no column 'key'"), ("emotions", "already has a column 'emotions'")):
        result = run_command(*command, distributed, *cluster, "--overwrite", "--emotions-only", "--id", column)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert message in result.stderr


def test_empty_table(cluster: list[str], tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"text": pyarrow.array([], pyarrow.string())}), tmp_path / "in.parquet")
    command: list[str | Path] = ["evenmood", "predict", tmp_path / "in.parquet"]
    for result in (
        run_module(*command, tmp_path / "ray.parquet", *cluster),
        run_command(*command, tmp_path / "local.parquet"),
    ):
        assert result.returncode == 0, result.stderr
    assert parquet.read_table(tmp_path / "ray.parquet") == parquet.read_table(tmp_path / "local.parquet")
