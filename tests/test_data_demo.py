"""The whole chain on the miniature, and that training reads what it wrote."""

import json
from pathlib import Path

from evenmood.build_folder import read_manifest, read_rows
from evenmood.splits import load_split
from tests.local_hub import run_module


def test_the_miniature(tmp_path: Path) -> None:
    done = run_module("tests.data_demo", "--out", tmp_path / "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "demo" / "dataset.json").read_text())
    assert set(found["rows_by_source"]) == {"goemotions", "sentiment140", "generated"}
    assert min(found["label_counts_after"].values()) >= 7
    assert found["ratio_after"] <= 1.5
    dropped = found["rejected_by_reason"]
    assert dropped["sentiment140"]["duplicate"] == 2
    assert dropped["sentiment140"]["not English"] >= 2
    assert dropped["verify"]["equals a training text"] >= 2
    build = tmp_path / "demo" / "build"
    for row in read_rows(build, "balance").to_pylist():
        assert not row["reviewed"]
        assert row["votes"] is None
        assert (row["source"] == "generated") == (row["generator"] == "recombines")
    sent = read_manifest(build, "generate")
    assert sent["rows_in"] == sent["rows_out"] + sum(sent["dropped"].values()) == 400
    for name, size in (("train", found["rows"]), ("validation", 28), ("test", 28)):
        assert len(load_split(f"{tmp_path}/demo/published:balanced", name).texts) == size
