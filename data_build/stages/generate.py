"""Fourth stage: samples for the labels that lack rows, written by an OpenAI-compatible endpoint."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import parquet

from data_build.generation import batch
from data_build.generation.answers import Budget, Trial, ask_all, unusable
from data_build.generation.generator import (
    OPTIONAL,
    Answer,
    Generator,
    GeneratorError,
    Mode,
    ResponseFormat,
    read_answers,
)
from data_build.generation.prompts import PROMPT_ID, Request, plan
from data_build.stage import COUNTS, PLAN_FILE, Say, Stage, input_hashes, open_stage, read_plan
from data_build.stages import goemotions
from evenmood import LABELS
from evenmood.data import rows
from evenmood.data.build_folder import MANIFEST_FILE, read_manifest, read_rows
from evenmood.data.leakage import Known, shingles, similarity
from evenmood.errors import UsageError
from evenmood.text.normalization import clean

STAGE = "generate"
OFFICIAL = "relabel-official"
"""The teacher's scores of the training split, where the stage `relabel` was run: they choose the examples."""
SAMPLES = 20_000
"""The paper's."""
TEXTS = 8
"""Asked for in one request."""
SHARD_REQUESTS = 50
FIRST = 5
"""Answers of which at least one must give texts."""
NAMED_SHARE = 0.1
"""Of a label's texts, those that may name it."""
COPY = 0.5
"""Jaccard similarity of word 3-shingles from which on a text copies an example, or an earlier answer."""
MIN_WORDS, MAX_WORDS = 3, 60
TOKENS_A_TEXT = 25
"""For the estimate of what a run costs."""


def run(
    build: Path,
    say: Say,
    model: str,
    *,
    base_url: str | None = None,
    mode: Mode = "structured",
    response_format: ResponseFormat | None = None,
    omit: Collection[str] = (),
    samples: int = SAMPLES,
    limit: int | None = None,
    missing: Mapping[str, int] | None = None,
    round_number: int = 1,
    concurrency: int = 8,
    timeout: float = 60.0,
    prices: tuple[float, float] = (0.0, 0.0),
    max_cost: float | None = None,
    dry_run: bool = False,
    as_batch: bool = False,
    seed: int = 0,
    restart: bool = False,
) -> None:
    """Ask for samples, keep every answer as it comes, and write the rows that are fit.

    Args:
        build: Build folder.
        say: Receives progress, a line at a time.
        model: The endpoint's name of the model.
        base_url: Of the endpoint; OpenAI's own if left out.
        mode: `structured` (a chat that answers in JSON) or `lines` (a completion, a text a line).
        response_format: Form of a chat's answers: `json_schema` if left out; `json_object` or `text` for servers that
            take no schema, or no parameter for it.
        omit: Parameters to leave out of requests, of `OPTIONAL`, for servers that do not take them.
        samples: Texts to ask for.
        limit: Texts to ask for at the most, of the same plan: a trial of it.
        missing: Rows that each label lacks; what the rarest lack to the mean, if left out.
        round_number: 1, or one more than the rounds there are: a round adds to those before it.
        concurrency: Requests in flight.
        timeout: Seconds after which a request is sent again.
        prices: Money for a million tokens read and written.
        max_cost: The run stops before it costs more.
        dry_run: Show the first prompts and the estimate, and ask for nothing.
        as_batch: Hand all requests over at once, and wait for their answers: half the price at OpenAI.
        seed: Of every draw, and of the model where it takes one.
        restart: Forget what an earlier run of this round wrote, and paid for.

    Raises:
        UsageError: The estimate is over `max_cost`, there is no key, or an earlier round is not finished.
        GeneratorError: The endpoint refuses or is gone, or nothing that it answers is fit; what was answered is kept.
    """
    if mode == "lines" and response_format is not None:
        raise UsageError("--response-format requires --mode structured")
    if unknown := [name for name in omit if name not in OPTIONAL]:
        raise UsageError(f"--omit: unknown parameter {unknown[0]!r}; expected one of: {', '.join(OPTIONAL)}")
    samples = min(samples, limit or samples)
    earlier = [round_name(number) for number in range(1, round_number)]
    if max_cost is not None and not any(prices):
        raise UsageError("--max-cost needs --prices: what a million tokens cost")
    if absent := [name for name in earlier if not (build / name / MANIFEST_FILE).exists()]:
        raise UsageError(f"{build}: {absent[0]} is not finished; a round adds to those before it")
    official = read_rows(build, goemotions.STAGE, "train")
    texts, labels, ids = (official[name].to_pylist() for name in ("text", "labels", "id"))
    wanted = dict(
        missing or lacking(np.bincount([label for row in labels for label in row], minlength=len(LABELS)).tolist())
    )
    asked = (build / OFFICIAL / MANIFEST_FILE).exists()
    scores = np.stack(read_rows(build, OFFICIAL, "train")["scores"].to_numpy()) if asked else None
    if not any(wanted.values()):
        raise UsageError(f"{build}: no label lacks rows; nothing is to be asked for")
    before = [read_rows(build, name) for name in earlier]
    series = 1 + max([round_number - 1, *(_series(name) for table in before for name in table["id"].to_pylist())])
    requests = plan(wanted, texts, labels, -(-samples // TEXTS), TEXTS, seed, series, scores, ids)
    words = sum(len(request.instruction().split()) for request in requests)
    estimate = (1.4 * words * prices[0] + samples * TOKENS_A_TEXT * prices[1]) / 1e6
    say(f"{STAGE}: {len(requests):,} requests for {samples:,} texts, about {estimate:.2f} at these prices")
    if dry_run:
        for request in requests[:3]:
            shown = request.instruction() if mode == "structured" else request.completion()
            say(f"--- request {request.number}\n{shown}")
        return
    if max_cost is not None and estimate > max_cost:
        raise UsageError(f"about {estimate:.2f} is over --max-cost {max_cost:.2f}; ask for fewer --samples")
    options = {"model": model, "mode": mode, "samples": samples, "missing": wanted, "seed": seed, "prompt": PROMPT_ID}
    if response_format not in (None, "json_schema"):
        options["response_format"] = response_format
    if omit:
        options["omit"] = sorted(set(omit))
    inputs = input_hashes(build, goemotions.STAGE, *([OFFICIAL] if asked else []), *earlier)
    with open_stage(build, round_name(round_number), inputs, options, say, restart) as stage, ExitStack() as stack:
        if stage.finished:
            return
        generator = Generator(model, base_url, mode, timeout, seed, response_format or "json_schema", omit)
        stack.callback(generator.close)
        budget = Budget(stage.folder, prices, max_cost)
        if as_batch:
            batch.collect(stage.folder, requests, generator, budget.add, say)
            answered = list(read_answers(stage.folder / batch.ANSWERS_FILE))
            if answered and not any(answer.texts for answer in answered):
                raise unusable(answered)
        known = Known(COPY, (text for table in before for text in table["text"].to_pylist()))
        trial = Trial(min(FIRST, len(requests), SHARD_REQUESTS))
        done = 0

        def advance(texts: int = TEXTS) -> None:
            nonlocal done
            done += texts
            stage.progress(texts, done, samples)

        for start in range(0, len(requests), SHARD_REQUESTS):
            part = requests[start : start + SHARD_REQUESTS]
            name = f"part-{start // SHARD_REQUESTS:05}"
            if stage.has(name):
                trial.passed = True
                for text in parquet.read_table(stage.shard(name), columns=["text"])["text"].to_pylist():
                    known.add(text)
            else:
                answers = ask_all(stage.folder, name, part, generator, concurrency, budget, trial, advance)
                columns, by_label = _fit(part, answers, known, generator, series, prices)
                total = sum(by_label.values(), Counter[str]())
                del total["kept"]
                stage.write(name, rows.table(**columns), total, by_label)
            done = (start + len(part)) * TEXTS
        _check_rows(stage)
        stage.finish(endpoint=generator.host, cost=round(budget.spent, 4), tokens=budget.tokens)
        for path in stage.folder.glob("answers-*.jsonl"):
            path.unlink()
        batch.forget(stage.folder)


def _check_rows(stage: Stage) -> None:
    """Raise `GeneratorError` where no text of any shard is fit: an empty stage is not a finished one."""
    counts, fit = Counter[str](), 0
    for path in stage.folder.glob("*.parquet"):
        counts.update(json.loads(parquet.read_schema(path).metadata[COUNTS]))
        fit += parquet.read_metadata(path).num_rows
    if not fit:
        asked = counts.pop("in", 0)
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()) if count)
        raise GeneratorError(f"{stage.folder}: 0 rows of {asked:,} texts are fit ({reasons}); --restart asks again")


def round_name(number: int) -> str:
    """Folder of a round."""
    return STAGE if number == 1 else f"{STAGE}-{number}"


def _series(name: str) -> int:
    """Number of the round that a row's id tells; rows that were taken from a file may come from several."""
    return int(name.split(":")[1].split("-")[0])


def rounds(build: Path) -> list[str]:
    """Folders of the rounds that are finished, in order."""
    names: list[str] = []
    while (build / (name := round_name(len(names) + 1)) / MANIFEST_FILE).exists():
        names.append(name)
    return names


def attempts(build: Path) -> dict[str, dict[str, int]]:
    """Per label, over all rounds: texts asked for (`in`), what was left out for which reason, and `kept`."""
    found: dict[str, Counter[str]] = {}
    for name in rounds(build):
        for label, counts in read_manifest(build, name).get("by_label", {}).items():
            found.setdefault(label, Counter()).update(counts)
    return {label: dict(sorted(found[label].items())) for label in LABELS if label in found}


def lacking(counts: Iterable[int]) -> dict[str, int]:
    """What each label lacks to the mean of all."""
    counts = list(counts)
    mean = sum(counts) / len(counts)
    return {label: max(0, round(mean - count)) for label, count in zip(LABELS, counts, strict=True)}


def shortfall(build: Path, round_number: int = 1, restart: bool = False) -> dict[str, int]:
    """What each label lacks to the target of the stage `balance`; of a round that was begun, what it was begun with."""
    begun = build / round_name(round_number)
    if (begun / PLAN_FILE).exists() and not restart:
        return dict(read_plan(begun)["options"].get("missing", {}))
    manifest = read_manifest(build, "balance")
    return dict(manifest["missing"][str(manifest["target"])])


def _fit(
    part: Sequence[Request],
    answers: Mapping[int, Answer],
    known: Known,
    generator: Generator,
    series: int,
    prices: tuple[float, float],
) -> tuple[dict[str, list[Any]], dict[str, Counter[str]]]:
    """Columns of the texts that are fit, and per intended label how many were kept and went for which reason.

    Tokens and cost are those of the request that a text came with, which asked for several.
    """
    by_label: dict[str, Counter[str]] = {}
    columns: dict[str, list[Any]] = {
        name: [] for name in ("id", "text", "text_hash", "labels", "source", "generator", "prompt_id")
    }
    naming = Counter[str]()
    for request, number, text in _texts(part, answers, by_label):
        label = request.intended
        counts, words, own = by_label[label], clean(text).split(), shingles(text)
        named = any(LABELS[label] in words for label in request.labels)
        if not MIN_WORDS <= len(words) <= MAX_WORDS:
            counts["too short or too long"] += 1
        elif known.equals(text):
            counts["repeated"] += 1
        elif any(similarity(own, shingles(example)) >= COPY for example in request.examples):
            counts["copies an example"] += 1
        elif named and naming[label] >= NAMED_SHARE * (counts["kept"] + 1):
            counts["names its label"] += 1
        elif known.nearly_equals(text):
            counts["nearly repeated"] += 1
        else:
            known.add(text)
            naming[label] += named
            counts["kept"] += 1
            answer = answers[request.number]
            tokens = [answer.prompt_tokens, answer.completion_tokens]
            recorded = {
                "prompt": PROMPT_ID,
                "mode": generator.mode,
                "round": series,
                "request": request.number,
                "intended": request.intended,
                "topic": request.topic,
                "register": request.register,
                "length": request.length,
                "view": request.view,
                "examples": request.example_ids,
                "seed": generator.seed_of(request),
                "finish_reason": answer.finish_reason,
                "tokens": tokens,
                "cost": round((tokens[0] * prices[0] + tokens[1] * prices[1]) / 1e6, 6),
            }
            values = (
                f"generated:{series}-{request.number}-{number}",
                text,
                rows.text_hash(text),
                list(request.labels),
                "generated",
                generator.model,
                json.dumps(recorded),
            )
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
    return columns, by_label


def _texts(
    part: Sequence[Request], answers: Mapping[int, Answer], by_label: dict[str, Counter[str]]
) -> Iterator[tuple[Request, int, str]]:
    """Each text of the answers, with its request and its place; what was asked for and not answered is counted."""
    for request in part:
        counts = by_label.setdefault(request.intended, Counter())
        answer = answers[request.number]
        counts["in"] += request.texts
        if len(answer.texts) < request.texts:
            counts[f"not answered: {answer.finish_reason}"] += request.texts - len(answer.texts)
        for number, text in enumerate(answer.texts):
            yield request, number, text
