"""Fourth stage: samples for the labels that lack rows, written by an OpenAI-compatible endpoint."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from data_build import gates, goemotions
from data_build.generator import Answer, Generator, GeneratorError, Mode
from data_build.prompts import PROMPT_ID, Request, plan
from data_build.stage import Say, Stage, input_hashes, open_stage, read_manifest, read_rows
from evenmood import LABELS, rows
from evenmood.errors import UsageError
from evenmood.text import clean

STAGE = "generate"
SAMPLES = 20_000
"""The paper's."""
TEXTS = 8
"""Asked for in one request."""
SHARD_REQUESTS = 50
NAMED_SHARE = 0.1
"""Of a label's texts, those that may name it."""
TOKENS_A_TEXT = 25
"""For the estimate of what a run costs."""


def run(
    build: Path,
    say: Say,
    model: str,
    *,
    base_url: str | None = None,
    mode: Mode = "structured",
    samples: int = SAMPLES,
    missing: Mapping[str, int] | None = None,
    concurrency: int = 8,
    timeout: float = 60.0,
    prices: tuple[float, float] = (0.0, 0.0),
    max_cost: float | None = None,
    dry_run: bool = False,
    seed: int = 0,
    restart: bool = False,
) -> None:
    """Ask for samples, keep every answer as it comes, and write the rows that are fit.

    Args:
        build: Build folder.
        say: Receives progress, a line at a time.
        model: The endpoint's name of the model.
        base_url: Of the endpoint; OpenAI's own if left out.
        mode: `structured` (a chat with a JSON schema) or `lines` (a completion, a text a line).
        samples: Texts to ask for.
        missing: Rows that each label lacks; what the rarest lack to the mean, if left out.
        concurrency: Requests in flight.
        timeout: Seconds after which a request is sent again.
        prices: Money for a million tokens read and written.
        max_cost: The run stops before it costs more.
        dry_run: Show the first prompts and the estimate, and ask for nothing.
        seed: Of every draw, and of the model where it takes one.
        restart: Forget what an earlier run wrote, and paid for.

    Raises:
        UsageError: The estimate is over `max_cost`, or there is no key.
        GeneratorError: The endpoint refuses or is gone; what was answered is kept.
    """
    official = read_rows(build, goemotions.STAGE, "train")
    texts, labels = official["text"].to_pylist(), official["labels"].to_pylist()
    wanted = dict(
        missing or lacking(np.bincount([label for row in labels for label in row], minlength=len(LABELS)).tolist())
    )
    requests = plan(wanted, texts, labels, -(-samples // TEXTS), TEXTS, seed)
    words = sum(len(request.prompt().split()) for request in requests)
    estimate = (1.4 * words * prices[0] + samples * TOKENS_A_TEXT * prices[1]) / 1e6
    say(f"{STAGE}: {len(requests):,} requests for {samples:,} texts, about {estimate:.2f} at these prices")
    if dry_run:
        for request in requests[:3]:
            say(f"--- request {request.number}\n{request.prompt()}")
        return
    if max_cost is not None and estimate > max_cost:
        raise UsageError(f"about {estimate:.2f} is over --max-cost {max_cost:.2f}; ask for fewer --samples")
    options = {"model": model, "mode": mode, "samples": samples, "missing": wanted, "seed": seed, "prompt": PROMPT_ID}
    with open_stage(build, STAGE, input_hashes(build, goemotions.STAGE), options, say, restart) as stage:
        if stage.finished:
            return
        generator = Generator(model, base_url, mode, timeout, seed)
        budget = _Budget(stage.folder, prices, max_cost)
        seen: set[str] = set()
        for start in range(0, len(requests), SHARD_REQUESTS):
            part = requests[start : start + SHARD_REQUESTS]
            name = f"part-{start // SHARD_REQUESTS:05}"
            if not stage.has(name):
                answers = _answers(stage, name, part, generator, concurrency, budget)
                columns, counts = _fit(part, answers, seen, model)
                stage.write(name, rows.table(**columns), counts)
            seen.update(_hashes(stage, name))
            stage.progress(len(part) * TEXTS, (start + len(part)) * TEXTS, samples)
        stage.finish(cost=round(budget.spent, 4), tokens=budget.tokens)
        for path in stage.folder.glob("answers-*.jsonl"):
            path.unlink()


def lacking(counts: Iterable[int]) -> dict[str, int]:
    """What each label lacks to the mean of all."""
    counts = list(counts)
    mean = sum(counts) / len(counts)
    return {label: max(0, round(mean - count)) for label, count in zip(LABELS, counts, strict=True)}


def shortfall(build: Path) -> dict[str, int]:
    """What each label lacks to the target of the stage `balance`."""
    manifest = read_manifest(build, "balance")
    return dict(manifest["missing"][str(manifest["target"])])


class _Budget:
    """Tokens and money so far, those of earlier runs included."""

    def __init__(self, folder: Path, prices: tuple[float, float], limit: float | None) -> None:
        self._prices, self._limit = prices, limit
        self.tokens = {"prompt": 0, "completion": 0}
        for path in folder.glob("answers-*.jsonl"):
            for answer in _read(path):
                self.add(answer)

    @property
    def spent(self) -> float:
        return (self.tokens["prompt"] * self._prices[0] + self.tokens["completion"] * self._prices[1]) / 1e6

    @property
    def left(self) -> bool:
        return self._limit is None or self.spent < self._limit

    def add(self, answer: Answer) -> None:
        self.tokens["prompt"] += answer.prompt_tokens
        self.tokens["completion"] += answer.completion_tokens


def _answers(
    stage: Stage, name: str, part: Sequence[Request], generator: Generator, concurrency: int, budget: _Budget
) -> dict[int, Answer]:
    """The answers to a shard's requests: those kept by an earlier run, and the others, each written as it comes."""
    path = stage.folder / f"answers-{name}.jsonl"
    found = {answer.number: answer for answer in _read(path)}
    todo = [request for request in part if request.number not in found]
    failure: GeneratorError | None = None
    with path.open("a", encoding="utf-8") as kept, ThreadPoolExecutor(concurrency) as pool:
        running: set[Future[Answer]] = set()
        while (todo and not failure) or running:
            while todo and not failure and len(running) < concurrency:
                if not budget.left:
                    failure = GeneratorError(f"--max-cost is reached ({budget.spent:.2f}); raise it to go on")
                    break
                running.add(pool.submit(generator.ask, todo.pop(0)))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                try:
                    answer = future.result()
                except GeneratorError as error:
                    failure = failure or error
                    continue
                kept.write(answer.to_line())
                kept.flush()
                found[answer.number] = answer
                budget.add(answer)
    if failure:
        raise failure
    return found


def _read(path: Path) -> Iterator[Answer]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield Answer.from_line(line)
            except (ValueError, TypeError, KeyError):
                continue  # cut off when the run was killed: that request is sent again


def _fit(
    part: Sequence[Request], answers: Mapping[int, Answer], seen: set[str], model: str
) -> tuple[dict[str, list[Any]], Counter[str]]:
    """Columns of the texts that are fit, and how many went for which reason."""
    counts: Counter[str] = Counter()
    columns: dict[str, list[Any]] = {
        name: [] for name in ("id", "text", "text_hash", "labels", "source", "generator", "prompt_id")
    }
    here, naming, kept_of = set(seen), Counter[int](), Counter[int]()
    for request in part:
        answer = answers[request.number]
        counts["in"] += request.texts
        counts["not answered: " + answer.finish_reason] += max(0, request.texts - len(answer.texts))
        shown = [gates.shingles(example) for example in request.examples]
        for number, text in enumerate(answer.texts[: request.texts]):
            digest, words = rows.text_hash(text), clean(text).split()
            own = gates.shingles(text)
            named = any(LABELS[label] in words for label in request.labels)
            if len(words) < 3 or len(words) > 60:
                counts["too short or too long"] += 1
            elif digest in here:
                counts["repeated"] += 1
            elif any(example and own and len(own & example) >= 0.5 * len(own | example) for example in shown):
                counts["copies an example"] += 1
            elif named and naming[request.labels[0]] >= NAMED_SHARE * (kept_of[request.labels[0]] + 1):
                counts["names its label"] += 1
            else:
                here.add(digest)
                naming[request.labels[0]] += named
                kept_of[request.labels[0]] += 1
                recorded = {"prompt": PROMPT_ID, "request": request.number, "topic": request.topic}
                recorded |= {"register": request.register, "length": request.length, "view": request.view}
                values = (
                    f"generated:{request.number}-{number}",
                    text,
                    digest,
                    list(request.labels),
                    "generated",
                    model,
                )
                for column, value in zip(columns, (*values, json.dumps(recorded)), strict=True):
                    columns[column].append(value)
    return columns, Counter({reason: count for reason, count in counts.items() if count})


def _hashes(stage: Stage, name: str) -> list[str]:
    from pyarrow import parquet

    found: list[str] = parquet.read_table(stage.shard(name), columns=["text_hash"])["text_hash"].to_pylist()
    return found
