"""The endpoint that writes samples: one request, one answer, whatever the server does in between."""

import json
import os
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

import openai
import pydantic

from data_build.prompts import SYSTEM, Request
from evenmood.errors import EvenmoodError, UsageError

Mode = Literal["structured", "lines"]
MAX_RETRIES = 6
"""Of the client: it waits as long as a 429 asks for, and twice as long after each other failure."""
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
        self._client = openai.OpenAI(api_key=key, base_url=base_url, timeout=timeout, max_retries=MAX_RETRIES)

    def ask(self, request: Request) -> Answer:
        """Send a request and read its answer; a malformed one gives no texts, and says so.

        Raises:
            GeneratorError: The endpoint refuses, or does not answer after several tries.
        """
        try:
            return self._structured(request) if self.mode == "structured" else self._lines(request)
        except openai.APIStatusError as error:
            raise GeneratorError(f"the generator refused (HTTP {error.status_code}): {_short(error.message)}") from None
        except openai.APIError as error:
            raise GeneratorError(
                f"the generator does not answer ({_short(error.message)}); run it again later"
            ) from None

    def _structured(self, request: Request) -> Answer:
        try:
            done = self._client.chat.completions.create(
                model=self.model,
                messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": request.prompt()}],
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "comments", "strict": True, "schema": _schema()},
                },
                seed=self.seed + request.number,
                max_completion_tokens=60 * request.texts,
            )
        except json.JSONDecodeError:
            return Answer(request.number, (), "malformed", 0, 0)
        choice = done.choices[0] if done.choices else None
        texts: tuple[str, ...] = ()
        reason = choice.finish_reason if choice else "malformed"
        if choice and choice.message.content and reason == "stop":
            try:
                texts = tuple(Comments.model_validate_json(choice.message.content).comments)
            except pydantic.ValidationError:
                reason = "malformed"
        return _answer(request, texts, "refused" if choice and choice.message.refusal else reason, done.usage)

    def _lines(self, request: Request) -> Answer:
        done = self._client.completions.create(
            model=self.model,
            prompt=request.prompt(),
            seed=self.seed + request.number,
            max_tokens=60 * request.texts,
            stop=["\n\n"],
            temperature=1.0,
        )
        choice = done.choices[0] if done.choices else None
        lines = (choice.text if choice else "").split("\n")
        whole = lines[:-1] if choice and choice.finish_reason == "length" else lines  # the last one was cut off
        texts = tuple(match[1] for line in whole if (match := LINE.match(line)))[: request.texts]
        return _answer(request, texts, str(choice.finish_reason) if choice else "malformed", done.usage)


def _answer(request: Request, texts: tuple[str, ...], reason: str, usage: Any) -> Answer:
    prompt, completion = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
    return Answer(request.number, texts, reason, prompt, completion)


def _schema() -> dict[str, Any]:
    return {**Comments.model_json_schema(), "additionalProperties": False}


def _short(message: str) -> str:
    """One line of what a server said; some repeat the key."""
    key = os.environ.get("OPENAI_API_KEY")
    said = " ".join(str(message).split())
    return (said.replace(key, "[key]") if key else said)[:200]
