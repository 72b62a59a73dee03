"""The endpoint that writes samples: one request, one answer, whatever the server does in between."""

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import openai
import pydantic

from data_build.generation.prompts import SYSTEM, Request
from evenmood.errors import EvenmoodError, UsageError

Mode = Literal["structured", "lines"]
PATIENCE = 120.0
"""Seconds without an answer to any request after which the run stops: a rate limit lasts a minute."""
LONGEST_PAUSE = 20.0
"""Seconds between two tries, whatever longer `Retry-After` a server asks for: it may be back sooner."""
BATCH_RETRIES = 12
"""Of the client, where it hands over batches and looks after them."""
TRANSIENT = (408, 409, 425, 429)
"""HTTP statuses that pass, besides 5xx."""
TOKENS_A_TEXT = 60
"""What a request may take for each text that it asks for."""
LINE = re.compile(r"^\s*(?:[-*•]|\d+[.)])?\s*(.+?)\s*$")


class Comments(pydantic.BaseModel):
    """What a chat model is to answer."""

    comments: list[str]


class _Message(pydantic.BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(pydantic.BaseModel):
    finish_reason: str | None = None
    message: _Message | None = None
    text: str | None = None


class _Usage(pydantic.BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(pydantic.BaseModel):
    """What is read of a completion, of a chat or not; a server may leave out all of it."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None


class GeneratorError(EvenmoodError):
    """The endpoint cannot be used: no key, no such model, no money."""


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        number: The request's.
        texts: As the model wrote them.
        finish_reason: `stop`, `length`, `content_filter`, or `malformed`.
        prompt_tokens: As the server counts them.
        completion_tokens: As the server counts them.
    """

    number: int
    texts: tuple[str, ...]
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int

    def to_line(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> "Answer":
        """Read a line back."""
        content = json.loads(line)
        tokens = {name: content[name] or 0 for name in ("prompt_tokens", "completion_tokens")}
        return cls(**{**content, **tokens, "texts": tuple(content["texts"])})


def read_answers(path: Path) -> Iterator[Answer]:
    """The answers that a file holds, a line each."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield Answer.from_line(line)
            except (ValueError, TypeError, KeyError):
                continue  # cut off when the run was killed: that request is sent again


class Generator:
    """A client of an OpenAI-compatible endpoint."""

    def __init__(self, model: str, base_url: str | None, mode: Mode, timeout: float, seed: int) -> None:
        """Make the client; the key is OPENAI_API_KEY's, which a server of one's own need not want.

        Raises:
            UsageError: There is no key, and no base URL either.
        """
        key = os.environ.get("OPENAI_API_KEY") or ("none" if base_url else None)
        if key is None:
            raise UsageError("set OPENAI_API_KEY, or name a server of your own with --base-url")
        self.model, self.mode, self.seed = model, mode, seed
        self.client = openai.OpenAI(api_key=key, base_url=base_url, timeout=timeout, max_retries=BATCH_RETRIES)
        self._answered = time.monotonic()
        self._stopped = threading.Event()

    @property
    def endpoint(self) -> str:
        """Path of the endpoint that a request goes to."""
        return "/v1/chat/completions" if self.mode == "structured" else "/v1/completions"

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent, as JSON."""
        common = {"model": self.model, "seed": self.seed + request.number}
        limit = TOKENS_A_TEXT * request.texts
        if self.mode == "lines":
            return {
                **common,
                "prompt": request.completion(),
                "max_tokens": limit,
                "stop": ["\n\n"],
                "temperature": 1.0,
            }
        return {
            **common,
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": request.instruction()}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "comments", "strict": True, "schema": _schema()},
            },
            "max_completion_tokens": limit,
        }

    @property
    def host(self) -> str:
        """The endpoint's name, without a path that might hold a key."""
        return urlsplit(str(self.client.base_url)).hostname or ""

    def stop(self) -> None:
        """Let requests in flight come to their end, and try none again."""
        self._stopped.set()

    def ask(self, request: Request) -> Answer:
        """Send a request and read its answer; a malformed one gives no texts, and says so.

        What passes is tried again for as long as some request of this generator is answered within `PATIENCE`.

        Raises:
            GeneratorError: The endpoint refuses, or has not answered any request for a while.
        """
        client = self.client.with_options(max_retries=0)
        create = (client.chat if self.mode == "structured" else client).completions.with_raw_response.create
        failed, tries = float("inf"), 0
        with explained():
            while True:
                try:
                    answer = self.read(request, create(**self.body(request)).content)
                except openai.APIError as error:
                    pause, tries = _pause(error, tries), tries + 1
                    failed = min(failed, time.monotonic())
                    waited = time.monotonic() - max(failed, self._answered)
                    if pause is None or waited + pause > PATIENCE or self._stopped.wait(pause):
                        raise
                else:
                    self._answered = time.monotonic()
                    return answer

    def read(self, request: Request, body: bytes) -> Answer:
        """The texts of a completion, of a chat or not; whatever is no well-formed one is malformed."""
        try:
            done = _Completion.model_validate_json(body)
        except pydantic.ValidationError:
            return Answer(request.number, (), "malformed", 0, 0)
        texts, reason = _read(done.choices[0], self.mode) if done.choices else ((), "malformed")
        usage = done.usage or _Usage()
        return Answer(
            request.number, texts[: request.texts], reason, usage.prompt_tokens or 0, usage.completion_tokens or 0
        )


def _pause(error: openai.APIError, tries: int) -> float | None:
    """Seconds until another try: what the server asks for, or 0.5, 1, 2, 4, 8; None where none makes sense."""
    asked = ""
    if isinstance(error, openai.APIStatusError):
        passes = error.status_code in TRANSIENT or error.status_code >= 500
        if not passes or error.code == "insufficient_quota":
            return None
        asked = error.response.headers.get("Retry-After", "")
    pause = float(asked) if asked.replace(".", "", 1).isdecimal() else min(8.0, 0.5 * 2.0**tries)
    return min(max(pause, 0.1), LONGEST_PAUSE)


@contextmanager
def explained() -> Iterator[None]:
    """Raise `GeneratorError` in place of the client's own errors."""
    try:
        yield
    except openai.APIStatusError as error:
        raise GeneratorError(f"the generator refused (HTTP {error.status_code}): {_short(error.message)}") from None
    except openai.APIError as error:
        raise GeneratorError(f"the generator does not answer ({_short(error.message)}); run it again later") from None


def _read(choice: _Choice, mode: Mode) -> tuple[tuple[str, ...], str]:
    """Texts and finish reason of a choice."""
    reason = choice.finish_reason or "malformed"
    if mode == "lines":
        lines = (choice.text or "").split("\n")
        whole = lines[:-1] if reason == "length" else lines  # the last one was cut off
        return tuple(match[1] for line in whole if (match := LINE.match(line))), reason
    if choice.message is None:
        return (), "malformed"
    if choice.message.refusal:
        return (), "refused"
    if reason != "stop" or not choice.message.content:
        return (), reason
    try:
        return tuple(Comments.model_validate_json(choice.message.content).comments), reason
    except pydantic.ValidationError:
        return (), "malformed"


def _schema() -> dict[str, Any]:
    return {**Comments.model_json_schema(), "additionalProperties": False}


def _short(message: str) -> str:
    """One line of what a server said; some repeat the key."""
    key = os.environ.get("OPENAI_API_KEY")
    said = " ".join(str(message).split())
    return (said.replace(key, "[key]") if key else said)[:200]
