"""Client for the text generation endpoint: requests, retries, parsed completions."""

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

from data_build.generation.parsing import parse_json, parse_lines, parse_list, response_schema
from data_build.generation.prompts import JSON_FORM, SYSTEM, Request
from evenmood.errors import EvenmoodError, UsageError
from evenmood.system import proxies
from evenmood.system.credentials import validate_secret
from evenmood.system.redaction import redact

logger = logging.getLogger(__name__)
Mode = Literal["structured", "lines"]
ResponseFormat = Literal["json_schema", "json_object", "text"]
OPTIONAL_PARAMETERS = ("seed", "max_completion_tokens", "max_tokens", "temperature", "stop")
"""Request parameters that can be omitted, for servers that do not support them."""
MAX_OUTAGE = 120.0
"""Seconds without a successful response before the run stops; rate limits last about a minute."""
MAX_RETRY_DELAY = 20.0
"""Maximum seconds between two attempts, even if `Retry-After` is longer: the server may recover sooner."""
BATCH_RETRIES = 12
"""Retries of requests to the Batch API."""
RETRIED_STATUSES = (408, 409, 425, 429)
"""HTTP statuses to retry, besides 5xx."""
MAX_TOKENS_PER_TEXT = 60
"""Completion token limit per requested text."""
INCOMPLETE = ("length", "max_tokens", "content_filter")
"""Finish reasons of truncated or filtered completions; for complete ones, servers send various values, or none."""
EXCERPT_CHARS = 200
"""Maximum length of a response or error quoted in a message."""
PERMANENT_ERRORS = ("InvalidURL", "LocalProtocolError", "UnsupportedProtocol")
"""Transport exceptions that are not retried."""
WARNING_INTERVAL = 10.0
"""Seconds between two warnings about a failing endpoint."""


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


class _ResponseBody(pydantic.BaseModel):
    """Fields read from a chat or text completion; servers may omit any of them."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None


class GeneratorError(EvenmoodError):
    """The endpoint cannot be used: for example, the API key is invalid, the model unknown or the quota exhausted."""


@dataclass(frozen=True)
class Completion:
    """Parsed completion of a request.

    Attributes:
        number: Number of the request.
        texts: Generated texts.
        finish_reason: `stop`, `length`, `content_filter`, `refused` or `malformed`, or the server's own value.
        prompt_tokens: Prompt tokens according to the server.
        completion_tokens: Completion tokens according to the server.
        excerpt: Beginning of the response, if it contains no texts.
    """

    number: int
    texts: tuple[str, ...]
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    excerpt: str = ""

    def to_line(self) -> str:
        """Serialize to one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> "Completion":
        """Parse a line written by `to_line`."""
        content = json.loads(line)
        tokens = {name: content[name] or 0 for name in ("prompt_tokens", "completion_tokens")}
        return cls(**{**content, **tokens, "texts": tuple(content["texts"])})


def read_completions(path: Path) -> Iterator[Completion]:
    """Yield the completions in a JSON Lines file; a missing file has none."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").split("\n"):
            try:
                yield Completion.from_line(line)
            except (ValueError, TypeError, KeyError):
                continue  # truncated because the run was killed; the request is sent again


class Generator:
    """Client for an OpenAI-compatible endpoint."""

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
        """Create the client; OPENAI_API_KEY holds the API key, which is optional with a base URL.

        Raises:
            UsageError: There is neither an API key nor a base URL, or one of them is malformed.
            GeneratorError: The proxy in the environment cannot be used.
        """
        base_url = (base_url or os.environ.get("OPENAI_BASE_URL") or "").strip() or None
        api_key = os.environ.get("OPENAI_API_KEY", "").strip() or ("none" if base_url else None)
        if api_key is None:
            raise UsageError("no API key; set OPENAI_API_KEY, or use your own server with --base-url")
        api_key = validate_secret(api_key, "OPENAI_API_KEY")
        host = _host(base_url) if base_url else None
        local = host in proxies.LOOPBACK
        if not local and (problem := proxies.find_problem()):
            raise GeneratorError(f"cannot connect to the endpoint: {problem}")
        self.model, self.mode, self.seed = model, mode, seed
        self.response_format, self.omit = response_format, frozenset(omit)
        self.client = openai.OpenAI(
            api_key=api_key,
            base_url=base_url,
            timeout=timeout,
            max_retries=BATCH_RETRIES,
            http_client=openai.DefaultHttpxClient(trust_env=False) if local else None,  # no proxy for loopback
            organization=_header("OPENAI_ORG_ID"),
            project=_header("OPENAI_PROJECT_ID"),
        )
        self._last_success = time.monotonic()
        self._last_warning = 0.0
        self._stopped = threading.Event()

    @property
    def endpoint(self) -> str:
        """URL path of the completions endpoint."""
        return "/v1/chat/completions" if self.mode == "structured" else "/v1/completions"

    def body(self, request: Request) -> dict[str, Any]:
        """Return the JSON body of a request."""
        limit = MAX_TOKENS_PER_TEXT * request.texts
        content: dict[str, Any] = {"model": self.model, "seed": self.seed_of(request)}
        if self.mode == "lines":
            content |= {
                "prompt": request.completion_prompt(),
                "max_tokens": limit,
                "stop": ["\n\n"],
                "temperature": 1.0,
            }
        else:
            prompt = request.chat_prompt() + ("" if self.response_format == "json_schema" else JSON_FORM)
            content |= {
                "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}],
                **self._response_format(),
                "max_completion_tokens": limit,
            }
        return {name: value for name, value in content.items() if name not in self.omit}

    def _response_format(self) -> dict[str, Any]:
        """Return the parameter `response_format`; none for text, which is every server's default."""
        if self.response_format == "text":
            return {}
        parameter: dict[str, Any] = {"type": self.response_format}
        if self.response_format == "json_schema":
            parameter["json_schema"] = {"name": "comments", "strict": True, "schema": response_schema()}
        return {"response_format": parameter}

    def seed_of(self, request: Request) -> int | None:
        """Return the seed sent with a request; None if omitted."""
        return None if "seed" in self.omit else self.seed + request.number

    @property
    def host(self) -> str:
        """Host name of the endpoint, without the path, which could contain a key."""
        return urlsplit(str(self.client.base_url)).hostname or ""

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def stop(self) -> None:
        """Finish the running requests without further retries."""
        self._stopped.set()

    def complete(self, request: Request) -> Completion:
        """Send a request and parse its response; a malformed response yields no texts.

        Transient errors are retried as long as any request of this client succeeded within `MAX_OUTAGE`.

        Raises:
            GeneratorError: The endpoint rejects the request, or no request has succeeded for too long.
        """
        client = self.client.with_options(max_retries=0)
        create = (client.chat if self.mode == "structured" else client).completions.with_raw_response.create
        first_failure, attempts = float("inf"), 0
        with convert_api_errors():
            while True:
                try:
                    completion = self.parse(request, create(**self.body(request)).content)
                except openai.APIError as error:
                    delay, attempts = _retry_delay(error, attempts), attempts + 1
                    first_failure = min(first_failure, time.monotonic())
                    outage = time.monotonic() - max(first_failure, self._last_success)
                    if delay is None or outage + delay > MAX_OUTAGE:
                        raise
                    self._warn(error, delay)
                    if self._stopped.wait(delay):
                        raise
                else:
                    self._last_success = time.monotonic()
                    return completion

    def _warn(self, error: openai.APIError, delay: float) -> None:
        """Log that the endpoint is failing, at most once per `WARNING_INTERVAL`."""
        now = time.monotonic()
        if now - self._last_warning > WARNING_INTERVAL:
            self._last_warning = now
            logger.warning("endpoint error (%s); retrying in %.0f s", _reason(error), delay)

    def parse(self, request: Request, body: bytes) -> Completion:
        """Parse the body of a response; an invalid one becomes a `malformed` completion."""
        try:
            response = _ResponseBody.model_validate_json(body)
        except pydantic.ValidationError:
            return Completion(request.number, (), "malformed", 0, 0, _excerpt(body.decode("utf-8", "replace")))
        choice = response.choices[0] if response.choices else None
        texts, reason = self._texts(choice) if choice else ((), "malformed")
        usage = response.usage or _Usage()
        tokens = usage.prompt_tokens or 0, usage.completion_tokens or 0
        excerpt = "" if texts else _excerpt((_content(choice) if choice else "") or body.decode("utf-8", "replace"))
        return Completion(request.number, texts[: request.texts], reason, *tokens, excerpt)

    def _texts(self, choice: _Choice) -> tuple[tuple[str, ...], str]:
        """Return the texts and finish reason of a choice."""
        reason, content = choice.finish_reason or "stop", _content(choice)
        if self.mode == "lines":
            lines = parse_lines(content)
            return tuple(lines[:-1] if reason == "length" else lines), reason  # the last line is truncated
        if choice.message is not None and choice.message.refusal:
            return (), "refused"
        if reason in INCOMPLETE:
            return (), reason
        texts = parse_json(content)
        if texts is None and self.response_format == "text":
            texts = parse_list(content)
        return ((), "malformed") if texts is None else (texts, reason)


def _header(variable: str) -> str | None:
    """Return the value of an environment variable that is sent as an HTTP header; None if unset."""
    value = os.environ.get(variable, "").strip()
    return validate_secret(value, variable) if value else None


def _content(choice: _Choice) -> str:
    """Return the text of a choice."""
    content = choice.message.content if choice.message else choice.text
    return "".join(part.text for part in content) if isinstance(content, list) else content or ""


def _host(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or not base_url.isascii() or len(base_url.split()) > 1:
        raise UsageError(f"invalid base URL: {base_url!r}; expected https://HOST/v1 or http://HOST:PORT/v1")
    return host


def _retry_delay(error: openai.APIError, attempts: int) -> float | None:
    """Return the seconds until the next attempt: `Retry-After`, or 0.5, 1, 2, 4, 8; None for permanent errors."""
    retry_after = ""
    if isinstance(error, openai.APIStatusError):
        is_transient = error.status_code in RETRIED_STATUSES or error.status_code >= 500
        if not is_transient or error.code == "insufficient_quota":
            return None
        retry_after = error.response.headers.get("Retry-After", "")
    elif type(error.__cause__).__name__ in PERMANENT_ERRORS:
        return None
    is_number = retry_after.replace(".", "", 1).isdecimal()
    delay = float(retry_after) if is_number else min(8.0, 0.5 * 2.0**attempts)
    return min(max(delay, 0.1), MAX_RETRY_DELAY)


@contextmanager
def convert_api_errors() -> Iterator[None]:
    """Convert errors of the OpenAI client into `GeneratorError`."""
    try:
        yield
    except openai.APIStatusError as error:
        raise GeneratorError(f"the endpoint rejected the request ({_reason(error)}){_advice(error)}") from None
    except openai.APIError as error:
        raise GeneratorError(f"no response from the endpoint ({_reason(error)}); try again later") from None


def _reason(error: openai.APIError) -> str:
    """Return the status and message of an error as one line."""
    if isinstance(error, openai.APIStatusError):
        return f"HTTP {error.status_code}: {_excerpt(error.message)}"
    cause = f": {error.__cause__}" if error.__cause__ and str(error.__cause__) else ""
    variables = proxies.variables_in_use()
    return _excerpt(error.message.rstrip(".") + cause) + (f", proxy from {', '.join(variables)}" if variables else "")


def _advice(error: openai.APIStatusError) -> str:
    """Suggest an option, if the server may not support a parameter."""
    message = str(error.message)
    if error.status_code not in (400, 404, 422):
        return ""
    if "response_format" in message or "json_schema" in message or "json_object" in message:
        return "; if the server does not support it, use --response-format json_object, or text"
    parameter = next((name for name in OPTIONAL_PARAMETERS if name in message), None)
    return f"; if the server does not support it, use --omit {parameter}" if parameter else ""


def _excerpt(message: str) -> str:
    """Return the beginning of a server's message as one line, with keys redacted, since some servers repeat them."""
    printable = "".join(char if char.isprintable() else " " for char in redact(str(message)))
    return " ".join(printable.split())[:EXCERPT_CHARS]
