"""Labeling on a Ray cluster: byte-identical output, even if a node is lost."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data_build.stages import goemotions, relabel, sentiment140
from tests.fakes.hub_repository import files_of
from tests.fresh_environment import ROOT
from tests.small_data import write_tsv, write_tweets

SCRIPT = """
import sys
import time
from pathlib import Path

from ray.cluster_utils import Cluster

from data_build.stages import relabel
from data_build.stage import Stage

start = time.monotonic()
build, teacher = Path(sys.argv[1]), sys.argv[2]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
node = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
shards_before_loss = []
write = Stage.write


def write_and_lose(self, name, *rest):
    write(self, name, *rest)
    if self.name == "relabel" and not shards_before_loss:
        print(time.monotonic() - start)
        cluster.remove_node(node, allow_graceful=False)
        shards_before_loss.append(name)


Stage.write = write_and_lose
relabel.run(build, print, teacher, engine="ray", ray_address=cluster.address)
assert shards_before_loss, "no node was lost"
cluster.shutdown()
print(time.monotonic() - start, "s; labeled, and a node lost after", *shards_before_loss)
"""


@pytest.mark.slow
def test_losing_a_node(tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'evenmood[ray]'")
    texts = [f"thank you so much for number {number} of the joy and anger" for number in range(400)]
    write_tsv(tmp_path / "tsv", rows=100)
    tweets = write_tweets(tmp_path / "tweets.csv", texts)
    for name in ("local", "ray"):
        goemotions.run(tmp_path / name, print, str(tmp_path / "tsv"), any_size=True)
        sentiment140.run(tmp_path / name, print, str(tweets), shard_rows=40)
    relabel.run(tmp_path / "local", print, str(tiny_encoder))
    shutil.copytree(
        tmp_path / "local" / relabel.OFFICIAL_SCORES, tmp_path / "ray" / relabel.OFFICIAL_SCORES
    )  # saves a start
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path / "ray"), str(tiny_encoder)],
        cwd=ROOT,
        env={**os.environ, "RAY_worker_niceness": "0"},  # otherwise workers starve on a busy machine
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "a node lost after" in result.stdout
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")
