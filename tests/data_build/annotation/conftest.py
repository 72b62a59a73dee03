"""Fixtures for the tests of votes."""

from pathlib import Path

import pytest

from data_build.annotation.votes import Votes
from data_build.stage import open_stage
from data_build.stages import review
from evenmood.data.rows import table, text_hash
from tests.data_build.annotation import JOY


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build folder with the finished stages `verify` and `balance`."""
    texts = [f"text number {number}" for number in range(6)]
    rows = table(
        id=[f"sentiment140:{number}" for number in range(6)],
        text=texts,
        text_hash=[text_hash(text) for text in texts],
        labels=[[JOY]] * 6,
        source=["sentiment140"] * 6,
    )
    for name in ("verify", "balance"):
        with open_stage(tmp_path, name, {}, {}, print) as stage:
            stage.write("part-00000", rows, {"in": 6})
            stage.finish()
    return tmp_path


@pytest.fixture
def votes(build: Path) -> Votes:
    Votes(build, "review").add_annotator("Ada", "a long passphrase")
    return review.fill_review_queue(build)
