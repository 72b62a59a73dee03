"""Client for the OpenAI Batch API: submit all requests, and collect the results later, in this or another process."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from data_build.generation.generator import Completion, Generator, GeneratorError, convert_api_errors, read_completions
from data_build.generation.prompts import Request
from evenmood.model.model_folder import write_text

COMPLETIONS_FILE, STATE_FILE = "completions-batch.jsonl", "batches.json"
MAX_REQUESTS = 50_000
"""Maximum number of requests per batch (https://platform.openai.com/docs/guides/batch)."""
MAX_BYTES = 190_000_000
"""Maximum size of a batch file; the limit of the API is 200 MB."""
POLL_INTERVAL = 30.0
"""Seconds between two status requests."""
MAX_BATCHES = 3
"""Maximum batches per request: a batch expires after 24 hours, and its unfinished requests go into the next one."""
RUNNING = ("validating", "in_progress", "finalizing")
NO_REASON = "the endpoint gave no reason"
CONTENT_KEY = "evenmood"
"""Metadata key of a batch's content hash, which identifies a batch that an interrupted run submitted."""


def collect(
    folder: Path,
    requests: Sequence[Request],
    generator: Generator,
    on_completion: Callable[[Completion], None],
    log: Callable[[str], None],
) -> None:
    """Send all requests in batches, and append the completions to `COMPLETIONS_FILE`.

    Args:
        folder: Folder of the stage.
        requests: Requests to send.
        generator: Client for the endpoint.
        on_completion: Called with each new completion.
        log: Called with each progress message.

    Raises:
        GeneratorError: The endpoint rejects a batch or a request, or requests have no response after several batches.
    """

    def finish(batches: Sequence[Any]) -> list[str]:
        """Save the completions of all batches, and return the reasons for rejected requests."""
        return [
            error
            for batch in batches
            for error in _save(folder, _wait(batch, generator, log), requests, generator, on_completion)
        ]

    with convert_api_errors():
        submitted_ids = [name for name, state in _state(folder).items() if state == "submitted"]
        rejections = finish([generator.client.batches.retrieve(name) for name in submitted_ids])
        for _ in range(MAX_BATCHES):
            paths = folder.glob("completions-*.jsonl")
            completed_numbers = {completion.number for path in paths for completion in read_completions(path)}
            pending = [request for request in requests if request.number not in completed_numbers]
            if not pending:
                return
            if rejections:
                raise GeneratorError(
                    f"{len(pending):,} requests have no response; the endpoint rejected them: {rejections[0][:200]}"
                )
            rejections = finish([_submit(folder, content, generator, log) for content in _contents(pending, generator)])
    raise GeneratorError(
        f"{len(pending):,} requests have no response after {MAX_BATCHES} batches; rerun the command to resubmit them"
    )


def clean_up(folder: Path) -> None:
    """Delete the state of a finished stage."""
    (folder / STATE_FILE).unlink(missing_ok=True)


def _contents(requests: Sequence[Request], generator: Generator) -> Iterator[bytes]:
    """Yield the content of each batch as JSON Lines, within the size limits."""
    lines: list[bytes] = []
    size = 0
    for request in requests:
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


def _submit(folder: Path, content: bytes, generator: Generator, log: Callable[[str], None]) -> Any:
    """Submit a batch, unless an interrupted run submitted it without recording it."""
    content_hash, state = hashlib.sha256(content).hexdigest(), _state(folder)
    unrecorded_batches = (
        batch
        for batch in generator.client.batches.list(limit=100)
        if (batch.metadata or {}).get(CONTENT_KEY) == content_hash
        and batch.id not in state
        and batch.status in (*RUNNING, "completed")
    )
    batch = next(unrecorded_batches, None)
    if batch is None:
        file = generator.client.files.create(file=("requests.jsonl", content), purpose="batch")
        batch = generator.client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions" if generator.mode == "structured" else "/v1/completions",
            completion_window="24h",
            metadata={CONTENT_KEY: content_hash},
        )
    _write_state(folder, {**state, batch.id: "submitted"})
    count = len(content.splitlines())
    log(f"batch {batch.id} submitted: {count:,} requests; you can stop now and run the same command later")
    return batch


def _wait(batch: Any, generator: Generator, log: Callable[[str], None]) -> Any:
    while batch.status in (*RUNNING, "cancelling"):
        time.sleep(POLL_INTERVAL)
        batch = generator.client.batches.retrieve(batch.id)
        counts = batch.request_counts
        log(f"batch {batch.id}: {batch.status}" + (f", {counts.completed:,} of {counts.total:,}" if counts else ""))
    return batch


def _save(
    folder: Path,
    batch: Any,
    requests: Sequence[Request],
    generator: Generator,
    on_completion: Callable[[Completion], None],
) -> list[str]:
    """Save the completions of a finished batch, then mark it as collected; the reverse order could lose completions.

    Returns:
        Reasons for rejected requests; expired requests go into the next batch.
    """
    rejections = [
        f"batch {batch.id} failed: {error.message}" for error in (batch.errors.data if batch.errors else None) or []
    ]
    if batch.status == "failed" and not rejections:
        rejections = [f"batch {batch.id} failed; {NO_REASON}"]
    completed_numbers = {completion.number for completion in read_completions(folder / COMPLETIONS_FILE)}
    pending = {str(request.number): request for request in requests if request.number not in completed_numbers}
    with (folder / COMPLETIONS_FILE).open("a", encoding="utf-8") as completions_file:
        for file in filter(None, (batch.output_file_id, batch.error_file_id)):
            for line in generator.client.files.content(file).text.split("\n"):
                if not line.strip():
                    continue
                result = json.loads(line)
                request, response = pending.get(result["custom_id"]), result.get("response") or {}
                status, body = response.get("status_code"), response.get("body")
                if status == 200 and request is not None:
                    completion = generator.parse(request, json.dumps(body).encode())
                    completions_file.write(completion.to_line())
                    on_completion(completion)
                elif status is not None and 400 <= status < 500 and status != 429:
                    rejections.append(f"HTTP {status}: {_message(body)}")
    _write_state(folder, {**_state(folder), batch.id: "collected"})
    return rejections


def _message(body: Any) -> str:
    """Return the message of an error response."""
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("message", NO_REASON) if isinstance(error, dict) else NO_REASON)


def _state(folder: Path) -> dict[str, str]:
    """Read the state of each batch of the stage, by id: `submitted` or `collected`."""
    path = folder / STATE_FILE
    state: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return state


def _write_state(folder: Path, state: dict[str, str]) -> None:
    write_text(folder / STATE_FILE, json.dumps(state, indent=1) + "\n")
