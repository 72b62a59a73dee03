"""Load data and vectors with the real clients from a fake Hub on loopback."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import fasttext
import pyarrow
import pytest
from pyarrow import parquet

from evenmood import LABELS
from tests.fakes.hub_server import HubServer

README = """---
configs:
- config_name: raw
  data_files:
  - split: train
    path: raw/*.parquet
- config_name: simplified
  default: true
  data_files:
  - split: train
    path: simplified/train*.parquet
  - split: validation
    path: simplified/validation*.parquet
dataset_info:
- config_name: simplified
  features:
  - name: text
    dtype: string
  - name: labels
    sequence:
      class_label:
        names:
{names}
---
"""


def run_python(script: str, hub: HubServer, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)


def parquet_bytes(texts: list[str], labels: list[list[int]]) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": texts, "labels": labels}), file)
    return file.getvalue()


def test_data_set_from_the_hub(tmp_path: Path) -> None:
    # Labels are matched by name: their order differs from LABELS.
    names = "\n".join(f"          '{index}': {label}" for index, label in enumerate(reversed(LABELS)))
    files = {
        "README.md": README.format(names=names).encode(),
        "raw/train.parquet": parquet_bytes(["raw"], [[0]]),
        "simplified/train-00000-of-00001.parquet": parquet_bytes(["one", "two"], [[0, 27], [1]]),
        "simplified/validation-00000-of-00001.parquet": parquet_bytes(["three"], [[2]]),
    }
    script = (
        "import json, sys\n"
        "from evenmood.data.splits import load_split\n"
        "from evenmood import LABELS, DataError\n"
        "for source in ('team/moods:simplified', 'team/moods'):\n"
        "    split = load_split(source, 'train')\n"
        "    print(json.dumps([split.texts, [[LABELS[i] for i in row.nonzero()[0]] for row in split.labels]]))\n"
        "for source in ('team/moods:other', 'team/missing', 'not an id'):\n"
        "    try: load_split(source, 'train')\n"
        "    except DataError as error: print(str(error).count('\\n'), error)\n"
    )
    with HubServer() as hub:
        hub.add("datasets/team/moods", files)
        result = run_python(script, hub, tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    for line in lines[:2]:
        assert json.loads(line) == [["one", "two"], [["admiration", "neutral"], ["surprise"]]]
    assert len(lines) == 5
    for line, source in zip(lines[2:], ("team/moods:other", "team/missing", "not an id"), strict=True):
        assert line.startswith(f"0 no local folder '{source}', and the Hub data set cannot be read: ")


def test_vectors_from_the_hub(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("happy people are happy\n" * 20)
    model = fasttext.train_unsupervised(
        str(tmp_path / "corpus.txt"), dim=8, minCount=1, bucket=50, epoch=1, thread=1, verbose=0
    )
    model.save_model(str(tmp_path / "model.bin"))
    script = (
        "from train.config import TrainConfig; from train.vectors.sources import load_vectors\n"
        "config = TrainConfig(vectors='team/vectors', embedding_size=8)\n"
        "print(load_vectors(config, ['[PAD]', '[UNK]', 'happy'], [], print)[2].tolist())\n"
    )
    with HubServer() as hub:
        hub.add("team/vectors", {"model.bin": (tmp_path / "model.bin").read_bytes()})
        result = run_python(script, hub, tmp_path / "home")
    assert result.returncode == 0, result.stderr
    first, second, vector = result.stdout.splitlines()
    assert first.startswith("vectors: downloading team/vectors (0.00 GB, cached); --vectors self requires no download")
    assert second == "vectors: 1 of 1 words found in team/vectors"
    assert max(abs(a - b) for a, b in zip(json.loads(vector), model.get_word_vector("happy"), strict=True)) < 1e-6


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 429, "headers": {"Retry_After": "1"}}, {"cut_upload": 0}]
)
def test_transient_errors_are_retried(tmp_path: Path, fault: dict[str, Any]) -> None:
    files = {"train.parquet": parquet_bytes(["one"], [[0]])}
    with HubServer() as hub:
        hub.add("datasets/team/moods", files)
        hub.fail("GET /api/datasets/team/moods", **fault)
        script = "from evenmood.data.splits import load_split\nprint(load_split('team/moods', 'train').texts)\n"
        result = run_python(script, hub, tmp_path)
    assert result.stdout == "['one']\n", result.stderr
