"""Round trip of data, model and Space through the Hub, on loopback and, optionally, on the real Hub."""

import re

import pytest

from tests.fakes.local_hub import REAL_TOKEN, run_module


@pytest.mark.slow
def test_the_tour_on_loopback() -> None:
    result = run_module("tests.hub_tour")
    assert result.returncode == 0, result.stdout + result.stderr
    for pattern in (
        r"\ngratitude [01]\.\d\d",
        r"\[\[\{'label': 'gratitude'",
        r"\d parameters\n",
        r"\[\('gratitude', [01]",
    ):
        assert re.search(pattern, result.stdout), pattern
    assert "hf_onlyThisHubKnowsIt" not in result.stdout + result.stderr


@pytest.mark.network
@pytest.mark.skipif(not REAL_TOKEN, reason="HF_TOKEN is not set; the test creates and deletes private repositories")
def test_the_tour_on_the_real_hub() -> None:
    assert REAL_TOKEN
    result = run_module("tests.hub_tour", "--real", HF_TOKEN=REAL_TOKEN)
    assert result.returncode == 0, result.stdout + result.stderr
    assert REAL_TOKEN not in result.stdout + result.stderr
