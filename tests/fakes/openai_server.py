"""Fake OpenAI-compatible server on loopback, with deterministic completions, for the real `openai` client."""

import json
import random
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from evenmood import LABELS
from tests.fakes.loopback import LoopbackServer
from tests.fakes.openai_batches import Batches

WORDS = "today we really never saw how the old friend came back and said so much about it all over again".split()  # noqa: SIM905
Fault = Callable[["Handler"], bool]
Writer = Callable[[str, int, random.Random], list[str]]


def nonsense(prompt: str, count: int, rng: random.Random) -> list[str]:
    """Return texts of random words; the first names its label, as the texts of some models do."""
    label = next(name for name in LABELS if f"express {name}" in prompt)
    texts = [" ".join(rng.sample(WORDS, 8)) for _ in range(count)]
    return [f"I feel {label} and nothing else {' '.join(rng.sample(WORDS, 3))}", *texts[1:]]


class OpenAIServer(LoopbackServer):
    """Fake server; use it as a context manager.

    Attributes:
        prompts: Prompts of the completed requests, in order.
        request_count: Number of requests, including failed ones.
        completion_tokens: Completion tokens reported with each completion.
        batches: The Batch API.
        write: Function that returns texts, called with the prompt, their number and a random generator.
        fault: Function called with the handler of each request; returns whether it has handled the request.
    """

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.request_count = 0
        self.completion_tokens = 50
        self.fault: Fault = lambda handler: False
        self.write: Writer = nonsense
        self.batches = Batches(self.complete)
        self.lock = Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.owner = self  # type: ignore[attr-defined]
        self._thread = Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def complete(self, payload: dict[str, Any], chat: bool) -> dict[str, Any]:
        """Return the response body for a request, with the number of texts that its prompt asks for."""
        prompt = payload["messages"][-1]["content"] if chat else payload["prompt"]
        with self.lock:
            self.prompts.append(prompt)
        count = re.search(r"Write (\d+)|^(\d+) \w+ comments", prompt, re.MULTILINE)
        assert count
        rng = random.Random(f"{prompt}{payload.get('seed')}")
        return self.completion(chat, self.write(prompt, int(count[1] or count[2]), rng))

    def completion(self, chat: bool, texts: list[str], reason: str = "stop") -> dict[str, Any]:
        """Return the body of a chat or text completion with these texts."""
        content = json.dumps({"comments": texts}) if chat else "\n- ".join(["", *texts])[3:]
        choice: dict[str, Any] = {"index": 0, "finish_reason": reason, "logprobs": None}
        choice |= {"message": {"role": "assistant", "content": content}} if chat else {"text": content}
        tokens = self.completion_tokens
        usage = {"prompt_tokens": 100, "completion_tokens": tokens, "total_tokens": 100 + tokens}
        return {"id": "1", "object": "x", "created": 1, "model": "m", "choices": [choice], "usage": usage}

    @property
    def url(self) -> str:
        """Base URL of the API."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    """Handler of one request."""

    protocol_version = "HTTP/1.1"

    @property
    def owner(self) -> OpenAIServer:
        owner: OpenAIServer = self.server.owner  # type: ignore[attr-defined]
        return owner

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def respond(self, content: Any, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content_Type": "application/json", "Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        batches = self.owner.batches
        if self.path.split("?")[0].endswith("/batches"):
            self.respond({"object": "list", "data": batches.newest_first(), "has_more": False})
        elif "/batches/" in self.path:
            self.respond(batches.poll(self.path.rsplit("/", 1)[1]))
        else:
            self.respond(batches.files[self.path.split("/")[-2]])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/files"):
            return self.respond(self.owner.batches.store_file(body))
        payload = json.loads(body)
        if self.path.endswith("/batches"):
            return self.respond(self.owner.batches.submit(payload))
        with self.owner.lock:
            self.owner.request_count += 1
            self.number = self.owner.request_count
        self.payload = payload
        if self.owner.fault(self):
            return None
        chat = self.path.endswith("/chat/completions")
        return self.respond(self.owner.complete(payload, chat))
