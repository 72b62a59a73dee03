"""The endpoint that writes samples: one request, one answer, whatever the server does in between."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import openai
import pydantic

from data_build.prompts import SYSTEM, Request
from evenmood.errors import EvenmoodError, UsageError

Mode = Literal["structured", "lines"]
MAX_RETRIES = 12
"""Of the client: it waits as long as a 429 asks for, else up to 8 seconds: more than a minute in all."""
TOKENS_A_TEXT = 60
"""What a request may take for each text that it asks for."""
LINE = re.compile(r"^\s*(?:[-*•]|\d+[.)])?\s*(.+?)\s*$")


class Comments(pydantic.BaseModel):
    """What a chat model is to answer."""

    comments: list[str]


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
        return cls(**{**content, "texts": tuple(content["texts"])})


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
        self.client = openai.OpenAI(api_key=key, base_url=base_url, timeout=timeout, max_retries=MAX_RETRIES)

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

    def ask(self, request: Request) -> Answer:
        """Send a request and read its answer; a malformed one gives no texts, and says so.

        Raises:
            GeneratorError: The endpoint refuses, or does not answer after several tries.
        """
        create = self.client.chat.completions.create if self.mode == "structured" else self.client.completions.create
        with explained():
            try:
                return self.read(request, create(**self.body(request)))
            except json.JSONDecodeError:
                return Answer(request.number, (), "malformed", 0, 0)

    def read(self, request: Request, done: Any) -> Answer:
        """The texts of a completion, of a chat or not."""
        choice = done.choices[0] if done.choices else None
        prompt, completion = (done.usage.prompt_tokens, done.usage.completion_tokens) if done.usage else (0, 0)
        texts, reason = _read(choice, self.mode) if choice else ((), "malformed")
        return Answer(request.number, texts[: request.texts], reason, prompt, completion)


@contextmanager
def explained() -> Iterator[None]:
    """Raise `GeneratorError` in place of the client's own errors."""
    try:
        yield
    except openai.APIStatusError as error:
        raise GeneratorError(f"the generator refused (HTTP {error.status_code}): {_short(error.message)}") from None
    except openai.APIError as error:
        raise GeneratorError(f"the generator does not answer ({_short(error.message)}); run it again later") from None


def _read(choice: Any, mode: Mode) -> tuple[tuple[str, ...], str]:
    """Texts and finish reason of a choice."""
    reason = str(choice.finish_reason)
    if mode == "lines":
        lines = str(choice.text or "").split("\n")
        whole = lines[:-1] if reason == "length" else lines  # the last one was cut off
        return tuple(match[1] for line in whole if (match := LINE.match(line))), reason
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
