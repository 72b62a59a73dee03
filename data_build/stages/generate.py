"""Stage `generate`: generate texts for rare labels with an OpenAI-compatible endpoint."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import parquet

from data_build.generation import batch
from data_build.generation.completions import Budget, Trial, request_completions, unusable_error
from data_build.generation.generator import (
    OPTIONAL_PARAMETERS,
    Completion,
    Generator,
    GeneratorError,
    Mode,
    ResponseFormat,
    read_completions,
)
from data_build.generation.prompts import PROMPT_ID, Request, plan
from data_build.stage import COUNTS, PLAN_FILE, Log, Stage, input_hashes, open_stage, read_plan
from data_build.stages import goemotions
from evenmood import LABELS
from evenmood.data import rows
from evenmood.data.build_folder import MANIFEST_FILE, read_manifest, read_rows
from evenmood.data.leakage import DuplicateIndex, shingles, similarity
from evenmood.errors import UsageError
from evenmood.text.normalization import clean

STAGE = "generate"
OFFICIAL_SCORES = "relabel-official"
"""Stage with the teacher's scores for the training split; if it is finished, examples are selected by score."""
SAMPLES = 20_000
"""Number of texts to request, as in the paper (arXiv 2511.14073)."""
TEXTS_PER_REQUEST = 8
REQUESTS_PER_SHARD = 50
TRIAL_COMPLETIONS = 5
"""Number of initial completions; the run stops if none of them contains texts."""
MAX_NAMING_SHARE = 0.1
"""Maximum share of a label's texts that may contain the label's name."""
COPY_SIMILARITY = 0.5
"""Minimum Jaccard similarity of word 3-shingles for a text to count as a copy of an example or an earlier text."""
MIN_WORDS, MAX_WORDS = 3, 60
ESTIMATED_TOKENS_PER_TEXT = 25
"""Estimated completion tokens per text, for the cost estimate."""


def run(
    build: Path,
    log: Log,
    model: str,
    *,
    base_url: str | None = None,
    mode: Mode = "structured",
    response_format: ResponseFormat | None = None,
    omit: Collection[str] = (),
    samples: int = SAMPLES,
    limit: int | None = None,
    shortfall: Mapping[str, int] | None = None,
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
    """Request texts, save each completion as it arrives, and write the texts that pass the filters.

    Args:
        build: Build folder.
        log: Called with each progress message.
        model: Model name at the endpoint.
        base_url: Base URL of the endpoint; by default, OpenAI's.
        mode: `structured` (chat completions in JSON) or `lines` (text completions with one text per line).
        response_format: Format of chat completions; by default, `json_schema`. Use `json_object` or `text` for servers
            that do not support schemas or the parameter itself.
        omit: Parameters from `OPTIONAL_PARAMETERS` that the server rejects.
        samples: Number of texts to request.
        limit: Maximum number of texts to request, for a trial run.
        shortfall: Number of rows that each label needs; by default, the difference from the mean over labels.
        round_number: Number of the round, from 1; each round adds rows.
        concurrency: Number of concurrent requests.
        timeout: Timeout of a request, in seconds.
        prices: Prices per million prompt tokens and per million completion tokens.
        max_cost: Budget. The estimate must not exceed it; without `as_batch`, no request is sent that would exceed it
            at the average cost so far.
        dry_run: Log the first prompts and the estimated cost, and stop.
        as_batch: Use the Batch API, at half the price with OpenAI, and wait for its results.
        seed: Random seed of the plan, and of the model if it supports one.
        restart: Discard the output of an earlier run of this round, including paid completions.

    Raises:
        UsageError: The estimate exceeds `max_cost`, there is no API key, or an earlier round is incomplete.
        GeneratorError: The endpoint fails, or no text passes the filters; completions received so far are saved.
    """
    if mode == "lines" and response_format is not None:
        raise UsageError("--response-format requires --mode structured")
    if unknown := [name for name in omit if name not in OPTIONAL_PARAMETERS]:
        raise UsageError(f"--omit: unknown parameter {unknown[0]!r}; expected one of: {', '.join(OPTIONAL_PARAMETERS)}")
    samples = min(samples, limit or samples)
    earlier_rounds = [round_name(number) for number in range(1, round_number)]
    if max_cost is not None and not any(prices):
        raise UsageError("--max-cost requires --prices: prices per million prompt and completion tokens")
    if incomplete_rounds := [name for name in earlier_rounds if not (build / name / MANIFEST_FILE).exists()]:
        raise UsageError(f"{build}: {incomplete_rounds[0]} is incomplete; complete it before --round {round_number}")
    official = read_rows(build, goemotions.STAGE, "train")
    texts, labels, ids = (official[name].to_pylist() for name in ("text", "labels", "id"))
    label_counts = np.bincount([label for row in labels for label in row], minlength=len(LABELS))
    shortfall = dict(shortfall or below_mean(label_counts.tolist()))
    has_scores = (build / OFFICIAL_SCORES / MANIFEST_FILE).exists()
    scores = np.stack(read_rows(build, OFFICIAL_SCORES, "train")["scores"].to_numpy()) if has_scores else None
    if not any(shortfall.values()):
        raise UsageError(f"{build}: no label needs more rows; there is nothing to generate")
    earlier_rows = [read_rows(build, name) for name in earlier_rounds]
    new_round = 1 + max(
        [round_number - 1, *(_round_of_id(row_id) for table in earlier_rows for row_id in table["id"].to_pylist())]
    )
    request_count = -(-samples // TEXTS_PER_REQUEST)
    requests = plan(shortfall, texts, labels, request_count, TEXTS_PER_REQUEST, seed, new_round, scores, ids)
    words = sum(len(request.chat_prompt().split()) for request in requests)
    estimate = (1.4 * words * prices[0] + samples * ESTIMATED_TOKENS_PER_TEXT * prices[1]) / 1e6
    log(f"{STAGE}: {len(requests):,} requests for {samples:,} texts, estimated cost {estimate:.2f} at these prices")
    if dry_run:
        for request in requests[:3]:
            prompt = request.chat_prompt() if mode == "structured" else request.completion_prompt()
            log(f"--- request {request.number}\n{prompt}")
        return
    if max_cost is not None and estimate > max_cost:
        raise UsageError(
            f"the estimated cost of {estimate:.2f} exceeds --max-cost {max_cost:.2f}; "
            "reduce --samples or raise --max-cost"
        )
    options = {
        "model": model,
        "mode": mode,
        "samples": samples,
        "shortfall": shortfall,
        "seed": seed,
        "prompt": PROMPT_ID,
    }
    if response_format not in (None, "json_schema"):
        options["response_format"] = response_format
    if omit:
        options["omit"] = sorted(set(omit))
    inputs = input_hashes(build, goemotions.STAGE, *([OFFICIAL_SCORES] if has_scores else []), *earlier_rounds)
    with open_stage(build, round_name(round_number), inputs, options, log, restart) as stage, ExitStack() as stack:
        if stage.finished:
            return
        generator = Generator(model, base_url, mode, timeout, seed, response_format or "json_schema", omit)
        stack.callback(generator.close)
        budget = Budget(stage.folder, prices, max_cost)
        if as_batch:
            batch.collect(stage.folder, requests, generator, budget.add, log)
            batch_completions = list(read_completions(stage.folder / batch.COMPLETIONS_FILE))
            if batch_completions and not any(completion.texts for completion in batch_completions):
                raise unusable_error(batch_completions)
        index = DuplicateIndex(COPY_SIMILARITY, (text for table in earlier_rows for text in table["text"].to_pylist()))
        trial = Trial(min(TRIAL_COMPLETIONS, len(requests), REQUESTS_PER_SHARD))
        processed_rows = 0

        def advance() -> None:
            nonlocal processed_rows
            processed_rows += TEXTS_PER_REQUEST
            stage.progress(TEXTS_PER_REQUEST, processed_rows, samples)

        for start in range(0, len(requests), REQUESTS_PER_SHARD):
            shard_requests = requests[start : start + REQUESTS_PER_SHARD]
            name = f"part-{start // REQUESTS_PER_SHARD:05}"
            if stage.has(name):
                trial.passed = True
                for text in parquet.read_table(stage.shard(name), columns=["text"])["text"].to_pylist():
                    index.add(text)
            else:
                completions = request_completions(
                    stage.folder, name, shard_requests, generator, concurrency, budget, trial, advance
                )
                columns, by_label = _filter(shard_requests, completions, index, generator, new_round, prices)
                total = sum(by_label.values(), Counter[str]())
                del total["accepted"]
                stage.write(name, rows.table(**columns), total, by_label)
            processed_rows = (start + len(shard_requests)) * TEXTS_PER_REQUEST
        _check_rows(stage)
        stage.finish(endpoint=generator.host, cost=round(budget.spent, 4), tokens=budget.tokens)
        for path in stage.folder.glob("completions-*.jsonl"):
            path.unlink()
        batch.clean_up(stage.folder)


def _check_rows(stage: Stage) -> None:
    """Raise `GeneratorError` if no shard has rows: an empty stage must not count as finished."""
    counts, row_count = Counter[str](), 0
    for path in stage.folder.glob("*.parquet"):
        counts.update(json.loads(parquet.read_schema(path).metadata[COUNTS]))
        row_count += parquet.read_metadata(path).num_rows
    if not row_count:
        requested = counts.pop("in", 0)
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()) if count)
        raise GeneratorError(
            f"{stage.folder}: none of {requested:,} texts passed the filters ({reasons}); use --restart to try again"
        )


def round_name(number: int) -> str:
    """Return the folder name of a round."""
    return STAGE if number == 1 else f"{STAGE}-{number}"


def _round_of_id(row_id: str) -> int:
    """Return the round number in a row's id; imported rows may come from several rounds."""
    return int(row_id.split(":")[1].split("-")[0])


def rounds(build: Path) -> list[str]:
    """Return the folder names of the finished rounds, in order."""
    names: list[str] = []
    while (build / (name := round_name(len(names) + 1)) / MANIFEST_FILE).exists():
        names.append(name)
    return names


def generation_counts(build: Path) -> dict[str, dict[str, int]]:
    """Sum the counts per label over all rounds: texts requested (`in`), dropped for each reason, and `accepted`."""
    totals: dict[str, Counter[str]] = {}
    for name in rounds(build):
        for label, counts in read_manifest(build, name).get("by_label", {}).items():
            totals.setdefault(label, Counter()).update(counts)
    return {label: dict(sorted(totals[label].items())) for label in LABELS if label in totals}


def below_mean(counts: Iterable[int]) -> dict[str, int]:
    """Return the number of rows by which each label is below the mean."""
    counts = list(counts)
    mean = sum(counts) / len(counts)
    return {label: max(0, round(mean - count)) for label, count in zip(LABELS, counts, strict=True)}


def read_shortfall(build: Path, round_number: int = 1, restart: bool = False) -> dict[str, int]:
    """Read the number of rows that each label needs for the target of `balance`, or that of a round in progress."""
    round_folder = build / round_name(round_number)
    if (round_folder / PLAN_FILE).exists() and not restart:
        return dict(read_plan(round_folder)["options"].get("shortfall", {}))
    manifest = read_manifest(build, "balance")
    return dict(manifest["shortfall"][str(manifest["target"])])


def _filter(
    requests: Sequence[Request],
    completions: Mapping[int, Completion],
    index: DuplicateIndex,
    generator: Generator,
    round_number: int,
    prices: tuple[float, float],
) -> tuple[dict[str, list[Any]], dict[str, Counter[str]]]:
    """Return the columns of the accepted texts, and the number accepted and dropped for each reason, by intended label.

    The provenance in `prompt_id` gives tokens and cost of the whole request, not per text.
    """
    by_label: dict[str, Counter[str]] = {}
    columns: dict[str, list[Any]] = {
        name: [] for name in ("id", "text", "text_hash", "labels", "source", "generator", "prompt_id")
    }
    named_counts = Counter[str]()
    for request, number, text in _texts(requests, completions, by_label):
        label = request.intended
        counts, words, text_shingles = by_label[label], clean(text).split(), shingles(text)
        names_label = any(LABELS[label] in words for label in request.labels)
        if not MIN_WORDS <= len(words) <= MAX_WORDS:
            counts["too short or too long"] += 1
        elif index.has_duplicate(text):
            counts["duplicate"] += 1
        elif any(similarity(text_shingles, shingles(example)) >= COPY_SIMILARITY for example in request.examples):
            counts["copy of an example"] += 1
        elif names_label and named_counts[label] >= MAX_NAMING_SHARE * (counts["accepted"] + 1):
            counts["names its label"] += 1
        elif index.has_near_duplicate(text):
            counts["near-duplicate"] += 1
        else:
            index.add(text)
            named_counts[label] += names_label
            counts["accepted"] += 1
            completion = completions[request.number]
            tokens = [completion.prompt_tokens, completion.completion_tokens]
            provenance = {
                "prompt": PROMPT_ID,
                "mode": generator.mode,
                "round": round_number,
                "request": request.number,
                "intended": request.intended,
                "topic": request.topic,
                "register": request.register,
                "length": request.length,
                "view": request.view,
                "examples": request.example_ids,
                "seed": generator.seed_of(request),
                "finish_reason": completion.finish_reason,
                "tokens": tokens,
                "cost": round((tokens[0] * prices[0] + tokens[1] * prices[1]) / 1e6, 6),
            }
            values = (
                f"generated:{round_number}-{request.number}-{number}",
                text,
                rows.text_hash(text),
                list(request.labels),
                "generated",
                generator.model,
                json.dumps(provenance),
            )
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
    return columns, by_label


def _texts(
    requests: Sequence[Request], completions: Mapping[int, Completion], by_label: dict[str, Counter[str]]
) -> Iterator[tuple[Request, int, str]]:
    """Yield each text with its request and its number within the completion; count requested and missing texts."""
    for request in requests:
        counts = by_label.setdefault(request.intended, Counter())
        completion = completions[request.number]
        counts["in"] += request.texts
        if len(completion.texts) < request.texts:
            counts[f"not returned: {completion.finish_reason}"] += request.texts - len(completion.texts)
        for number, text in enumerate(completion.texts):
            yield request, number, text
