"""Generating: the real client against an endpoint on loopback, whatever that does."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from data_build.generation import batch, generator
from data_build.generation.generator import GeneratorError
from data_build.generation.prompts import PROMPT_ID, SHOTS, plan
from data_build.stages import generate
from data_build.stages import generated_rows as kept
from evenmood import LABELS, DataError, UsageError
from evenmood.data.build_folder import read_manifest, read_rows
from evenmood.data.rows import text_hash
from tests.commands import run_command
from tests.data_build.generation import MISSING, OPTIONS
from tests.fakes.hub_repository import files_of
from tests.fakes.openai_server import Handler, OpenAIServer


@pytest.mark.parametrize("mode", ["structured", "lines"])
def test_every_text_is_accounted_for(build: Path, server: OpenAIServer, mode: Any) -> None:
    generate.run(build, print, "small", base_url=server.url, mode=mode, **OPTIONS)
    rows = read_rows(build, "generate").to_pylist()
    manifest = read_manifest(build, "generate")
    assert manifest["rows_in"] == 64 == len(rows) + sum(manifest["dropped"].values())
    assert manifest["dropped"]["names its label"] >= 2
    assert manifest["tokens"] == {"prompt": 800, "completion": 400}
    assert len(server.asked) == 8
    assert manifest["endpoint"] == "127.0.0.1"
    training = read_rows(build, "goemotions", "train")
    official = dict(zip(training["id"].to_pylist(), training["labels"].to_pylist(), strict=True))
    for row in rows:
        assert row["source"] == "generated"
        assert row["generator"] == "small"
        assert f'"prompt": "{PROMPT_ID}"' in row["prompt_id"]
        recorded = json.loads(row["prompt_id"])
        assert set(recorded) == {*kept.RECORDED, "length", "view", "round", "request"}
        assert (recorded["tokens"], recorded["cost"], recorded["mode"]) == ([100, 50], 0.0, mode)
        assert recorded["intended"] == LABELS[row["labels"][0]]
        assert len(recorded["examples"]) == SHOTS
        for own_id in recorded["examples"]:
            assert row["labels"][0] in official[own_id]
        assert row["text_hash"] == text_hash(row["text"])
        assert LABELS[row["labels"][0]] in MISSING
    assert len({row["text_hash"] for row in rows}) == len(rows)
    assert not list((build / "generate").glob("*.jsonl"))


class Killed(BaseException):
    """What `kill -9` would be, at a known place."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "POLL", 0.0)


@pytest.mark.parametrize("mode", ["structured", "lines"])
def test_a_batch_gives_the_same_rows(build: Path, server: OpenAIServer, quick: None, mode: Any) -> None:
    options = {**OPTIONS, "mode": mode, "base_url": server.url}
    generate.run(build, print, "small", **options)
    expected = files_of(build)
    generate.run(build, print, "small", as_batch=True, restart=True, **options)
    assert files_of(build) == expected
    assert [len(names) for names in server.batches.submitted] == [8]


def test_a_batch_is_gone_on_with(
    build: Path, server: OpenAIServer, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**OPTIONS, "as_batch": True, "base_url": server.url}
    server.batches.lost = {1, 5}  # expired, say: they go into a second batch

    def dies(*_: Any) -> None:
        raise Killed

    # submitted and not written down; while it runs; before its answers are kept
    for place in ("_write_state", "_ended", "_keep"):
        with monkeypatch.context() as broken:
            broken.setattr(batch, place, dies)
            with pytest.raises(Killed):
                generate.run(build, print, "small", **options)
        assert len(server.batches.submitted) == 1
    generate.run(build, print, "small", **options)
    assert [len(names) for names in server.batches.submitted] == [8, 2]
    assert read_manifest(build, "generate")["tokens"] == {"prompt": 800, "completion": 400}
    assert sorted(path.name for path in (build / "generate").iterdir() if path.suffix != ".parquet") == [
        "manifest.json",
        "plan.json",
    ]


def test_batches_that_come_to_nothing(
    build: Path, server: OpenAIServer, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**OPTIONS, "as_batch": True, "base_url": server.url}
    server.batches.end = "failed"
    with pytest.raises(
        GeneratorError, match=r"8 requests have no answer; the endpoint said: batch batch_0 failed: you exceeded"
    ):
        generate.run(build, print, "small", **options)
    server.batches.end = "expired"
    monkeypatch.setattr(server.batches, "_answers", lambda made: [])
    with pytest.raises(GeneratorError, match="8 requests have no answer after 3 batches"):
        generate.run(build, print, "small", **options)


def test_what_was_answered_is_not_asked_again(build: Path, server: OpenAIServer) -> None:
    def dies(handler: Handler) -> bool:
        if handler.number > 6:
            handler.answer({"error": {"message": "no such model"}}, 404)
        return handler.number > 6

    server.fault = dies
    with pytest.raises(GeneratorError, match=r"HTTP 404.*no such model"):
        generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert len(server.asked) == 6
    server.fault = lambda handler: False
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert Counter(server.asked).most_common(1)[0][1] == 1
    assert len(server.asked) == 8
    assert read_manifest(build, "generate")["tokens"] == {"prompt": 800, "completion": 400}


def test_the_server_is_gone(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "PATIENCE", 1.0)
    with pytest.raises(GeneratorError, match="does not answer") as error:
        generate.run(build, print, "small", base_url="http://127.0.0.1:9/v1", **OPTIONS)
    assert "\n" not in str(error.value)


def test_the_cap_on_money(build: Path, server: OpenAIServer) -> None:
    with pytest.raises(UsageError, match="is over --max-cost"):
        generate.run(build, print, "small", base_url=server.url, prices=(1e6, 1e6), max_cost=1.0, **OPTIONS)
    assert not server.seen
    server.completion_tokens = 5000  # more than was estimated
    with pytest.raises(GeneratorError, match=r"--max-cost is reached \(\d+\.\d\d\)"):
        generate.run(build, print, "small", base_url=server.url, prices=(0, 2e4), max_cost=33.0, **OPTIONS)
    assert server.seen <= OPTIONS["concurrency"]
    generate.run(build, print, "small", base_url=server.url, prices=(0, 2e4), max_cost=1000.0, **OPTIONS)
    assert len(server.asked) == 8


def test_options_that_come_to_nothing(build: Path, server: OpenAIServer) -> None:
    options = {**OPTIONS, "base_url": server.url}
    with pytest.raises(UsageError, match="--max-cost needs --prices"):
        generate.run(build, print, "small", max_cost=1.0, **options)
    with pytest.raises(UsageError, match="no label lacks rows"):
        generate.run(build, print, "small", **{**options, "missing": {"grief": 0}})
    assert not server.seen
    assert not (build / "generate").exists()


def test_dry_run(build: Path, server: OpenAIServer) -> None:
    said: list[str] = []
    generate.run(build, said.append, "small", base_url=server.url, dry_run=True, **OPTIONS)
    assert "8 requests for 64 texts" in said[0]
    assert "Express relief without naming it" in said[1] + said[2] + said[3]
    assert not server.seen
    assert not (build / "generate").exists()


def test_the_plan() -> None:
    texts, labels = [f"text {n}" for n in range(100)], [[n % 28] if n % 5 else [16, 25] for n in range(100)]
    ids = [f"id {text}" for text in texts]
    drawn = plan(MISSING, texts, labels, 400, 8, seed=0, ids=ids)
    assert drawn == plan(MISSING, texts, labels, 400, 8, seed=0, ids=ids)
    first = Counter(LABELS[request.labels[0]] for request in drawn)
    assert set(first) == set(MISSING)
    assert 2 < first["grief"] / first["relief"] < 4
    for request in drawn:
        assert all(example in texts for example in request.examples)
        assert request.labels[1:] in ((), (25,))
        assert [f"id {example}" for example in request.examples] == list(request.example_ids)
        for told in (request.instruction(), request.completion()):
            for part in (request.topic, request.register, request.length, request.view, request.names):
                assert part in told
    assert plan({}, texts, labels, 10, 8, seed=0) == []


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["line", "debug"])
def test_the_key_is_never_seen(build: Path, server: OpenAIServer, debug: list[str]) -> None:
    key = "sk-theKeyThatNobodyMaySee"

    def echoes(handler: Handler) -> bool:
        handler.answer({"error": {"message": f"wrong: {handler.headers['Authorization']}"}}, 401)
        return True

    server.fault = echoes
    options = ["--base-url", server.url, "--samples", "8", *debug]
    done = run_command("data_build", "generate", build, *options, OPENAI_API_KEY=key)
    assert done.returncode == 1
    assert "HTTP 401" in done.stderr
    assert key not in done.stdout + done.stderr
    for path in build.rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path


def test_the_command_without_a_key(build: Path) -> None:
    done = run_command("data_build", "generate", build, OPENAI_API_KEY="")
    assert done.returncode in (1, 2)
    assert "OPENAI_API_KEY" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_a_round_adds_to_those_before_it(build: Path, server: OpenAIServer) -> None:
    with pytest.raises(UsageError, match="generate is not finished; a round adds to those before it"):
        generate.run(build, print, "small", base_url=server.url, round_number=2, **OPTIONS)
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    generate.run(build, print, "small", base_url=server.url, round_number=2, **OPTIONS)
    assert generate.rounds(build) == ["generate", "generate-2"]
    first, second = (read_rows(build, name).to_pylist() for name in generate.rounds(build))
    assert len({row["id"] for row in (*first, *second)}) == len(first) + len(second)
    assert len({row["text_hash"] for row in (*first, *second)}) == len(first) + len(second)
    tried = generate.attempts(build)
    assert set(tried) == set(MISSING)
    assert sum(counts["in"] for counts in tried.values()) == 128
    assert sum(counts["kept"] for counts in tried.values()) == len(first) + len(second)
    for counts in tried.values():
        assert counts["in"] == sum(count for reason, count in counts.items() if reason != "in")


def test_rows_that_were_generated_before(build: Path, server: OpenAIServer, tmp_path: Path) -> None:
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    generate.run(build, print, "small", base_url=server.url, round_number=2, **OPTIONS)
    first, second = (read_rows(build, name).to_pylist() for name in generate.rounds(build))
    rows, tried, asked = [*first, *second], generate.attempts(build), server.seen
    kept.keep(build, {row["id"] for row in rows[::2]}, tmp_path / "generated.parquet")
    with pytest.raises(UsageError, match="holds further rounds"):
        kept.take(build, print, tmp_path / "generated.parquet", restart=True)
    shutil.rmtree(build / "generate-2")
    kept.take(build, print, tmp_path / "generated.parquet", restart=True)
    assert read_rows(build, "generate").to_pylist() == rows[::2]
    assert generate.attempts(build) == tried
    assert server.seen == asked
    manifest = read_manifest(build, "generate")
    assert manifest["rows_in"] == 128 == manifest["rows_out"] + sum(manifest["dropped"].values())
    assert manifest["dropped"]["fit, and not verified"] == len(rows) - len(rows[::2])
    kept.take(build, print, tmp_path / "generated.parquet", limit=3, restart=True)
    assert read_rows(build, "generate").to_pylist() == rows[:6:2]
    kept.take(build, print, tmp_path / "generated.parquet", restart=True)
    generate.run(build, print, "small", base_url=server.url, round_number=2, **OPTIONS)  # it goes on from there
    again = [row["id"] for name in generate.rounds(build) for row in read_rows(build, name).to_pylist()]
    assert len(set(again)) == len(again) > len(rows)
    shutil.rmtree(build / "generate-2")
    for path in (build / "goemotions" / "train.parquet", build / "nothing.parquet"):
        with pytest.raises(DataError, match="holds no generated rows"):
            kept.take(build, print, path, restart=True)
    kept_rows = parquet.read_table(tmp_path / "generated.parquet")
    label_99 = pyarrow.array([[99]] * kept_rows.num_rows, kept_rows["labels"].type)
    for wrong in (
        pyarrow.concat_tables([kept_rows, kept_rows]),  # ids twice
        kept_rows.set_column(kept_rows.schema.get_field_index("labels"), "labels", label_99),
    ):
        parquet.write_table(wrong, build / "wrong.parquet")
        with pytest.raises(DataError, match="holds no generated rows"):
            kept.take(build, print, build / "wrong.parquet", restart=True)


def test_what_early_rows_did_not_record() -> None:
    whole = dict.fromkeys(kept.RECORDED, 1)
    early = {name: value for name, value in whole.items() if name != "seed"}
    assert kept.unrecorded(map(json.dumps, (whole, early, early))) == {"seed": 2}
    assert kept.unrecorded([json.dumps(whole)]) == {}


def test_the_limit_is_the_first_part_of_the_plan(build: Path, server: OpenAIServer) -> None:
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    whole = set(server.asked)
    generate.run(build, print, "small", base_url=server.url, limit=24, restart=True, **OPTIONS)
    assert set(server.asked[8:]) < whole
    assert read_manifest(build, "generate")["rows_in"] == len(server.asked[8:]) * 8 == 24


def test_a_near_copy_is_counted_once(build: Path, server: OpenAIServer) -> None:
    story = "the old friend who came back said so much about it all over again and then"
    server.write = lambda prompt, count, draw: [f"{story} {draw.randrange(10**6)}" for _ in range(count)]
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    manifest = read_manifest(build, "generate")
    assert manifest["rows_out"] == 1
    assert manifest["dropped"] == {"nearly repeated": 63}
