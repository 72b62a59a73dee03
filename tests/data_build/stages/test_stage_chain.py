"""All stages in sequence: killed and resumed, evaluated later, reported."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data_build.publishing import report
from data_build.stages import relabel, verify
from evenmood import DataError, UsageError
from evenmood.data.build_folder import check_current, read_manifest, sha256
from tests.commands import run_command
from tests.fakes.hub_repository import files_of
from tests.fakes.openai_server import Handler, OpenAIServer
from tests.fresh_environment import ROOT
from tests.small_data import write_tsv, write_tweets

CONCURRENCY, REQUESTS = 4, 20
FOLDERS = [
    "goemotions",
    "sentiment140",
    "relabel-official",
    "relabel",
    "generate",
    "relabel-generate",
    "verify",
    "balance-unbalanced",
    "balance",
]
"""Folders of the chain, in the order in which they are finished."""


def chain(build: Path, tweets: Path, teacher: Path, url: str) -> list[list[str]]:
    """Return the commands of all stages, without human review."""
    relabel = ["relabel", str(build), "--teacher", str(teacher)]
    generate = ["generate", str(build), "--base-url", url, "--model", "small", "--samples", "160"]
    return [
        ["goemotions", str(build), "--data", str(tweets.parent / "tsv"), "--any-size"],
        ["sentiment140", str(build), "--tweets", str(tweets)],
        relabel,
        [*generate, "--concurrency", str(CONCURRENCY)],
        relabel,
        ["verify", str(build), "--threshold", "0.6"],
        ["balance", str(build), "--target", "20"],
    ]


def run_chain(commands: list[list[str]]) -> "subprocess.Popen[str]":
    """Run all commands in one process."""
    script = (
        "import sys\nfrom data_build.__main__ import app\n"
        "for command in " + json.dumps(commands) + ":\n    app(command, standalone_mode=False)\n"
    )
    return subprocess.Popen([sys.executable, "-c", script], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def delay_completion(_: Handler) -> bool:
    """Delay each completion, so that a build can be killed between two of them."""
    time.sleep(0.05)
    return False


@dataclass
class UninterruptedBuild:
    """A build that was not interrupted.

    Attributes:
        tweets: Input of the build.
        build: Build folder.
        server: Endpoint used by the build.
    """

    tweets: Path
    build: Path
    server: OpenAIServer


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Iterator[UninterruptedBuild]:
    folder = tmp_path_factory.mktemp("chain")
    write_tsv(folder / "tsv")
    texts = [
        f"@you {word} and thank you so much {number}" for number in range(300) for word in ("joy", "anger", "grief")
    ]
    tweets = write_tweets(folder / "tweets.csv", texts)
    with OpenAIServer() as server:
        server.fault = delay_completion
        process = run_chain(chain(folder / "build", tweets, tiny_encoder, server.url))
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        assert len(set(server.prompts)) == len(server.prompts) == REQUESTS
        yield UninterruptedBuild(tweets, folder / "build", server)


def kill_and_resume(
    reference: UninterruptedBuild, build: Path, teacher: Path, stage: str, fraction: float
) -> dict[str, Any]:
    """Kill a build during a stage, resume it, and compare it with the uninterrupted build.

    The build is killed after a fraction of the stage's run time or, in `generate`, of its completions; earlier if the
    build finishes before that.
    """
    while (completed_requests := kill(reference, build, teacher, stage, fraction)) is None:
        shutil.rmtree(build)
        fraction /= 2
    finished_stages = [name for name in FOLDERS if (build / name / "manifest.json").exists()]
    for command in chain(build, reference.tweets, teacher, reference.server.url):
        result = run_command("data_build", *command)
        assert result.returncode == 0, result.stderr
    return {
        "last_finished_stage": finished_stages[-1] if finished_stages else "nothing",
        "fraction_of_next_stage": round(fraction, 3),
        "requests_completed": completed_requests,
        "requests_repeated": len(reference.server.prompts) - len(set(reference.server.prompts)),
        "identical": files_of(build) == files_of(reference.build),
    }


def kill(reference: UninterruptedBuild, build: Path, teacher: Path, stage: str, fraction: float) -> int | None:
    """Start a build and kill it; return the number of completed requests, or None if it had finished."""
    end_times = [(reference.build / name / "manifest.json").stat().st_mtime for name in FOLDERS]
    index = FOLDERS.index(stage)
    reference.server.prompts.clear()
    process = run_chain(chain(build, reference.tweets, teacher, reference.server.url))

    def wait_until(condition: Callable[[], bool]) -> None:
        while not condition() and process.poll() is None:
            time.sleep(0.002)

    if stage == "generate":
        wait_until(lambda: len(reference.server.prompts) >= 1 + fraction * (REQUESTS - CONCURRENCY - 1))
    else:
        wait_until(lambda: not index or (build / FOLDERS[index - 1] / "manifest.json").exists())
        time.sleep(fraction * (end_times[index] - end_times[index - 1] if index else 1.0))
    process.send_signal(signal.SIGKILL)
    completed_requests = len(reference.server.prompts)
    process.communicate()
    has_finished = process.returncode != -signal.SIGKILL or (build / FOLDERS[-1] / "manifest.json").exists()
    return None if has_finished else completed_requests


@pytest.mark.parametrize(
    "stage", ["generate", *(pytest.param(stage, marks=pytest.mark.slow) for stage in ("sentiment140", "verify"))]
)
def test_a_killed_and_resumed_build_is_byte_identical(
    uninterrupted: UninterruptedBuild, tiny_encoder: Path, tmp_path: Path, stage: str
) -> None:
    outcome = kill_and_resume(uninterrupted, tmp_path / "build", tiny_encoder, stage, 0.5)
    assert outcome["identical"]
    assert outcome["requests_repeated"] <= CONCURRENCY
    if stage == "generate":
        assert outcome["last_finished_stage"] == "relabel"
        assert 0 < outcome["requests_completed"] < REQUESTS


@pytest.mark.slow
def test_twenty_killed_builds(uninterrupted: UninterruptedBuild, tiny_encoder: Path, tmp_path: Path) -> None:
    """Kill twenty builds, eight of them between completions of the generator; write results/killed.json."""
    rng = random.Random(0)
    stages = ["generate"] * 8 + [rng.choice([name for name in FOLDERS if name != "generate"]) for _ in range(12)]
    outcomes = [
        kill_and_resume(uninterrupted, tmp_path / str(number), tiny_encoder, stage, rng.random())
        for number, stage in enumerate(stages)
    ]
    killed_between_completions = [outcome for outcome in outcomes if 0 < outcome["requests_completed"] < REQUESTS]
    content = {"builds": len(outcomes), "identical": sum(outcome["identical"] for outcome in outcomes)}
    content |= {
        "requests": REQUESTS,
        "requests_in_flight": CONCURRENCY,
        "killed_between_completions": len(killed_between_completions),
    }
    content |= {"requests_repeated": sum(outcome["requests_repeated"] for outcome in outcomes)}
    (ROOT / "results" / "killed.json").write_text(json.dumps({**content, "kills": outcomes}, indent=1) + "\n")
    assert content["identical"] == 20
    assert len(killed_between_completions) >= 8
    assert content["requests_repeated"] > 0
    assert all(outcome["requests_repeated"] <= CONCURRENCY for outcome in outcomes)
    assert all(outcome["last_finished_stage"] != FOLDERS[-1] for outcome in outcomes)


def test_the_chain_accounts_for_every_tweet(uninterrupted: UninterruptedBuild) -> None:
    build = uninterrupted.build
    rows = 0
    for name in ("sentiment140", "relabel", "generate", "relabel-generate", "verify", "balance-unbalanced"):
        manifest = read_manifest(build, name)
        assert manifest["rows_in"] == manifest["rows_out"] + sum(manifest["dropped"].values())
        rows += manifest["rows_out"] if name.startswith("relabel") else 0
        for file, shard in manifest["shards"].items():
            assert sha256(build / name / file) == shard["sha256"]
    assert read_manifest(build, "verify")["rows_in"] == rows
    for name, source in (("balance-unbalanced", "verify"), ("balance", "balance-unbalanced")):
        assert read_manifest(build, name)["inputs"][source] == sha256(build / source / "manifest.json")


def test_the_teacher_can_be_evaluated_later(
    uninterrupted: UninterruptedBuild, tiny_encoder: Path, tmp_path: Path
) -> None:
    build = Path(shutil.copytree(uninterrupted.build, tmp_path / "build"))
    files = files_of(build)
    messages: list[str] = []
    relabel.run(build, messages.append, str(tiny_encoder), evaluate=True)
    assert [line.split(":")[0] for line in messages if "macro-F1" in line] == [
        "teacher on validation",
        "teacher on test",
    ]
    check_current(build, "balance")
    assert {name: content for name, content in files_of(build).items() if "relabel-test" not in str(name)} == files
    assert set(read_manifest(build, "relabel-test")["evaluation"]) == {"thresholds", "validation", "test"}
    with pytest.raises(UsageError, match="an earlier run used a different batch_size"):
        relabel.run(build, print, str(tiny_encoder), batch_size=7)


def test_the_report_matches_the_manifests(uninterrupted: UninterruptedBuild, tmp_path: Path) -> None:
    build = uninterrupted.build
    result = run_command(
        *("data_build", "report", build, "--results", tmp_path / "dataset.json", "--document", tmp_path / "dataset.md")
    )
    assert result.returncode == 0, result.stderr
    content = json.loads((tmp_path / "dataset.json").read_text())
    manifest = read_manifest(build, "balance")
    assert content["label_counts_after"] == manifest["label_counts_after"]
    assert content["rows"] == sum(content["rows_by_source"].values()) == manifest["rows_out"]
    assert content["dropped"]["verify"] == read_manifest(build, "verify")["dropped"]
    by_source = content["label_counts_by_source"].values()
    for label, count in content["label_counts_after"].items():
        assert sum(counts[label] for counts in by_source) == count
    text = (tmp_path / "dataset.md").read_text()
    for image in re.findall(r"!\[[^]]+\]\(([^)]+)\)", text):
        assert (tmp_path / image).stat().st_size > 10_000
    assert f"{content['rows']:,} rows were selected" in text
    outputs = ("--results", tmp_path / "none.json", "--document", tmp_path / "none.md")
    result = run_command("data_build", "report", tmp_path / "nothing", *outputs)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize("file", ["relabel-official/validation.parquet", "relabel/sentiment140-part-00000.parquet"])
def test_the_error_of_a_later_stage_names_an_empty_shard(
    uninterrupted: UninterruptedBuild, tmp_path: Path, file: str
) -> None:
    build = Path(shutil.copytree(uninterrupted.build, tmp_path / "build"))
    (build / file).write_bytes(b"")
    with pytest.raises(DataError, match=rf"{file} .*; run: python -m data_build relabel .* --restart"):
        verify.run(build, print, threshold=0.6, restart=True)


def test_a_manifest_lacks_an_entry_of_the_report(uninterrupted: UninterruptedBuild, tmp_path: Path) -> None:
    build = Path(shutil.copytree(uninterrupted.build, tmp_path / "build"))
    path = build / "balance" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["shortfall"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"lacks an entry required by the report \('shortfall'\); .*--restart"):
        report.run(build, print, tmp_path / "dataset.json", tmp_path / "dataset.md")
