"""OpenAI's Batch API: hand all requests over, come back for the answers; any process may go on with it."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from data_build.generation.generator import Answer, Generator, GeneratorError, explained, read_answers
from data_build.generation.prompts import Request
from evenmood.model.model_folder import write_text

ANSWERS_FILE, STATE_FILE = "answers-batch.jsonl", "batches.json"
MAX_REQUESTS, MAX_BYTES = 50_000, 190_000_000
"""Of a batch: https://platform.openai.com/docs/guides/batch says 50,000 and 200 MB."""
POLL = 30.0
"""Seconds between two looks at a batch."""
TRIES = 3
"""Batches a request is put into before the run gives up: a batch expires after a day, whatever is left of it."""
RUNNING = ("validating", "in_progress", "finalizing")
KEY = "evenmood"
"""Metadata that tells a batch by its content: a run that was killed while it submitted one finds it again."""


def collect(
    folder: Path,
    requests: Sequence[Request],
    generator: Generator,
    add: Callable[[Answer], None],
    say: Callable[[str], None],
) -> None:
    """Have all requests answered through batches; the answers are written to `ANSWERS_FILE` as they come.

    Args:
        folder: The stage's.
        requests: All that are to be answered.
        generator: Knows the endpoint, and what a request looks like.
        add: Receives each new answer.
        say: Receives progress, a line at a time.

    Raises:
        GeneratorError: The endpoint refuses a batch or its requests, or some have no answer after several batches.
    """

    def finish(made: Sequence[Any]) -> list[str]:
        """Keep the answers of all batches, whatever became of each; what was refused, and why."""
        return [error for one in made for error in _keep(folder, _ended(one, generator, say), requests, generator, add)]

    with explained():
        left = [name for name, state in _state(folder).items() if state == "submitted"]
        refused = finish([generator.client.batches.retrieve(name) for name in left])
        for _ in range(TRIES):
            done = {answer.number for path in folder.glob("answers-*.jsonl") for answer in read_answers(path)}
            todo = [request for request in requests if request.number not in done]
            if not todo:
                return
            if refused:
                raise GeneratorError(f"{len(todo):,} requests have no answer; the endpoint said: {refused[0][:200]}")
            refused = finish([_submitted(folder, content, generator, say) for content in _contents(todo, generator)])
    raise GeneratorError(
        f"{len(todo):,} requests have no answer after {TRIES} batches; run it again to submit them again"
    )


def forget(folder: Path) -> None:
    """Remove what is no longer needed once the stage is finished."""
    (folder / STATE_FILE).unlink(missing_ok=True)


def _contents(todo: Sequence[Request], generator: Generator) -> Iterator[bytes]:
    """What batches are submitted as: a request a line, as many as one may hold."""
    lines: list[bytes] = []
    size = 0
    for request in todo:
        content = {
            "custom_id": str(request.number),
            "method": "POST",
            "url": generator.endpoint,
            "body": generator.body(request),
        }
        line = json.dumps(content, ensure_ascii=False).encode() + b"\n"
        if lines and (len(lines) == MAX_REQUESTS or size + len(line) > MAX_BYTES):
            yield b"".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    yield b"".join(lines)


def _submitted(folder: Path, content: bytes, generator: Generator, say: Callable[[str], None]) -> Any:
    """The batch with this content: one that a killed run submitted and could not write down, or a new one."""
    key, known = hashlib.sha256(content).hexdigest(), _state(folder)
    found = (
        made
        for made in generator.client.batches.list(limit=100)
        if (made.metadata or {}).get(KEY) == key and made.id not in known and made.status in (*RUNNING, "completed")
    )
    made = next(found, None)
    if made is None:
        file = generator.client.files.create(file=("requests.jsonl", content), purpose="batch")
        made = generator.client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions" if generator.mode == "structured" else "/v1/completions",
            completion_window="24h",
            metadata={KEY: key},
        )
    _write_state(folder, {**known, made.id: "submitted"})
    count = len(content.splitlines())
    say(f"batch {made.id} submitted: {count:,} requests; stop at will, the same command goes on with it")
    return made


def _ended(made: Any, generator: Generator, say: Callable[[str], None]) -> Any:
    while made.status in (*RUNNING, "cancelling"):
        time.sleep(POLL)
        made = generator.client.batches.retrieve(made.id)
        counts = made.request_counts
        say(f"batch {made.id}: {made.status}" + (f", {counts.completed:,} of {counts.total:,}" if counts else ""))
    return made


def _keep(
    folder: Path, ended: Any, requests: Sequence[Request], generator: Generator, add: Callable[[Answer], None]
) -> list[str]:
    """Write the answers of a batch, and then that it was collected: the other way round would lose them.

    Returns:
        Why requests were refused; those that merely expired go into the next batch.
    """
    refused = [
        f"batch {ended.id} failed: {error.message}" for error in (ended.errors.data if ended.errors else None) or []
    ]
    if ended.status == "failed" and not refused:
        refused = [f"batch {ended.id} failed, for no reason given"]
    done = {answer.number for answer in read_answers(folder / ANSWERS_FILE)}
    wanted = {str(request.number): request for request in requests if request.number not in done}
    with (folder / ANSWERS_FILE).open("a", encoding="utf-8") as kept:
        for file in filter(None, (ended.output_file_id, ended.error_file_id)):
            for line in generator.client.files.content(file).text.split("\n"):
                if not line.strip():
                    continue
                held = json.loads(line)
                request, response = wanted.get(held["custom_id"]), held.get("response") or {}
                status, body = response.get("status_code"), response.get("body")
                if status == 200 and request is not None:
                    answer = generator.read(request, json.dumps(body).encode())
                    kept.write(answer.to_line())
                    add(answer)
                elif status is not None and 400 <= status < 500 and status != 429:
                    refused.append(f"HTTP {status}: {_message(body)}")
    _write_state(folder, {**_state(folder), ended.id: "collected"})
    return refused


def _message(body: Any) -> str:
    """What an error's body says."""
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("message", "no reason given") if isinstance(error, dict) else "no reason given")


def _state(folder: Path) -> dict[str, str]:
    """Batches of this stage by id: `submitted` or `collected`."""
    path = folder / STATE_FILE
    held: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return held


def _write_state(folder: Path, state: dict[str, str]) -> None:
    write_text(folder / STATE_FILE, json.dumps(state, indent=1) + "\n")
