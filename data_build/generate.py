"""Fourth stage: samples for the labels that lack rows, written by an OpenAI-compatible endpoint."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

from data_build import batch, gates, goemotions
from data_build.generator import Answer, Generator, GeneratorError, Mode, read_answers
from data_build.prompts import PROMPT_ID, Request, plan
from data_build.stage import PLAN_FILE, Say, Stage, input_hashes, open_stage
from evenmood import LABELS, rows
from evenmood.build_folder import MANIFEST_FILE, read_manifest, read_rows, sha256
from evenmood.errors import DataError, UsageError
from evenmood.text import clean

STAGE = "generate"
OFFICIAL = "relabel-official"
"""The teacher's scores of the training split, where the stage `relabel` was run: they choose the examples."""
SAMPLES = 20_000
"""The paper's."""
TEXTS = 8
"""Asked for in one request."""
SHARD_REQUESTS = 50
NAMED_SHARE = 0.1
"""Of a label's texts, those that may name it."""
COPY = 0.5
"""Jaccard similarity of word 3-shingles from which on a text copies an example, or an earlier answer."""
KEPT = ["id", "text", "labels", "source", "generator", "prompt_id"]
"""Columns of generated rows that stay true whatever teacher reads them."""
ATTEMPTS = b"evenmood.attempts"
"""Key of `attempts` in the Parquet metadata of a file that `take` reads."""
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
    samples: int = SAMPLES,
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
        mode: `structured` (a chat with a JSON schema) or `lines` (a completion, a text a line).
        samples: Texts to ask for.
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
        GeneratorError: The endpoint refuses or is gone; what was answered is kept.
    """
    earlier = [round_name(number) for number in range(1, round_number)]
    if max_cost is not None and not any(prices):
        raise UsageError("--max-cost needs --prices: what a million tokens cost")
    if absent := [name for name in earlier if not (build / name / MANIFEST_FILE).exists()]:
        raise UsageError(f"{build}: {absent[0]} is not finished; a round adds to those before it")
    official = read_rows(build, goemotions.STAGE, "train")
    texts, labels = official["text"].to_pylist(), official["labels"].to_pylist()
    wanted = dict(
        missing or lacking(np.bincount([label for row in labels for label in row], minlength=len(LABELS)).tolist())
    )
    asked = (build / OFFICIAL / MANIFEST_FILE).exists()
    scores = np.stack(read_rows(build, OFFICIAL, "train")["scores"].to_numpy()) if asked else None
    if not any(wanted.values()):
        raise UsageError(f"{build}: no label lacks rows; nothing is to be asked for")
    before = [read_rows(build, name) for name in earlier]
    series = 1 + max([round_number - 1, *(_series(name) for table in before for name in table["id"].to_pylist())])
    requests = plan(wanted, texts, labels, -(-samples // TEXTS), TEXTS, seed, series, scores)
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
    inputs = input_hashes(build, goemotions.STAGE, *([OFFICIAL] if asked else []), *earlier)
    with open_stage(build, round_name(round_number), inputs, options, say, restart) as stage:
        if stage.finished:
            return
        generator = Generator(model, base_url, mode, timeout, seed)
        budget = _Budget(stage.folder, prices, max_cost)
        if as_batch:
            batch.collect(stage.folder, requests, generator, budget.add, say)
        known = gates.Known(COPY, (text for table in before for text in table["text"].to_pylist()))
        for start in range(0, len(requests), SHARD_REQUESTS):
            part = requests[start : start + SHARD_REQUESTS]
            name = f"part-{start // SHARD_REQUESTS:05}"
            if stage.has(name):
                for text in parquet.read_table(stage.shard(name), columns=["text"])["text"].to_pylist():
                    known.add(text)
            else:
                answers = _answers(stage, name, part, generator, concurrency, budget)
                columns, by_label = _fit(part, answers, known, model, series, seed, prices)
                total = sum(by_label.values(), Counter[str]())
                del total["kept"]
                stage.write(name, rows.table(**columns), total, by_label)
            stage.progress(len(part) * TEXTS, (start + len(part)) * TEXTS, samples)
        stage.finish(cost=round(budget.spent, 4), tokens=budget.tokens)
        for path in stage.folder.glob("answers-*.jsonl"):
            path.unlink()
        batch.forget(stage.folder)


def take(build: Path, say: Say, source: Path, *, restart: bool = False) -> None:
    """Take rows that were generated before in place of asking for new ones.

    Args:
        build: Build folder.
        say: Receives progress, a line at a time.
        source: Parquet file as `report` writes it.
        restart: Forget what an earlier run wrote.

    Raises:
        DataError: It is no such file.
    """
    try:
        held = parquet.read_table(source)
        found = rows.table(**{name: held[name] for name in KEPT})
        texts, own = found["text"].to_pylist(), set(found["source"].to_pylist())
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise DataError(f"{source} holds no generated rows: {' '.join(str(error).split())[:200]}") from None
    if (build / round_name(2)).exists():
        raise UsageError(f"{build} holds further rounds; remove {build / round_name(2)} first, or take another folder")
    if own - {"generated"}:
        raise DataError(f"{source} holds rows of {', '.join(sorted(own))}; expected generated ones alone")
    hashes = pyarrow.array([rows.text_hash(text) for text in texts])
    found = found.set_column(found.schema.get_field_index("text_hash"), "text_hash", hashes)
    options = {"rows": sha256(source)}
    with open_stage(build, STAGE, input_hashes(build, goemotions.STAGE), options, say, restart) as stage:
        if not stage.finished:
            tried = json.loads((held.schema.metadata or {}).get(ATTEMPTS, "null"))
            stage.write("part-00000", found, {"in": found.num_rows}, tried)
            stage.finish()


def keep(build: Path, names: set[str], path: Path) -> None:
    """Write the rows of all rounds with these ids, as they were asked for, for `take`."""
    held = pyarrow.concat_tables([read_rows(build, name).select(KEPT) for name in rounds(build)])
    found = held.filter(pyarrow.array([name in names for name in held["id"].to_pylist()]))
    metadata = {ATTEMPTS: json.dumps(attempts(build)).encode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(found.replace_schema_metadata(metadata), path, compression="zstd")


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
    begun = build / round_name(round_number) / PLAN_FILE
    if begun.exists() and not restart:
        held: dict[str, int] = json.loads(begun.read_text(encoding="utf-8"))["options"].get("missing", {})
        return held
    manifest = read_manifest(build, "balance")
    return dict(manifest["missing"][str(manifest["target"])])


class _Budget:
    """Tokens and money so far, those of earlier runs included."""

    def __init__(self, folder: Path, prices: tuple[float, float], limit: float | None) -> None:
        self._prices, self._limit, self._answers = prices, limit, 0
        self.tokens = {"prompt": 0, "completion": 0}
        for path in folder.glob("answers-*.jsonl"):
            for answer in read_answers(path):
                self.add(answer)

    @property
    def spent(self) -> float:
        return (self.tokens["prompt"] * self._prices[0] + self.tokens["completion"] * self._prices[1]) / 1e6

    def left(self, running: int) -> bool:
        """Whether one more request may be sent, when those that run cost what the others did on average."""
        average = self.spent / self._answers if self._answers else 0.0
        return self._limit is None or self.spent + (running + 1) * average <= self._limit

    def add(self, answer: Answer) -> None:
        self._answers += 1
        self.tokens["prompt"] += answer.prompt_tokens
        self.tokens["completion"] += answer.completion_tokens


def _answers(
    stage: Stage, name: str, part: Sequence[Request], generator: Generator, concurrency: int, budget: _Budget
) -> dict[int, Answer]:
    """The answers to a shard's requests: those kept before, and the others, each written as it comes."""
    path = stage.folder / f"answers-{name}.jsonl"
    found = {answer.number: answer for answer in read_answers(stage.folder / batch.ANSWERS_FILE)}
    found |= {answer.number: answer for answer in read_answers(path)}
    todo = [request for request in part if request.number not in found]
    failure: BaseException | None = None
    with path.open("a", encoding="utf-8") as kept, ThreadPoolExecutor(concurrency) as pool:
        running: set[Future[Answer]] = set()

        def keep(done: Iterable[Future[Answer]]) -> BaseException | None:
            """Write what was answered; what went wrong with one of the others."""
            failure = None
            for future in done:
                if error := future.exception():
                    failure = error
                    continue
                answer = future.result()
                kept.write(answer.to_line())
                kept.flush()
                found[answer.number] = answer
                budget.add(answer)
            return failure

        try:
            while (todo and not failure) or running:
                while todo and not failure and len(running) < concurrency:
                    if not budget.left(len(running)):
                        failure = GeneratorError(f"--max-cost is reached ({budget.spent:.2f}); raise it to go on")
                        break
                    running.add(pool.submit(generator.ask, todo.pop(0)))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                failure = keep(done) or failure
                if failure:
                    generator.stop()
        except BaseException:  # interrupted: what is in flight is paid for, and is waited for
            generator.stop()
            keep(wait(running).done)
            raise
    if failure:
        raise failure
    return found


def _fit(
    part: Sequence[Request],
    answers: Mapping[int, Answer],
    known: gates.Known,
    model: str,
    series: int,
    seed: int,
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
        label = LABELS[request.labels[0]]
        counts, words, own = by_label[label], clean(text).split(), gates.shingles(text)
        named = any(LABELS[label] in words for label in request.labels)
        if not MIN_WORDS <= len(words) <= MAX_WORDS:
            counts["too short or too long"] += 1
        elif known.equals(text):
            counts["repeated"] += 1
        elif any(gates.similarity(own, gates.shingles(example)) >= COPY for example in request.examples):
            counts["copies an example"] += 1
        elif named and naming[label] >= NAMED_SHARE * (counts["kept"] + 1):
            counts["names its label"] += 1
        elif known.nearly_equals(text):
            counts["nearly repeated"] += 1
        else:
            known.add(text)
            naming[label] += named
            counts["kept"] += 1
            recorded = {"prompt": PROMPT_ID, "round": series, "request": request.number, "topic": request.topic}
            recorded |= {"register": request.register, "length": request.length, "view": request.view}
            answer = answers[request.number]
            tokens = [answer.prompt_tokens, answer.completion_tokens]
            recorded |= {"seed": seed + request.number, "finish_reason": answer.finish_reason, "tokens": tokens}
            recorded |= {"cost": round((tokens[0] * prices[0] + tokens[1] * prices[1]) / 1e6, 6)}
            values = (
                f"generated:{series}-{request.number}-{number}",
                text,
                rows.text_hash(text),
                list(request.labels),
                "generated",
                model,
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
        counts = by_label.setdefault(LABELS[request.labels[0]], Counter())
        answer = answers[request.number]
        counts["in"] += request.texts
        if len(answer.texts) < request.texts:
            counts[f"not answered: {answer.finish_reason}"] += request.texts - len(answer.texts)
        for number, text in enumerate(answer.texts):
            yield request, number, text
