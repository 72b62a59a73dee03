"""Generating: the real client against an endpoint on loopback, whatever that does."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from data_build import answers, batch, generate, generator, goemotions, kept
from data_build.generator import GeneratorError, read_answers
from data_build.prompts import PROMPT_ID, SHOTS, plan
from evenmood import LABELS, DataError, UsageError
from evenmood.build_folder import read_manifest, read_rows
from evenmood.rows import text_hash
from tests.hub_repository import files_of
from tests.local_hub import run_module
from tests.openai_server import Handler, OpenAIServer
from tests.small_data import write_tsv

MISSING = {"grief": 30, "relief": 10}
OPTIONS: dict[str, Any] = {"samples": 64, "missing": MISSING, "concurrency": 4}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(generate, "SHARD_REQUESTS", 4)
    goemotions.run(tmp_path / "build", print, str(write_tsv(tmp_path / "tsv")), any_size=True)
    return tmp_path / "build"


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


FAULTS: dict[str, Callable[[Handler], bool]] = {}


def fault(function: Callable[[Handler], bool]) -> Callable[[Handler], bool]:
    FAULTS[function.__name__] = function
    return function


@fault
def rate_limit(handler: Handler) -> bool:
    if handler.number <= 3:
        handler.answer({"error": {"message": "slow down"}}, 429, Retry_After="1")
    return handler.number <= 3


@fault
def every_third_500(handler: Handler) -> bool:
    if handler.number % 3 == 0:
        handler.answer({"error": {"message": "oops"}}, 500)
    return handler.number % 3 == 0


@fault
def late(handler: Handler) -> bool:
    if handler.number == 2:
        time.sleep(3)
    return False


@fault
def cut(handler: Handler) -> bool:
    if handler.number == 2:
        handler.close_connection = True
    return handler.number == 2


@fault
def for_hours(handler: Handler) -> bool:
    """A server that asks for more patience than it needs."""
    if handler.number <= 4:
        handler.answer({"error": {"message": "slow down"}}, 429, Retry_After="7200")
    return handler.number <= 4


@pytest.mark.parametrize("name", FAULTS)
def test_what_passes_changes_nothing(
    build: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    expected = files_of(build)
    server.fault, server.seen = FAULTS[name], 0
    monkeypatch.setattr(generator, "LONGEST_PAUSE", 1.0)
    generate.run(build, print, "small", base_url=server.url, timeout=2, restart=True, **OPTIONS)
    assert files_of(build) == expected


def busy(seconds: float, pause: str) -> Callable[[Handler], bool]:
    """A server that answers 429 from its first request on for a while."""
    started: list[float] = []

    def fault(handler: Handler) -> bool:
        started.append(time.monotonic())
        refuses = time.monotonic() - started[0] < seconds
        if refuses:
            handler.answer({"error": {"message": "slow down"}}, 429, Retry_After=pause)
        return refuses

    return fault


def test_a_rate_limit_is_outlasted_however_often_it_is_met(
    build: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "PATIENCE", 4.0)
    server.fault = busy(3.0, "0.1")
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert server.seen > 60  # more tries of each of four requests than any count of tries would allow
    assert len(server.asked) == 8


def test_a_rate_limit_without_an_end(build: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "PATIENCE", 1.0)
    server.fault = busy(3600, "0.2")
    with pytest.raises(GeneratorError, match=r"HTTP 429.*slow down"):
        generate.run(build, print, "small", base_url=server.url, **OPTIONS)


def test_no_money_is_not_waited_for(build: Path, server: OpenAIServer) -> None:
    def poor(handler: Handler) -> bool:
        handler.answer({"error": {"message": "you exceeded your quota", "code": "insufficient_quota"}}, 429)
        return True

    server.fault = poor
    with pytest.raises(GeneratorError, match="you exceeded your quota"):
        generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert server.seen <= OPTIONS["concurrency"]


@pytest.mark.slow
@pytest.mark.parametrize("pause", ["1", "45", ""])
def test_a_rate_limit_of_a_minute(build: Path, server: OpenAIServer, pause: str) -> None:
    server.fault = busy(60, pause)
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert len(server.asked) == 8


def bad(handler: Handler, body: Callable[[Handler], Any]) -> bool:
    if handler.number == 1:
        handler.answer(body(handler))
    return handler.number == 1


MALFORMED: dict[str, tuple[Callable[[Handler], Any], str]] = {
    "broken JSON": (lambda handler: _with_content(handler, '{"comments": ["a'), "malformed"),
    "another object": (lambda handler: _with_content(handler, '{"texts": []}'), "malformed"),
    "cut off": (lambda handler: handler.owner.reply(True, ["a b c d"], "length"), "length"),
    "filtered": (lambda handler: handler.owner.reply(True, [], "content_filter"), "content_filter"),
    "no choice": (lambda handler: {**handler.owner.reply(True, []), "choices": []}, "malformed"),
    "refusal": (lambda handler: _refusal(handler), "refused"),
    "a page": (lambda handler: b"<html>welcome to the proxy</html>", "malformed"),
    "a list": (lambda handler: [], "malformed"),
    "a string": (lambda handler: "fine", "malformed"),
    "nothing": (lambda handler: b"", "malformed"),
    "bytes": (lambda handler: b"\xff\x00\xfe", "malformed"),
    "an empty choice": (lambda handler: {**handler.owner.reply(True, []), "choices": [{}]}, "malformed"),
    "a choice that is none": (lambda handler: {**handler.owner.reply(True, []), "choices": ["x"]}, "malformed"),
    "no message": (
        lambda handler: {"choices": [{"message": None, "finish_reason": "stop"}], "usage": None},
        "malformed",
    ),
    "no tokens": (lambda handler: {"choices": [], "usage": {}}, "malformed"),
    "half a character": (lambda handler: _with_content(handler, '{"comments": ["\\ud800"]}'), "malformed"),
}


def _with_content(handler: Handler, content: str) -> dict[str, Any]:
    reply = handler.owner.reply(True, [])
    reply["choices"][0]["message"]["content"] = content
    return reply


def _refusal(handler: Handler) -> dict[str, Any]:
    reply = handler.owner.reply(True, [])
    reply["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "I cannot"}
    return reply


@pytest.mark.parametrize("case", MALFORMED)
def test_an_answer_that_is_none_is_counted(build: Path, server: OpenAIServer, case: str) -> None:
    body, reason = MALFORMED[case]
    server.fault = lambda handler: bad(handler, body)
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    dropped = read_manifest(build, "generate")["dropped"]
    assert dropped[f"not answered: {reason}"] == 8


def test_a_page_in_place_of_a_completion(build: Path, server: OpenAIServer) -> None:
    def page(handler: Handler) -> bool:
        if handler.number == 1:
            handler.answer(b"<html></html>", Content_Type="text/html")
        return handler.number == 1

    server.fault = page
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert read_manifest(build, "generate")["dropped"]["not answered: malformed"] == 8


def test_answers_without_tokens_that_an_earlier_run_kept(build: Path, server: OpenAIServer) -> None:
    def dies(handler: Handler) -> bool:
        handler.answer({"error": {"message": "no such model"}}, 404)
        return True

    server.fault = dies
    with pytest.raises(GeneratorError, match="HTTP 404"):
        generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    line = {"number": 0, "texts": [], "finish_reason": "malformed", "prompt_tokens": None, "completion_tokens": None}
    (build / "generate" / "answers-part-00000.jsonl").write_text(json.dumps(line) + "\n")
    server.fault = lambda handler: False
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert len(server.asked) == 7


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_whatever_goes_wrong_what_was_answered_is_kept(
    build: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    """One request fails in an unheard-of way, or somebody presses Ctrl-C, while three others are under way."""

    def late(handler: Handler) -> bool:
        time.sleep(0.3)
        return False

    server.fault = late
    with monkeypatch.context() as broken:
        if kind is KeyboardInterrupt:
            broken.setattr(answers, "wait", interrupted(wait))
        else:
            broken.setattr(generator.Generator, "read", fails_once(generator.Generator.read))
        with pytest.raises(kind):
            generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    written = 4 - (kind is RuntimeError)
    assert len(list(read_answers(build / "generate" / "answers-part-00000.jsonl"))) == written
    generate.run(build, print, "small", base_url=server.url, **OPTIONS)
    assert len(server.asked) == 12 - written


def interrupted(wait: Callable[..., Any]) -> Callable[..., Any]:
    """`wait`, at whose first call somebody presses Ctrl-C."""
    calls: list[int] = []

    def first(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return wait(*arguments, **options)

    return first


def fails_once(read: Callable[..., Any]) -> Callable[..., Any]:
    """`read` that fails for the first request, as no client's error would be."""

    def first(self: Any, request: Any, body: bytes) -> Any:
        if request.number == 0:
            raise RuntimeError("unheard of")
        return read(self, request, body)

    return first


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
    done = run_module("data_build", "generate", build, *options, OPENAI_API_KEY=key)
    assert done.returncode == 1
    assert "HTTP 401" in done.stderr
    assert key not in done.stdout + done.stderr
    for path in build.rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path


def test_the_command_without_a_key(build: Path) -> None:
    done = run_module("data_build", "generate", build, OPENAI_API_KEY="")
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


def test_what_early_rows_did_not_record() -> None:
    path = Path(kept.__file__).with_name("generated.parquet")
    rows = parquet.read_table(path).to_pylist()
    lacking = kept.unrecorded(row["prompt_id"] for row in rows)
    assert lacking["seed"] == lacking["tokens"] == lacking["cost"] > 0
    for row in rows:
        recorded = json.loads(row["prompt_id"])
        assert recorded.get("intended") in (None, LABELS[row["labels"][0]])
        assert len(row["labels"]) > 1 or recorded["intended"]


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
