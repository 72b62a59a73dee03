"""The endpoint that writes samples: one request, one answer, whatever the server does in between."""

import json
import logging
import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import openai
import pydantic

from data_build.generation.prompts import JSON_FORM, SYSTEM, Request
from data_build.generation.reading import comments_in, lines_in, listed_in, schema
from evenmood.errors import EvenmoodError, UsageError
from evenmood.system import proxies
from evenmood.system.credentials import checked
from evenmood.system.redaction import redact

logger = logging.getLogger(__name__)
Mode = Literal["structured", "lines"]
ResponseFormat = Literal["json_schema", "json_object", "text"]
OPTIONAL = ("seed", "max_completion_tokens", "max_tokens", "temperature", "stop")
"""What a request can do without: not every server takes all of it."""
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
UNFINISHED = ("length", "max_tokens", "content_filter")
"""Finish reasons of answers that are cut off; servers have many words for the others, or none."""
SHOWN = 200
"""Characters of an answer, or of an error, in a message."""
PERMANENT = ("InvalidURL", "LocalProtocolError", "UnsupportedProtocol")
"""Exceptions of the transport after which another try is in vain."""
SAID_EVERY = 10.0
"""Seconds between two warnings that the endpoint fails."""


class _Part(pydantic.BaseModel):
    text: str = ""


class _Message(pydantic.BaseModel):
    content: str | list[_Part] | None = None
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
        begins: The first characters of an answer that gives no texts.
    """

    number: int
    texts: tuple[str, ...]
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    begins: str = ""

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
        for line in path.read_text(encoding="utf-8").split("\n"):
            try:
                yield Answer.from_line(line)
            except (ValueError, TypeError, KeyError):
                continue  # cut off when the run was killed: that request is sent again


class Generator:
    """A client of an OpenAI-compatible endpoint."""

    def __init__(
        self,
        model: str,
        base_url: str | None,
        mode: Mode,
        timeout: float,
        seed: int,
        response_format: ResponseFormat = "json_schema",
        omit: Collection[str] = (),
    ) -> None:
        """Make the client; the key is OPENAI_API_KEY's, which a server of one's own need not want.

        Raises:
            UsageError: There is no key, and no base URL either; or one of them is malformed.
            GeneratorError: The environment names a proxy that cannot be used.
        """
        base_url = (base_url or os.environ.get("OPENAI_BASE_URL") or "").strip() or None
        given = os.environ.get("OPENAI_API_KEY", "").strip() or ("none" if base_url else None)
        if given is None:
            raise UsageError("set OPENAI_API_KEY, or name a server of your own with --base-url")
        key = checked(given, "OPENAI_API_KEY")
        host = _host(base_url) if base_url else None
        local = host in proxies.LOOPBACK
        if not local and (problem := proxies.unusable()):
            raise GeneratorError(f"the generator cannot be reached: {problem}")
        self.model, self.mode, self.seed = model, mode, seed
        self.response_format, self.omit = response_format, frozenset(omit)
        self.client = openai.OpenAI(
            api_key=key,
            base_url=base_url,
            timeout=timeout,
            max_retries=BATCH_RETRIES,
            http_client=openai.DefaultHttpxClient(trust_env=False) if local else None,  # no proxy leads here
            organization=_account("OPENAI_ORG_ID"),
            project=_account("OPENAI_PROJECT_ID"),
        )
        self._answered = time.monotonic()
        self._said = 0.0
        self._stopped = threading.Event()

    @property
    def endpoint(self) -> str:
        """Path of the endpoint that a request goes to."""
        return "/v1/chat/completions" if self.mode == "structured" else "/v1/completions"

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent, as JSON."""
        limit = TOKENS_A_TEXT * request.texts
        content: dict[str, Any] = {"model": self.model, "seed": self.seed_of(request)}
        if self.mode == "lines":
            content |= {"prompt": request.completion(), "max_tokens": limit, "stop": ["\n\n"], "temperature": 1.0}
        else:
            asked = request.instruction() + ("" if self.response_format == "json_schema" else JSON_FORM)
            content |= {
                "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked}],
                **self._form(),
                "max_completion_tokens": limit,
            }
        return {name: value for name, value in content.items() if name not in self.omit}

    def _form(self) -> dict[str, Any]:
        """The parameter for the form of an answer; text is what every server gives without one."""
        if self.response_format == "text":
            return {}
        form: dict[str, Any] = {"type": self.response_format}
        if self.response_format == "json_schema":
            form["json_schema"] = {"name": "comments", "strict": True, "schema": schema()}
        return {"response_format": form}

    def seed_of(self, request: Request) -> int | None:
        """The seed that a request is sent with."""
        return None if "seed" in self.omit else self.seed + request.number

    @property
    def host(self) -> str:
        """The endpoint's name, without a path that might hold a key."""
        return urlsplit(str(self.client.base_url)).hostname or ""

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

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
                    if pause is None or waited + pause > PATIENCE:
                        raise
                    self._warn(error, pause)
                    if self._stopped.wait(pause):
                        raise
                else:
                    self._answered = time.monotonic()
                    return answer

    def _warn(self, error: openai.APIError, pause: float) -> None:
        """Report periodically that the endpoint is failing."""
        now = time.monotonic()
        if now - self._said > SAID_EVERY:
            self._said = now
            logger.warning("the generator fails (%s); trying again in %.0f s", _reason(error), pause)

    def read(self, request: Request, body: bytes) -> Answer:
        """The texts of a completion, of a chat or not; whatever is no well-formed one is malformed."""
        try:
            done = _Completion.model_validate_json(body)
        except pydantic.ValidationError:
            return Answer(request.number, (), "malformed", 0, 0, _short(body.decode("utf-8", "replace")))
        choice = done.choices[0] if done.choices else None
        texts, reason = self._texts(choice) if choice else ((), "malformed")
        usage = done.usage or _Usage()
        tokens = usage.prompt_tokens or 0, usage.completion_tokens or 0
        begins = "" if texts else _short((_written(choice) if choice else "") or body.decode("utf-8", "replace"))
        return Answer(request.number, texts[: request.texts], reason, *tokens, begins)

    def _texts(self, choice: _Choice) -> tuple[tuple[str, ...], str]:
        """Texts and finish reason of a choice."""
        reason, written = choice.finish_reason or "stop", _written(choice)
        if self.mode == "lines":
            lines = lines_in(written)
            return tuple(lines[:-1] if reason == "length" else lines), reason  # the last one was cut off
        if choice.message is not None and choice.message.refusal:
            return (), "refused"
        if reason in UNFINISHED:
            return (), reason
        texts = comments_in(written)
        if texts is None and self.response_format == "text":
            texts = listed_in(written)
        return ((), "malformed") if texts is None else (texts, reason)


def _account(variable: str) -> str | None:
    """What is sent beside the key; a header cannot hold just anything."""
    value = os.environ.get(variable, "").strip()
    return checked(value, variable) if value else None


def _written(choice: _Choice) -> str:
    """What the model wrote."""
    content = choice.message.content if choice.message else choice.text
    return "".join(part.text for part in content) if isinstance(content, list) else content or ""


def _host(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or not base_url.isascii() or len(base_url.split()) > 1:
        raise UsageError(f"not the address of a server: {base_url!r}; expected https://HOST/v1 or http://HOST:PORT/v1")
    return host


def _pause(error: openai.APIError, tries: int) -> float | None:
    """Seconds until another try: what the server asks for, or 0.5, 1, 2, 4, 8; None where none makes sense."""
    asked = ""
    if isinstance(error, openai.APIStatusError):
        passes = error.status_code in TRANSIENT or error.status_code >= 500
        if not passes or error.code == "insufficient_quota":
            return None
        asked = error.response.headers.get("Retry-After", "")
    elif type(error.__cause__).__name__ in PERMANENT:
        return None
    pause = float(asked) if asked.replace(".", "", 1).isdecimal() else min(8.0, 0.5 * 2.0**tries)
    return min(max(pause, 0.1), LONGEST_PAUSE)


@contextmanager
def explained() -> Iterator[None]:
    """Raise `GeneratorError` in place of the client's own errors."""
    try:
        yield
    except openai.APIStatusError as error:
        raise GeneratorError(f"the generator refused ({_reason(error)}){_way_on(error)}") from None
    except openai.APIError as error:
        raise GeneratorError(f"the generator does not answer ({_reason(error)}); run it again later") from None


def _reason(error: openai.APIError) -> str:
    """Status and message of an error, one line."""
    if isinstance(error, openai.APIStatusError):
        return f"HTTP {error.status_code}: {_short(error.message)}"
    cause = f": {error.__cause__}" if error.__cause__ and str(error.__cause__) else ""
    through = proxies.used()
    return _short(error.message.rstrip(".") + cause) + (f", proxy of {', '.join(through)}" if through else "")


def _way_on(error: openai.APIStatusError) -> str:
    """What to do where a server does not take a parameter."""
    said = str(error.message)
    if error.status_code not in (400, 404, 422):
        return ""
    if "response_format" in said or "json_schema" in said or "json_object" in said:
        return "; for a server without it: --response-format json_object, or text"
    named = next((name for name in OPTIONAL if name in said), None)
    return f"; for a server without it: --omit {named}" if named else ""


def _short(message: str) -> str:
    """One line of what a server said; some repeat the key."""
    said = "".join(char if char.isprintable() else " " for char in redact(str(message)))
    return " ".join(said.split())[:SHOWN]
