"""Generation with the real client and an endpoint on loopback."""

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
from data_build.stages import generate, generated_rows
from evenmood import LABELS, DataError, UsageError
from evenmood.data.build_folder import read_manifest, read_rows
from evenmood.data.rows import text_hash
from tests.commands import run_command
from tests.data_build.generation import OPTIONS, SHORTFALL
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
    assert len(server.prompts) == 8
    assert manifest["endpoint"] == "127.0.0.1"
    training = read_rows(build, "goemotions", "train")
    official = dict(zip(training["id"].to_pylist(), training["labels"].to_pylist(), strict=True))
    for row in rows:
        assert row["source"] == "generated"
        assert row["generator"] == "small"
        assert f'"prompt": "{PROMPT_ID}"' in row["prompt_id"]
        provenance = json.loads(row["prompt_id"])
        assert set(provenance) == {*generated_rows.PROVENANCE, "length", "view", "round", "request"}
        assert (provenance["tokens"], provenance["cost"], provenance["mode"]) == ([100, 50], 0.0, mode)
        assert provenance["intended"] == LABELS[row["labels"][0]]
        assert len(provenance["examples"]) == SHOTS
        for example_id in provenance["examples"]:
            assert row["labels"][0] in official[example_id]
        assert row["text_hash"] == text_hash(row["text"])
        assert LABELS[row["labels"][0]] in SHORTFALL
    assert len({row["text_hash"] for row in rows}) == len(rows)
    assert not list((build / "generate").glob("*.jsonl"))


class Killed(BaseException):
    """Simulate `kill -9` at a given point."""


@pytest.fixture
def fast_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "POLL_INTERVAL", 0.0)


@pytest.mark.parametrize("mode", ["structured", "lines"])
def test_batches_return_the_same_rows(build: Path, server: OpenAIServer, fast_polling: None, mode: Any) -> None:
    options = {**OPTIONS, "mode": mode, "base_url": server.url}
    generate.run(build, print, "small", **options)
    expected = files_of(build)
    generate.run(build, print, "small", as_batch=True, restart=True, **options)
    assert files_of(build) == expected
    assert [len(names) for names in server.batches.submitted_ids] == [8]


def test_batches_resume(build: Path, server: OpenAIServer, fast_polling: None, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**OPTIONS, "as_batch": True, "base_url": server.url}
    server.batches.lost_requests = {1, 5}  # expired requests go into a second batch

    def kill(*_: Any) -> None:
        raise Killed

    # Killed before the submission is recorded, while waiting, and before the completions are saved.
    for function in ("_write_state", "_wait", "_save"):
        with monkeypatch.context() as broken:
            broken.setattr(batch, function, kill)
            with pytest.raises(Killed):
                generate.run(build, print, "small", **options)
        assert len(server.batches.submitted_ids) == 1
    generate.run(build, print, "small", **options)
    assert [len(names) for names in server.batches.submitted_ids] == [8, 2]
    assert read_manifest(build, "generate")["tokens"] == {"prompt": 800, "completion": 400}
    assert sorted(path.name for path in (build / "generate").iterdir() if path.suffix != ".parquet") == [
        "manifest.json",
        "plan.json",
    ]


def test_failed_and_expired_batches(
    build: Path, server: OpenAIServer, fast_polling: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**OPTIONS, "as_batch": True, "base_url": server.url}
    server.batches.final_status = "failed"
    with pytest.raises(
        GeneratorError,
        match=r"8 requests have no response; the endpoint rejected them: batch batch_0 failed: you",
    ):
        generate.run(build, print, "small", **options)
    server.batches.final_status = "expired"
    monkeypatch.setattr(server.batches, "_results", lambda batch: [])
    with pytest.raises(GeneratorError, match="8 requests have no response after 3 batches"):
        generate.run(build, print, "small", **options)


def test_completed_requests_are_not_repeated(build: Path, server: OpenAIServer) -> None:
    def fail(handler: Handler) -> bool:
        if handler.number > 6:
            handler.respond({"error": {"message": "no such model"}}, 404)
        return handler.number > 6

    server.fault = fail
    with pytest.raises(GeneratorError, match=r"HTTP 404.*no such model"):
        generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert len(server.prompts) == 6
    server.fault = lambda handler: False
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert Counter(server.prompts).most_common(1)[0][1] == 1
    assert len(server.prompts) == 8
    assert read_manifest(build, "generate")["tokens"] == {"prompt": 800, "completion": 400}


def test_an_unreachable_server(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "MAX_OUTAGE", 1.0)
    with pytest.raises(GeneratorError, match="no response from the endpoint") as error:
        generate.run(build, print, "small", base_url="http://127.0.0.1:9/v1", **OPTIONS)
    assert "\n" not in str(error.value)


def test_the_budget(build: Path, server: OpenAIServer) -> None:
    with pytest.raises(UsageError, match="exceeds --max-cost"):
        generate.run(build, print, "small", base_url=server.url, prices=(1e6, 1e6), max_cost=1.0, **OPTIONS)
    assert not server.request_count
    server.completion_tokens = 5000  # more than estimated
    with pytest.raises(GeneratorError, match=r"--max-cost is exhausted \(cost so far: \d+\.\d\d\)"):
        generate.run(build, print, "small", base_url=server.url, prices=(0, 2e4), max_cost=33.0, **OPTIONS)
    assert server.request_count <= OPTIONS["concurrency"]
    generate.run(build, print, "small", base_url=server.url, prices=(0, 2e4), max_cost=1000.0, **OPTIONS)
    assert len(server.prompts) == 8


def test_invalid_options(build: Path, server: OpenAIServer) -> None:
    options = {**OPTIONS, "base_url": server.url}
    with pytest.raises(UsageError, match="--max-cost requires --prices"):
        generate.run(build, print, "small", max_cost=1.0, **options)
    with pytest.raises(UsageError, match="no label needs more rows"):
        generate.run(build, print, "small", **{**options, "shortfall": {"grief": 0}})
    assert not server.request_count
    assert not (build / "generate").exists()


def test_dry_run(build: Path, server: OpenAIServer) -> None:
    messages: list[str] = []
    generate.run(build, messages.append, "small", base_url=server.url, dry_run=True, **OPTIONS)
    assert "8 requests for 64 texts" in messages[0]
    assert "Express relief without naming it" in messages[1] + messages[2] + messages[3]
    assert not server.request_count
    assert not (build / "generate").exists()


def test_the_plan() -> None:
    texts, labels = [f"text {n}" for n in range(100)], [[n % 28] if n % 5 else [16, 25] for n in range(100)]
    ids = [f"id {text}" for text in texts]
    requests = plan(SHORTFALL, texts, labels, 400, 8, seed=0, ids=ids)
    assert requests == plan(SHORTFALL, texts, labels, 400, 8, seed=0, ids=ids)
    label_counts = Counter(LABELS[request.labels[0]] for request in requests)
    assert set(label_counts) == set(SHORTFALL)
    assert 2 < label_counts["grief"] / label_counts["relief"] < 4
    for request in requests:
        assert all(example in texts for example in request.examples)
        assert request.labels[1:] in ((), (25,))
        assert [f"id {example}" for example in request.examples] == list(request.example_ids)
        for prompt in (request.chat_prompt(), request.completion_prompt()):
            for part in (request.topic, request.register, request.length, request.view, request.names):
                assert part in prompt
    assert plan({}, texts, labels, 10, 8, seed=0) == []


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["line", "debug"])
def test_the_api_key_is_never_printed_or_stored(build: Path, server: OpenAIServer, debug: list[str]) -> None:
    key = "sk-theKeyThatNobodyMaySee"

    def echo(handler: Handler) -> bool:
        handler.respond({"error": {"message": f"wrong: {handler.headers['Authorization']}"}}, 401)
        return True

    server.fault = echo
    options = ["--base-url", server.url, "--samples", "8", *debug]
    result = run_command("data_build", "generate", build, *options, OPENAI_API_KEY=key)
    assert result.returncode == 1
    assert "HTTP 401" in result.stderr
    assert key not in result.stdout + result.stderr
    for path in build.rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path


def test_the_command_without_a_key(build: Path) -> None:
    result = run_command("data_build", "generate", build, OPENAI_API_KEY="")
    assert result.returncode in (1, 2)
    assert "OPENAI_API_KEY" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")


def test_further_rounds_add_rows(build: Path, server: OpenAIServer) -> None:
    with pytest.raises(UsageError, match="generate is incomplete; complete it before --round 2"):
        generate.run(build, print, "small", base_url=server.url, round_number=2, **OPTIONS)
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    generate.run(build, print, "small", base_url=server.url, round_number=2, **OPTIONS)
    assert generate.rounds(build) == ["generate", "generate-2"]
    first, second = (read_rows(build, name).to_pylist() for name in generate.rounds(build))
    assert len({row["id"] for row in (*first, *second)}) == len(first) + len(second)
    assert len({row["text_hash"] for row in (*first, *second)}) == len(first) + len(second)
    attempts = generate.generation_counts(build)
    assert set(attempts) == set(SHORTFALL)
    assert sum(counts["in"] for counts in attempts.values()) == 128
    assert sum(counts["accepted"] for counts in attempts.values()) == len(first) + len(second)
    for counts in attempts.values():
        assert counts["in"] == sum(count for reason, count in counts.items() if reason != "in")


def test_export_and_import_of_generated_rows(build: Path, server: OpenAIServer, tmp_path: Path) -> None:
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    generate.run(build, print, "small", base_url=server.url, round_number=2, **OPTIONS)
    first, second = (read_rows(build, name).to_pylist() for name in generate.rounds(build))
    rows, attempts, request_count = [*first, *second], generate.generation_counts(build), server.request_count
    generated_rows.export_rows(build, {row["id"] for row in rows[::2]}, tmp_path / "generated.parquet")
    with pytest.raises(UsageError, match="has more than one round of generate"):
        generated_rows.import_rows(build, print, tmp_path / "generated.parquet", restart=True)
    shutil.rmtree(build / "generate-2")
    generated_rows.import_rows(build, print, tmp_path / "generated.parquet", restart=True)
    assert read_rows(build, "generate").to_pylist() == rows[::2]
    assert generate.generation_counts(build) == attempts
    assert server.request_count == request_count
    manifest = read_manifest(build, "generate")
    assert manifest["rows_in"] == 128 == manifest["rows_out"] + sum(manifest["dropped"].values())
    assert manifest["dropped"]["accepted but not verified"] == len(rows) - len(rows[::2])
    generated_rows.import_rows(build, print, tmp_path / "generated.parquet", limit=3, restart=True)
    assert read_rows(build, "generate").to_pylist() == rows[:6:2]
    generated_rows.import_rows(build, print, tmp_path / "generated.parquet", restart=True)
    generate.run(build, print, "small", base_url=server.url, round_number=2, **OPTIONS)  # adds to the imported rows
    ids = [row["id"] for name in generate.rounds(build) for row in read_rows(build, name).to_pylist()]
    assert len(set(ids)) == len(ids) > len(rows)
    shutil.rmtree(build / "generate-2")
    for path, message in (
        (build / "goemotions" / "train.parquet", "not a valid file of generated rows"),
        (build / "nothing.parquet", r"^file not found: .*nothing\.parquet; expected a file that report"),
    ):
        with pytest.raises(DataError, match=message):
            generated_rows.import_rows(build, print, path, restart=True)
    exported = parquet.read_table(tmp_path / "generated.parquet")
    label_99 = pyarrow.array([[99]] * exported.num_rows, exported["labels"].type)
    for table in (
        pyarrow.concat_tables([exported, exported]),  # duplicate ids
        exported.set_column(exported.schema.get_field_index("labels"), "labels", label_99),
    ):
        parquet.write_table(table, build / "wrong.parquet")
        with pytest.raises(DataError, match="not a valid file of generated rows"):
            generated_rows.import_rows(build, print, build / "wrong.parquet", restart=True)


def test_missing_provenance_of_early_rows() -> None:
    complete_provenance = dict.fromkeys(generated_rows.PROVENANCE, 1)
    early_provenance = {name: value for name, value in complete_provenance.items() if name != "seed"}
    assert generated_rows.missing_keys(map(json.dumps, (complete_provenance, early_provenance, early_provenance))) == {
        "seed": 2
    }
    assert generated_rows.missing_keys([json.dumps(complete_provenance)]) == {}


def test_the_limit_requests_the_start_of_the_plan(build: Path, server: OpenAIServer) -> None:
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    all_prompts = set(server.prompts)
    generate.run(build, print, "small", base_url=server.url, limit=24, restart=True, **OPTIONS)
    assert set(server.prompts[8:]) < all_prompts
    assert read_manifest(build, "generate")["rows_in"] == len(server.prompts[8:]) * 8 == 24


def test_near_duplicates_are_dropped(build: Path, server: OpenAIServer) -> None:
    story = "the old friend who came back said so much about it all over again and then"
    server.write = lambda prompt, count, rng: [f"{story} {rng.randrange(10**6)}" for _ in range(count)]
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    manifest = read_manifest(build, "generate")
    assert manifest["rows_out"] == 1
    assert manifest["dropped"] == {"near-duplicate": 63}
